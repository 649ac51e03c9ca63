package token

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Config is what the handlers need. Every field without a remark is required.
type Config struct {
	Grants *grant.Service
	// Authenticate verifies the credential of r in a realm, of one of the given
	// schemes, exactly as the rest of Gatehouse does: same throttle, same rule
	// for plain HTTP, same one error for unknown, wrong and disabled.
	Authenticate func(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error)
	// Login verifies the name and password of r and, where the account has a second factor, a
	// code of it.
	Login func(r *http.Request, realm string, code gatehouse.Secret) (*gatehouse.Principal, error)
	// Challenges gives the WWW-Authenticate lines for a realm and schemes.
	Challenges func(realm string, schemes ...gatehouse.Scheme) []string
	// Inspect says what an access token of a realm stands for, whoever it is for, see [authn.Authenticator.Inspect].
	Inspect func(ctx context.Context, realm string, text gatehouse.Secret, from netip.Addr) (authn.Inspected, error)
	// Signer signs answers by an algorithm, in the name of Issuer.
	Signer func(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error)
	Issuer func(realm string) string
	// IDToken verifies an ID token that a realm issued to a client, as [token.OpenID] does.
	IDToken func(realm, client, text string) (*token.Claims, error)
	// Clients checks which registered client asks.
	Clients client.Authenticator
	// Requests keeps what clients push.
	Requests Requests
	// Backchannel brings what clients ask to people.
	Backchannel Backchannel
	// Secure reports whether nobody on the way could read r; secrets of clients are not taken from others.
	Secure func(r *http.Request) bool
	// Proofs verifies DPoP proofs, which name the address of the endpoint; URL gives that, as clients know it.
	Proofs *proof.Verifier
	URL    func(r *http.Request) string
	// Certificates are those that a client showed, its own first, with what came along; nil where none can come.
	Certificates func(r *http.Request) ([]*x509.Certificate, error)
	// Pages knows of which origins the pages are that may call by a script.
	Pages oauth.PageOrigins
	// DevicePage is the address of the page of a realm at which people type the codes of devices (RFC 8628 §3.2).
	DevicePage func(realm string) string
	// Allow is asked once per request with the client's address; false refuses
	// for retryAfter.
	Allow    func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	Problems *web.Problems // nil uses the zero value
}

// Handler serves the token endpoint of every realm.
type Handler struct{ c Config }

// NewHandler checks c.
func NewHandler(c Config) (*Handler, error) {
	if c.Grants == nil || c.Authenticate == nil || c.Login == nil || c.Challenges == nil || c.Inspect == nil || c.IDToken == nil || c.Allow == nil || c.Proofs == nil || c.URL == nil || c.DevicePage == nil || c.Signer == nil || c.Issuer == nil || c.Clients.Clients == nil || c.Clients.Record == nil || c.Clients.Now == nil || c.Requests == nil || c.Backchannel == nil || c.Secure == nil || c.Pages == nil {
		return nil, errors.New("oauth/token: Grants, Authenticate, Login, Challenges, Inspect, IDToken, Proofs, URL, DevicePage, Signer, Issuer, Clients, Requests, Backchannel, Secure, Pages and Allow are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	return &Handler{c: c}, nil
}

// Register adds the paths of this package to mux. The patterns take every method:
// a wrong one is answered as a problem with its Allow line.
func (h *Handler) Register(mux *http.ServeMux) {
	tokens := oauth.Handler(h.c.Problems, func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodPost:
			return h.answer(w, r, firstParty{h})
		case http.MethodDelete:
			return h.end(w, r)
		}
		return web.MethodNotAllowed(http.MethodPost, http.MethodDelete)
	})
	refresh := oauth.Handler(h.c.Problems, func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			return web.MethodNotAllowed(http.MethodPost)
		}
		return h.answer(w, r, refresh{h})
	})
	for path, fn := range map[string]web.HandlerFunc{"token": h.ask, "par": h.push, "introspect": h.introspect, "revoke": h.revoke, "device_authorization": h.device, pathAsk: h.askPerson} {
		standard := oauth.Standard(h.c.Problems, func(w http.ResponseWriter, r *http.Request) error {
			if r.Method != http.MethodPost {
				return web.MethodNotAllowed(http.MethodPost)
			}
			return fn(w, r)
		})
		if path == "token" || path == "par" || path == "revoke" { // the others are for APIs and devices, which are no pages
			standard = oauth.ForPages(h.c.Pages, standard, http.MethodPost)
		}
		mux.Handle("/"+path, standard)
		mux.Handle("/realms/{realm}/"+path, standard)
	}
	mux.Handle("/tokens", tokens)
	mux.Handle("/tokens/refresh", refresh)
	mux.Handle("/realms/{realm}/tokens", tokens)
	mux.Handle("/realms/{realm}/tokens/refresh", refresh)
}

