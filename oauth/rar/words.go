package rar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// Words is a detail as people are shown it: what its type allows, and each member.
type Words struct {
	Type, Description string
	Members           []Member
}

// Member is one of a detail; that of an object in it is named by both ("limit.amount").
type Member struct{ Name, Value string }

// Tell puts details that were read into words.
func Tell(types []gatehouse.DetailType, details gatehouse.Details) (out []Words) {
	for _, text := range details {
		m, err := object(jsontext.Value(text))
		if err != nil { // none that was read
			continue
		}
		w := Words{}
		w.Type, _ = m["type"].(string)
		delete(m, "type")
		if t, ok := typeOf(types, w.Type); ok {
			w.Description = t.Description
		}
		w.Members = told("", m)
		out = append(out, w)
	}
	return out
}

func told(at string, m map[string]any) (out []Member) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		switch v := m[name].(type) {
		case map[string]any:
			out = append(out, told(at+name+".", v)...)
		case []any:
			var parts []string
			for _, x := range v {
				parts = append(parts, plain(x))
			}
			out = append(out, Member{at + name, strings.Join(parts, ", ")})
		default:
			out = append(out, Member{at + name, plain(v)})
		}
	}
	return out
}

// plain is a value as text.
func plain(v any) string {
	switch v.(type) {
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return fmt.Sprint(v)
}
