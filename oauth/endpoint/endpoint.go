package endpoint

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Config is what the handlers need. Every field without a remark is required.
type Config struct {
	// Realm finds a realm; NotFound is answered with 404.
	Realm func(ctx context.Context, name string) (gatehouse.Realm, error)
	// Issuer gives the issuer identifier of a realm.
	Issuer func(realm string) string
	// JWKS gives a realm's key set: JSON of public members, a strong entity tag without
	// quotes or with them, and how long it may be cached.
	JWKS func(ctx context.Context, realm string) (body []byte, etag string, maxAge time.Duration, err error)
	// StatusList gives the signed status list token with its number, and how long
	// it may be cached. Nil serves no status lists.
	StatusList func(ctx context.Context, realm string, list int64) (token string, ttl time.Duration, err error)
	// Describe are the endpoints that a realm has, each of which adds to the metadata what it is and takes; base
	// is what comes before its path.
	Describe []func(m map[string]any, r gatehouse.Realm, base string)
	Problems *web.Problems // nil uses the zero value
}

// Handler serves the published documents of every realm.
type Handler struct {
	c    Config
	docs documents
}

// New checks c.
func New(c Config) (*Handler, error) {
	if c.Realm == nil || c.Issuer == nil || c.JWKS == nil {
		return nil, errors.New("endpoint: Realm, Issuer and JWKS are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	return &Handler{c: c}, nil
}

// Register adds the paths of package endpoint to mux.
func (h *Handler) Register(mux *http.ServeMux) {
	get := func(pattern string, fn web.HandlerFunc) { mux.Handle(pattern, h.c.Problems.Handler(fn)) }
	get("/.well-known/jwks.json", h.jwks)
	get("/realms/{realm}/.well-known/jwks.json", h.jwks)
	get("/.well-known/oauth-authorization-server", h.metadata)
	get("/.well-known/oauth-authorization-server/realms/{realm}", h.metadata)
	get("/.well-known/openid-configuration", h.metadata)
	get("/realms/{realm}/.well-known/openid-configuration", h.metadata)
	get("/.well-known/openid-configuration/realms/{realm}", h.metadata)
	if h.c.StatusList != nil {
		get("/status/{list}", h.status)
		get("/realms/{realm}/status/{list}", h.status)
	}
}

var (
	errNoList = gatehouse.E(gatehouse.NotFound, "status_list_not_found", "There is no such status list.")
)

// realm finds the realm of the path.
func (h *Handler) realm(r *http.Request) (gatehouse.Realm, error) {
	name := r.PathValue("realm")
	if name == "" {
		name = gatehouse.MainRealm
	}
	rl, err := h.c.Realm(r.Context(), name)
	if errors.Is(err, gatehouse.NotFound) || err == nil && rl.Disabled {
		return rl, gatehouse.ErrRealmNotFound
	}
	return rl, err
}

func (h *Handler) jwks(w http.ResponseWriter, r *http.Request) error {
	rl, err := h.realm(r)
	if err != nil {
		return err
	}
	body, etag, maxAge, err := h.c.JWKS(r.Context(), rl.Name)
	if err != nil {
		return err
	}
	return web.Publish(w, r, "application/jwk-set+json", etag, maxAge, body)
}

func (h *Handler) status(w http.ResponseWriter, r *http.Request) error {
	rl, err := h.realm(r)
	if err != nil {
		return err
	}
	text := r.PathValue("list")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text { // one name per list
		return errNoList
	}
	token, ttl, err := h.c.StatusList(r.Context(), rl.Name, n)
	if errors.Is(err, gatehouse.NotFound) {
		return errNoList
	}
	if err != nil {
		return err
	}
	return web.Publish(w, r, "application/statuslist+jwt", "", ttl, []byte(token))
}
