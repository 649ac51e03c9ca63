package openapi_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/openapi"
)

func TestExample(t *testing.T) {
	doc, err := os.ReadFile("../examples/documents/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := openapi.Read(doc, openapi.Options{Upstream: "documents", Realm: "main"})
	if err != nil {
		t.Fatal(err)
	}
	if err := enforce.CheckRoutes(got.Routes); err != nil {
		t.Error(err)
	}
	if w := enforce.Warnings(got.Routes); len(w) > 0 {
		t.Errorf("a generated configuration has a weak fallback: %q", w)
	}
	open, typed := []string{}, 0
	for _, r := range got.Routes {
		if r.Upstream != "documents" || r.Realm != "main" || r.Anonymous == r.Authenticated {
			t.Errorf("%+v", r)
		}
		if r.Anonymous {
			open = append(open, r.Pattern)
		}
		if len(r.ContentTypes) > 0 {
			typed++
		}
	}
	if len(got.Routes) != 7 || len(open) != 1 || open[0] != "GET /public" || len(got.Notes) > 0 || typed < 2 {
		t.Errorf("%d routes, %d with content types, open: %q, notes %q", len(got.Routes), typed, open, got.Notes)
	}
}

const (
	head = `openapi: 3.0.3
servers: [{url: 'https://x.example/v1/'}]
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {read: Read, write: Write, users:read: Read users}}}}
    key: {type: apiKey, in: header, name: X-API-Key}
    basic: {type: http, scheme: basic}
    bearer: {type: http, scheme: Bearer}
    signed: {type: http, scheme: bearer, bearerFormat: JWT}
    old: {type: apiKey, in: header, name: Authorization}
    tenant: {type: apiKey, in: header, name: X-Tenant-Key}
    query: {type: apiKey, in: query, name: api_key}
    forwarded: {type: apiKey, in: header, name: Forwarded}
    digest: {type: http, scheme: digest}
    cookie: {type: apiKey, in: cookie, name: sid}
    tls: {type: mutualTLS}
    alias: {$ref: '#/components/securitySchemes/oauth'}
`
	secured = head + "security: [{oauth: [read]}]\npaths:\n"
)

var (
	tokens  = []gatehouse.Scheme{"jwt", "opaque"}
	bearers = []gatehouse.Scheme{"api_key", "jwt", "opaque"}
	signed  = []gatehouse.Scheme{"jwt"}
	keys    = []gatehouse.Scheme{"api_key"}
	basic   = []gatehouse.Scheme{"basic"}
)

func TestRead(t *testing.T) {
	one := func(pattern string) enforce.Route {
		return enforce.Route{ID: pattern, Pattern: pattern, Authenticated: true, Schemes: tokens, Scopes: []string{"read"}}
	}
	with := func(r enforce.Route, change func(*enforce.Route)) enforce.Route { change(&r); return r }
	ways := func(w ...enforce.Requirement) func(*enforce.Route) {
		return func(r *enforce.Route) { r.Schemes, r.Scopes, r.AnyOf = nil, nil, w }
	}
	for _, c := range []struct {
		name, doc string
		want      []enforce.Route
	}{
		{"parameters and base path", secured + "  /things/{thing-id}:\n    get: {operationId: one}\n", []enforce.Route{
			with(one("GET /v1/things/{thing_id}"), func(r *enforce.Route) { r.ID = "one" })}},
		{"content types", secured + "  /a/:\n    post:\n      security: [{oauth: [write]}]\n      requestBody: {content: {text/csv: {}, 'application/json; charset=utf-8': {}}}\n", []enforce.Route{
			with(one("POST /v1/a/{$}"), func(r *enforce.Route) {
				r.Scopes, r.ContentTypes = []string{"write"}, []string{"application/json", "text/csv"}
			})}},
		{"referenced body", secured + "  /a: {put: {requestBody: {$ref: '#/x-bodies/a~1b'}}}\nx-bodies: {a/b: {content: {text/csv: {}}}}\n", []enforce.Route{
			with(one("PUT /v1/a"), func(r *enforce.Route) { r.ContentTypes = []string{"text/csv"} })}},
		{"one of two scopes", secured + "  /a: {get: {security: [{oauth: [read]}, {oauth: [write]}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), ways(enforce.Requirement{Schemes: tokens, Scopes: []string{"read"}}, enforce.Requirement{Schemes: tokens, Scopes: []string{"write"}}))}},
		{"a scope or a key", secured + "  /a: {get: {security: [{oauth: [users:read]}, {key: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), ways(enforce.Requirement{Schemes: tokens, Scopes: []string{"users:read"}}, enforce.Requirement{Schemes: keys}))}},
		{"basic alone", secured + "  /a: {get: {security: [{basic: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = basic, nil })}},
		{"bearer", secured + "  /a: {get: {security: [{bearer: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = bearers, nil })}},
		{"signed tokens", secured + "  /a: {get: {security: [{signed: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = signed, nil })}},
		{"a bearer token as Swagger 2 says it", secured + "  /a: {get: {security: [{old: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = bearers, nil })}},
		{"a key in a line of its own", secured + "  /a: {get: {security: [{tenant: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) {
				r.Schemes, r.Scopes, r.Credentials = keys, nil, []string{"Authorization", "X-Api-Key", "X-Tenant-Key"}
			})}},
		{"a key in the URL", secured + "  /a: {get: {security: [{query: []}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = keys, nil })}},
		{"referenced scheme", secured + "  /a: {get: {security: [{alias: [write]}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Scopes = []string{"write"} })}},
		{"both at once by one token", secured + "  /a: {get: {security: [{bearer: [], oauth: [write, read]}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Scopes = []string{"read", "write"} })}},
		{"the same twice", secured + "  /a: {get: {security: [{oauth: [read]}, {alias: [read]}]}}\n", []enforce.Route{one("GET /v1/a")}},
		{"one of them cannot be", secured + "  /a: {get: {security: [{digest: []}, {oauth: [write]}]}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Scopes = []string{"write"} })}},
		{"optional security", secured + "  /a: {get: {security: [{oauth: [read]}, {}]}}\n", []enforce.Route{{ID: "GET /v1/a", Pattern: "GET /v1/a", Anonymous: true}}},
		{"no security", secured + "  /a: {get: {security: []}}\n", []enforce.Route{{ID: "GET /v1/a", Pattern: "GET /v1/a", Anonymous: true}}},
		{"document-wide empty security opens nothing", "openapi: 3.1.0\nsecurity: []\npaths: {/a: {get: {}}}\n", []enforce.Route{{ID: "GET /a", Pattern: "GET /a", Authenticated: true}}},
		{"document-wide optional security opens nothing", head + "security: [{}, {oauth: [read]}]\npaths: {/a: {get: {}}}\n", []enforce.Route{one("GET /v1/a")}},
		{"mixed segments", secured + "  /d/{id}.json: {get: {}}\n  /d/{a}-{b}: {put: {}}\n  /d/{id}:archive: {post: {}}\n  /d:list: {get: {}}\n", []enforce.Route{
			one("PUT /v1/d/{a}-{b}"), one("GET /v1/d/{id}.json"), one("POST /v1/d/{id}:archive"), one("GET /v1/d:list")}},
		{"3.2", strings.Replace(secured, "3.0.3", "3.2.0", 1) + "  /a: {query: {}, additionalOperations: {PURGE: {}}}\n", []enforce.Route{one("QUERY /v1/a"), one("PURGE /v1/a")}},
		{"server of a path", secured + "  /a:\n    servers: [{url: /v2}]\n    get: {}\n    put: {servers: [{url: 'https://x.example/{stage}/v3/', variables: {stage: {default: live}}}]}\n", []enforce.Route{one("GET /v2/a"), one("PUT /live/v3/a")}},
		{"path item behind a reference", secured + "  /a: {$ref: '#/components2/pathItems/a', put: {}}\n  /b: {$ref: '#/paths/~1a'}\ncomponents2: {pathItems: {a: {get: {}}}}\n", []enforce.Route{
			one("GET /v1/a"), one("PUT /v1/a"), one("GET /v1/b"), one("PUT /v1/b")}},
		{"anchors", secured + "  /a: &a {get: &get {}}\n  /b: *a\n  /c: {<<: *a, put: *get}\n", []enforce.Route{one("GET /v1/a"), one("GET /v1/b"), one("GET /v1/c"), one("PUT /v1/c")}},
		{"names with colons", head + "security: [{oauth: [users:read]}]\npaths: {/a: {get: {}}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) { r.Scopes = []string{"users:read"} })}},
		{"extension", secured + "  /d/{id}:\n    x-gatehouse: {type: Document, id: '{id}', fetch: '/d/{id}', entities: {owner: User}, hide_existence: true}\n    get: {x-gatehouse: {action: read, scopes: ['d:read']}}\n    delete: {x-gatehouse: {roles: [admin]}}\n", []enforce.Route{
			with(one("GET /v1/d/{id}"), func(r *enforce.Route) {
				r.Scopes, r.Action, r.HideExistence = []string{"d:read"}, "read", true
				r.Resource = &enforce.ResourceRule{Type: "Document", ID: "{id}", Source: "upstream", Fetch: "/d/{id}", Entities: map[string]string{"owner": "User"}}
			}),
			with(one("DELETE /v1/d/{id}"), func(r *enforce.Route) { r.Roles = []string{"admin"} })}},
		{"extension of alternatives", secured + "  /a:\n    get: {x-gatehouse: {any_of: [{schemes: [basic]}, {scopes: [x]}]}}\n    put: {security: [{key: []}, {oauth: [read]}], x-gatehouse: {scopes: [y]}}\n    post: {x-gatehouse: {schemes: [api_key], encoded_slashes: true}}\n", []enforce.Route{
			with(one("GET /v1/a"), ways(enforce.Requirement{Schemes: basic}, enforce.Requirement{Scopes: []string{"x"}})),
			with(one("PUT /v1/a"), func(r *enforce.Route) {
				r.Schemes, r.Scopes = []gatehouse.Scheme{"api_key", "jwt", "opaque"}, []string{"y"}
			}),
			with(one("POST /v1/a"), func(r *enforce.Route) { r.Schemes, r.EncodedSlashes = keys, true })}},
		{"extension of some alternatives", secured + "  /a: {get: {security: [{key: []}, {oauth: [read]}], x-gatehouse: {schemes: [jwt]}}}\n", []enforce.Route{
			with(one("GET /v1/a"), ways(enforce.Requirement{Schemes: signed, Scopes: []string{"read"}}))}},
		{"extension in place of security", secured + "  /a:\n    get: {security: [{tls: []}], x-gatehouse: {any_of: [{scopes: [x]}]}}\n    put: {security: [{cookie: []}], x-gatehouse: {schemes: [basic], scopes: [y]}}\n    post: {security: [{tls: []}], x-gatehouse: {public: true}}\n    delete: {security: [{tls: []}], x-gatehouse: {closed: true}}\n", []enforce.Route{
			with(one("GET /v1/a"), ways(enforce.Requirement{Scopes: []string{"x"}})),
			with(one("PUT /v1/a"), func(r *enforce.Route) { r.Schemes, r.Scopes = basic, []string{"y"} }),
			{ID: "POST /v1/a", Pattern: "POST /v1/a", Anonymous: true},
			{ID: "DELETE /v1/a", Pattern: "DELETE /v1/a", Closed: true}}},
		{"one operation closed", secured + "  /d/{id}:\n    x-gatehouse: {type: D, id: '{id}', roles: [x]}\n    get: {x-gatehouse: {closed: true}}\n    put: {x-gatehouse: {action: write}}\n", []enforce.Route{
			{ID: "GET /v1/d/{id}", Pattern: "GET /v1/d/{id}", Closed: true},
			with(one("PUT /v1/d/{id}"), func(r *enforce.Route) {
				r.Roles, r.Action, r.Resource = []string{"x"}, "write", &enforce.ResourceRule{Type: "D", ID: "{id}"}
			})}},
		{"extension of a path and an operation", secured + "  /a:\n    x-gatehouse: {public: true}\n    get: {}\n    put: {x-gatehouse: {public: false}}\n", []enforce.Route{
			{ID: "GET /v1/a", Pattern: "GET /v1/a", Anonymous: true}, one("PUT /v1/a")}},
		{"bounds", secured + "  /a: {get: {x-gatehouse: {rate_principal: 60/1m, rate_address: 5/1s, query_names: [token], credentials: [X-Tenant-Key]}}}\n", []enforce.Route{
			with(one("GET /v1/a"), func(r *enforce.Route) {
				r.RatePrincipal, r.RateAddress = limit.Rate{Limit: 60, Window: time.Minute}, limit.Rate{Limit: 5, Window: time.Second}
				r.QueryNames, r.Credentials = []string{"token"}, []string{"X-Tenant-Key"}
			})}},
		{"JSON", `{"openapi":"3.1.0","paths":{"/a":{"get":{"security":[]},"put":{"x-gatehouse":{"public":true}}}}}`, []enforce.Route{
			{ID: "GET /a", Pattern: "GET /a", Anonymous: true}, {ID: "PUT /a", Pattern: "PUT /a", Anonymous: true}}},
	} {
		got, err := openapi.Read([]byte(c.doc), openapi.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if diff := cmp.Diff(c.want, got.Routes); diff != "" {
			t.Errorf("%s: %s (%q)", c.name, diff, got.Notes)
		} else if err := enforce.CheckRoutes(got.Routes); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What cannot be expressed is closed and told by name; the rest of the document is
// read, and no wider route takes its callers.
func TestWhatCannotBeExpressedIsClosed(t *testing.T) {
	for _, c := range []struct{ name, item, note string }{
		{"two credentials at once", "get: {security: [{key: [], basic: []}]}", "two credentials"},
		{"unknown scheme", "get: {security: [{digest: []}]}", `"digest"`},
		{"two keys at once", "get: {security: [{key: [], tenant: []}]}", "two credentials"},
		{"a key and a token at once", "get: {security: [{key: [], bearer: []}]}", "two credentials"},
		{"passwords with scopes", "get: {security: [{basic: [admin]}]}", "a password has no scopes"},
		{"security that is nothing", "get: {security: }", "not a list"},
		{"scopes that are nothing", "get: {security: [{oauth: }]}", "[] is none"},
		{"a requirement that is a name", "get: {security: [oauth]}", "not a mapping"},
		{"no alternative is of the kind", "get: {security: [{key: []}, {oauth: [read]}], x-gatehouse: {schemes: [basic]}}", "any_of"},
		{"two extensions at once", "get: {x-gatehouse: {any_of: [{scopes: [a]}], scopes: [b]}}", "contradict"},
		{"an alternative that asks for nothing", "get: {x-gatehouse: {any_of: [{}]}}", "wrong kind"},
		{"an alternative that is empty", "get: {x-gatehouse: {any_of: [{scopes: []}]}}", "wrong kind"},
		{"no scheme", "get: {x-gatehouse: {schemes: []}}", "wrong kind"},
		{"closed and more", "get: {x-gatehouse: {closed: true, roles: [x]}}", "stands alone"},
		{"a closed path of which an operation says more", "x-gatehouse: {closed: true}, get: {x-gatehouse: {roles: [x]}}", "stands alone"},
		{"a resource without an action", "get: {x-gatehouse: {type: Document, id: x}}", "decides nothing"},
		{"a resource of a path without an action", "x-gatehouse: {type: Document, id: x}, get: {}", "decides nothing"},
		{"extension of another kind", "get: {x-gatehouse: [public]}", "not a mapping"},
		{"scopes of a public path", "get: {security: [], x-gatehouse: {scopes: [x]}}", "contradicts"},
		{"a line that cannot carry a key", "get: {security: [{forwarded: []}]}", "Forwarded"},
		{"server without a default", "get: {servers: [{url: '/{stage}/v1'}]}", "without a default"},
		{"server that is no URL", "get: {servers: [{url: '::'}]}", "no URL"},
		{"operation of another kind", "get: [x]", "not a mapping"},
		{"client certificate", "get: {security: [{tls: []}]}", "mutualTLS"},
		{"cookie", "get: {security: [{cookie: []}]}", "cookie"},
		{"scheme that is not defined", "get: {security: [{nobody: []}]}", `"nobody" is not defined`},
		{"security of another kind", "get: {security: {oauth: []}}", "not a list"},
		{"scopes of another kind", "get: {security: [{oauth: read}]}", "not a list"},
		{"every scope", "get: {security: [{oauth: ['*']}]}", "none"},
		{"unknown member", "get: {x-gatehouse: {publik: true}}", `"publik" is not known`},
		{"wrong kind", "get: {x-gatehouse: {public: 'yes'}}", `"public"`},
		{"public and roles", "get: {x-gatehouse: {public: true, roles: [x]}}", "contradicts"},
		{"unknown source", "get: {x-gatehouse: {source: guess}}", `"source"`},
		{"action without a resource", "get: {x-gatehouse: {action: read}}", "needs a resource"},
		{"external reference", "$ref: 'other.yaml#/a'", "bundle it"},
		{"reference to nothing", "$ref: '#/components/pathItems/none'", "nothing"},
		{"reference in a circle", "$ref: '#/paths/~1wide~1x'", "circle"},
		{"another server", "get: {servers: [{url: 'https://files.example'}]}", "files.example"},
	} {
		doc := []byte(secured + "  /wide/{id}: {get: {security: []}}\n  /wide/x: {" + c.item + "}\n")
		got, err := openapi.Read(doc, openapi.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		closed, open := false, 0
		for _, r := range got.Routes {
			closed = closed || r.Closed && strings.HasPrefix(r.Pattern, "GET /") && strings.HasSuffix(r.Pattern, "/wide/x")
			if !r.Closed {
				open++
			}
		}
		if !closed || open != 1 {
			t.Errorf("%s: %+v", c.name, got.Routes)
		}
		if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], c.note) || !strings.Contains(got.Notes[0], `"/wide/x"`) {
			t.Errorf("%s: %q", c.name, got.Notes)
		}
		if err := enforce.CheckRoutes(got.Routes); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for path, pattern := range map[string]string{"/a/{x}{y}": "GET /v1/a/{p3}", "/a/*": "GET /v1/a/{p3}", "/a/{id": "GET /v1/a/{p3}", "/a?x={y}": "GET /v1/a", "/a/:id": "GET /v1/a/{p3}"} {
		got, err := openapi.Read([]byte(secured+"  /b: {get: {}}\n  '"+path+"': {get: {}}\n"), openapi.Options{})
		if err != nil || len(got.Routes) != 2 || len(got.Notes) != 1 || !got.Routes[0].Closed || got.Routes[0].Pattern != pattern {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}

// What is closed is closed where its own server would have it, so that no wider
// path of there takes its callers.
func TestClosedAtItsOwnServer(t *testing.T) {
	got, err := openapi.Read([]byte(secured+"  /x: {get: {servers: [{url: /v2}], security: [{tls: []}]}}\n  /{any}: {servers: [{url: /v2}], get: {security: []}}\n"), openapi.Options{})
	if err != nil || len(got.Routes) != 2 || got.Routes[0].Pattern != "GET /v2/x" || !got.Routes[0].Closed {
		t.Errorf("%+v, %v", got, err)
	}
}

// Two paths that match the same requests.
func TestPathsInEachOthersWay(t *testing.T) {
	const crossing = "  /a/{x}/c: {get: {}}\n  /a/b/{y}: {get: {}}\n  /d: {get: {}}\n"
	got, err := openapi.Read([]byte(secured+crossing), openapi.Options{})
	if err != nil || len(got.Routes) != 2 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "more specific") {
		t.Errorf("%+v, %v", got, err)
	}
	for name, doc := range map[string]string{
		"one asks for less":             strings.Replace(crossing, "/a/{x}/c: {get: {}}", "/a/{x}/c: {get: {security: []}}", 1),
		"the same paths":                "  /a/{x}: {get: {security: []}}\n  /a/{y}: {get: {}}\n",
		"a wider one asks for less":     crossing + "  /a/{x}/{y}: {get: {security: [{oauth: [write]}]}}\n",
		"HEAD of another asks for less": crossing + "  /a/{x}/{y}: {head: {security: []}}\n",
	} {
		got, err := openapi.Read([]byte(secured+doc), openapi.Options{})
		if err != nil || len(got.Notes) == 0 || !strings.Contains(strings.Join(got.Notes, "\n"), "asks for something else") {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if closed := slices.IndexFunc(got.Routes, func(r enforce.Route) bool { return r.Closed }); closed < 0 || enforce.CheckRoutes(got.Routes) != nil {
			t.Errorf("%s: %+v", name, got.Routes)
		}
		if name == "the same paths" && (len(got.Routes) != 1 || !got.Routes[0].Closed) {
			t.Errorf("%s: the weaker one is left: %+v", name, got.Routes)
		}
	}
}

func TestNotes(t *testing.T) {
	got, err := openapi.Read([]byte(secured+"  /a: {get: {security: [{digest: []}, {query: []}]}, put: {security: [{query: []}]}, trace: {}}\n"), openapi.Options{})
	if err != nil || len(got.Notes) != 3 || !strings.Contains(strings.Join(got.Notes, "\n"), `GET "/a": an alternative of its security is left out`) ||
		!strings.Contains(strings.Join(got.Notes, "\n"), `security scheme "query"`) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestScopes(t *testing.T) {
	got, err := openapi.Read([]byte(secured+"  /a: {get: {security: [{bearer: [extra]}]}}\n"), openapi.Options{})
	want := map[string]string{"read": "Read", "write": "Write", "users:read": "Read users", "extra": ""}
	if err != nil || cmp.Diff(want, got.Scopes) != "" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRefuses(t *testing.T) {
	path := func(s string) string { return "openapi: 3.1.0\npaths:\n  " + s + "\n" }
	bomb := "openapi: 3.1.0\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		n, m := string(rune('0'+i)), string(rune('1'+i))
		bomb += "a" + m + ": &a" + m + " [" + strings.Repeat("*a"+n+",", 9) + "*a" + n + "]\n"
	}
	for name, doc := range map[string]string{
		"empty":          "",
		"text":           "hello",
		"no paths":       "openapi: 3.1.0\n",
		"Swagger 2":      "swagger: '2.0'\npaths: {/a: {get: {}}}\n",
		"version 4":      "openapi: 4.0.0\npaths: {/a: {get: {}}}\n",
		"two documents":  path("/a: {get: {}}") + "---\n" + path("/b: {get: {}}"),
		"duplicate path": path("/a: {get: {}}\n  /a: {post: {}}"),
		"duplicate JSON": `{"openapi":"3.1.0","paths":{"/a":{"get":{}},"/a":{"put":{}}}}`,
		"bomb":           bomb + "paths: {/a: {get: {}}}\n",
		"itself":         "openapi: 3.1.0\na: &a [*a]\npaths: {/a: {get: {}}}\n",
		"deep":           "openapi: 3.1.0\nx: " + strings.Repeat("[", 100_000) + "\n",
		"deep sequences": "openapi: 3.1.0\nx:\n " + strings.Repeat("- ", 100_000) + "\n",
		"too large":      path("/a: {get: {}}") + strings.Repeat("#", 9<<20),
	} {
		if got, err := openapi.Read([]byte(doc), openapi.Options{}); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}