// Describe adds to a realm's metadata what these endpoints are and take (RFC 8414 §2).
func (h *Handler) Describe(m map[string]any, r gatehouse.Realm, base string) {
	m["device_authorization_endpoint"] = base + "/device_authorization"
	m["backchannel_authentication_endpoint"] = base + "/" + pathAsk // CIBA Core §4
	m["backchannel_token_delivery_modes_supported"], m["backchannel_user_code_parameter_supported"] = client.Deliveries(), false
	m["backchannel_authentication_request_signing_alg_values_supported"] = client.Metadata{}.Algorithms()
	m["token_endpoint"], m["introspection_endpoint"], m["revocation_endpoint"] = base+"/token", base+"/introspect", base+"/revoke"
	m["pushed_authorization_request_endpoint"] = base + "/par" // RFC 9126 §5
	for _, endpoint := range []string{"token", "introspection", "revocation"} {
		m[endpoint+"_endpoint_auth_methods_supported"] = h.methods()
		m[endpoint+"_endpoint_auth_signing_alg_values_supported"] = client.Metadata{}.Algorithms() // of private_key_jwt
	}
	m["introspection_endpoint_auth_methods_supported"] = slices.DeleteFunc(h.methods(), func(method string) bool {
		return client.Metadata{AuthMethod: method}.Public()
	})
	m["introspection_signing_alg_values_supported"] = token.IDAlgorithms() // RFC 9701 §7
	m["dpop_signing_alg_values_supported"] = proof.Algorithms()
	if names := rar.Names(r.Settings.DetailTypes); len(names) > 0 {
		m["authorization_details_types_supported"] = names // RFC 9396 §10
	}
	m["grant_types_supported"] = client.GrantTypes()
	scopes := append(slices.Collect(maps.Keys(r.Settings.Scopes)), append(openid.Scopes(), client.ScopeOffline)...)
	slices.Sort(scopes)
	m["scopes_supported"] = slices.Compact(scopes)
	m["id_token_signing_alg_values_supported"] = token.IDAlgorithms()
	m["gatehouse_tokens_endpoint"], m["gatehouse_tokens_refresh_endpoint"] = base+"/tokens", base+"/tokens/refresh"
}

// methods are those by which clients can prove who they are: none by certificates where none can come.
func (h *Handler) methods() []string {
	return slices.DeleteFunc(client.AuthMethods(), func(method string) bool {
		return h.c.Certificates == nil && client.Metadata{AuthMethod: method}.ByTLS()
	})
}

// grantType is what one type of grant adds to the phases.
type grantType interface {
	// client finds out who asks, and sets order.Client (phase 1).
	client(x *request) error
	// read sets the parameters, and refuses what the type cannot do without (phase 2).
	read(x *request) error
	// issue asks package grant for the tokens (phase 6).
	issue(x *request) error
}

// request is one request on its way through the phases.
type request struct {
	h         *Handler
	w         http.ResponseWriter
	r         *http.Request
	principal *gatehouse.Principal // who proved himself; nil where the grant itself is the proof
	client    client.Metadata      // of a registered client; zero for the first-party one
	params    oauth.Parameters
	order     grant.Order
	tokens    grant.Tokens
	issued    string // what the token is, where the client had one exchanged (RFC 8693 §2.2.1)
}

// answer takes a request of one grant type through the phases.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, t grantType) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	return (&request{h: h, w: w, r: r, order: grant.Order{Realm: realm}}).goThrough(t)
}

// goThrough takes x through the phases.
func (x *request) goThrough(t grantType) error {
	for _, phase := range [...]func(*request) error{
		t.client,     // 1
		t.read,       // 2
		readScope,    // 3
		readResource, // 4
		readDetails,
		bind,        // 5
		t.issue,     // 6
		writeTokens, // 7
	} {
		if err := phase(x); err != nil {
			return err
		}
	}
	return nil
}

