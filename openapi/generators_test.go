package openapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/openapi"
)

// The documents in testdata are small, and written as the generators write theirs.
func TestDocumentsOfGenerators(t *testing.T) {
	for file, want := range map[string][]string{
		// FastAPI 0.11x: OpenAPI 3.1 in JSON; scopes under OAuth2PasswordBearer and HTTPBearer.
		"fastapi.json": {
			"GET /items/{item_id}: jwt opaque [items:read]",
			"PUT /items/{item_id}: jwt opaque [items:write] takes application/json",
			"POST /token: anybody takes application/x-www-form-urlencoded",
			"POST /uploads: api_key jwt opaque [] takes multipart/form-data",
		},
		// springdoc 2: YAML, bearerFormat JWT document-wide, one server with a path.
		"springdoc.yaml": {
			"GET /api/actuator/health: anybody",
			"GET /api/owners: jwt []",
			"POST /api/owners: jwt [] takes application/json",
			"GET /api/owners/{ownerId}/pets/{petId}.json: jwt []",
			"POST /api/owners/{ownerId}:archive: jwt []",
		},
		// NSwag 14: 3.0 in JSON; the token as an API key in Authorization; text/json beside.
		"nswag.json": {
			"GET /api/Todo: api_key jwt opaque []",
			"POST /api/Todo: api_key jwt opaque [] takes application/*+json application/json text/json",
			"DELETE /api/Todo/{id}: api_key jwt opaque [] | api_key [] in Authorization X-Api-Key X-Service-Key",
		},
		// Written by hand: anchors, path items behind references, servers of a path.
		"byhand.yaml": {
			"GET /v2/reports: jwt opaque [reports:read] | basic []",
			"GET /v1/users: jwt opaque [users:read]",
			"GET /v1/users/{id}: jwt opaque [users:read]",
			"QUERY /v1/users/{id}: jwt opaque [users:read]",
		},
	} {
		doc, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		api, err := openapi.Read(doc, openapi.Options{})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []string
		for _, r := range api.Routes {
			var ways []string
			for _, w := range append(r.AnyOf, requirementOf(r)...) {
				var schemes []string
				for _, s := range w.Schemes {
					schemes = append(schemes, string(s))
				}
				ways = append(ways, strings.Join(schemes, " ")+" ["+strings.Join(w.Scopes, " ")+"]")
			}
			line := r.Pattern + ": " + strings.Join(ways, " | ")
			if r.Anonymous {
				line = r.Pattern + ": anybody"
			}
			if len(r.Credentials) > 0 {
				line += " in " + strings.Join(r.Credentials, " ")
			}
			if len(r.ContentTypes) > 0 {
				line += " takes " + strings.Join(r.ContentTypes, " ")
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(api.Notes) > 0 {
			t.Errorf("%s: %s\nnotes %q", file, diff, api.Notes)
		}
	}
}

// requirementOf is what a route without alternatives asks for.
func requirementOf(r enforce.Route) []enforce.Requirement {
	if len(r.AnyOf) > 0 {
		return nil
	}
	return []enforce.Requirement{{Schemes: r.Schemes, Scopes: r.Scopes}}
}
