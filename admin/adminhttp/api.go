package adminhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
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

// maxBody bounds the bodies that hold policies, maxFileBody those that hold a whole
// realm; others are smaller.
const (
	maxBody     = 1 << 20
	maxFileBody = admin.MaxRealmFile + smallBody
	smallBody   = 64 << 10
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
	// methods of each documented path, without HEAD, which comes with GET.
	methods map[string][]string
	// large are the paths whose bodies may be longer than maxBody.
	large map[string]int64
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
	a := &api{c: c, methods: map[string][]string{}, large: map[string]int64{}}
	a.huma = humago.New(mux, a.config())
	a.operations()
	a.tidy()
	a.serveDocument(mux)
	return a.front(mux), nil
}

// Document returns the OpenAPI document for Service-independent uses: tests,
// and the copy that is kept in the documentation.
func Document(version string) ([]byte, error) {
	mux := http.NewServeMux()
	a := &api{c: Config{Version: version, Problems: &web.Problems{}}, methods: map[string][]string{}, large: map[string]int64{}}
	a.huma = humago.New(mux, a.config())
	a.operations()
	a.tidy()
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
			Servers: []*huma.Server{{URL: "/", Description: "The server that this document comes from"}},
			Info: &huma.Info{Title: "Gatehouse management API", Version: version, License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
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
	r.RegisterTypeAlias(reflect.TypeFor[admin.SettingsPatch](), reflect.TypeFor[settingsSchema]())
	return r
}

// settingsSchema describes [admin.SettingsPatch]: the settings, of which each can be
// null, and of the objects among them each member.
type settingsSchema struct{}

func (settingsSchema) Schema(r huma.Registry) *huma.Schema {
	of := r.SchemaFromRef(r.Schema(reflect.TypeFor[admin.RealmSettings](), true, "").Ref)
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false, Nullable: true}
	for name, p := range of.Properties {
		member := *p
		member.Nullable, member.Enum = true, append(slices.Clone(p.Enum), nulls(p.Enum)...)
		if values, ok := p.AdditionalProperties.(*huma.Schema); ok {
			member.AdditionalProperties = nullable(values)
		}
		s.Properties[name] = &member
	}
	s.PrecomputeMessages()
	return s
}

// nullable describes what s does, or null. A reference has no type to which null could
// be added.
func nullable(s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return &huma.Schema{AnyOf: []*huma.Schema{s, {Type: "null"}}}
	}
	each := *s
	each.Nullable = true
	return &each
}

// nulls makes null one of the values where only some are allowed.
func nulls(enum []any) []any {
	if enum == nil {
		return nil
	}
	return []any{nil}
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
	switch {
	case strings.HasSuffix(base.PkgPath(), "/audit"):
		return "Audit" + name
	case name == "Schema": // generated clients have a Schema of their own
		return "PolicySchema"
	}
	return name
}

// tidy makes of the router's schemas what the API keeps to and every reader of the
// document knows. It comes before the first request, which is judged by them.
func (a *api) tidy() {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	for name, s := range schemas {
		patch := strings.HasSuffix(name, "Patch")
		for _, p := range s.Properties {
			if !patch { // null takes a value away (RFC 7396)
				p.Nullable = false // lists are written [] when empty, never null
			}
			p.PatternDescription = "" // is in the messages, and no word of JSON Schema
			for _, inner := range p.Properties {
				inner.PatternDescription = ""
			}
		}
	}
	delete(schemas, "ErrorModel") // the router's own error form, which is never sent
	delete(schemas, "ErrorDetail")
}

// document renders the OpenAPI document.
func (a *api) document() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

// serveDocument serves the OpenAPI document, rendered when it is first asked for.
func (a *api) serveDocument(mux *http.ServeMux) {
	document := sync.OnceValues(a.document)
	a.methods[Prefix+"/openapi.json"] = []string{http.MethodGet}
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
	errPath   = gatehouse.E(gatehouse.Invalid, "path_invalid", "The path or query is not clean: it has control characters, bytes that are no UTF-8, or empty or dot segments.")
	errNoPath = gatehouse.E(gatehouse.NotFound, "path_not_found", "There is nothing at this path.")
)

// front does what comes before the operation: it is the only way to the mux.
func (a *api) front(mux *http.ServeMux) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(a.c.Problems.Handler(func(http.ResponseWriter, *http.Request) error { return web.ErrCrossOrigin }))
	return guard.Handler(a.c.Problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := a.bounds(w, r); err != nil {
			return err
		}
		if after, ok := a.c.Allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok {
			e := *gatehouse.ErrRateLimited
			e.RetryAfter = after
			return &e
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			return a.unrouted(r)
		}
		mux.ServeHTTP(w, r)
		return nil
	}))
}

// bounds refuses what no operation takes.
func (a *api) bounds(w http.ResponseWriter, r *http.Request) error {
	query, err := url.QueryUnescape(r.URL.RawQuery)
	at, slash := strings.CutSuffix(r.URL.Path, "/")
	switch {
	case err != nil || !clean(r.URL.Path) || !clean(query) || path.Clean(at) != at:
		return errPath
	case slash:
		return errNoPath // a list with an empty name behind it is not the list
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.ContentLength == 0 {
		return nil
	}
	accept := []string{"application/json"}
	if r.Method == http.MethodPatch {
		accept = append(accept, "application/merge-patch+json") // RFC 7396
	}
	if err := web.ContentType(r, accept...); err != nil {
		return err
	}
	limit := int64(maxBody)
	for template, n := range a.large {
		if fits(template, r.URL.EscapedPath()) {
			limit = n
		}
	}
	return web.LimitBody(w, r, limit)
}

// clean refuses what one database stores and the other does not (NUL, invalid
// UTF-8) and what forges lines in logs.
func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// unrouted asks the router why it knows no handler, and says it as a problem.
func (a *api) unrouted(r *http.Request) error {
	if methods := a.allowed(r.URL.EscapedPath()); methods != nil {
		return web.MethodNotAllowed(strings.Join(methods, ", "))
	}
	return errNoPath
}

// allowed returns the methods of the one documented path that a request's path is, nil
// when it is none. The router would add those of the path with a slash behind it.
func (a *api) allowed(path string) []string {
	best := ""
	for template := range a.methods {
		if fits(template, path) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	methods := slices.Clone(a.methods[best])
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return methods
}

// fits tells whether path is one of template's, whose parameters stand for one segment
// each.
func fits(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(want, have string) bool {
		return want == have || strings.HasPrefix(want, "{") && have != ""
	})
}
