package adminhttp

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

func (a *API) config() huma.Config {
	version := a.c.Version
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Servers: []*huma.Server{{URL: "/", Description: "The server that this document comes from"}},
			Info: &huma.Info{Title: "Gatehouse management API", Version: version, License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
				Description: "Everything that the commands and the console can do. Lists are paged with `after` and `limit`; errors are problem documents with a stable `code`."},
			Components: &huma.Components{
				Schemas: schemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"basic":  {Type: "http", Scheme: "basic", Description: "Username and password (RFC 7617)"},
					"bearer": {Type: "http", Scheme: "bearer", Description: "Access token or API key (RFC 6750)"},
					"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "API key"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format(), "json": format()},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.asProblem},
	}
}

// schemas makes the registry of the document's schemas.
func schemas() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", schemaName)
	r.RegisterTypeAlias(reflect.TypeFor[kernel.Duration](), reflect.TypeFor[durationSchema]())
	return r
}

// durationSchema describes [kernel.Duration] in the document.
type durationSchema string

func (durationSchema) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Pattern: duration.Pattern, PatternDescription: "a duration", MaxLength: new(32), Examples: []any{"10m", "720h", "90d"}}
	s.PrecomputeMessages()
	return s
}

// schemaName keeps types of one name apart.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	base := t
	for base.Kind() == reflect.Pointer || base.Kind() == reflect.Slice {
		base = base.Elem()
	}
	switch {
	case strings.HasSuffix(base.PkgPath(), "/audit"):
		return "Audit" + name
	case name == "Schema": // generated clients have a Schema of their own
		return "PolicySchema"
	}
	return name
}

// tidy makes of the router's schemas what the API keeps to and every reader of the
// document knows. It comes before the first request, which is judged by them.
func (a *API) tidy() {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	for name, s := range schemas {
		patch := strings.HasSuffix(name, "Patch")
		for _, p := range s.Properties {
			if !patch { // null takes a value away (RFC 7396)
				p.Nullable = false // lists are written [] when empty, never null
			}
			p.PatternDescription = "" // is in the messages, and no word of JSON Schema
			for _, inner := range p.Properties {
				inner.PatternDescription = ""
			}
		}
	}
	delete(schemas, "ErrorModel") // the router's own error form, which is never sent
	delete(schemas, "ErrorDetail")
}

// document renders the OpenAPI document.
func (a *API) document() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

// serveDocument serves the OpenAPI document, rendered when it is first asked for.
func (a *API) serveDocument(mux *http.ServeMux) {
	document := sync.OnceValues(a.document)
	a.methods[Prefix+"/openapi.json"] = []string{http.MethodGet}
	mux.Handle("GET "+Prefix+"/openapi.json", a.c.Problems.Handler(func(w http.ResponseWriter, _ *http.Request) error {
		body, err := document()
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, err = w.Write(body)
		return err
	}))
}
