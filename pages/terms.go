package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/session"
)

// A realm can have terms that people must have accepted, in a version. Whoever signed in and has not is asked, before any page of
// the account and before the way back to a gateway. Who says no is signed out.

const (
	pageTerms     = "/terms"
	pageTermsText = pageTerms + "/text"
	pagePrivacy   = "/privacy"
)

// termsView is what terms.html shows.
type termsView struct {
	frame
	Action, Form string
	Return       string
	Version      string
	Text         string // the page that leads to the terms
	Another      bool   // the person has accepted another version
	Changed      bool   // while the page was shown they became others
}

// owesTerms reports whether this page is for those alone who have accepted the terms, and the person has not.
func (v *visit) owesTerms() (bool, error) {
	version, page := v.realm.Settings.TermsVersion, strings.TrimPrefix(v.r.URL.Path, v.site.routed)
	if version == "" || v.who == nil || v.who.Kind != gatehouse.KindUser ||
		page != "/handover" && page != pageAuthorize && page != pageConsent && page != Device && page != pageDeviceSay && page != pageAccount && !strings.HasPrefix(page, pageAccount+"/") {
		return false, nil
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	return err == nil && u.TermsVersion != version, err
}

// toTerms asks for the terms, and goes on from there to what was wanted.
func (v *visit) toTerms() error {
	to := v.to(pageAccount)
	if v.r.Method == http.MethodGet { // what was sent is not done
		to = ownReturn(v.site.seen(v.r.URL.RequestURI()))
	}
	return v.redirect(v.to(pageTerms) + "?" + url.Values{"return": {v.orAccount(to)}}.Encode())
}

// terms shows the question.
func (v *visit) terms() error {
	to := returnOf(v.r)
	if v.who == nil {
		return v.redirect(v.to(SignIn))
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	if version := v.realm.Settings.TermsVersion; version == "" || u.TermsVersion == version {
		return v.redirect(v.orAccount(to))
	}
	return v.askTerms(http.StatusOK, termsView{Return: to, Another: u.TermsVersion != ""})
}

func (v *visit) askTerms(status int, view termsView) (err error) {
	keep := url.Values{}
	if view.Return != "" {
		keep["return"] = []string{view.Return}
	}
	if view.frame, err = v.frame(pageTerms, "terms.title", keep); err != nil {
		return err
	}
	v.leadsTo(view.Return)
	view.Action, view.Form, view.Text, view.Version = v.to(pageTerms), v.token(pageTerms), v.to(pageTermsText), v.realm.Settings.TermsVersion
	return v.show(status, "terms.html", view)
}

// termsSent notes that the person accepts, or ends the session.
func (v *visit) termsSent() error {
	if v.who == nil {
		return v.redirect(v.to(SignIn))
	}
	if err := v.sentFrom(pageTerms, "return", "version", "do"); err != nil {
		return err
	}
	to, ctx := ownReturn(v.form["return"]), gatehouse.WithPrincipal(v.r.Context(), v.who)
	switch v.form["do"] {
	case "accept":
	case "decline":
		return v.endOwn(session.ReasonSignOut)
	default:
		return errForm
	}
	err := v.h.c.Profile.AcceptTerms(ctx, v.who, v.form["version"])
	if gatehouse.CodeOf(err) == gatehouse.ErrVersionConflict.Code {
		return v.askTerms(http.StatusConflict, termsView{Return: to, Changed: true})
	}
	if err != nil {
		return err
	}
	return v.redirect(v.orAccount(to))
}

// termsText and privacy lead to what the realm has elsewhere: pages link to this server alone.
func (v *visit) termsText() error { return v.toAddress(v.realm.Settings.TermsURL) }
func (v *visit) privacy() error   { return v.toAddress(v.realm.Settings.PrivacyURL) }

// toAddress sends the browser to an address of the realm's settings. What is none is not followed, whatever is stored.
func (v *visit) toAddress(to string) error {
	if !gatehouse.WebAddress(to) {
		return gatehouse.ErrNotFound
	}
	v.away(to)
	return nil
}

// termsStates are those of terms.html.
func termsStates() []state {
	ask := func(status int, view termsView) func(*visit) error {
		return func(v *visit) error {
			v.realm = themedRealm()
			return v.askTerms(status, view)
		}
	}
	return []state{
		{"ask", ask(http.StatusOK, termsView{})},
		{"another", ask(http.StatusOK, termsView{Another: true})},
		{"changed", ask(http.StatusConflict, termsView{Changed: true})},
	}
}
