package server

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Schema lets Duration appear as the string it is written as.
func (Duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"15m", "24h"}}
}

// ConfigSchema returns the JSON Schema of gatehouse.yaml, for editors.
func ConfigSchema() ([]byte, error) {
	registry := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	root := registry.Schema(reflect.TypeFor[Config](), true, "Config")
	defs := map[string]any{}
	for name, s := range registry.Map() {
		defs[name] = s
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "gatehouse.yaml",
		"$ref":    root.Ref,
		"$defs":   defs,
	}, "", "  ")
}
