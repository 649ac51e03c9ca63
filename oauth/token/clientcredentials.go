package token

import (
	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// clientCredentials is a registered client that asks for itself (RFC 6749 §4.4). It gets no refresh token: it
// can ask again.
type clientCredentials struct{ h *Handler }

func (t clientCredentials) client(x *request) error {
	return t.h.registered(x, client.GrantClientCredentials)
}

// read has nothing left to do: scope and resource are phases of their own.
func (t clientCredentials) read(*request) error { return nil }

func (t clientCredentials) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Open(gatehouse.WithPrincipal(x.r.Context(), x.principal), x.order, x.principal)
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}
