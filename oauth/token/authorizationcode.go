package token

import (
	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

var errNoCode = gatehouse.E(gatehouse.Invalid, "code_missing", "The parameter code is required.")

// authorizationCode is a registered client with the code that a browser brought it: a person allowed it something (RFC 6749
// §4.1.3).
type authorizationCode struct{ h *Handler }

func (t authorizationCode) client(x *request) error {
	return t.h.registered(x, client.GrantAuthorizationCode)
}

// read refuses a request without a code. The person decided about the scopes.
func (t authorizationCode) read(x *request) error {
	if x.params["code"] == "" {
		return errNoCode
	}
	delete(x.params, "scope")
	return nil
}

func (t authorizationCode) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Redeem(x.r.Context(), x.order, grant.Redemption{Code: gatehouse.Secret(x.params["code"]),
		RedirectURI: x.params["redirect_uri"], Verifier: gatehouse.Secret(x.params["code_verifier"])})
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}

// refreshToken is a registered client that renews what a person allowed (RFC 6749 §6).
type refreshToken struct{ h *Handler }

func (t refreshToken) client(x *request) error { return t.h.registered(x, client.GrantRefreshToken) }

func (t refreshToken) read(x *request) error {
	if x.params["refresh_token"] == "" {
		return errNoRefresh
	}
	return nil
}

func (t refreshToken) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Renew(x.r.Context(), x.order, gatehouse.Secret(x.params["refresh_token"]))
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}
