package gateway_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
)

func TestOpenAPIOfTheExample(t *testing.T) {
	doc, err := os.ReadFile("../examples/documents/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := gateway.OpenAPIRoutes(doc, gateway.OpenAPIOptions{Upstream: "documents", Realm: "main"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	open := []string{}
	for _, r := range got {
		mux.Handle(r.Pattern, http.NotFoundHandler()) // panics when two conflict
		if r.Upstream != "documents" || r.Realm != "main" || r.Anonymous == r.Authenticated {
			t.Errorf("%+v", r)
		}
		if r.Anonymous {
			open = append(open, r.Pattern)
		}
	}
	if len(got) != 7 || len(open) != 1 || open[0] != "GET /public" {
		t.Errorf("%d routes, open: %q", len(got), open)
	}
}

func TestOpenAPIRoutes(t *testing.T) {
	const head = "openapi: 3.0.3\nservers: [{url: 'https://x.example/v1/'}]\nsecurity: [{a: [s1, s2]}, {b: [s2, s3]}]\npaths:\n"
	for _, c := range []struct {
		name, doc string
		want      []enforce.Route
	}{
		{"common scopes and base path", head + "  /things/{thing-id}:\n    get: {operationId: one}\n", []enforce.Route{
			{ID: "one", Pattern: "GET /v1/things/{thing_id}", Authenticated: true, Scopes: []string{"s2"}}}},
		{"content types", head + "  /a/:\n    post:\n      security: [{a: [w]}]\n      requestBody: {content: {text/csv: {}, application/json: {}}}\n", []enforce.Route{
			{ID: "POST /v1/a/{$}", Pattern: "POST /v1/a/{$}", Authenticated: true, Scopes: []string{"w"}, ContentTypes: []string{"application/json", "text/csv"}}}},
		{"optional security", head + "  /a:\n    get: {security: [{a: [s]}, {}]}\n", []enforce.Route{
			{ID: "GET /v1/a", Pattern: "GET /v1/a", Anonymous: true}}},
		{"document-wide empty security opens nothing", "openapi: 3.1.0\nsecurity: []\npaths: {/a: {get: {}}}\n", []enforce.Route{
			{ID: "GET /a", Pattern: "GET /a", Authenticated: true}}},
		{"extension", head + "  /d/{id}:\n    x-gatehouse: {type: Document, id: '{id}', fetch: '/d/{id}', hide_existence: true}\n    get: {x-gatehouse: {action: read, scopes: ['d:read']}}\n    delete: {x-gatehouse: {roles: [admin]}}\n", []enforce.Route{
			{ID: "GET /v1/d/{id}", Pattern: "GET /v1/d/{id}", Authenticated: true, Scopes: []string{"d:read"}, Action: "read", HideExistence: true,
				Resource: &enforce.ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/d/{id}"}},
			{ID: "DELETE /v1/d/{id}", Pattern: "DELETE /v1/d/{id}", Authenticated: true, Scopes: []string{"s2"}, Roles: []string{"admin"}, HideExistence: true,
				Resource: &enforce.ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/d/{id}"}}}},
		{"JSON", `{"openapi":"3.1.0","paths":{"/a":{"get":{"security":[]},"put":{"x-gatehouse":{"public":true}}}}}`, []enforce.Route{
			{ID: "GET /a", Pattern: "GET /a", Anonymous: true}, {ID: "PUT /a", Pattern: "PUT /a", Anonymous: true}}},
	} {
		got, err := gateway.OpenAPIRoutes([]byte(c.doc), gateway.OpenAPIOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestOpenAPIRefuses(t *testing.T) {
	path := func(s string) string { return "openapi: 3.1.0\npaths:\n  " + s + "\n" }
	bomb := "openapi: 3.1.0\na: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\npaths: {/a: {get: {}}}\n"
	for name, doc := range map[string]string{
		"empty":            "",
		"no paths":         "openapi: 3.1.0\n",
		"Swagger 2":        "swagger: '2.0'\npaths: {/a: {get: {}}}\n",
		"version 3.2":      "openapi: 3.2.0\npaths: {/a: {get: {}}}\n",
		"two documents":    path("/a: {get: {}}") + "---\n" + path("/b: {get: {}}"),
		"duplicate path":   path("/a: {get: {}}\n  /a: {post: {}}"),
		"duplicate JSON":   `{"openapi":"3.1.0","paths":{"/a":{"get":{}},"/a":{"put":{}}}}`,
		"aliases":          bomb,
		"deep":             "openapi: 3.1.0\nx: " + strings.Repeat("[", 100_000) + "\n",
		"deep sequences":   "openapi: 3.1.0\nx:\n " + strings.Repeat("- ", 100_000) + "\n",
		"mixed segment":    path("/a/{id}.json: {get: {}}"),
		"brace":            path("/a/{id: {get: {}}"),
		"relative":         path("a: {get: {}}"),
		"path reference":   path("/a: {$ref: 'other.yaml'}"),
		"unknown member":   path("/a: {get: {x-gatehouse: {publik: true}}}"),
		"wrong kind":       path("/a: {get: {x-gatehouse: {public: 'yes'}}}"),
		"public and roles": path("/a: {get: {x-gatehouse: {public: true, roles: [x]}}}"),
		"unknown source":   path("/a: {get: {x-gatehouse: {source: guess}}}"),
		"too large":        path("/a: {get: {}}") + strings.Repeat("#", 9<<20),
	} {
		if got, err := gateway.OpenAPIRoutes([]byte(doc), gateway.OpenAPIOptions{}); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}
