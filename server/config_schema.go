package server

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// written is what a Duration looks like in a file.
type written string

// Schema shows editors the form.
func (written) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"15m", "24h"}}
}

// ConfigSchema returns the JSON Schema of gatehouse.yaml, for editors.
func ConfigSchema() ([]byte, error) {
	registry := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[Duration](), reflect.TypeFor[written]())
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
