package openapi

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// Options say what every route that is read gets.
type Options struct {
	Upstream string
	Realm    string
	Host     string
	// BasePath takes the place of the paths of the document's servers.
	BasePath string
}

// API is what a document says.
type API struct {
	Routes []enforce.Route
	// Scopes are those that the document defines or asks for, with their meaning.
	Scopes map[string]string
	// Notes tell, operation by operation, what could not be taken over as it is
	// written. An operation that could not be expressed has a route that is closed.
	Notes []string
}

// methods in the order of the routes of a path.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "query"}

// Read reads the routes out of an OpenAPI document. Each path and method of it
// becomes one route, in a stable order; what the document does not list has no
// route and so does not exist.
//
//   - Every route needs an authenticated caller, and what its security requirement
//     asks for: the schemes of the credential, and scopes. Of several requirements
//     one must be met ("any of").
//   - An operation that says "security: []" itself, or has an empty requirement
//     among its own, is open to anonymous callers. Document-wide that opens
//     nothing: it is more often an omission.
//   - The content types of the request body become the ones accepted.
//   - The path of the operation's first server stands before its path.
//   - The extension x-gatehouse, on a path or an operation, adds to that; see
//     docs/openapi.md.
//   - GET serves HEAD too, as everywhere in net/http.
//
// An operation that cannot be expressed becomes a closed route, so that no wider
// one lets its callers in, and is told in Notes. A document that cannot be read at
// all is an error.
func Read(document []byte, opt Options) (*API, error) {
	doc, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	r := &reader{doc: doc, opt: opt, api: &API{Scopes: map[string]string{}}, ids: map[string]bool{}}
	version, _ := doc["openapi"].(string)
	if !strings.HasPrefix(version, "3.0.") && !strings.HasPrefix(version, "3.1.") && !strings.HasPrefix(version, "3.2.") {
		return nil, errors.New("openapi: only OpenAPI 3.0, 3.1 and 3.2 are read")
	}
	paths, _ := doc["paths"].(object)
	if len(paths) == 0 {
		return nil, errors.New("openapi: the document has no paths")
	}
	r.schemes = r.securitySchemes()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		if err := r.path(path, paths[path]); err != nil {
			return nil, fmt.Errorf("openapi: %w", err)
		}
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return r.api, nil
}

// reader is one document while it is read.
type reader struct {
	doc     object
	opt     Options
	api     *API
	schemes map[string]scheme
	ids     map[string]bool
	ops     []string // the operation of each route, for notes
}

func (r *reader) note(operation, format string, args ...any) {
	r.api.Notes = append(r.api.Notes, operation+": "+fmt.Sprintf(format, args...))
}

// path reads the operations of one path item. An error of it is one of the whole
// document; what can be told apart is noted.
func (r *reader) path(path string, v any) error {
	item, err := r.deref(v)
	if err != nil {
		r.note(fmt.Sprintf("%q", path), "%v: nobody may call it", err)
		for _, m := range methods {
			if m == "head" {
				continue // GET serves it
			}
			if err := r.closed(strings.ToUpper(m), path); err != nil {
				return err
			}
		}
		return nil
	}
	operations := map[string]any{}
	for _, m := range methods {
		if op, ok := item[m]; ok {
			operations[m] = op
		}
	}
	more, _ := item["additionalOperations"].(object) // OpenAPI 3.2
	for m, op := range more {
		operations[m] = op
	}
	if _, ok := item["trace"]; ok {
		r.note(fmt.Sprintf("TRACE %q", path), "TRACE is never served")
	}
	order := append(slices.Clone(methods), slices.Sorted(maps.Keys(more))...)
	for _, m := range slices.Compact(order) {
		v, ok := operations[m]
		if !ok {
			continue
		}
		if len(r.api.Routes) >= maxOperations {
			return fmt.Errorf("more than %d operations", maxOperations)
		}
		method := m
		if slices.Contains(methods, m) {
			method = strings.ToUpper(m)
		}
		name := fmt.Sprintf("%s %q", method, path)
		route, err := r.operation(method, path, item, v)
		if err == nil {
			if checked := enforce.CheckRoutes([]enforce.Route{route}); checked != nil {
				err = errors.Unwrap(firstError(checked))
			}
		}
		if err != nil {
			r.note(name, "%v: nobody may call it", err)
			if err := r.closed(method, path); err != nil {
				return err
			}
			continue
		}
		r.add(name, route)
	}
	return nil
}

// firstError returns the first of joined errors.
func firstError(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()[0]
	}
	return err
}

func (r *reader) add(operation string, route enforce.Route) {
	if r.ids[route.ID] {
		route.ID = route.Pattern // the specification wants unique names; not every document heeds it
	}
	r.ids[route.ID] = true
	r.api.Routes, r.ops = append(r.api.Routes, route), append(r.ops, operation)
}

// closed adds a route for an operation that could not be expressed. Segments that
// cannot be patterns become parameters: the route is wider then, and still closed.
func (r *reader) closed(method, path string) error {
	pattern, err := closedPattern(r.base(nil, nil) + path)
	if err != nil {
		return nil // no request can have such a path
	}
	pattern = method + " " + pattern
	route := enforce.Route{ID: pattern, Pattern: pattern, Host: r.opt.Host, Upstream: r.opt.Upstream, Realm: r.opt.Realm, Closed: true}
	if enforce.CheckRoutes([]enforce.Route{route}) == nil {
		r.add(fmt.Sprintf("%s %q", method, path), route)
	}
	return nil
}

