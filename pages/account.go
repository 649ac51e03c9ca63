package pages

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageAccount = "/account"

// accountView is what account.html shows of the person who is signed in.
type accountView struct {
	frame
	Username, Initials string
	Name, Email        string // "" for none
	Since              string
	Factors            string // the page of second factors
	Form               string // the token of the form
	Said               string // what the form did
}

// account shows somebody what is known here of him.
func (v *visit) account() error { return v.showAccount("") }

// accountSent ends all other sessions of the person, on all nodes.
func (v *visit) accountSent() error {
	if v.who == nil {
		return v.showAccount("")
	}
	if err := v.sentFrom(pageAccount); err != nil {
		return err
	}
	ctx := gatehouse.WithPrincipal(v.r.Context(), v.who)
	n, err := v.h.c.Sessions.EndAll(ctx, v.who.Realm, v.who.ID, v.who.SessionID, session.ReasonOwner)
	if err != nil {
		return err
	}
	said, err := v.language.text("account.ended", n)
	if err != nil {
		return err
	}
	return v.showAccount(said)
}

func (v *visit) showAccount(said string) error {
	if v.who == nil {
		return v.redirect(v.to(pageSignIn) + "?" + url.Values{"return": {v.to(pageAccount)}}.Encode())
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	view := accountView{Username: u.Username, Initials: initials(u.Username), Name: u.DisplayName, Email: u.Email,
		Since: moment(v.who.AuthTime), Factors: v.to(pageFactors), Form: v.token(pageAccount), Said: said}
	if view.frame, err = v.frame(pageAccount, "account.title", nil); err != nil {
		return err
	}
	return v.show(http.StatusOK, "account.html", view)
}

// moment is a time that nobody can read in two ways, in UTC (RFC 3339).
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
