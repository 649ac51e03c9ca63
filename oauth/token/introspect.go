package token

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

var errNoToken = gatehouse.E(gatehouse.Invalid, "token_missing", "The parameter token is required.")

// inactive is the whole answer about what does not count, or is none of the asker's business (RFC 7662 §2.2).
const inactive = `{"active":false}`

// described is what an introspection says of a token (RFC 7662 §2.2).
type described struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id"`
	TokenType string   `json:"token_type,omitempty"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	TokenID   string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitzero"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	// Details are what the token gives beyond scopes (RFC 9396 §9.2).
	Details jsontext.Value `json:"authorization_details,omitempty"`
	// Confirmation is what the token is bound to: the API has to see the proof (RFC 9449 §6.2, RFC 8705 §3.2).
	Confirmation *bound `json:"cnf,omitempty"`
	// Act is who acts for the subject (RFC 8693 §4.1).
	Act *gatehouse.Act `json:"act,omitempty"`
}

type bound struct {
	JKT string `json:"jkt,omitempty"`
	X5T string `json:"x5t#S256,omitempty"`
}

// introspect answers POST /introspect (RFC 7662).
func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.open(w, r)
	if err != nil {
		return err
	}
	x, c, err := h.about(w, r, realm)
	if err == nil && c.Metadata.Public() { // its name proves nothing (RFC 7662 §2.1)
		err = h.challenge(client.ErrInvalid, realm, gatehouse.SchemeBasic)
	}
	if errors.Is(err, gatehouse.Unauthenticated) { // an API asks for each of its own callers; who guesses is counted
		if limited := h.counted(r); limited != nil {
			return limited
		}
	}
	if err != nil {
		return err
	}
	body, err := h.describe(x, c)
	if err != nil {
		return err
	}
	return h.tell(x, c, body)
}

// about reads a request of a client about a token: phase 1 and the parameter.
func (h *Handler) about(w http.ResponseWriter, r *http.Request, realm string) (x *request, c client.Client, err error) {
	x = &request{h: h, w: w, r: r, order: grant.Order{Realm: realm}}
	if x.params, err = oauth.ReadForm(w, r); err != nil {
		return x, c, err
	}
	c, err = h.proved(x)
	if err == nil && x.params["token"] == "" {
		err = errNoToken
	}
	return x, c, err
}

// describe is what c is told of a token. An API is told all that the token says to it; the client that
// has the token, what it was told when it got it; anybody else that it does not count (§2.2, §4).
// token_type_hint is not needed: the form of a token says what it is.
func (h *Handler) describe(x *request, c client.Client) ([]byte, error) {
	text := gatehouse.Secret(x.params["token"])
	// An answer that is signed goes to whom a token is for, and to nobody else (RFC 9701 §5).
	if wantsSigned(x.r) && grant.IsRefresh(text) {
		return []byte(inactive), nil
	}
	if grant.IsRefresh(text) {
		t, err := h.c.Grants.Inspect(x.r.Context(), x.order.Realm, c.ID, text)
		if err != nil {
			return refused(err)
		}
		return json.Marshal(described{Active: true, Scope: strings.Join(t.Grant.Scopes, " "), ClientID: c.ID, IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix()})
	}
	t, err := h.c.Inspect(x.r.Context(), x.order.Realm, text, address(x.r))
	if err != nil {
		return refused(err)
	}
	p := t.Principal
	out := described{Active: true, Scope: p.ScopeString(), ClientID: p.ClientID, TokenType: tokenType(p), IssuedAt: p.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix()}
	switch {
	case slices.ContainsFunc(t.Audience, c.Metadata.Serves):
	case p.ClientID == c.ID && !wantsSigned(x.r):
		return json.Marshal(out)
	default:
		return []byte(inactive), nil
	}
	if len(t.Claims) > 2 { // as they were signed, behind what is said beside them
		return append(append(make([]byte, 0, len(t.Claims)+64), `{"active":true,"token_type":"`+out.TokenType+`",`...), t.Claims[1:]...), nil
	}
	out.Subject, out.Audience, out.Issuer, out.TokenID = p.ID, t.Audience, p.Issuer, p.TokenID
	if p.Details != "" {
		out.Details = jsontext.Value(p.Details)
	}
	out.ACR, out.AMR, out.SessionID = p.ACR, p.AMR, p.SessionID
	out.Act = p.Act
	if c := p.Confirmation; c.Bound() {
		out.Confirmation = &bound{c.JKT, c.X5T}
	}
	if p.Kind != gatehouse.KindClient {
		out.AuthTime = seconds(p.AuthTime)
	}
	return json.Marshal(out)
}

// tokenType is how a token is to be presented: by the proof of the key that it is bound to, or as it is.
func tokenType(p *gatehouse.Principal) string {
	if p.Confirmation.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// refused is the answer where a token could not be told to count: that it does not, or that this
// could not be found out.
func refused(err error) ([]byte, error) {
	switch gatehouse.KindOf(err) {
	case gatehouse.Unauthenticated, gatehouse.Invalid, gatehouse.NotFound:
		return []byte(inactive), nil
	}
	return nil, err
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// address is that of the client that sent r.
func address(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(gatehouse.AddressFrom(r.Context()))
	return a
}
