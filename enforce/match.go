package enforce

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

var (
	errNoRoute = gatehouse.E(gatehouse.NotFound, "no_route", "There is nothing here.")
	ErrPath    = gatehouse.E(gatehouse.Invalid, "path_ambiguous", "The path or the query can be read in more than one way.")
)

// match finds the one route of the request. What no route matches is answered
// as if it did not exist, whatever the reason.
func (p *Pipeline) match(x *Exchange, r *http.Request) error {
	c, err := x.table.route(r)
	if err != nil {
		if errors.Is(err, web.ErrMethod) {
			x.setHeader("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		}
		return err
	}
	x.route = c
	x.event.Route = c.ID
	x.event.Realm = c.Realm
	if n := len(c.wildcards); n > 0 {
		x.params = make(map[string]string, n)
		if err := c.pattern.params(r.URL.EscapedPath(), x.params); err != nil {
			return err
		}
		if x.before == nil { // another goroutine may read them while an open request is judged again
			for name, value := range x.params {
				r.SetPathValue(name, value)
			}
		}
	}
	x.pass("match", "", c.ID)
	return nil
}

// route returns the route that r is judged by, or why there is none.
func (t *table) route(r *http.Request) (*compiled, error) {
	if err := unfitRequest(r); err != nil {
		return nil, err
	}
	path := r.URL.EscapedPath()
	host := canonicalHost(r.Host)
	c := t.find(host, r.Method, path)
	if web.EncodesSlash(path) && (c == nil || !c.EncodedSlashes) {
		return nil, ErrPath.With(errors.New("a segment of the path holds %2F, and no route with encoded_slashes takes it"))
	}
	switch {
	case c == nil:
		return nil, t.noRoute(host, path)
	case c.Closed:
		return nil, errNoRoute.With(fmt.Errorf("route %q is closed", c.ID))
	case c.besideClosed && t.closes(host, r.Method, path):
		return nil, errNoRoute.With(fmt.Errorf("a closed route matches beside %q", c.ID))
	}
	if c.stricter != nil {
		if o := t.meantFor(c, host, r.Method, path); o != nil {
			return nil, ErrPath.With(fmt.Errorf("the API may take the path for one of route %q, which asks for more than %q; "+
				"if it tells them apart, set strict_paths on its upstream", o.ID, c.ID))
		}
	}
	return c, nil
}

// noRoute says for the record for which methods there is one.
func (t *table) noRoute(host, path string) error {
	var others []string
	for _, m := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if c := t.find(host, m, path); c != nil && !c.Closed {
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return errNoRoute.With(errors.New("no route matches this path on this host, whatever the method"))
	}
	return errNoRoute.With(errors.New("the path has routes for " + strings.Join(others, ", ") + " only"))
}

// unfitRequest refuses requests whose method or path another program could take
// for a different one than the routes are matched against.
func unfitRequest(r *http.Request) *gatehouse.Error {
	if !web.ServableMethod(r.Method) {
		return web.ErrMethod
	}
	if web.AmbiguousURL(r.URL, true) {
		return ErrPath
	}
	if where := overridesMethod(r); where != "" {
		return errOverride.With(errors.New(where))
	}
	return nil
}

// match is [Pipeline.Match].
func (t *table) match(r *http.Request) *Route {
	c, err := t.route(r)
	if err != nil {
		return nil
	}
	return &c.Route
}

// table is one immutable set of routes, with what they are judged by.
type table struct {
	hosts    map[string]*hostRoutes // by canonical host; "" is for every host
	all      []*compiled            // in their order
	proxies  *web.Proxies           // nil trusts nobody
	resolver Resolver               // nil when no route needs it
}

// hostRoutes are the routes of one host, by method; "" is every method.
type hostRoutes struct {
	exact, folded map[string]*tree
	all           []*compiled
}

func newTable() *table { return &table{hosts: map[string]*hostRoutes{}} }

// add adds c, unless it matches requests that another route of its host matches
// too and neither is more specific: then it names that route. A closed route may
// overlap another one: nobody gets what both match.
func (t *table) add(c *compiled) error {
	h := t.hosts[c.Host]
	if h == nil {
		h = &hostRoutes{exact: map[string]*tree{}, folded: map[string]*tree{}}
		t.hosts[c.Host] = h
	}
	for _, o := range h.all {
		rel := c.pattern.compare(&o.pattern)
		if rel == overlapping && (c.Closed || o.Closed) {
			c.besideClosed, o.besideClosed = c.besideClosed || o.Closed, o.besideClosed || c.Closed
			continue
		}
		if rel == equal || rel == overlapping {
			return &conflict{o}
		}
	}
	method := c.pattern.method
	if h.exact[method] == nil {
		h.exact[method], h.folded[method] = &tree{}, &tree{}
	}
	h.exact[method].add(&c.pattern, c)
	h.folded[method].add(&c.folded, c)
	h.all, t.all = append(h.all, c), append(t.all, c)
	return nil
}

// find returns the most specific route of a request, nil when there is none. The
// routes of its host come before those of every host.
func (t *table) find(host, method, path string) *compiled {
	var room [1]*compiled
	if found := t.collect(host, method, path, reading{}, true, room[:0]); len(found) > 0 {
		return found[0]
	}
	return nil
}

// closes reports whether a closed route matches too, and no other that matches is
// more specific than it.
func (t *table) closes(host, method, path string) bool {
	var room [8]*compiled
	found := t.collect(host, method, path, reading{}, false, room[:0])
	for i, c := range found {
		if c.Closed && !shadowed(found, i, reading{}) {
			return true
		}
	}
	return false
}

// collect appends the routes that match to out; with one, the first that is found.
// host is canonical, path begins with a slash.
func (t *table) collect(host, method, path string, m reading, one bool, out []*compiled) []*compiled {
	for _, h := range [...]*hostRoutes{t.hosts[host], t.hosts[""]} {
		if h == nil {
			continue
		}
		trees := h.exact
		if m.fold {
			trees = h.folded
		}
		methods := [...]string{method, "GET", ""} // HEAD is served by what serves GET
		for i, name := range methods {
			root := trees[name]
			if root == nil || i == 1 && method != http.MethodHead {
				continue
			}
			if out = root.collect(path[1:], true, m, one, out); one && len(out) > 0 {
				return out
			}
		}
		if len(out) > 0 || host == "" {
			return out
		}
	}
	return out
}

// canonicalHost is [web.HostName]: "API.Example.:443" must
// not slip past the rules of "api.example" to those of every host.
func canonicalHost(s string) string { return web.HostName(s) }
