package pages

import (
	"net/http"
	"net/url"
	"time"
)

// accountView is what account.html shows of the person who is signed in.
type accountView struct {
	frame
	Username, Initials string
	Name, Email        string // "" for none
	Since              string
}

// account shows somebody what is known here of him.
func (v *visit) account() error {
	if v.who == nil {
		return v.redirect(v.to(pageSignIn) + "?" + url.Values{"return": {v.to("/account")}}.Encode())
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	view := accountView{Username: u.Username, Initials: initials(u.Username), Name: u.DisplayName, Email: u.Email,
		Since: moment(v.who.AuthTime)}
	if view.frame, err = v.frame("/account", "account.title", nil); err != nil {
		return err
	}
	return v.show(http.StatusOK, "account.html", view)
}

// moment is a time that nobody can read in two ways, in UTC (RFC 3339).
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
