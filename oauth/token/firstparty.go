package token

import (
	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth"
)

// firstParty is the login of a user with his own name and password (POST /tokens).
// He asks for himself, so the client is always the same one.
type firstParty struct{ h *Handler }

// The password is in the header, and a code of a second factor in a form, which may be missing:
// the parameter otp, since code is another one's name (RFC 6749 §4.1.3).
func (t firstParty) client(x *request) (err error) {
	if oauth.HasBody(x.r) {
		if x.params, err = oauth.ReadForm(x.w, x.r); err != nil {
			return err
		}
	}
	x.principal, err = t.h.login(x.r, x.order.Realm, gatehouse.Secret(x.params["otp"]))
	x.order.Client, x.order.Public = grant.FirstPartyClient, true
	return err
}

// read has nothing left to do: the form was read with the code.
func (t firstParty) read(*request) error { return nil }

func (t firstParty) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Open(gatehouse.WithPrincipal(x.r.Context(), x.principal), x.order, x.principal)
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}
