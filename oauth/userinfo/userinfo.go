package userinfo

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Config is what a [Handler] needs. Every field without a remark is required.
type Config struct {
	// Authenticate verifies the credential of r in a realm, of one of the given schemes, and the proof that it needs.
	Authenticate func(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error)
	// User, Grant and Client find what stands behind a token.
	User   func(ctx context.Context, realm, id string) (*identity.User, error)
	Grant  func(ctx context.Context, realm, id string) (gatehouse.Grant, error)
	Client func(ctx context.Context, realm, id string) (client.Client, error)
	// Signer gives a key of the realm for alg.
	Signer func(ctx context.Context, realm string, alg token.Algorithm) (*token.Key, error)
	Issuer func(realm string) string
	// Allow is asked for each request without a good token, with the client's address; false refuses for retryAfter.
	Allow func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	// Pages are those whose scripts may ask.
	Pages    oauth.PageOrigins
	Problems *web.Problems // nil uses the zero value
}

// Handler serves the userinfo endpoint of every realm.
type Handler struct{ c Config }

// New checks c.
func New(c Config) (*Handler, error) {
	if c.Authenticate == nil || c.User == nil || c.Grant == nil || c.Client == nil || c.Signer == nil || c.Issuer == nil || c.Allow == nil || c.Pages == nil {
		return nil, errors.New("oauth/userinfo: Authenticate, User, Grant, Client, Signer, Issuer, Allow and Pages are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	return &Handler{c}, nil
}

// Register adds the paths of this package to mux.
func (h *Handler) Register(mux *http.ServeMux) {
	handler := oauth.ForPages(h.c.Pages, h.c.Problems.Handler(h.serve), http.MethodGet, http.MethodPost)
	mux.Handle("/userinfo", handler)
	mux.Handle("/realms/{realm}/userinfo", handler)
}

// Describe adds to a realm's metadata what this endpoint is and gives (OpenID Connect Discovery §3).
func Describe(m map[string]any, _ gatehouse.Realm, base string) {
	m["userinfo_endpoint"] = base + "/userinfo"
	m["userinfo_signing_alg_values_supported"] = token.IDAlgorithms()
	m["subject_types_supported"] = []string{"public"}
}

// schemes are those that are taken.
var schemes = []gatehouse.Scheme{gatehouse.SchemeJWT, gatehouse.SchemeOpaque}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodGet, http.MethodPost)
	}
	realm := r.PathValue("realm")
	if realm == "" {
		realm = gatehouse.MainRealm
	}
	shown, err := withHeader(w, r)
	if err != nil {
		return err
	}
	p, err := h.bearer(shown, realm)
	if err != nil {
		return h.refuse(shown, realm, err)
	}
	return h.tell(w, r, p)
}

// withHeader is r with the token that it may have in a form (RFC 6750 §2.2) where tokens are read. Of two, none is taken.
func withHeader(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if r.Method != http.MethodPost || !oauth.HasBody(r) {
		return r, nil
	}
	form, err := oauth.ReadForm(w, r)
	if err != nil || form["access_token"] == "" {
		return r, err
	}
	if len(r.Header["Authorization"]) > 0 {
		return nil, authn.ErrConflict
	}
	out := r.Clone(r.Context())
	out.Header["Authorization"] = []string{"Bearer " + form["access_token"]}
	return out, nil
}

// bearer is who the token of r speaks for: a person, to a client that may know who it is.
func (h *Handler) bearer(r *http.Request, realm string) (*gatehouse.Principal, error) {
	p, err := h.c.Authenticate(r, realm, schemes...)
	switch {
	case err != nil:
		return nil, err
	case !p.Authenticated() || p.Realm != realm || p.Foreign:
		return nil, authn.ErrNone
	case p.Kind != gatehouse.KindUser || !slices.Contains(p.Scopes, openid.ScopeOpenID): // "*" is a person's own, and tells no client
		return nil, gatehouse.ErrInsufficientScope
	}
	return p, nil
}

// refuse adds to an error how to come with a better token (RFC 6750 §3).
func (h *Handler) refuse(r *http.Request, realm string, err error) error {
	switch gatehouse.KindOf(err) {
	case gatehouse.Unauthenticated:
		if after, ok := h.c.Allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok { // who guesses is counted
			e := *gatehouse.ErrRateLimited
			e.RetryAfter = after
			return &e
		}
	case gatehouse.Denied, gatehouse.Invalid:
	default:
		return err
	}
	challenges := authn.Challenges
	if p, _ := authn.Extract(r); authn.WantsProof(p, err) {
		challenges = authn.ProofChallenges
	}
	return web.WithHeader(err, http.Header{"Www-Authenticate": challenges(realm, schemes, err, openid.ScopeOpenID)})
}

// tell answers with the claims of p, as the client wants them.
func (h *Handler) tell(w http.ResponseWriter, r *http.Request, p *gatehouse.Principal) error {
	ctx := r.Context()
	c, err := h.c.Client(ctx, p.Realm, p.ClientID)
	if err != nil {
		return err
	}
	g, err := h.c.Grant(ctx, p.Realm, p.GrantID)
	if err != nil {
		return err
	}
	u, err := h.c.User(ctx, p.Realm, p.ID)
	if err != nil {
		return err
	}
	claims := grant.PersonOf(*u).Values(grant.TellsOf(p.Scopes, g.Claims, c.Metadata))
	claims["sub"] = p.ID
	if c.Metadata.UserInfoAlg == "" {
		return web.WriteJSON(w, http.StatusOK, claims)
	}
	key, err := h.c.Signer(ctx, p.Realm, token.Algorithm(c.Metadata.UserInfoAlg))
	if err != nil {
		return err
	}
	text, err := key.SignUserInfo(h.c.Issuer(p.Realm), c.ID, claims)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt") // OpenID Connect Core §5.3.2
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(text))
	return nil
}
