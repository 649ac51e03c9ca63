package enforce

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

var (
	errNoRoute = gatehouse.E(gatehouse.NotFound, "no_route", "There is nothing here.")
	errPath    = gatehouse.E(gatehouse.Invalid, "path_ambiguous", "The path or the query can be read in more than one way.")
	errMethod  = gatehouse.E(gatehouse.MethodNotAllowed, "method_not_allowed", "This method is not allowed here.")
)

// match finds the one route of the request. What no route matches is answered
// as if it did not exist, whatever the reason.
func (p *Pipeline) match(x *Exchange, r *http.Request) error {
	if err := unfitRequest(r); err != nil {
		if err == errMethod {
			x.setHeader("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		}
		return err
	}
	x.table.find(&x.sink, r)
	if x.sink.hit == nil {
		return errNoRoute
	}
	x.route = x.sink.hit
	x.event.Route = x.route.ID
	x.event.Realm = x.route.Realm
	if n := len(x.route.wildcards); n > 0 {
		x.params = make(map[string]string, n)
		for _, name := range x.route.wildcards {
			x.params[name] = r.PathValue(name)
		}
	}
	x.pass("match", "", x.route.ID)
	return nil
}

// unfitRequest refuses requests whose method or path another program could take
// for a different one than the routes are matched against.
func unfitRequest(r *http.Request) *gatehouse.Error {
	if !web.ServableMethod(r.Method) {
		return errMethod
	}
	if web.AmbiguousURL(r.URL) {
		return errPath
	}
	if overridesMethod(r) {
		return errOverride
	}
	return nil
}

// table is one immutable set of routes. Patterns are matched by the standard
// library's ServeMux, so that their meaning and precedence are the ones that its
// documentation gives.
type table struct {
	hosts map[string]*http.ServeMux // by canonical host
	any   *http.ServeMux
	ids   []string // of all routes, as events show them
}

// find looks in the routes of the request's host first, then in those of every
// host. The mux is asked to serve into a sink: it only ever finds.
func (t *table) find(s *sink, r *http.Request) {
	if m := t.hosts[canonicalHost(r.Host)]; m != nil {
		m.ServeHTTP(s, r)
	}
	if s.hit == nil && t.any != nil {
		t.any.ServeHTTP(s, r)
	}
}

// canonicalHost lowers s and cuts port and final dot: "API.Example.:443" must
// not slip past the rules of "api.example" to those of every host.
func canonicalHost(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s[i:], "]") {
		s = s[:i]
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// sink is the ResponseWriter that find serves into. What the mux itself answers
// (redirects, 404, 405) leaves hit nil: no route.
type sink struct {
	hit    *compiled
	header http.Header
}

func (s *sink) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// ServeHTTP notes that the mux chose c.
func (c *compiled) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if s, ok := w.(*sink); ok {
		s.hit = c
	}
}
