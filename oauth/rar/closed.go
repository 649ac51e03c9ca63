package rar

import (
	"slices"
	"strconv"
)

// open finds a place of a schema that admits an object with members that nobody named, as a JSON pointer in the form of a fragment; "" for
// none. A detail says what is allowed: what an API does not know of it, it must refuse (RFC 9396 §5), at every depth.
func open(schema any) string { return openAt(schema, "#") }

func openAt(schema any, at string) string {
	s, isObject := schema.(map[string]any)
	switch {
	case schema == false: // nothing is admitted
		return ""
	case !isObject:
		return at
	}
	for _, kept := range []string{"$defs", "definitions"} {
		if found := openIn(s[kept], at+"/"+kept); found != "" {
			return found
		}
	}
	if s["enum"] != nil || s["const"] != nil || s["$ref"] != nil { // the last is one of those that are kept, or the schema itself
		return ""
	}
	types := typesOf(s["type"])
	if len(types) == 0 {
		return openChoice(s, at)
	}
	if slices.Contains(types, "object") {
		if s["additionalProperties"] != false && s["unevaluatedProperties"] != false {
			return at
		}
		for _, named := range []string{"properties", "patternProperties"} {
			if found := openIn(s[named], at+"/"+named); found != "" {
				return found
			}
		}
	}
	if slices.Contains(types, "array") {
		if s["items"] == nil {
			return at
		}
		for i, first := range list(s["prefixItems"]) {
			if found := openAt(first, at+"/prefixItems/"+strconv.Itoa(i)); found != "" {
				return found
			}
		}
		return openAt(s["items"], at+"/items")
	}
	return ""
}

// openChoice is for a schema without a type: one of others, of which each is closed.
func openChoice(s map[string]any, at string) string {
	for _, word := range []string{"oneOf", "anyOf"} {
		choices := list(s[word])
		for i, c := range choices {
			if found := openAt(c, at+"/"+word+"/"+strconv.Itoa(i)); found != "" {
				return found
			}
		}
		if len(choices) > 0 {
			return ""
		}
	}
	return at
}

func openIn(schemas any, at string) string {
	named, _ := schemas.(map[string]any)
	for name, s := range named {
		if found := openAt(s, at+"/"+name); found != "" {
			return found
		}
	}
	return ""
}

func typesOf(v any) (out []string) {
	if one, ok := v.(string); ok {
		return []string{one}
	}
	for _, t := range list(v) {
		name, _ := t.(string)
		out = append(out, name)
	}
	return out
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