// check looks for routes that stand in each other's way: two patterns that share
// paths, neither of them narrower. The later one is taken away when all that share
// paths with it ask for the same, and closed when one does not: then what it takes, the
// shared paths too, must not fall to a route that asks for less.
func (r *reader) check() error {
	for range len(r.api.Routes) {
		err := enforce.CheckRoutes(r.api.Routes)
		if err == nil {
			return nil
		}
		var wrong *enforce.RouteError
		if !errors.As(firstError(err), &wrong) {
			return err
		}
		i := wrong.Index
		this := r.api.Routes[i]
		differs := slices.IndexFunc(r.api.Routes, func(o enforce.Route) bool {
			return o.ID != this.ID && share(this.Pattern, o.Pattern) && !askTheSame(this, o)
		})
		if differs < 0 || this.Closed {
			r.note(r.ops[i], "%v; both ask for the same, and what only this one takes does not exist", wrong.Err)
			r.api.Routes, r.ops = slices.Delete(r.api.Routes, i, i+1), slices.Delete(r.ops, i, i+1)
			continue
		}
		r.note(r.ops[i], "%v, and %s asks for something else: nobody may call it, nor what both take", wrong.Err, r.ops[differs])
		r.api.Routes[i] = enforce.Route{ID: this.ID, Pattern: this.Pattern, Host: this.Host, Upstream: this.Upstream, Realm: this.Realm, Closed: true}
	}
	return errors.New("no operation can become a route")
}

// askTheSame tells whether two routes differ in nothing but their names and patterns.
func askTheSame(a, b enforce.Route) bool {
	if b.Closed {
		return true
	}
	a.ID, a.Pattern, b.ID, b.Pattern = "", "", "", ""
	return reflect.DeepEqual(a, b)
}

// share tells whether two patterns may have a path in common. A segment with a
// parameter may be any; when in doubt it says yes.
func share(a, b string) bool {
	methodA, pathA, _ := strings.Cut(a, " ")
	methodB, pathB, _ := strings.Cut(b, " ")
	if methodA != methodB && !(methodA == "GET" && methodB == "HEAD") && !(methodA == "HEAD" && methodB == "GET") {
		return false
	}
	segmentsA, segmentsB := strings.Split(pathA, "/"), strings.Split(pathB, "/")
	if len(segmentsA) != len(segmentsB) {
		return false
	}
	for i := range segmentsA {
		if segmentsA[i] != segmentsB[i] && !strings.Contains(segmentsA[i]+segmentsB[i], "{") {
			return false
		}
	}
	return true
}

// operation makes a route of one operation.
func (r *reader) operation(method, path string, item object, v any) (enforce.Route, error) {
	var route enforce.Route
	op, err := r.deref(v)
	if err != nil {
		return route, err
	}
	if err := r.elsewhere(item, op); err != nil {
		return route, err
	}
	pattern, err := pathPattern(r.base(item, op) + path)
	if err != nil {
		return route, err
	}
	route = enforce.Route{Pattern: method + " " + pattern, Host: r.opt.Host, Upstream: r.opt.Upstream, Realm: r.opt.Realm, Authenticated: true}
	if route.ID, _ = op["operationId"].(string); route.ID == "" {
		route.ID = route.Pattern
	}
	if err := r.security(fmt.Sprintf("%s %q", method, path), &route, op); err != nil {
		return route, err
	}
	if body, ok := op["requestBody"]; ok {
		body, err := r.deref(body)
		if err != nil {
			return route, fmt.Errorf("requestBody: %w", err)
		}
		content, _ := body["content"].(object)
		for t := range content {
			if plain, _, err := mime.ParseMediaType(t); err == nil {
				t = plain
			}
			if !slices.Contains(route.ContentTypes, t) {
				route.ContentTypes = append(route.ContentTypes, t)
			}
		}
		slices.Sort(route.ContentTypes)
	}
	for _, holder := range []object{item, op} {
		if ext, ok := holder["x-gatehouse"]; ok {
			ext, ok := ext.(object)
			if !ok {
				return route, errors.New("x-gatehouse is not a mapping")
			}
			if err := extend(&route, ext); err != nil {
				return route, fmt.Errorf("x-gatehouse: %w", err)
			}
		}
	}
	if route.Resource != nil && route.Resource.Source == "" && route.Resource.Fetch != "" {
		route.Resource.Source = "upstream"
	}
	if route.Action == "" {
		// A path may describe its resource once, for those of its operations that
		// have an action.
		route.Resource, route.HideExistence = nil, false
	}
	r.collectScopes(&route)
	return route, nil
}

// collectScopes adds the scopes that a route asks for, so that they can be given.
func (r *reader) collectScopes(route *enforce.Route) {
	add := func(scopes []string) {
		for _, s := range scopes {
			if _, ok := r.api.Scopes[s]; !ok && s != "" && s != gatehouse.ScopeAll {
				r.api.Scopes[s] = ""
			}
		}
	}
	add(route.Scopes)
	for _, a := range route.AnyOf {
		add(a.Scopes)
	}
}
