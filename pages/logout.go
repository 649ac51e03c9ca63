package pages

import (
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/session"
)

const (
	pageLogout     = "/logout"
	pageLogoutSure = pageLogout + "/sure"
)

// logOutPosted takes a request that another site posts, as [visit.authorizePosted] does: our cookies come with the next.
func (v *visit) logOutPosted() error {
	v.w.Header()["Referrer-Policy"] = []string{"no-referrer"}
	return v.redirect(v.to(pageLogout) + "?" + v.posted.Encode())
}

// logOut has a person sign out because a client wants it (OpenID Connect RP-Initiated Logout). A client that shows the ID token of this session
// ends it; for any other the person is asked. Where nobody is signed in there is nothing to end, and nobody learns more than that.
func (v *visit) logOut() error {
	query := v.r.URL.RawQuery
	l, err := v.h.c.Authorizations.Leave(v.r.Context(), v.realm, query)
	switch {
	case err != nil:
		return err
	case v.who == nil && l.Known():
		return v.goAfter(l)
	case v.who == nil:
		return v.redirect(v.to("/signedout"))
	case l.Means(v.who):
		return v.logOutTo(l)
	}
	keep, err := url.ParseQuery(query)
	if err != nil {
		return errForm
	}
	view := signOutView{Action: v.to(pageLogoutSure), Form: v.token(logoutOf(query)), Request: query}
	if view.frame, err = v.frame(pageLogout, "signout.title", keep); err != nil {
		return err
	}
	if l.To != "" {
		v.formsLeadTo(l.Forms)
	}
	return v.show(http.StatusOK, "signout.html", view)
}

// logoutOf names the form about one request.
func logoutOf(query string) string { return pageLogoutSure + " " + query }

// logOutSent is what the person answers. The request is judged anew.
func (v *visit) logOutSent() error {
	query := v.form["request"]
	if err := v.sentFrom(logoutOf(query), "request"); err != nil {
		return err
	}
	if v.who == nil {
		return errExpired
	}
	l, err := v.h.c.Authorizations.Leave(v.r.Context(), v.realm, query)
	if err != nil {
		return err
	}
	return v.logOutTo(l)
}

// logOutTo ends the session of this browser, and sends it where the client wants.
func (v *visit) logOutTo(l authorize.Leaving) error {
	frames, err := v.frames()
	if err == nil {
		err = v.endSession(session.ReasonSignOut)
	}
	if err != nil {
		return err
	}
	v.forget()
	if len(frames.URLs) == 0 {
		return v.goAfter(l)
	}
	to := l.To
	if to == "" {
		to = v.to("/signedout")
	}
	return v.signingOut(frames, to)
}

func (v *visit) goAfter(l authorize.Leaving) error {
	if l.To == "" {
		return v.redirect(v.to("/signedout"))
	}
	v.away(l.To)
	return nil
}
