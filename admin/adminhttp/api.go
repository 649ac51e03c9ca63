package adminhttp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Prefix is where the API lives.
const Prefix = "/admin/v1"

// Bounds of bodies, in bytes. SmallBody holds where an operation says nothing, MaxBody
// where it takes policies; what takes more says so ([Operation.MaxBody]).
const (
	MaxBody   = 1 << 20
	SmallBody = 64 << 10
)

// Config is what the API needs. Every field without a remark is required.
type Config struct {
	// Authenticate verifies the credential of r: of the realm in the path
	// (r.PathValue("realm")) or of the realm main. The error is answered as it is.
	Authenticate func(r *http.Request) (*gatehouse.Principal, error)
	// Again verifies it anew while its request is being answered, which is no further use of it. Nil: streams of events
	// are refused.
	Again func(r *http.Request) (*gatehouse.Principal, error)
	// Challenges gives the WWW-Authenticate lines of a 401.
	Challenges func(r *http.Request) []string
	// Allow is asked once per request with the client's address; false refuses
	// for retryAfter.
	Allow func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	// Waiting is for requests that ask to wait until other nodes know.
	Waiting  Waiting
	Problems *web.Problems // nil uses the zero value
	Version  string        // of the program, for the document; "" is "dev"
}

// API is the management API while it is put together: each subject adds its operations
// with [Handle].
type API struct {
	c    Config
	huma huma.API
	// methods of each documented path, without HEAD, which comes with GET.
	methods map[string][]string
	// waiting are the operations, by method and path, that take wait.
	waiting map[string]bool
	// waitParams describe how.
	waitParams []*huma.Param
	// problems describes the problem responses that were asked for, by status.
	problems map[int]*huma.Response
	// large are the paths whose bodies may be longer than MaxBody.
	large map[string]int64
}

// Subject is a subject of administration, which adds its operations to the API.
type Subject interface {
	Operations(a *API)
}

// New returns the handler for everything under [Prefix]: the operations of subjects, and
// the document about them.
func New(c Config, subjects ...Subject) (http.Handler, error) {
	if c.Authenticate == nil || c.Challenges == nil || c.Allow == nil || c.Waiting.Nodes == nil || c.Waiting.Outside == nil || c.Waiting.Now == nil {
		return nil, errors.New("adminhttp: Authenticate, Challenges, Allow and Waiting are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	mux := http.NewServeMux()
	a := build(mux, c, subjects)
	a.serveDocument(mux)
	return a.front(mux), nil
}

// Document returns the OpenAPI document about the operations of subjects, none of which
// is called: their zero values do.
func Document(version string, subjects ...Subject) ([]byte, error) {
	return build(http.NewServeMux(), Config{Version: version, Problems: &web.Problems{}}, subjects).document()
}

// build registers everything that the API can do.
func build(mux *http.ServeMux, c Config, subjects []Subject) *API {
	a := &API{c: c, methods: map[string][]string{}, waiting: map[string]bool{}, waitParams: waitParams(), problems: map[int]*huma.Response{}, large: map[string]int64{}}
	a.huma = humago.New(mux, a.config())
	for _, s := range subjects {
		s.Operations(a)
	}
	a.tidy()
	return a
}

var (
	errPath   = gatehouse.E(gatehouse.Invalid, "path_invalid", "The path or query is not clean: it has control characters, bytes that are no UTF-8, or empty or dot segments.")
	errNoPath = gatehouse.E(gatehouse.NotFound, "path_not_found", "There is nothing at this path.")
)

// front does what comes before the operation: it is the only way to the mux.
func (a *API) front(mux *http.ServeMux) http.Handler {
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
		_, pattern := mux.Handler(r)
		if pattern == "" {
			return a.unrouted(r)
		}
		if query := r.URL.Query(); a.waiting[pattern] && (query.Has("wait") || query.Has("wait_for")) {
			return a.wait(mux, w, r, query)
		}
		mux.ServeHTTP(w, r)
		return nil
	}))
}

// bounds refuses what no operation takes.
func (a *API) bounds(w http.ResponseWriter, r *http.Request) error {
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
	limit := int64(MaxBody)
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
func (a *API) unrouted(r *http.Request) error {
	if methods := a.allowed(r.URL.EscapedPath()); methods != nil {
		return web.MethodNotAllowed(strings.Join(methods, ", "))
	}
	return errNoPath
}

// allowed returns the methods of the one documented path that a request's path is, nil
// when it is none. The router would add those of the path with a slash behind it.
func (a *API) allowed(path string) []string {
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
