package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// document is what the tests read of the OpenAPI document.
type document struct {
	OpenAPI string                                       `json:"openapi"`
	Servers []struct{ URL string }                       `json:"servers"`
	Paths   map[string]map[string]documentedOperation    `json:"paths"`
	Parts   struct{ Schemas map[string]json.RawMessage } `json:"components"`
}

type documentedOperation struct {
	ID         string                      `json:"operationId"`
	Security   []map[string][]string       `json:"security"`
	Responses  map[string]json.RawMessage  `json:"responses"`
	Parameters []struct{ Name, In string } `json:"parameters"`
	Body       *struct{ Required bool }    `json:"requestBody"`
}

func openapi(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(testadmin.Must(admin.Document("test")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// public operations take no credential.
var public = []string{"bootstrap", "report-leaked-key"}

// TestDocumentIsComplete: every operation names its path parameters, its security
// and every status that it can answer with.
func TestDocumentIsComplete(t *testing.T) {
	d := openapi(t)
	if d.OpenAPI != "3.1.0" || len(d.Paths) < 35 {
		t.Fatalf("version %s, %d paths", d.OpenAPI, len(d.Paths))
	}
	inPath := regexp.MustCompile(`\{(\w+)\}`)
	for path, ops := range d.Paths {
		for method, op := range ops {
			name := method + " " + path
			for _, m := range inPath.FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == m[1] && p.In == "path" }) {
					t.Errorf("%s: path parameter %s is not documented", name, m[1])
				}
			}
			want := []string{"400", "429", "500"}
			if slices.Contains(public, op.ID) {
				if op.Security == nil || len(op.Security) != 0 {
					t.Errorf("%s: a public operation asks for a credential, or leaves it open", name)
				}
			} else {
				want = append(want, "401", "403", "503")
				if len(op.Security) != 3 {
					t.Errorf("%s: security %v", name, op.Security)
				}
			}
			if strings.Contains(path, "{realm}") {
				want = append(want, "404", "422")
			}
			if op.Body != nil {
				want = append(want, "413", "415", "422")
			}
			if method != "get" && strings.Contains(path, "{realm}") && !slices.Contains([]string{"inspect-token", "verify-token", "verify-log", "decide"}, op.ID) {
				want = append(want, "409")
			}
			for _, status := range want {
				if op.Responses[status] == nil {
					t.Errorf("%s: status %s is not documented", name, status)
				}
			}
			if op.Responses["default"] != nil || op.Responses["200"] == nil && op.Responses["201"] == nil && op.Responses["204"] == nil {
				t.Errorf("%s: success is not documented", name)
			}
		}
	}
	if len(d.Servers) == 0 {
		t.Error("no servers")
	}
	// ErrorModel and ErrorDetail are never sent; Schema is a class of generated clients.
	for _, gone := range []string{"ErrorModel", "ErrorDetail", "Schema"} {
		if d.Parts.Schemas[gone] != nil {
			t.Errorf("there is a component %s", gone)
		}
	}
}

// TestDocumentIsServed: the live document is the one of the package, and public.
func TestDocumentIsServed(t *testing.T) {
	h := testadmin.New(t)
	r := h.Want(200, "", "GET", "/openapi.json", nil)
	if r.Header.Get("Content-Type") != "application/openapi+json" || r.Str("info", "title") == "" {
		t.Fatalf("%v %.200s", r.Header, r.Body)
	}
}

// fill makes a path of a documented one.
func fill(path string) string {
	path = strings.TrimPrefix(path, adminhttp.Prefix)
	return regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(path, func(p string) string {
		if p == "{realm}" {
			return "main"
		}
		return "x"
	})
}

// TestEveryOperationNeedsACredential calls every documented operation with no
// credential and with a malformed one.
//
// ASVS: 6.3.4, 8.2.1
func TestEveryOperationNeedsACredential(t *testing.T) {
	h := testadmin.New(t)
	n := 0
	for path, ops := range openapi(t).Paths {
		for method, op := range ops {
			if slices.Contains(public, op.ID) {
				continue
			}
			n++
			for _, who := range []string{"", "ghk_live_nope"} {
				r := h.Call(who, strings.ToUpper(method), fill(path), nil)
				if r.Status != 401 || len(r.Header.Values("WWW-Authenticate")) == 0 || r.Header.Get("Content-Type") != "application/problem+json" || r.Str("code") == "" || r.Str("request_id") == "" {
					t.Errorf("%s %s as %q: %d %v %s", method, path, who, r.Status, r.Header, r.Body)
				}
			}
		}
	}
	if n < 50 {
		t.Fatalf("only %d operations", n)
	}
}

