package registration

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Clients keeps what clients register.
type Clients interface {
	Register(ctx context.Context, realm string, initial gatehouse.Secret, m client.Metadata) (client.Registered, error)
	Registration(ctx context.Context, realm, id string, token gatehouse.Secret) (client.Client, error)
	Reregister(ctx context.Context, realm, id string, token gatehouse.Secret, m client.Metadata) (client.Registered, error)
	Deregister(ctx context.Context, realm, id string, token gatehouse.Secret) error
}

// Config is what a Handler needs. Every field without a remark is required.
type Config struct {
	Clients Clients
	Issuer  func(realm string) string
	// Realm finds a realm; NotFound is answered with 404.
	Realm func(ctx context.Context, name string) (gatehouse.Realm, error)
	// Secure reports whether nobody on the way could read r.
	Secure func(r *http.Request) bool
	// Allow is asked once for each registration, and Allow for each request about one, with the client's address.
	AllowNew, Allow func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	Problems        *web.Problems // nil uses the zero value
}

// Handler serves the registration endpoint of every realm.
type Handler struct{ c Config }

// path is that of the endpoint; below it, each client has its own.
const path = "/client-registration"

// New checks c.
func New(c Config) (*Handler, error) {
	if c.Clients == nil || c.Issuer == nil || c.Realm == nil || c.Secure == nil || c.AllowNew == nil || c.Allow == nil {
		return nil, errors.New("oauth/registration: Clients, Issuer, Realm, Secure, AllowNew and Allow are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	return &Handler{c}, nil
}

// Register adds the paths of this package to mux.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle(prefix+path, oauth.Standard(h.c.Problems, h.register))
		mux.Handle(prefix+path+"/{client}", oauth.Standard(h.c.Problems, h.manage))
	}
}

// Describe adds the endpoint to a realm's metadata, where clients may register (RFC 8414 §2).
func (h *Handler) Describe(m map[string]any, r gatehouse.Realm, base string) {
	if r.Settings.RegistersClients() {
		m["registration_endpoint"] = base + path
	}
}

// maxBody bounds what a client says of itself.
const maxBody = 48 << 10

var (
	errStatement = gatehouse.E(gatehouse.Invalid, "unapproved_software_statement", "No software statements are taken here; leave software_statement out.")
	errClientID  = gatehouse.E(gatehouse.Invalid, "registration_client_id", "client_id must be that of the client whose address is called, and is not chosen by it (RFC 7592 2.2).")
)

// asked is what a client registers.
type asked struct {
	client.Said
	Statement string `json:"software_statement"`
}

// parse reads what a client says of itself.
func parse(body []byte) (id string, m client.Metadata, err error) {
	var in asked
	if err := exactjson.Unmarshal(body, &in); err != nil {
		return "", m, web.ErrJSON.With(err)
	}
	if in.Statement != "" {
		return "", m, errStatement
	}
	return in.ID, in.Metadata(), nil
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) (id string, m client.Metadata, err error) {
	if err := web.ContentType(r, "application/json"); err != nil {
		return "", m, err
	}
	body, err := web.ReadBody(w, r, maxBody)
	if err != nil {
		return "", m, err
	}
	return parse(body)
}

// begin does what all requests share, and returns the realm and the token that is shown, "" for none.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, allow func(context.Context, string) (time.Duration, bool)) (realm gatehouse.Realm, token gatehouse.Secret, err error) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	if r.URL.RawQuery != "" {
		return realm, "", oauth.ErrQuery
	}
	if !h.c.Secure(r) { // secrets are in both directions
		return realm, "", authn.ErrHTTPS
	}
	if after, ok := allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok {
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return realm, "", &e
	}
	name := r.PathValue("realm")
	if name == "" {
		name = gatehouse.MainRealm
	}
	realm, err = h.c.Realm(r.Context(), name)
	if errors.Is(err, gatehouse.NotFound) || err == nil && realm.Disabled {
		err = gatehouse.ErrRealmNotFound
	}
	if err != nil {
		return realm, "", err
	}
	switch lines := r.Header["Authorization"]; {
	case len(lines) > 1:
		return realm, "", errTwice
	case len(lines) == 1:
		text, ok := strings.CutPrefix(lines[0], "Bearer ")
		if !ok || text == "" {
			return realm, "", errTwice
		}
		token = gatehouse.Secret(text)
	}
	return realm, token, nil
}

var errTwice = gatehouse.E(gatehouse.Invalid, "registration_token_malformed", "The token goes into one line Authorization, after Bearer.")

// refused gives a 401 its challenge (RFC 6750 §3).
func refused(err error) error {
	if gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		return err
	}
	return web.WithHeader(err, http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}})
}

// answer is what a client is told of its registration (RFC 7591 §3.2.1, RFC 7592 §3).
type answer struct {
	ID       string `json:"client_id"`
	IssuedAt int64  `json:"client_id_issued_at"`
	Secret   string `json:"client_secret,omitzero"`
	Ends     *int64 `json:"client_secret_expires_at,omitempty"` // 0: never
	Token    string `json:"registration_access_token,omitzero"`
	URI      string `json:"registration_client_uri"`
	client.Metadata
}

func (h *Handler) write(w http.ResponseWriter, status int, c client.Registered) error {
	out := answer{ID: c.ID, IssuedAt: c.CreatedAt.Unix(), Secret: c.Secret.Reveal(), Token: c.Token.Reveal(), Metadata: c.Metadata,
		URI: strings.TrimSuffix(h.c.Issuer(c.Realm), "/") + path + "/" + c.ID}
	if c.Secret != "" {
		out.Ends = new(int64)
	}
	return web.WriteJSON(w, status, out)
}

// register answers POST: a client registers itself (RFC 7591 §3).
func (h *Handler) register(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	realm, token, err := h.begin(w, r, h.c.AllowNew)
	if err != nil {
		return err
	}
	id, m, err := h.read(w, r)
	if err == nil && id != "" {
		err = errClientID
	}
	if err != nil {
		return err
	}
	c, err := h.c.Clients.Register(r.Context(), realm.Name, token, m)
	if err != nil {
		return refused(err)
	}
	return h.write(w, http.StatusCreated, c)
}

// manage answers what a client asks about its own registration (RFC 7592 §2).
func (h *Handler) manage(w http.ResponseWriter, r *http.Request) error {
	realm, token, err := h.begin(w, r, h.c.Allow)
	if err != nil {
		return err
	}
	var out client.Registered
	name := r.PathValue("client")
	switch r.Method {
	case http.MethodGet:
		out.Client, err = h.c.Clients.Registration(r.Context(), realm.Name, name, token)
	case http.MethodPut:
		var id string
		var m client.Metadata
		if id, m, err = h.read(w, r); err != nil {
			return err
		}
		if id != name {
			return errClientID
		}
		out, err = h.c.Clients.Reregister(r.Context(), realm.Name, name, token, m)
	case http.MethodDelete:
		if err = h.c.Clients.Deregister(r.Context(), realm.Name, name, token); err == nil {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodPut, http.MethodDelete)
	}
	if err != nil {
		return refused(err)
	}
	return h.write(w, http.StatusOK, out)
}
