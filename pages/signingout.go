package pages

import (
	"errors"
	"html"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
)

// signingOutView is what signingout.html shows.
type signingOutView struct {
	frame
	Frames []string
	To     string // where the browser goes then
}

// frames are what the browser will load in which the session of this visit ends. They are looked up before: the notes of who is to be told
// go with the session.
func (v *visit) frames() (authorize.Frames, error) {
	return v.h.c.Frames(v.r.Context(), v.realm.Name, v.session())
}

// signingOut has the browser load pages of the clients of a session that has ended, and go on to an address of ours or a registered one:
// by itself when they are loaded, or by a link, where one of them never is.
func (v *visit) signingOut(frames authorize.Frames, to string) error {
	h := v.w.Header()
	// These origins alone, in this page alone. Frames that lead elsewhere are stopped by it as well (CSP Level 3 §6.1.7).
	h["Content-Security-Policy"] = []string{h.Get("Content-Security-Policy") + "; frame-src " + frames.Origins}
	h["Refresh"] = []string{"1; url=" + to}        // browsers begin to count when everything is loaded (HTML §2.3.4)
	h["Referrer-Policy"] = []string{"no-referrer"} // the address of this page says what was asked for
	return v.showSigningOut(signingOutView{Frames: frames.URLs, To: to})
}

func (v *visit) showSigningOut(view signingOutView) (err error) {
	if view.frame, err = v.frame(pageSignOut, "signingout.title", nil); err != nil {
		return err
	}
	return v.show(http.StatusOK, "signingout.html", view)
}

// hiddenFrame is what {{hiddenframe .}} writes: a frame with a registered page of a client. It may run scripts, which it needs to end what it
// keeps in the browser, and can neither lead this window away nor open another.
func hiddenFrame(args ...any) (any, error) {
	src, _ := args[0].(string)
	if !strings.HasPrefix(src, "https://") && !strings.HasPrefix(src, "http://") { // a script in an address would run here
		return nil, errors.New("no address of the web")
	}
	return markup.HTML(`<iframe src="` + html.EscapeString(src) + `" title="" aria-hidden="true" tabindex="-1" hidden sandbox="allow-scripts allow-same-origin"></iframe>`), nil
}

// onward is what {{onward .To}} writes: the begin of a link to a page of ours, or to a registered address.
func onward(args ...any) (any, error) {
	to, _ := args[0].(string)
	scheme, _, _ := strings.Cut(to, ":")
	if !markup.OwnPath(to) && scheme != "https" && scheme != "http" && !strings.Contains(scheme, ".") { // as registrations have them
		return nil, errors.New("no registered address")
	}
	return markup.HTML(`<a class="btn main full" href="` + html.EscapeString(to) + `" id="continue">`), nil
}

// signingOutStates are those of signingout.html.
func signingOutStates() []state {
	return []state{{"ask", func(v *visit) error { return v.showSigningOut(signingOutView{To: v.to("/signedout")}) }}}
}