// TestStrictInput: what could be read in two ways is refused, and nothing of it
// comes back.
func TestStrictInput(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	const users = "/realms/main/users"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"duplicate member":     {"POST", users, `{"username":"hunter2","username":"eve"}`, 400},
		"other letter case":    {"POST", users, `{"Username":"hunter2"}`, 422},
		"unknown member":       {"POST", users, `{"username":"eve","hunter2":1}`, 422},
		"invalid UTF-8":        {"POST", users, "{\"username\":\"hunter2\xff\"}", 400},
		"NUL":                  {"POST", users, `{"username":"eve","display_name":"hunter2\u0000"}`, 400},
		"trailing data":        {"POST", users, `{"username":"hunter2"} {}`, 400},
		"wrong type":           {"POST", users, `{"username":{"hunter2":1}}`, 422},
		"not an enum value":    {"POST", users, `{"username":"eve","kind":"hunter2"}`, 422},
		"no body":              {"POST", users, ``, 400},
		"unknown query":        {"GET", users + "?hunter2=1", ``, 422},
		"limit":                {"GET", users + "?limit=100000", ``, 422},
		"empty limit":          {"GET", users + "?limit=", ``, 422},
		"signed limit":         {"GET", users + "?limit=%2B5", ``, 422},
		"blank for a plus":     {"GET", users + "?limit=+5", ``, 422},
		"padded limit":         {"GET", users + "?limit=05", ``, 422},
		"limit as a fraction":  {"GET", users + "?limit=5.0", ``, 422},
		"two limits":           {"GET", users + "?limit=5&limit=6", ``, 422},
		"empty cursor":         {"GET", users + "?after=", ``, 422},
		"empty owner":          {"GET", "/realms/main/keys?owner=", ``, 422},
		"list with a slash":    {"GET", "/realms/main/keys/", ``, 404},
		"dot segment":          {"GET", "/realms/main/./keys", ``, 400},
		"control in the path":  {"GET", users + "/a%0ab", ``, 400},
		"NUL in the path":      {"GET", users + "/a%00b", ``, 400},
		"bad UTF-8 in query":   {"GET", users + "?after=%ff", ``, 400},
		"path not clean":       {"GET", "/realms//main", ``, 400},
		"fraction":             {"PUT", "/realms/main/entities/Team/a", `{"attributes":{"n":1.5}}`, 422},
		"duration of nonsense": {"PATCH", "/realms/main", `{"settings":{"grant_ttl":"hunter2"}}`, 422},
	} {
		var body any
		if c.body != "" || c.method == "POST" {
			body = c.body
		}
		r := h.Call(root, c.method, c.path, body)
		if r.Status != c.status || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, want %d: %s", name, r.Status, c.status, r.Body)
		}
		if strings.Contains(strings.ReplaceAll(r.Body, `"hunter2":"unexpected property"`, ""), "hunter2") && name != "unknown member" && name != "unknown query" {
			t.Errorf("%s: the answer repeats the input: %s", name, r.Body)
		}
	}
	if r := h.Call(root, "POST", users, `{"username":"`+strings.Repeat("a", 70<<10)+`"}`); r.Status != 413 {
		t.Errorf("long body: %d", r.Status)
	}
}

func TestRouterAnswersAreProblems(t *testing.T) {
	h := testadmin.New(t)
	for _, c := range []struct {
		method, path, code, allow string
		status                    int
	}{
		{"GET", "/nothing", "path_not_found", "", 404},
		{"DELETE", "/me", "method_not_allowed", "GET, HEAD", 405},
		{"PUT", "/bootstrap", "method_not_allowed", "POST", 405},
		{"OPTIONS", "/realms/main/keys", "method_not_allowed", "GET, HEAD, POST", 405},
		{"OPTIONS", "/realms/main/keys/x", "method_not_allowed", "GET, HEAD, PATCH", 405},
		{"OPTIONS", "/keys/leaked", "method_not_allowed", "POST", 405},
		{"OPTIONS", "/openapi.json", "method_not_allowed", "GET, HEAD", 405},
		{"OPTIONS", "/realms/main/keys/", "path_not_found", "", 404},
	} {
		r := h.Call("", c.method, c.path, nil)
		if r.Status != c.status || r.Str("code") != c.code || r.Header.Get("Allow") != c.allow || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, r.Status, r.Header, r.Body)
		}
	}
}

func TestFront(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	request := func(change func(*http.Request)) testadmin.Reply {
		r := httptest.NewRequest("POST", adminhttp.Prefix+"/realms/main/users/root/revoke", nil)
		r.SetBasicAuth("root", testadmin.Password)
		change(r)
		return h.Send(r)
	}
	if r := request(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); r.Status != 403 || r.Str("code") != "cross_origin_refused" {
		t.Errorf("a page elsewhere used the browser's password: %d %s", r.Status, r.Body)
	}
	if r := request(func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }); r.Status != 403 {
		t.Errorf("foreign origin: %d %s", r.Status, r.Body)
	}
	form := httptest.NewRequest("POST", adminhttp.Prefix+"/realms", strings.NewReader(`{"name":"acme"}`))
	form.Header.Set("Authorization", "Bearer "+root)
	form.Header.Set("Content-Type", "text/plain")
	if r := h.Send(form); r.Status != 415 {
		t.Errorf("JSON as text/plain: %d %s", r.Status, r.Body)
	}
	form = httptest.NewRequest("POST", adminhttp.Prefix+"/realms", strings.NewReader(`{"name":"acme"}`))
	form.Header.Set("Authorization", "Bearer "+root)
	if r := h.Send(form); r.Status != 415 {
		t.Errorf("JSON without a type: %d %s", r.Status, r.Body)
	}
	if r := h.Want(200, root, "GET", "/me", nil); r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", r.Header)
	}
	h.Limited = true
	if r := h.Call(root, "GET", "/me", nil); r.Status != 429 || r.Header.Get("Retry-After") != "3" {
		t.Errorf("limited: %d %v", r.Status, r.Header)
	}
}
