package openapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// scheme is one of the document's security schemes: the kinds of our credentials
// that take its place, or why there are none.
type scheme struct {
	accepts []gatehouse.Scheme
	// place is where a request carries it. What stands in two places is two
	// credentials.
	place string
	field string // the header field of an API key that has one of its own
	note  string
	why   error
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
				text, _ := meaning.(string)
				r.addScope(name, text)
			}
		}
	}
	return out
}

const (
	placeBearer = "Authorization: Bearer"
	placeBasic  = "Authorization: Basic"
)

// readScheme says which of our credentials takes the place of a scheme's.
func readScheme(def object) scheme {
	tokens := []gatehouse.Scheme{gatehouse.SchemeJWT, gatehouse.SchemeOpaque}
	kind, _ := def["type"].(string)
	name, _ := def["name"].(string)
	in, _ := def["in"].(string)
	switch {
	case kind == "oauth2" || kind == "openIdConnect":
		return scheme{accepts: tokens, place: placeBearer}
	case kind == "apiKey" && in == "header" && strings.EqualFold(name, authn.FieldAuthorization):
		// So say documents of Swagger 2, which has no scheme for bearer tokens.
		return bearer(def)
	case kind == "apiKey" && in == "header" && name != "":
		s := scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeAPIKey}, place: http.CanonicalHeaderKey(name)}
		if s.place != authn.FieldAPIKey {
			s.field = s.place
		}
		return s
	case kind == "apiKey" && in == "query":
		return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeAPIKey}, place: "?" + name,
			note: "stands in the URL, where credentials are refused; callers send it as X-API-Key"}
	case kind == "apiKey":
		return scheme{why: fmt.Errorf("is in %q, and no credential here is carried there", in)}
	case kind == "http":
		name, _ := def["scheme"].(string)
		switch strings.ToLower(name) {
		case "basic":
			return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeBasic}, place: placeBasic}
		case "bearer":
			return bearer(def)
		}
		return scheme{why: fmt.Errorf("is HTTP's %q, which is not spoken here", name)}
	}
	return scheme{why: fmt.Errorf("is of type %q, which no credential here takes the place of", kind)}
}

// bearer is a scheme of RFC 6750. API keys are presented so too, unless the
// document says that it means signed tokens.
func bearer(def object) scheme {
	format, _ := def["bearerFormat"].(string)
	if strings.EqualFold(format, "jwt") {
		return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeJWT}, place: placeBearer}
	}
	return scheme{accepts: []gatehouse.Scheme{gatehouse.SchemeAPIKey, gatehouse.SchemeJWT, gatehouse.SchemeOpaque}, place: placeBearer}
}

// security puts the requirement of an operation into its route.
func (r *reader) security(operation string, route *enforce.Route, op object) error {
	listed, own := op["security"]
	said := own
	if !own {
		listed, said = r.doc["security"]
	}
	if !said {
		return nil
	}
	list, ok := listed.([]any)
	if !ok {
		return errors.New("security is not a list")
	}
	if own && len(list) == 0 {
		route.Anonymous, route.Authenticated = true, false
		return nil
	}
	var ways []enforce.Requirement
	var dropped []error
	optional := false
	for _, v := range list {
		alternative, ok := v.(object)
		if !ok {
			return errors.New("a security requirement is not a mapping")
		}
		if len(alternative) == 0 {
			optional = true
			continue
		}
		way, err := r.requirement(alternative, route)
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
	if own && optional {
		route.Anonymous, route.Authenticated = true, false
		return nil
	}
	if len(dropped) > 0 {
		if len(ways) == 0 {
			return errors.Join(dropped...)
		}
		r.note(operation, "an alternative of its security is left out: %v", errors.Join(dropped...))
	}
	switch len(ways) {
	case 0: // document-wide, an empty requirement opens nothing
	case 1:
		route.Schemes, route.Scopes = ways[0].Schemes, ways[0].Scopes
	default:
		route.AnyOf = ways
	}
	return nil
}

// requirement reads one alternative. All of its schemes must be met by the one
// credential that a request may present; route learns where that may stand.
func (r *reader) requirement(alternative object, route *enforce.Route) (enforce.Requirement, error) {
	var way enforce.Requirement
	names := slices.Sorted(maps.Keys(alternative))
	var first scheme
	for i, name := range names {
		s, ok := r.schemes[name]
		if !ok {
			return way, fmt.Errorf("security scheme %q is not defined", name)
		}
		if s.why != nil {
			return way, fmt.Errorf("security scheme %q %w", name, s.why)
		}
		if i == 0 {
			first, way.Schemes = s, slices.Clone(s.accepts)
		}
		way.Schemes = slices.DeleteFunc(way.Schemes, func(k gatehouse.Scheme) bool { return !slices.Contains(s.accepts, k) })
		if s.place != first.place || len(way.Schemes) == 0 {
			return way, fmt.Errorf("%s at once are two credentials, and a request has one", strings.Join(names, " and "))
		}
		scopes, ok := texts(alternative[name])
		if !ok {
			return way, fmt.Errorf("security scheme %q: its scopes are not a list of names; [] is none", name)
		}
		if len(scopes) > 0 && s.place == placeBasic {
			// A password is the user's own and stands for every scope: it would ask for nothing.
			return way, fmt.Errorf("security scheme %q asks for %s, and a password has no scopes; roles of x-gatehouse may be meant", name, strings.Join(scopes, ", "))
		}
		way.Scopes = append(way.Scopes, scopes...)
	}
	slices.Sort(way.Scopes)
	way.Scopes = slices.Compact(way.Scopes)
	if first.field != "" && !slices.Contains(route.Credentials, first.field) {
		if route.Credentials == nil {
			route.Credentials = []string{authn.FieldAuthorization, authn.FieldAPIKey}
		}
		route.Credentials = append(route.Credentials, first.field)
	}
	if first.note != "" {
		r.noteOnce(fmt.Sprintf("security scheme %q", names[0]), first.note)
	}
	return way, nil
}

// addScope adds a scope to the catalogue. What no realm takes as a name is left out.
func (r *reader) addScope(name, meaning string) {
	if name == "" || len(name) > maxScope || name == gatehouse.ScopeAll || strings.HasPrefix(name, "admin:") {
		return
	}
	for _, c := range []byte(name) { // scope-token of RFC 6749 §3.3
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return
		}
	}
	meaning = strings.Join(strings.Fields(meaning), " ")
	if len(meaning) > maxMeaning || strings.ContainsFunc(meaning, unicode.IsControl) {
		meaning = ""
	}
	if r.api.Scopes[name] == "" {
		r.api.Scopes[name] = meaning
	}
}
