package pages

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pagePassword = "/account/password"

// passwordView is what password.html shows.
type passwordView struct {
	ownView
	Action   string
	Again    string // where to sign in again first; "" while nothing is owed
	None     bool   // the account has no password
	Least    int    // characters
	Wrong    bool   // the current one
	Problems []string
	Bad      bool // the new one
}

// password asks somebody for the current password and a new one, and says before what that must be.
func (v *visit) password() error { return v.showPassword(http.StatusOK, passwordView{}) }

func (v *visit) showPassword(status int, view passwordView) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pagePassword))
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	view.None = u.PasswordHash == ""
	owes, err := v.owesFactor()
	if err != nil {
		return err
	}
	if owes {
		view.Again = v.toSignIn(pagePassword)
	}
	return v.drawPassword(status, view)
}

func (v *visit) drawPassword(status int, view passwordView) error {
	own, err := v.own(pagePassword, "password.title")
	if err != nil {
		return err
	}
	own.Said, own.Problem = view.Said, view.Problem
	view.ownView, view.Action, view.Bad = own, v.to(pagePassword), len(view.Problems) > 0
	view.Least = v.realm.Settings.Defaults().PasswordMinLength
	return v.show(status, "password.html", view)
}

// owesFactor reports whether who is signed in has a second factor and did not prove it a moment ago: the current password
// alone, which somebody may have seen being typed, then changes nothing.
func (v *visit) owesFactor() (bool, error) {
	list, err := v.h.c.Factors.List(v.r.Context(), v.who)
	if err != nil {
		return true, err
	}
	keys, err := v.hasPasskeys(v.who.ID)
	has := keys || slices.ContainsFunc(list, func(f Factor) bool { return f.App && f.Confirmed })
	return has && !session.Fresh(v.who, true, v.h.c.Now()), err
}

// passwordSent changes the password. Every login ends; this browser is signed in again by the new password.
func (v *visit) passwordSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pagePassword))
	}
	if err := v.sentFrom(pagePassword, "identifier", "current", "password"); err != nil {
		return err
	}
	owes, err := v.owesFactor()
	if err != nil {
		return err
	}
	if owes {
		return v.redirect(v.toSignIn(pagePassword))
	}
	next := gatehouse.Secret(v.form["password"])
	if next == "" {
		text, err := v.language.text("password.no_new")
		if err != nil {
			return err
		}
		return v.showPassword(http.StatusUnprocessableEntity, passwordView{Problems: []string{text}})
	}
	err = v.h.c.Profile.ChangePassword(gatehouse.WithPrincipal(v.r.Context(), v.who), v.who, gatehouse.Secret(v.form["current"]), next)
	if err != nil {
		return v.passwordStays(err)
	}
	if err := v.stay(next); err != nil {
		return v.redirect(v.to(SignIn) + "?" + url.Values{"return": {v.to(pageAccount)}}.Encode()) // it is changed all the same
	}
	return v.redirect(v.to(pageAccount) + "?" + url.Values{"said": {"password"}}.Encode())
}

// passwordStays shows why a password was not changed.
func (v *visit) passwordStays(err error) error {
	if gatehouse.CodeOf(err) == credential.ErrInvalidCredentials.Code {
		return v.showPassword(http.StatusUnprocessableEntity, passwordView{Wrong: true})
	}
	if broken := identity.ProblemsOf(err); broken != nil {
		texts, terr := v.problems(broken)
		if terr != nil {
			return terr
		}
		return v.showPassword(http.StatusUnprocessableEntity, passwordView{Problems: texts})
	}
	if gatehouse.CodeOf(err) == gatehouse.ErrVersionConflict.Code {
		text, terr := v.language.text("account.changed")
		if terr != nil {
			return terr
		}
		return v.showPassword(http.StatusConflict, passwordView{ownView: ownView{Problem: text}})
	}
	status, notice, err := v.notNow(err)
	if err != nil {
		return err
	}
	return v.showPassword(status, passwordView{ownView: ownView{Problem: notice}})
}

// stay signs this browser in again, as whoever knows the new password. What else the person had proved, and when, stays as it
// was: nobody gets a second factor, or a later time of it, by a password.
func (v *visit) stay(password gatehouse.Secret) error {
	ctx := v.r.Context()
	u, err := v.h.c.Passwords.VerifyPassword(ctx, identity.Attempt{Realm: v.realm.Name, Username: v.who.Name, Password: password,
		Address: gatehouse.AddressFrom(ctx)})
	if err != nil {
		return err
	}
	return v.open(&gatehouse.Principal{Realm: u.Realm, Kind: u.Kind, ID: u.ID, Name: u.Username, Scheme: gatehouse.SchemeBasic,
		IssuedAt: u.PasswordAt, AuthTime: v.who.AuthTime, AMR: v.who.AMR, ACR: v.who.ACR}, v.newDevice())
}

func passwordStates() []state {
	shown := func(status int, view passwordView) func(*visit) error {
		return func(v *visit) error { return v.drawPassword(status, view) }
	}
	return []state{
		{"ask", shown(http.StatusOK, passwordView{})},
		{"wrong", shown(http.StatusUnprocessableEntity, passwordView{Wrong: true})},
		{"refused", func(v *visit) error {
			texts, err := v.problems([]credential.Problem{credential.PasswordTooShort, credential.PasswordContext})
			if err != nil {
				return err
			}
			return v.drawPassword(http.StatusUnprocessableEntity, passwordView{Problems: texts})
		}},
		{"slow", func(v *visit) error {
			slow := *gatehouse.ErrRateLimited
			slow.RetryAfter = 7 * time.Minute
			status, notice, err := v.notNow(&slow)
			if err != nil {
				return err
			}
			return v.drawPassword(status, passwordView{ownView: ownView{Problem: notice}})
		}},
		{"stale", shown(http.StatusOK, passwordView{Again: "/signin?again=1"})},
		{"none", shown(http.StatusOK, passwordView{None: true})},
	}
}
