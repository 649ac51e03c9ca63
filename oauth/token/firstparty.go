package token

import (
	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth"
)

// firstParty is the login of a user with his own name and password (POST /tokens).
// He asks for himself, so the client is always the same one.
type firstParty struct{ h *Handler }

func (t firstParty) client(x *request) (err error) {
	x.principal, err = t.h.authenticate(x.r, x.order.Realm, gatehouse.SchemeBasic)
	x.order.Client = grant.FirstPartyClient
	return err
}

// read takes a form, or nothing: the credential is in the header.
func (t firstParty) read(x *request) (err error) {
	if oauth.HasBody(x.r) {
		x.params, err = oauth.ReadForm(x.w, x.r)
	}
	return err
}

func (t firstParty) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Open(gatehouse.WithPrincipal(x.r.Context(), x.principal), x.order, x.principal)
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}
