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
	view := accountView{Username: u.Username, Name: u.DisplayName, Email: u.Email,
		Since: moment(v.who.AuthTime), Said: said}
	return v.drawAccount(view)
}

func (v *visit) drawAccount(view accountView) (err error) {
	view.Initials, view.Form, view.Factors = initials(view.Username), v.token(pageAccount), v.to(pageFactors)
	if view.frame, err = v.frame(pageAccount, "account.title", nil); err != nil {
		return err
	}
	return v.show(http.StatusOK, "account.html", view)
}

// accountStates are those of account.html.
func accountStates() []state {
	full := accountView{Username: "alice", Name: "Alice Liddell", Email: "alice@example.org", Since: "2026-11-28 08:12 UTC"}
	return []state{
		{"full", func(v *visit) error { return v.drawAccount(full) }},
		{"bare", func(v *visit) error { return v.drawAccount(accountView{Username: "bo", Since: full.Since}) }},
		{"ended", func(v *visit) (err error) {
			view := full
			if view.Said, err = v.language.text("account.ended", 3); err != nil {
				return err
			}
			return v.drawAccount(view)
		}},
	}
}

// moment is a time that nobody can read in two ways, in UTC (RFC 3339).
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