var (
	errNotAToken = gatehouse.E(gatehouse.Denied, "not_a_token", "This credential is not an access token of this realm, so it cannot be ended here.")
)

// begin does what all requests share and returns the realm.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) (string, error) {
	realm, err := h.open(w, r)
	if err == nil {
		err = h.counted(r)
	}
	return realm, err
}

// open is begin without counting the request.
func (h *Handler) open(w http.ResponseWriter, r *http.Request) (string, error) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1
	if r.URL.RawQuery != "" {
		return "", oauth.ErrQuery
	}
	if name := r.PathValue("realm"); name != "" {
		return name, nil
	}
	return gatehouse.MainRealm, nil
}

// counted counts a request of an address, and refuses what is too many.
func (h *Handler) counted(r *http.Request) error {
	if after, ok := h.c.Allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok {
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return &e
	}
	return nil
}

func readScope(x *request) error {
	x.order.Scopes = strings.Fields(x.params["scope"])
	return nil
}

func readDetails(x *request) error {
	x.order.Details = x.params["authorization_details"]
	return nil
}

func readResource(x *request) error {
	x.order.Resource = x.params["resource"]
	return nil
}

// answerBody is the success response (RFC 6749 §5.1).
type answerBody struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"` // OpenID Connect Core §3.1.3.3
	Scope        string `json:"scope,omitempty"`
	IssuedType   string `json:"issued_token_type,omitempty"`
	// Details are what the access token gives beyond scopes (RFC 9396 §7).
	Details jsontext.Value `json:"authorization_details,omitempty"`
}

func writeTokens(x *request) error {
	t := x.tokens
	return web.WriteJSON(x.w, http.StatusOK, answerBody{
		AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, ExpiresIn: int64(t.ExpiresIn / time.Second),
		RefreshToken: t.RefreshToken.Reveal(), IDToken: t.IDToken.Reveal(), Scope: strings.Join(t.Scopes, " "), IssuedType: x.issued, Details: t.Details.JSON(),
	})
}

// end answers DELETE /tokens: whoever holds a token may end its grant.
func (h *Handler) end(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	p, err := h.authenticate(r, realm, gatehouse.SchemeJWT, gatehouse.SchemeOpaque, gatehouse.SchemeAPIKey)
	if err != nil {
		return err
	}
	if p.Foreign || p.GrantID == "" || p.Scheme != gatehouse.SchemeJWT && p.Scheme != gatehouse.SchemeOpaque {
		return errNotAToken
	}
	ctx := gatehouse.WithPrincipal(r.Context(), p)
	if _, err := h.c.Grants.End(ctx, p.Realm, p.GrantID, grant.ReasonLogout); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// login verifies who logs in. What is wrong with a code is a wrong request for a token (RFC 6749
// §5.2, 400), since the credential in the header was right: a 401 would have clients ask for the
// password again.
func (h *Handler) login(r *http.Request, realm string, code gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := h.c.Login(r, realm, code)
	if err == nil && (!p.Authenticated() || p.Realm != realm) {
		err = authn.ErrNone
	}
	var e *gatehouse.Error
	if errors.As(err, &e) && (e.Code == gatehouse.ErrSecondFactor.Code || e.Code == gatehouse.ErrNoSecondFactor.Code ||
		e.Code == gatehouse.ErrInitialPassword.Code || e.Code == factor.ErrCode.Code) {
		again := *e
		again.Kind = gatehouse.Invalid
		return nil, &again
	}
	if err != nil {
		return nil, h.challenge(err, realm, gatehouse.SchemeBasic)
	}
	return p, nil
}

// authenticate verifies the credential and gives a failure its challenges. An
// anonymous caller is as good as none here.
func (h *Handler) authenticate(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error) {
	p, err := h.c.Authenticate(r, realm, schemes...)
	if err == nil && (!p.Authenticated() || p.Realm != realm) {
		err = authn.ErrNone
	}
	if err != nil {
		return nil, h.challenge(err, realm, schemes...)
	}
	return p, nil
}

// challenge adds the WWW-Authenticate lines to a 401. API keys are accepted at
// DELETE only to be refused with a clear text, so they are never invited.
func (h *Handler) challenge(err error, realm string, schemes ...gatehouse.Scheme) error {
	if gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		return err
	}
	if len(schemes) > 1 {
		schemes = schemes[:1]
	}
	return web.WithHeader(err, http.Header{"Www-Authenticate": h.c.Challenges(realm, schemes...)})
}
