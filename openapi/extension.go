package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// extension is what x-gatehouse says of one operation: the members of its path, and
// over them its own.
type extension struct {
	members object
	own     object
}

// extensionOf reads x-gatehouse of a path and of one of its operations.
func extensionOf(item, op object) (extension, error) {
	ext := extension{members: object{}}
	for _, holder := range []object{item, op} {
		said, there := holder["x-gatehouse"]
		if !there {
			continue
		}
		members, ok := said.(object)
		if !ok {
			return ext, errors.New("is not a mapping")
		}
		maps.Copy(ext.members, members)
	}
	ext.own, _ = op["x-gatehouse"].(object)
	return ext, ext.contradiction()
}

// contradiction refuses members of which one would silently take the other's effect:
// who wrote both meant both.
func (e extension) contradiction() error {
	if e.true("closed") {
		beside := e.members
		if _, own := e.own["closed"]; own {
			beside = e.own // an operation of a path that describes more can be closed
		}
		if len(beside) > 1 {
			return errors.New("closed: true stands alone")
		}
		return nil
	}
	for _, pair := range [][2]string{{"any_of", "schemes"}, {"any_of", "scopes"}, {"any_of", "public"}} {
		if e.has(pair[0]) && e.has(pair[1]) && (pair[1] != "public" || e.true("public")) {
			return fmt.Errorf("%s and %s contradict each other", pair[0], pair[1])
		}
	}
	return nil
}

func (e extension) has(name string) bool { _, ok := e.members[name]; return ok }

func (e extension) true(name string) bool { return e.members[name] == true }

// replacesSecurity reports whether the document's own security need not be read.
func (e extension) replacesSecurity() bool {
	return e.true("closed") || e.true("public") || e.has("any_of") || e.has("schemes") && e.has("scopes")
}

// resourceMembers describe the resource of an action.
var resourceMembers = []string{"type", "id", "source", "fetch", "attributes", "entities", "hide_existence"}

// apply puts the extension into a route. Its members are those of a route in
// gatehouse.yaml, and those of its resource. One that is not known is an error: a
// slip must not be a missing rule.
func (e extension) apply(r *enforce.Route) error {
	if e.true("closed") {
		*r = closedRoute(*r)
		return nil
	}
	if e.replacesSecurity() {
		r.Anonymous, r.Authenticated = e.true("public"), !e.true("public")
	}
	for _, name := range slices.Sorted(maps.Keys(e.members)) {
		known, err := applyAccess(r, name, e.members[name])
		if !known && err == nil {
			known, err = applyLimits(r, name, e.members[name])
		}
		if !known && err == nil {
			known, err = applyResource(r, name, e.members[name])
		}
		switch {
		case err != nil:
			return fmt.Errorf("%q: %w", name, err)
		case !known:
			return fmt.Errorf("%q is not known", name)
		}
	}
	if r.Resource != nil && r.Resource.Source == "" && r.Resource.Fetch != "" {
		r.Resource.Source = "upstream"
	}
	return nil
}

var errKind = errors.New("has a value of the wrong kind")

// into assigns v to to when it is of its kind.
func into[T any](to *T, v any, ok bool) error {
	value, is := v.(T)
	if !is || !ok {
		return errKind
	}
	*to = value
	return nil
}

// applyAccess applies the members that say who may call.
func applyAccess(r *enforce.Route, name string, v any) (known bool, err error) {
	list, isList := texts(v)
	switch name {
	case "closed": // false, or it would not be asked
		var closed bool
		return true, into(&closed, v, true)
	case "public":
		var public bool
		err := into(&public, v, true)
		r.Anonymous, r.Authenticated = public && err == nil, !public
		return true, err
	case "scopes": // in place of the document's; its schemes stay
		r.Schemes, r.AnyOf = schemesOf(r), nil
		return true, into(&r.Scopes, any(list), isList)
	case "schemes": // in place of the document's; its scopes stay
		if !isList || len(list) == 0 {
			return true, errKind
		}
		var schemes []gatehouse.Scheme
		for _, s := range list {
			schemes = append(schemes, gatehouse.Scheme(s))
		}
		return true, setSchemes(r, schemes)
	case "any_of":
		r.Schemes, r.Scopes = nil, nil
		ways, ok := requirements(v)
		return true, into(&r.AnyOf, any(ways), ok)
	case "credentials":
		return true, into(&r.Credentials, any(list), isList && len(list) > 0)
	case "query_names":
		return true, into(&r.QueryNames, any(list), isList)
	case "roles":
		return true, into(&r.Roles, any(list), isList)
	case "action":
		return true, into(&r.Action, v, true)
	}
	return false, nil
}

