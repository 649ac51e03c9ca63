package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
)

const pageEmail = "/account/email"

// VerifyAddress is the page by which an e-mail address is verified: its address with the text
// of the link as ?code=.
const VerifyAddress = "/verify"

// Addresses has people verify their e-mail address, and take another one; *users.Service does.
type Addresses interface {
	SendAddressLink(ctx context.Context, who *gatehouse.Principal, realm, user string) error
	AskAddress(ctx context.Context, who *gatehouse.Principal, address string) error
	AddressOf(ctx context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) (username, address string, signIn bool, err error)
	VerifyAddress(ctx context.Context, who *gatehouse.Principal, realm string, text gatehouse.Secret) error
}

// emailView is what email.html shows.
type emailView struct {
	ownView
	Action   string
	Again    string // where to sign in again; "" while that was a moment ago
	Off      bool   // no mail is sent
	Fixed    bool   // it is the one that the organization's directory has
	Email    string // "" for none
	Verified bool
	Waiting  string // the address that takes its place when it is verified; "" for none
}

// email shows somebody the e-mail address of the account. Another one is asked for only a moment after signing in.
func (v *visit) email() error { return v.showEmail(http.StatusOK, "", "") }

func (v *visit) showEmail(status int, said, problem string) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageEmail))
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	fresh, err := v.fresh()
	if err != nil {
		return err
	}
	return v.drawEmail(status, *u, fresh, said, problem)
}

func (v *visit) drawEmail(status int, u identity.User, fresh bool, said, problem string) error {
	own, err := v.own(pageEmail, "email.title")
	if err != nil {
		return err
	}
	view := emailView{ownView: own, Action: v.to(pageEmail), Off: !v.h.c.Mail(), Email: u.Email, Verified: u.EmailVerified(), Waiting: u.NewEmail, Fixed: u.DirectoryID != ""}
	view.Said, view.Problem = said, problem
	if !fresh && !view.Fixed {
		view.Again = v.toSignIn(pageEmail)
	}
	return v.show(status, "email.html", view)
}

// emailSent has a link sent: to the address of now, or to another one that shall take its place.
func (v *visit) emailSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageEmail))
	}
	if err := v.sentFrom(pageEmail, "do", "email"); err != nil {
		return err
	}
	var err error
	switch v.form["do"] {
	case "verify":
		err = v.h.c.Addresses.SendAddressLink(v.r.Context(), v.who, v.who.Realm, v.who.ID)
	case "change":
		err = v.h.c.Addresses.AskAddress(v.r.Context(), v.who, strings.TrimSpace(v.form["email"]))
	default:
		return errForm
	}
	if err == nil {
		said, err := v.language.text("email.sent")
		if err != nil {
			return err
		}
		return v.showEmail(http.StatusOK, said, "")
	}
	problem := ""
	switch gatehouse.CodeOf(err) {
	case "address_needs_sign_in":
		return v.redirect(v.toSignIn(pageEmail))
	case "email_invalid":
		problem, err = v.language.text("email.bad")
	case "no_email":
		problem, err = v.language.text("email.not_sent")
	case "version_conflict":
		problem, err = v.language.text("factors.changed")
	}
	if err != nil {
		return err
	}
	return v.showEmail(http.StatusUnprocessableEntity, "", problem)
}

// verifyView is what verify.html shows: the question, or that the address is verified.
type verifyView struct {
	frame
	Action, Form      string
	Username, Address string
	Done              bool
}

// verifyAddress takes the text of a link out of the address, as [visit.newPassword] does, and asks. To
// look at a link verifies nothing: programs that open every link of a message would.
func (v *visit) verifyAddress() error {
	if code := one(v.r, "code"); code != "" && len(code) <= maxCookie {
		v.setCookie(cookieAddress+v.realm.Name, code, int(24*time.Hour/time.Second))
		return v.redirect(v.to(VerifyAddress))
	}
	username, address, signIn, err := v.h.c.Addresses.AddressOf(v.r.Context(), v.who, v.realm.Name, v.addressLink())
	switch {
	case err != nil:
		return err
	case signIn:
		return v.redirect(v.toSignIn(VerifyAddress))
	}
	return v.showVerify(verifyView{Username: username, Address: address})
}

// addressLink is the text of the link by which this browser came.
func (v *visit) addressLink() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieAddress + v.realm.Name))
}

// verifySent verifies the address, which uses the link up.
func (v *visit) verifySent() error {
	if err := v.sentFrom(VerifyAddress); err != nil {
		return err
	}
	if err := v.h.c.Addresses.VerifyAddress(v.r.Context(), v.who, v.realm.Name, v.addressLink()); err != nil {
		return err
	}
	v.setCookie(cookieAddress+v.realm.Name, "", -1)
	return v.redirect(v.to(VerifyAddress + "/done"))
}

// verified is where somebody is after verifying an address.
func (v *visit) verified() error { return v.showVerify(verifyView{Done: true}) }

func (v *visit) showVerify(view verifyView) (err error) {
	heading := "verify.title"
	if view.Done {
		heading = "verify.done_title"
	}
	if view.frame, err = v.frame(VerifyAddress, heading, nil); err != nil {
		return err
	}
	view.Action, view.Form = v.to(VerifyAddress), v.token(VerifyAddress)
	return v.show(http.StatusOK, "verify.html", view)
}

// emailStates are those of email.html, verifyStates of verify.html.
func emailStates() []state {
	const one, other = "alice@example.org", "alice@wonderland.example"
	with := func(u identity.User, fresh bool, said, problem string) func(*visit) error {
		return func(v *visit) (err error) {
			words := [2]string{said, problem}
			for i, key := range words {
				if key != "" && err == nil {
					words[i], err = v.language.text(key)
				}
			}
			if err != nil {
				return err
			}
			return v.drawEmail(http.StatusOK, u, fresh, words[0], words[1])
		}
	}
	verified := identity.User{Email: one, VerifiedEmail: one}
	waits := verified
	waits.NewEmail = other
	return []state{
		{"none", with(identity.User{}, true, "", "")},
		{"unverified", with(identity.User{Email: one}, true, "", "")},
		{"verified", with(verified, true, "", "")},
		{"waiting", with(waits, true, "email.sent", "")},
		{"stale", with(verified, false, "", "")},
		{"directory", with(identity.User{Email: one, DirectoryID: "entry"}, true, "", "")},
		{"refused", with(verified, true, "", "email.bad")},
		{"no-mail", func(v *visit) error {
			h := *v.h
			h.c.Mail = func() bool { return false }
			v.h = &h
			return v.drawEmail(http.StatusOK, verified, true, "", "")
		}},
	}
}

func verifyStates() []state {
	return []state{
		{"ask", func(v *visit) error {
			return v.showVerify(verifyView{Username: "alice", Address: "alice@wonderland.example"})
		}},
		{"done", func(v *visit) error { return v.verified() }},
	}
}
