package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// scheme is one of the document's security schemes: the kinds of our credentials
// that take its place, or why there are none.
type scheme struct {
	accepts []gatehouse.Scheme
	why     error
}

// securitySchemes reads components.securitySchemes, and the catalogue of scopes.
func (r *reader) securitySchemes() map[string]scheme {
	components, _ := r.doc["components"].(object)
	all, _ := components["securitySchemes"].(object)
	out := make(map[string]scheme, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		def, err := r.deref(all[name])
		if err != nil {
			out[name] = scheme{why: err}
			continue
		}
		out[name] = readScheme(def)
		flows, _ := def["flows"].(object)
		for _, flow := range slices.Sorted(maps.Keys(flows)) {
			flow, _ := flows[flow].(object)
			scopes, _ := flow["scopes"].(object)
			for name, meaning := range scopes {
				if text, _ := meaning.(string); r.api.Scopes[name] == "" {
					r.api.Scopes[name] = text
				}
			}
		}
	}
	return out
}

// readScheme says which of our credentials takes the place of a scheme's. Bearer
// takes API keys too, which are presented the same way.
func readScheme(def object) scheme {
	tokens := []gatehouse.Scheme{gatehouse.SchemeJWT, gatehouse.SchemeOpaque}
	kind, _ := def["type"].(string)
	switch kind {
	case "oauth2", "openIdConnect":
		return scheme{accepts: tokens}
	case "apiKey":
		if in, _ := def["in"].(string); in == "cookie" {
			return scheme{why: errors.New("is a cookie, which no credential here takes the place of")}
		}
		return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeAPIKey}}
	case "http":
		name, _ := def["scheme"].(string)
		switch strings.ToLower(name) {
		case "basic":
			return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeBasic}}
		case "bearer":
			return scheme{accepts: append([]gatehouse.Scheme{gatehouse.SchemeAPIKey}, tokens...)}
		}
		return scheme{why: fmt.Errorf("is HTTP's %q, which is not spoken here", name)}
	}
	return scheme{why: fmt.Errorf("is of type %q, which no credential here takes the place of", kind)}
}

// security puts the requirement of an operation into its route.
func (r *reader) security(operation string, route *enforce.Route, op object) error {
	listed, own := op["security"]
	if !own {
		listed = r.doc["security"]
	}
	list, ok := listed.([]any)
	if !ok {
		if listed != nil {
			return errors.New("security is not a list")
		}
		return nil
	}
	if own && len(list) == 0 {
		route.Anonymous, route.Authenticated = true, false
		return nil
	}
	var ways []enforce.Requirement
	var dropped []error
	for _, v := range list {
		alternative, ok := v.(object)
		if !ok {
			return errors.New("a security requirement is not a mapping")
		}
		if len(alternative) == 0 {
			if own {
				route.Anonymous, route.Authenticated = true, false
				return nil
			}
			continue // document-wide it opens nothing
		}
		way, err := r.requirement(alternative)
		if err != nil {
			dropped = append(dropped, err)
			continue
		}
		if !slices.ContainsFunc(ways, func(w enforce.Requirement) bool {
			return slices.Equal(w.Schemes, way.Schemes) && slices.Equal(w.Scopes, way.Scopes)
		}) {
			ways = append(ways, way)
		}
	}
	if len(dropped) > 0 {
		if len(ways) == 0 {
			return errors.Join(dropped...)
		}
		r.note(operation, "an alternative of its security is left out: %v", errors.Join(dropped...))
	}
	switch len(ways) {
	case 0:
	case 1:
		route.Schemes, route.Scopes = ways[0].Schemes, ways[0].Scopes
	default:
		route.AnyOf = ways
	}
	return nil
}

// requirement reads one alternative. All of its schemes must be met by the one
// credential that a request may present.
func (r *reader) requirement(alternative object) (enforce.Requirement, error) {
	var way enforce.Requirement
	for i, name := range slices.Sorted(maps.Keys(alternative)) {
		s, ok := r.schemes[name]
		if !ok {
			return way, fmt.Errorf("security scheme %q is not defined", name)
		}
		if s.why != nil {
			return way, fmt.Errorf("security scheme %q %w", name, s.why)
		}
		if i == 0 {
			way.Schemes = slices.Clone(s.accepts)
		} else {
			way.Schemes = slices.DeleteFunc(way.Schemes, func(k gatehouse.Scheme) bool { return !slices.Contains(s.accepts, k) })
		}
		scopes, ok := texts(alternative[name])
		if !ok && alternative[name] != nil {
			return way, fmt.Errorf("security scheme %q: scopes are not a list of names", name)
		}
		way.Scopes = append(way.Scopes, scopes...)
	}
	if len(way.Schemes) == 0 {
		return way, fmt.Errorf("%s at once need two credentials, and a request has one",
			strings.Join(slices.Sorted(maps.Keys(alternative)), " and "))
	}
	slices.Sort(way.Scopes)
	way.Scopes = slices.Compact(way.Scopes)
	return way, nil
}

// texts reads a list of texts that are not empty.
func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok || s == "" {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
