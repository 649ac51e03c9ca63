package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// Register is the page on which people make accounts: who was invited by its address with the text of
// the link as ?code=, anybody where the realm is open.
const Register = "/register"

// Invitations has people make accounts by links that were sent to their addresses; *users.Service does.
type Invitations interface {
	// AskRegistration has a link sent to an address, and tells nobody whether there is an account with it.
	AskRegistration(ctx context.Context, realm, address string) error
	// InvitationOf tells to which address a link was sent; named is set where that is the name of the account.
	InvitationOf(ctx context.Context, realm string, text gatehouse.Secret) (address string, named bool, err error)
	Register(ctx context.Context, realm string, text gatehouse.Secret, username string, password gatehouse.Secret) error
}

// registerView is what register.html shows.
type registerView struct {
	frame
	askedRegister
	Action, Form   string
	Address        string
	Named          bool // by the address
	Identifier     string
	Least          int      // characters of a password
	Problem        string   // with the name
	Problems       []string // with the password
	BadName, BadPw bool
	Notice         string
	Done           bool
}

// register takes the text of a link out of the address, as [visit.newPassword] does, and asks for
// name and password.
func (v *visit) register() error {
	if code := one(v.r, "code"); code != "" && len(code) <= maxCookie {
		v.setCookie(cookieInvitation+v.realm.Name, code, int(7*24*time.Hour/time.Second))
		return v.redirect(v.to(Register))
	}
	if v.invitation() == "" && v.realm.Settings.Open() {
		return v.askRegisterAddress(http.StatusOK, registerView{})
	}
	return v.askRegister(http.StatusOK, registerView{})
}

// invitation is the text of the link by which this browser came.
func (v *visit) invitation() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieInvitation + v.realm.Name))
}

func (v *visit) askRegister(status int, view registerView) (err error) {
	if view.Address, view.Named, err = v.h.c.Invitations.InvitationOf(v.r.Context(), v.realm.Name, v.invitation()); err != nil {
		if gatehouse.KindOf(err) == gatehouse.Denied { // so that the page can be asked for another link
			v.setCookie(cookieInvitation+v.realm.Name, "", -1)
		}
		return err
	}
	return v.showRegister(status, view)
}

func (v *visit) showRegister(status int, view registerView) (err error) {
	heading := "register.title"
	if view.Done {
		heading = "register.done_title"
	}
	if view.frame, err = v.frame(Register, heading, nil); err != nil {
		return err
	}
	view.Action, view.Form, view.Least = v.to(Register), v.token(Register), v.realm.Settings.Defaults().PasswordMinLength
	view.BadName, view.BadPw = view.Problem != "", len(view.Problems) > 0
	return v.show(status, "register.html", view)
}

// registerSent makes the account, which uses the invitation up. It signs nobody in: the realm may
// demand a second factor, which is asked for there.
func (v *visit) registerSent() error {
	if _, asks := v.form["email"]; asks {
		return v.registerAddressSent()
	}
	if err := v.sentFrom(Register, "identifier", "password"); err != nil {
		return err
	}
	name, password := strings.TrimSpace(v.form["identifier"]), gatehouse.Secret(v.form["password"])
	if len(name) > maxIdentifier {
		return errForm
	}
	view := registerView{Identifier: name}
	_, named, err := v.h.c.Invitations.InvitationOf(v.r.Context(), v.realm.Name, v.invitation())
	if err != nil {
		return err
	}
	key := ""
	switch {
	case name == "" && !named:
		key = "register.no_name"
	case password == "":
		text, err := v.language.text("signin.no_password")
		if err != nil {
			return err
		}
		view.Problems = []string{text}
		return v.askRegister(http.StatusUnprocessableEntity, view)
	default:
		err := v.h.c.Invitations.Register(v.r.Context(), v.realm.Name, v.invitation(), name, password)
		if err == nil {
			v.setCookie(cookieInvitation+v.realm.Name, "", -1)
			if named {
				return v.redirect(v.to(Register + "/done?by=email"))
			}
			return v.redirect(v.to(Register + "/done"))
		}
		if broken := identity.ProblemsOf(err); broken != nil {
			if view.Problems, err = v.problems(broken); err != nil {
				return err
			}
			return v.askRegister(http.StatusUnprocessableEntity, view)
		}
		switch gatehouse.CodeOf(err) {
		case "username_taken":
			key = "register.taken"
		case "username_invalid", "input_invalid", "user_invalid":
			key = "register.bad_name"
		default:
			status, notice, err := v.notNow(err)
			if err != nil {
				return err
			}
			view.Notice = notice
			return v.askRegister(status, view)
		}
	}
	if view.Problem, err = v.language.text(key); err != nil {
		return err
	}
	return v.askRegister(http.StatusUnprocessableEntity, view)
}

// registered is where somebody is after making an account: not signed in.
func (v *visit) registered() error {
	return v.showRegister(http.StatusOK, registerView{Done: true, Named: one(v.r, "by") == "email"})
}

func registerStates() []state {
	const address = "alice@wonderland.example"
	return append(askedRegisterStates(), []state{
		{"ask", func(v *visit) error { return v.showRegister(http.StatusOK, registerView{Address: address}) }},
		{"named", func(v *visit) error {
			return v.showRegister(http.StatusOK, registerView{Address: address, Named: true})
		}},
		{"refused", func(v *visit) error {
			texts, err := v.problems([]credential.Problem{credential.PasswordTooShort, credential.PasswordContext})
			if err != nil {
				return err
			}
			return v.showRegister(http.StatusUnprocessableEntity, registerView{Address: address, Identifier: "alice", Problems: texts})
		}},
		{"taken", func(v *visit) error {
			text, err := v.language.text("register.taken")
			if err != nil {
				return err
			}
			return v.showRegister(http.StatusUnprocessableEntity, registerView{Address: address, Identifier: "alice", Problem: text})
		}},
		{"busy", func(v *visit) error {
			_, notice, err := v.notNow(&gatehouse.Error{Kind: gatehouse.Unavailable, RetryAfter: 4 * time.Second})
			if err != nil {
				return err
			}
			return v.showRegister(http.StatusServiceUnavailable, registerView{Address: address, Identifier: "alice", Notice: notice})
		}},
		{"done", func(v *visit) error { return v.registered() }},
		{"named-done", func(v *visit) error {
			return v.showRegister(http.StatusOK, registerView{Done: true, Named: true})
		}},
	}...)
}
