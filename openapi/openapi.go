package openapi

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"

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

// noteOnce is note for what several operations would say alike.
func (r *reader) noteOnce(of, text string) {
	if n := of + ": " + text; !slices.Contains(r.api.Notes, n) {
		r.api.Notes = append(r.api.Notes, n)
	}
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
			if err := r.closed(nil, nil, strings.ToUpper(m), path); err != nil {
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
		method := m
		if slices.Contains(methods, m) {
			method = strings.ToUpper(m)
		}
		name := fmt.Sprintf("%s %q", method, path)
		var route enforce.Route
		op, err := r.deref(v)
		if err == nil {
			route, err = r.operation(method, path, item, op)
		}
		if err == nil {
			err = checkOne(route)
		}
		if err != nil {
			r.note(name, "%v: nobody may call it", err)
			if err := r.closed(item, op, method, path); err != nil {
				return err
			}
			continue
		}
		if err := r.add(name, route); err != nil {
			return err
		}
	}
	return nil
}

// checkOne says what is wrong with a route, apart from others.
func checkOne(route enforce.Route) error {
	err := enforce.CheckRoutes([]enforce.Route{route})
	var wrong *enforce.RouteError
	if errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

// add adds the route of an operation. The specification wants unique names of
// operations; not every document heeds it.
func (r *reader) add(operation string, route enforce.Route) error {
	if len(r.api.Routes) >= maxOperations {
		return fmt.Errorf("more than %d operations", maxOperations)
	}
	if r.ids[route.ID] {
		route.ID = route.Pattern
	}
	for n := 2; r.ids[route.ID]; n++ {
		route.ID = fmt.Sprintf("%s (%d)", route.Pattern, n)
	}
	r.ids[route.ID] = true
	r.api.Routes, r.ops = append(r.api.Routes, route), append(r.ops, operation)
	return nil
}

// closed adds a closed route for an operation that could not be expressed. Segments
// that cannot be patterns become parameters: it is wider then, and still closed.
func (r *reader) closed(item, op object, method, path string) error {
	base, err := r.base(item, op)
	if err != nil {
		base, _ = r.base(nil, nil) // where its path would be, were it of this API
	}
	for _, form := range []func(string) (string, error){pathPattern, closedPattern} {
		pattern, err := form(base + path)
		if err != nil {
			continue
		}
		pattern = method + " " + pattern
		route := closedRoute(enforce.Route{ID: pattern, Pattern: pattern, Host: r.opt.Host, Upstream: r.opt.Upstream, Realm: r.opt.Realm})
		if checkOne(route) == nil {
			return r.add(fmt.Sprintf("%s %q", method, path), route)
		}
	}
	return nil // no request can have such a path or method
}

// closedRoute returns what is left of a route when nobody may call it.
func closedRoute(r enforce.Route) enforce.Route {
	return enforce.Route{ID: r.ID, Host: r.Host, Pattern: r.Pattern, Upstream: r.Upstream, Realm: r.Realm, Closed: true}
}

// check looks for routes that stand in each other's way: two patterns that share
// paths, neither of them narrower. The later one is taken away when all that share
// paths with it ask for the same, and closed when one does not: then what it takes, the
// shared paths too, must not fall to a route that asks for less.
func (r *reader) check() error {
	for range 2*len(r.api.Routes) + 1 {
		var wrong *enforce.RouteError
		err := enforce.CheckRoutes(r.api.Routes)
		if err == nil {
			return nil
		}
		if !errors.As(err, &wrong) || wrong.Beside == "" {
			return err
		}
		i := wrong.Index
		this := r.api.Routes[i]
		differs := slices.IndexFunc(r.api.Routes, func(o enforce.Route) bool {
			return o.ID != this.ID && share(this.Pattern, o.Pattern) && !askTheSame(this, o)
		})
		switch {
		case this.Closed:
			// A closed route stands in no other's way but in that of one with the same
			// paths: one closed route does for both.
			beside := slices.IndexFunc(r.api.Routes, func(o enforce.Route) bool { return o.ID == wrong.Beside })
			if !r.api.Routes[beside].Closed {
				r.note(r.ops[beside], "%s has the same paths and asks for something else: nobody may call it", r.ops[i])
				r.api.Routes[beside] = closedRoute(r.api.Routes[beside])
			}
			r.remove(i)
		case differs < 0:
			r.note(r.ops[i], "%v; both ask for the same, and what only this one takes does not exist", wrong.Err)
			r.remove(i)
		default:
			r.note(r.ops[i], "%v, and %s asks for something else: nobody may call it, nor what both take", wrong.Err, r.ops[differs])
			r.api.Routes[i] = closedRoute(this)
		}
	}
	return errors.New("its paths stand in each other's way")
}

func (r *reader) remove(i int) {
	r.api.Routes, r.ops = slices.Delete(r.api.Routes, i, i+1), slices.Delete(r.ops, i, i+1)
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
func (r *reader) operation(method, path string, item, op object) (enforce.Route, error) {
	var route enforce.Route
	base, err := r.base(item, op)
	if err != nil {
		return route, err
	}
	pattern, err := pathPattern(base + path)
	if err != nil {
		return route, err
	}
	route = enforce.Route{Pattern: method + " " + pattern, Host: r.opt.Host, Upstream: r.opt.Upstream, Realm: r.opt.Realm, Authenticated: true}
	if route.ID, _ = op["operationId"].(string); route.ID == "" {
		route.ID = route.Pattern
	}
	ext, err := extensionOf(item, op)
	if err != nil {
		return route, fmt.Errorf("x-gatehouse %w", err)
	}
	if !ext.replacesSecurity() {
		if err := r.security(fmt.Sprintf("%s %q", method, path), &route, op); err != nil {
			return route, err
		}
	}
	if route.ContentTypes, err = r.contentTypes(op); err != nil {
		return route, err
	}
	if err := ext.apply(&route); err != nil {
		return route, fmt.Errorf("x-gatehouse: %w", err)
	}
	if route.Action == "" && !describesResource(ext.own) && r.someAction(item) {
		// The path describes its resource once, for those of its operations that
		// have an action.
		route.Resource, route.HideExistence = nil, false
	}
	r.collectScopes(&route)
	return route, nil
}

// contentTypes returns the types of an operation's request body.
func (r *reader) contentTypes(op object) ([]string, error) {
	said, ok := op["requestBody"]
	if !ok {
		return nil, nil
	}
	body, err := r.deref(said)
	if err != nil {
		return nil, fmt.Errorf("requestBody: %w", err)
	}
	content, _ := body["content"].(object)
	var types []string
	for t := range content {
		if plain, _, err := mime.ParseMediaType(t); err == nil {
			t = plain
		}
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types, nil
}

// someAction reports whether an operation of a path has an action.
func (r *reader) someAction(item object) bool {
	for _, v := range item {
		op, _ := v.(object)
		members, _ := op["x-gatehouse"].(object)
		if _, has := members["action"]; has {
			return true
		}
	}
	return false
}

// collectScopes adds the scopes that a route asks for, so that they can be given.
func (r *reader) collectScopes(route *enforce.Route) {
	for _, way := range append([]enforce.Requirement{{Scopes: route.Scopes}}, route.AnyOf...) {
		for _, name := range way.Scopes {
			r.addScope(name, "")
		}
	}
}
