package token

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

var (
	errNoGrantType = gatehouse.E(gatehouse.Invalid, "grant_type_missing", "The parameter grant_type is required.")
	errTwoProofs   = gatehouse.E(gatehouse.Invalid, "client_auth_twice", "The client names or proves itself in two ways that differ, or twice; use one (RFC 6749 §2.3).")
	errAssertion   = gatehouse.E(gatehouse.Invalid, "client_assertion_type", "An assertion of the client goes with client_assertion_type urn:ietf:params:oauth:client-assertion-type:jwt-bearer, and that with client_assertion (RFC 7523 §2.2).")
	errMayNot      = gatehouse.E(gatehouse.Invalid, "unauthorized_client", "This client is not registered for this grant_type.")
)

// ask answers POST /token: a registered client asks by one of the grant types (RFC 6749 §3.2).
func (h *Handler) ask(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	x := &request{h: h, w: w, r: r, order: grant.Order{Realm: realm}}
	if x.params, err = oauth.ReadForm(w, r); err != nil {
		return err
	}
	switch x.params["grant_type"] {
	case client.GrantClientCredentials:
		return x.goThrough(clientCredentials{h})
	case client.GrantAuthorizationCode:
		return x.goThrough(authorizationCode{h})
	case client.GrantDeviceCode:
		return x.goThrough(h.deviceCode())
	case client.GrantBackchannel:
		return x.goThrough(h.asked())
	case client.GrantRefreshToken:
		return x.goThrough(refreshToken{h})
	case client.GrantTokenExchange:
		return x.goThrough(&tokenExchange{h: h})
	case "":
		return errNoGrantType
	}
	return errGrantType
}

// registered finds out which registered client asks by grantType, as phase 1 of every type.
func (h *Handler) registered(x *request, grantType string) error {
	c, err := h.proved(x)
	if err == nil && !c.Metadata.May(grantType) {
		err = errMayNot
	}
	return err
}

// proved finds out which registered client sent x, whatever it asks.
func (h *Handler) proved(x *request) (client.Client, error) {
	p, err := h.proof(x)
	if err != nil {
		return client.Client{}, h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
	}
	c, who, err := h.c.Clients.Authenticate(x.r.Context(), x.order.Realm, p)
	if err != nil {
		return client.Client{}, h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
	}
	if origin := x.r.Header.Get("Origin"); origin != "" && !slices.Contains(c.Metadata.PageOrigins(), origin) {
		web.Unreadable(x.w.Header()) // the pages of another client
	}
	x.principal, x.client, x.order.Client, x.order.By, x.order.Public = who, c.Metadata, c.ID, who, c.Metadata.Public()
	return c, nil
}

// proof reads how the client proves itself: in exactly one way (RFC 6749 §2.3).
func (h *Handler) proof(x *request) (client.Proof, error) {
	id, secret, assertion := x.params["client_id"], x.params["client_secret"], x.params["client_assertion"]
	byHeader, byAssertion := len(x.r.Header["Authorization"]) > 0, assertion != "" || x.params["client_assertion_type"] != ""
	switch {
	case !byHeader && secret == "" && !byAssertion && id == "":
		return client.Proof{}, client.ErrInvalid
	case !h.c.Secure(x.r):
		return client.Proof{}, authn.ErrHTTPS
	case byAssertion && (byHeader || secret != ""):
		return client.Proof{}, errTwoProofs
	case byAssertion:
		return signed(id, assertion, x.params["client_assertion_type"])
	case !byHeader && secret == "":
		shown, err := h.certificates(x.r)
		return client.Proof{Method: client.AuthNone, ID: id, Certificates: shown}, err
	case !byHeader:
		return client.Proof{Method: client.AuthPost, ID: id, Secret: gatehouse.Secret(secret)}, nil
	}
	shown, err := authn.Extract(x.r)
	if err != nil {
		return client.Proof{}, err
	}
	if shown.Scheme != gatehouse.SchemeBasic {
		return client.Proof{}, client.ErrInvalid
	}
	p := client.Proof{Method: client.AuthBasic}
	var ok, ok2 bool
	p.ID, ok = decoded(shown.User)
	text, ok2 := decoded(shown.Secret.Reveal())
	p.Secret = gatehouse.Secret(text)
	switch {
	case !ok || !ok2:
		return client.Proof{}, client.ErrInvalid
	case secret != "" || id != "" && id != p.ID:
		return client.Proof{}, errTwoProofs
	}
	return p, nil
}

// signed reads the proof of a client that signs (RFC 7523 §2.2). Whose assertion it is it says itself, which is
// believed once it is verified by the keys of that client; a client_id beside it must say the same (RFC 7521 §4.2).
func signed(id, assertion, kind string) (client.Proof, error) {
	if kind != client.AssertionType || assertion == "" {
		return client.Proof{}, errAssertion
	}
	says, err := token.UnverifiedIssuer(assertion)
	switch {
	case err != nil:
		return client.Proof{}, client.ErrInvalid
	case id != "" && id != says:
		return client.Proof{}, errTwoProofs
	}
	return client.Proof{Method: client.AuthPrivateKey, ID: says, Assertion: gatehouse.Secret(assertion)}, nil
}

// decoded reads one half of a client's Basic credential, which is form-encoded (RFC 6749 §2.3.1).
func decoded(s string) (string, bool) {
	out, err := url.QueryUnescape(s)
	return out, err == nil && len(s) <= credential.MaxBasicBytes
}
