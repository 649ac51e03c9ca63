package adminhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Prefix is where the API lives.
const Prefix = "/admin/v1"

// maxBody bounds the bodies that hold policies; others are smaller.
const (
	maxBody   = 1 << 20
	smallBody = 64 << 10
)

// Config is what the API needs. Every field without a remark is required.
type Config struct {
	Service *admin.Service
	// Authenticate verifies the credential of r: of the realm in the path
	// (r.PathValue("realm")) or of the realm main. The error is answered as it is.
	Authenticate func(r *http.Request) (*gatehouse.Principal, error)
	// Challenges gives the WWW-Authenticate lines of a 401.
	Challenges func(r *http.Request) []string
	// Allow is asked once per request with the client's address; false refuses
	// for retryAfter.
	Allow    func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	Problems *web.Problems // nil uses the zero value
	Version  string        // of the program, for the document; "" is "dev"
}

// api is the API while it is put together.
type api struct {
	c    Config
	huma huma.API
}

// New returns the handler for everything under [Prefix].
func New(c Config) (http.Handler, error) {
	if c.Service == nil || c.Authenticate == nil || c.Challenges == nil || c.Allow == nil {
		return nil, errors.New("adminhttp: Service, Authenticate, Challenges and Allow are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	mux := http.NewServeMux()
	a := &api{c: c}
	a.huma = humago.New(mux, a.config())
	a.operations()
	a.serveDocument(mux)
	return a.front(mux), nil
}

// Document returns the OpenAPI document for Service-independent uses: tests,
// and the copy that is kept in the documentation.
func Document(version string) ([]byte, error) {
	mux := http.NewServeMux()
	a := &api{c: Config{Version: version, Problems: &web.Problems{}}}
	a.huma = humago.New(mux, a.config())
	a.operations()
	return a.document()
}

// operations registers everything that the API can do.
func (a *api) operations() {
	a.system()
	a.realms()
	a.users()
	a.keys()
	a.policies()
	a.tokens()
	a.audits()
}

func (a *api) config() huma.Config {
	version := a.c.Version
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Gatehouse management API", Version: version,
				Description: "Everything that the commands and the console can do. Lists are paged with `after` and `limit`; errors are problem documents with a stable `code`."},
			Components: &huma.Components{
				Schemas: schemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"basic":  {Type: "http", Scheme: "basic", Description: "Username and password (RFC 7617)"},
					"bearer": {Type: "http", Scheme: "bearer", Description: "Access token or API key (RFC 6750)"},
					"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "API key"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format(), "json": format()},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.asProblem},
	}
}

// schemas makes the registry of the document's schemas.
func schemas() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", schemaName)
	r.RegisterTypeAlias(reflect.TypeFor[admin.Duration](), reflect.TypeFor[durationSchema]())
	return r
}

// durationSchema describes [admin.Duration] in the document.
type durationSchema string

func (durationSchema) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Pattern: duration.Pattern, PatternDescription: "a duration", MaxLength: new(32), Examples: []any{"10m", "720h", "90d"}}
	s.PrecomputeMessages()
	return s
}

// schemaName keeps types of one name apart.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	base := t
	for base.Kind() == reflect.Pointer || base.Kind() == reflect.Slice {
		base = base.Elem()
	}
	if strings.HasSuffix(base.PkgPath(), "/audit") {
		return "Audit" + name
	}
	return name
}

// document renders the OpenAPI document.
func (a *api) document() ([]byte, error) {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	for _, s := range schemas {
		for _, p := range s.Properties {
			p.Nullable = false // lists are written [] when empty, never null
		}
	}
	delete(schemas, "ErrorModel") // the router's own error form, which is never sent
	delete(schemas, "ErrorDetail")
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

// serveDocument serves the OpenAPI document, rendered when it is first asked for.
func (a *api) serveDocument(mux *http.ServeMux) {
	document := sync.OnceValues(a.document)
	mux.Handle("GET "+Prefix+"/openapi.json", a.c.Problems.Handler(func(w http.ResponseWriter, _ *http.Request) error {
		body, err := document()
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, err = w.Write(body)
		return err
	}))
}

var (
	errOrigin  = gatehouse.E(gatehouse.Denied, "cross_origin_refused", "Requests of other web pages are not accepted here.")
	errPath    = gatehouse.E(gatehouse.Invalid, "path_invalid", "The path or query is not clean UTF-8 text.")
	errNoPath  = gatehouse.E(gatehouse.NotFound, "path_not_found", "There is nothing at this path.")
	errLimited = gatehouse.E(gatehouse.RateLimited, "rate_limited", "Too many requests; try again later.")
)

// front does what comes before the operation: it is the only way to the mux.
func (a *api) front(mux *http.ServeMux) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(a.c.Problems.Handler(func(http.ResponseWriter, *http.Request) error { return errOrigin }))
	return guard.Handler(a.c.Problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := a.bounds(w, r); err != nil {
			return err
		}
		if after, ok := a.c.Allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok {
			e := *errLimited
			e.RetryAfter = after
			return &e
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			return unrouted(mux, r)
		}
		mux.ServeHTTP(w, r)
		return nil
	}))
}

// bounds refuses what no operation takes.
func (a *api) bounds(w http.ResponseWriter, r *http.Request) error {
	query, err := unescape(r.URL.RawQuery)
	if err != nil || !clean(r.URL.Path) || !clean(query) || path.Clean(r.URL.Path) != r.URL.Path {
		return errPath
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.ContentLength == 0 {
		return nil
	}
	if err := web.ContentType(r, "application/json"); err != nil {
		return err
	}
	return web.LimitBody(w, r, maxBody)
}

// clean refuses what one database stores and the other does not (NUL, invalid
// UTF-8) and what forges lines in logs.
func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// unrouted asks the router why it knows no handler, and says it as a problem.
func unrouted(mux *http.ServeMux, r *http.Request) error {
	var h header
	mux.ServeHTTP(&h, r)
	if h.status == http.StatusMethodNotAllowed {
		return web.MethodNotAllowed(h.Header().Get("Allow"))
	}
	return errNoPath
}

// header is a response writer that keeps status and header and drops the body.
type header struct {
	h      http.Header
	status int
}

func (h *header) Header() http.Header {
	if h.h == nil {
		h.h = http.Header{}
	}
	return h.h
}
func (h *header) Write(b []byte) (int, error) { return len(b), nil }
func (h *header) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}
