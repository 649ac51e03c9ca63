package config

import (
	"encoding/json"
	"reflect"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// Schema returns the JSON Schema of gatehouse.yaml (draft 2020-12), for editors.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[Config](), key{})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "gatehouse.yaml"
	return json.MarshalIndent(root, "", "  ")
}

// schemaOf describes the values of a key.
func schemaOf(t reflect.Type, k key) map[string]any {
	out := map[string]any{}
	switch shapeOf(t) {
	case shapeGroup:
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		properties, required := map[string]any{}, []string{}
		for _, k := range keysOf(t) {
			p := schemaOf(t.FieldByIndex(k.index).Type, k)
			p["description"] = k.doc()
			properties[k.name] = p
			if k.required() {
				required = append(required, k.name)
			}
		}
		out["type"], out["properties"], out["additionalProperties"] = "object", properties, false
		if len(required) > 0 {
			out["required"] = required
		}
	case shapeList:
		out["type"], out["items"] = "array", schemaOf(t.Elem(), k)
	case shapeMap:
		out["type"], out["additionalProperties"] = "object", schemaOf(t.Elem(), k)
	case shapeNumber:
		out["type"] = "integer"
		k.bounds(out)
	case shapeBool:
		out["type"] = "boolean"
	case shapeDuration:
		out["type"], out["pattern"], out["examples"] = "string", duration.Pattern, []string{"15m", "24h", "90d"}
	case shapeWritten:
		out["type"], out["examples"] = "string", []string{"100/1m", "5/s"}
	case shapeText:
		out["type"] = "string"
		if e := k.enum(); e != nil {
			out["enum"] = e
		}
		if p := k.tag.Get("pattern"); p != "" {
			out["pattern"] = p
		}
	case shapeAny:
		out["type"] = []string{"string", "integer", "boolean"}
	}
	if d := k.tag.Get("default"); d != "" && out["type"] != "array" && out["type"] != "object" {
		out["default"] = d
		if out["type"] == "integer" {
			out["default"] = json.Number(d)
		}
	}
	return out
}

func (k key) bounds(out map[string]any) {
	for _, tag := range []string{"minimum", "maximum"} {
		if b := k.tag.Get(tag); b != "" {
			out[tag] = json.Number(b)
		}
	}
}

// doc is what the key does, without the marks of code.
func (k key) doc() string { return quoted.ReplaceAllString(k.tag.Get("doc"), "$1$2") }
