package token

import (
	"mime"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
)

var (
	errNoRefresh  = gatehouse.E(gatehouse.Invalid, "refresh_token_missing", "The member refresh_token is required.")
	errUnexpected = gatehouse.E(gatehouse.Invalid, "unexpected_credential", "Renewing takes the refresh token alone; leave out the Authorization header.")
	errGrantType  = gatehouse.E(gatehouse.Invalid, "unsupported_grant_type", "This address issues no tokens by this grant_type: /tokens/refresh has refresh_token alone, /token client_credentials, authorization_code, refresh_token, urn:ietf:params:oauth:grant-type:device_code, urn:openid:params:grant-type:ciba and urn:ietf:params:oauth:grant-type:token-exchange.")
)

// refresh renews tokens with a refresh token (POST /tokens/refresh, RFC 6749 §6).
// The refresh token is the credential; another one beside it would make it unclear
// who asks.
type refresh struct{ h *Handler }

func (t refresh) client(x *request) error {
	if len(x.r.Header["Authorization"]) > 0 || len(x.r.Header["X-Api-Key"]) > 0 {
		return errUnexpected
	}
	x.order.Client, x.order.Public = grant.FirstPartyClient, true // all others renew at /token
	return nil
}

// read takes JSON or a form.
func (t refresh) read(x *request) (err error) {
	mediaType, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if mediaType == "application/json" {
		var in struct {
			GrantType    string `json:"grant_type"`
			RefreshToken string `json:"refresh_token"`
			Scope        string `json:"scope"`
			Resource     string `json:"resource"`
		}
		if err := web.DecodeJSON(x.w, x.r, &in, oauth.MaxBody); err != nil {
			return err
		}
		x.params = oauth.Parameters{"grant_type": in.GrantType, "refresh_token": in.RefreshToken, "scope": in.Scope, "resource": in.Resource}
	} else if x.params, err = oauth.ReadForm(x.w, x.r); err != nil {
		return err
	}
	if t := x.params["grant_type"]; t != "" && t != "refresh_token" {
		return errGrantType
	}
	if x.params["refresh_token"] == "" {
		return errNoRefresh
	}
	return nil
}

func (t refresh) issue(x *request) (err error) {
	x.tokens, err = t.h.c.Grants.Renew(x.r.Context(), x.order, gatehouse.Secret(x.params["refresh_token"]))
	return err
}