// setSchemes narrows what a route accepts. Alternatives that ask for other kinds of
// credentials go; were none left, the scopes that they ask for would go with them.
func setSchemes(r *enforce.Route, schemes []gatehouse.Scheme) error {
	if len(r.AnyOf) == 0 {
		r.Schemes = schemes
		return nil
	}
	var left []enforce.Requirement
	for _, way := range r.AnyOf {
		accepted := slices.DeleteFunc(slices.Clone(schemes), func(s gatehouse.Scheme) bool { return !slices.Contains(way.Schemes, s) })
		if len(accepted) > 0 {
			left = append(left, enforce.Requirement{Schemes: accepted, Scopes: way.Scopes})
		}
	}
	if len(left) == 0 {
		return errors.New("is of no alternative of the document's security; write any_of")
	}
	r.AnyOf = left
	return nil
}

// schemesOf returns the schemes by which a route can be called; empty is all.
func schemesOf(r *enforce.Route) []gatehouse.Scheme {
	out := slices.Clone(r.Schemes)
	for _, way := range r.AnyOf {
		for _, s := range way.Schemes {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// applyLimits applies the bounds that are told by text.
func applyLimits(r *enforce.Route, name string, v any) (known bool, err error) {
	text, isText := v.(string)
	switch name {
	case "encoded_slashes":
		return true, into(&r.EncodedSlashes, v, true)
	case "rate_address", "rate_principal":
		rate := &r.RateAddress
		if name == "rate_principal" {
			rate = &r.RatePrincipal
		}
		if !isText {
			return true, errKind
		}
		return true, rate.UnmarshalText([]byte(text))
	}
	return false, nil
}

// applyResource applies the members that say what the action is done to.
func applyResource(r *enforce.Route, name string, v any) (known bool, err error) {
	if !slices.Contains(resourceMembers, name) {
		return false, nil
	}
	if name == "hide_existence" {
		return true, into(&r.HideExistence, v, true)
	}
	if r.Resource == nil {
		r.Resource = &enforce.ResourceRule{}
	}
	switch name {
	case "type":
		err = into(&r.Resource.Type, v, true)
	case "id":
		err = into(&r.Resource.ID, v, true)
	case "fetch":
		err = into(&r.Resource.Fetch, v, true)
	case "source":
		text, _ := v.(string)
		err = into(&r.Resource.Source, v, slices.Contains([]string{"upstream", "body", "stored"}, text))
	case "attributes":
		m, ok := textMap(v)
		err = into(&r.Resource.Attributes, any(m), ok)
	case "entities":
		m, ok := textMap(v)
		err = into(&r.Resource.Entities, any(m), ok)
	}
	return true, err
}

// describesResource reports whether one of members describes a resource.
func describesResource(members object) bool {
	return slices.ContainsFunc(resourceMembers, func(name string) bool { _, ok := members[name]; return ok })
}

// requirements reads the alternatives of any_of.
func requirements(v any) ([]enforce.Requirement, bool) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	var out []enforce.Requirement
	for _, e := range list {
		alternative, ok := e.(object)
		if !ok || len(alternative) == 0 { // it would ask for nothing, and so make the others vain
			return nil, false
		}
		var one enforce.Requirement
		for name, member := range alternative {
			names, ok := texts(member)
			switch {
			case !ok || len(names) == 0:
				return nil, false
			case name == "scopes":
				one.Scopes = names
			case name == "schemes":
				for _, s := range names {
					one.Schemes = append(one.Schemes, gatehouse.Scheme(s))
				}
			default:
				return nil, false
			}
		}
		out = append(out, one)
	}
	return out, true
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

func textMap(v any) (map[string]string, bool) {
	o, ok := v.(object)
	if !ok {
		return nil, false
	}
	out := make(map[string]string, len(o))
	for k, member := range o {
		if out[k], ok = member.(string); !ok {
			return nil, false
		}
	}
	return out, true
}
