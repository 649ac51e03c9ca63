package openapi

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// extend applies one x-gatehouse extension. Its members are those of a route in
// gatehouse.yaml, and type, id, source, fetch, attributes and entities those of its
// resource. One that is not known is an error: a slip must not be a missing rule.
func extend(r *enforce.Route, ext object) error {
	resource := func() *enforce.ResourceRule {
		if r.Resource == nil {
			r.Resource = &enforce.ResourceRule{}
		}
		return r.Resource
	}
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		v := ext[name]
		text, isText := v.(string)
		flag, isFlag := v.(bool)
		list, isList := texts(v)
		ok := true
		switch name {
		case "public":
			if ok = isFlag; ok && flag {
				r.Anonymous, r.Authenticated, r.Schemes, r.Scopes, r.AnyOf = true, false, nil, nil, nil
			} else if ok {
				r.Anonymous, r.Authenticated = false, true
			}
		case "hide_existence":
			r.HideExistence, ok = flag, isFlag
		case "encoded_slashes":
			r.EncodedSlashes, ok = flag, isFlag
		case "scopes":
			// They take the place of the document's; the schemes stay.
			r.Schemes, r.AnyOf = schemesOf(r), nil
			r.Scopes, ok = list, isList
		case "schemes":
			r.AnyOf, ok = nil, isList
			r.Schemes = nil
			for _, s := range list {
				r.Schemes = append(r.Schemes, gatehouse.Scheme(s))
			}
		case "any_of":
			r.Schemes, r.Scopes = nil, nil
			r.AnyOf, ok = requirements(v)
		case "roles":
			r.Roles, ok = list, isList
		case "action":
			r.Action, ok = text, isText
		case "type":
			resource().Type, ok = text, isText
		case "id":
			resource().ID, ok = text, isText
		case "fetch":
			resource().Fetch, ok = text, isText
		case "source":
			resource().Source, ok = text, isText && slices.Contains([]string{"upstream", "body", "stored"}, text)
		case "attributes":
			resource().Attributes, ok = textMap(v)
		case "entities":
			resource().Entities, ok = textMap(v)
		default:
			return fmt.Errorf("%q is not known", name)
		}
		if !ok {
			return fmt.Errorf("%q has a value of the wrong kind", name)
		}
	}
	return nil
}

// schemesOf returns the schemes by which a route can be called; empty is all.
func schemesOf(r *enforce.Route) []gatehouse.Scheme {
	out := slices.Clone(r.Schemes)
	for _, a := range r.AnyOf {
		if len(a.Schemes) == 0 {
			return r.Schemes
		}
		for _, s := range a.Schemes {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func requirements(v any) ([]enforce.Requirement, bool) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	var out []enforce.Requirement
	for _, e := range list {
		o, ok := e.(object)
		if !ok {
			return nil, false
		}
		var one enforce.Requirement
		for name, member := range o {
			names, ok := texts(member)
			switch {
			case !ok:
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
