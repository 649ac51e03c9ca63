package pages

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// askedRegister is what register.html shows of the question for an address, where the realm lets people make accounts who
// were not invited.
type askedRegister struct {
	Asks      bool
	Domains   string // those that an address must be at; "" for any
	Sent, Off bool
}

// askRegisterAddress asks for the address that a link is sent to. Without mail it says whom to ask instead.
func (v *visit) askRegisterAddress(status int, view registerView) error {
	view.Asks, view.Off = true, !v.h.c.Mail()
	view.Domains = strings.Join(v.realm.Settings.RegistrationDomains, ", ")
	return v.showRegister(status, view)
}

// registerAddressSent has a link sent to an address. The answer is the same in its words, its size and its time whether there is an
// account with the address or not, and whether a message goes out: it comes at the next quarter of a second, see [visit.recoverSent].
// What is refused is so for everybody: no address, one at another domain, too many from this network.
func (v *visit) registerAddressSent() error {
	began := time.Now()
	if err := v.sentFrom(Register, "email"); err != nil {
		return err
	}
	if !v.h.c.Mail() {
		return v.askRegisterAddress(http.StatusOK, registerView{})
	}
	address := strings.TrimSpace(v.form["email"])
	if len(address) > maxIdentifier {
		return errForm
	}
	after, ok := v.h.c.AllowRegistration(v.r.Context(), gatehouse.AddressFrom(v.r.Context()))
	if !ok { // whoever counts on to fill mailboxes
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return &e
	}
	err := v.h.c.Invitations.AskRegistration(v.r.Context(), v.realm.Name, address)
	untilNext(began)
	key := ""
	switch code := gatehouse.CodeOf(err); {
	case err == nil:
		return v.showRegister(http.StatusOK, registerView{askedRegister: askedRegister{Asks: true, Sent: true}})
	case code == "email_invalid":
		key = "email.bad"
	case code == "registration_domain":
		key = "register.other_domain"
	default:
		return err
	}
	view := registerView{Identifier: address}
	if view.Problem, err = v.language.text(key); err != nil {
		return err
	}
	return v.askRegisterAddress(http.StatusUnprocessableEntity, view)
}

func askedRegisterStates() []state {
	shown := func(asked askedRegister) func(*visit) error {
		return func(v *visit) error {
			asked.Asks = true
			return v.showRegister(http.StatusOK, registerView{askedRegister: asked})
		}
	}
	return []state{
		{"address", shown(askedRegister{})},
		{"address-of-domain", shown(askedRegister{Domains: "wonderland.example, lookingglass.example"})},
		{"address-refused", func(v *visit) error {
			text, err := v.language.text("register.other_domain")
			if err != nil {
				return err
			}
			return v.showRegister(http.StatusUnprocessableEntity, registerView{Identifier: "alice@elsewhere.example", Problem: text, askedRegister: askedRegister{Asks: true, Domains: "wonderland.example"}})
		}},
		{"address-sent", shown(askedRegister{Sent: true})},
		{"no-mail", shown(askedRegister{Off: true})},
	}
}
