package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
)

const keys = `{"keys":[{"kty":"OKP"}]}`

func site(t *testing.T, change func(*endpoint.Config)) http.Handler {
	t.Helper()
	c := endpoint.Config{
		Realm: func(_ context.Context, name string) (gatehouse.Realm, error) {
			switch name {
			case "main", "acme":
				return gatehouse.Realm{Name: name}, nil
			case "off":
				return gatehouse.Realm{Name: name, Disabled: true}, nil
			case "broken":
				return gatehouse.Realm{}, errors.New("database password is hunter2")
			}
			return gatehouse.Realm{}, gatehouse.NotFound
		},
		Issuer: func(realm string) string {
			if realm == "main" {
				return "https://id.example"
			}
			return "https://id.example/realms/" + realm
		},
		JWKS: func(_ context.Context, realm string) ([]byte, string, time.Duration, error) {
			return []byte(keys), "tag-" + realm, keyring.KeySetMaxAge, nil
		},
		StatusList: func(_ context.Context, _ string, list int64) (string, time.Duration, error) {
			if list != 7 {
				return "", 0, gatehouse.NotFound
			}
			return "a.b.c", time.Minute, nil
		},
	}
	if change != nil {
		change(&c)
	}
	h, err := endpoint.New(c)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	return mux
}

func call(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestKeySet(t *testing.T) {
	h := site(t, nil)
	w := call(h, "GET", "/.well-known/jwks.json")
	if w.Code != 200 || w.Body.String() != keys || w.Header().Get("Content-Type") != "application/jwk-set+json" ||
		w.Header().Get("ETag") != `"tag-main"` || w.Header().Get("Cache-Control") != "public, max-age=300, must-revalidate" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := call(h, "HEAD", "/.well-known/jwks.json"); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "24" {
		t.Errorf("HEAD: %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, tag := range []string{`"tag-acme"`, `W/"tag-acme"`, `"x", "tag-acme"`, "*"} {
		if w := call(h, "GET", "/realms/acme/.well-known/jwks.json", "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != `"tag-acme"` {
			t.Errorf("If-None-Match %s: %d %v", tag, w.Code, w.Header())
		}
	}
	if w := call(h, "GET", "/realms/acme/.well-known/jwks.json", "If-None-Match", `"tag-main"`); w.Code != 200 {
		t.Errorf("another tag: %d", w.Code)
	}
}

func TestRefusals(t *testing.T) {
	h := site(t, nil)
	for _, c := range []struct {
		method, path, code string
		status             int
	}{
		{"GET", "/realms/none/.well-known/jwks.json", "realm_not_found", 404},
		{"GET", "/realms/off/.well-known/jwks.json", "realm_not_found", 404},
		{"GET", "/realms/broken/.well-known/jwks.json", "internal", 500},
		{"POST", "/.well-known/jwks.json", "method_not_allowed", 405},
		{"GET", "/status/8", "status_list_not_found", 404},
		{"GET", "/status/07", "status_list_not_found", 404},
		{"GET", "/status/-7", "status_list_not_found", 404},
		{"GET", "/status/9999999999999999999999", "status_list_not_found", 404},
	} {
		w := call(h, c.method, c.path)
		var p struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Code != c.code || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if _, err := endpoint.New(endpoint.Config{}); err == nil {
		t.Error("a handler without parts")
	}
	if w := call(site(t, func(c *endpoint.Config) { c.StatusList = nil }), "GET", "/status/7"); w.Code != 404 {
		t.Errorf("status lists are served although there are none: %d", w.Code)
	}
}

// TestQueriesAreIgnored: there are clients that ask for a key by ?kid=…, and
// caches that are passed by with a number; both get the same document.
func TestQueriesAreIgnored(t *testing.T) {
	h := site(t, nil)
	for _, path := range []string{"/.well-known/jwks.json", "/realms/acme/.well-known/jwks.json", "/status/7", "/realms/acme/status/7",
		"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/realms/acme"} {
		plain := call(h, "GET", path)
		for _, query := range []string{"?kid=x", "?", "?x=1&x=2", "?%zz", "?a;b", "?access_token=x"} {
			for _, method := range []string{"GET", "HEAD"} {
				w := call(h, method, path+query)
				if w.Code != 200 || w.Header().Get("ETag") != plain.Header().Get("ETag") || method == "GET" && w.Body.String() != plain.Body.String() {
					t.Errorf("%s %s%s: %d %s", method, path, query, w.Code, w.Body)
				}
			}
		}
	}
}

func TestStatusList(t *testing.T) {
	w := call(site(t, nil), "GET", "/realms/acme/status/7")
	if w.Code != 200 || w.Body.String() != "a.b.c" || w.Header().Get("Content-Type") != "application/statuslist+jwt" || w.Header().Get("Cache-Control") != "public, max-age=60, must-revalidate" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestMetadata: the issuer in the document is the one whose path it is at, and
// nothing is claimed that is not served.
func TestMetadata(t *testing.T) {
	h := site(t, nil)
	for path, issuer := range map[string]string{
		"/.well-known/oauth-authorization-server":             "https://id.example",
		"/.well-known/oauth-authorization-server/realms/acme": "https://id.example/realms/acme",
		"/.well-known/openid-configuration":                   "https://id.example",
		"/realms/acme/.well-known/openid-configuration":       "https://id.example/realms/acme",
		"/.well-known/openid-configuration/realms/acme":       "https://id.example/realms/acme",
	} {
		w := call(h, "GET", path)
		var m map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != 200 || m["issuer"] != issuer || m["jwks_uri"] != issuer+"/.well-known/jwks.json" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, absent := range []string{"token_endpoint", "authorization_endpoint", "introspection_endpoint"} {
			if m[absent] != nil {
				t.Errorf("%s claims %s", path, absent)
			}
		}
	}
	// A realm at a host of its own, whose paths come with its name before them.
	h = site(t, func(c *endpoint.Config) {
		c.Issuer = func(realm string) string { return "https://" + realm + ".example" }
	})
	if w := call(h, "GET", "/.well-known/oauth-authorization-server/realms/acme"); w.Code != 200 {
		t.Errorf("a realm at a host of its own: %d %s", w.Code, w.Body)
	}
	// One whose issuer has another path.
	h = site(t, func(c *endpoint.Config) {
		c.Issuer = func(realm string) string { return "https://id.example/elsewhere/" + realm }
	})
	if w := call(h, "GET", "/.well-known/oauth-authorization-server/realms/acme"); w.Code != 404 {
		t.Errorf("a document at a path that is not the issuer's: %d %s", w.Code, w.Body)
	}
}

// TestMetadataIsRenderedOnce: for each state of a realm, out of what its endpoints say of themselves.
func TestMetadataIsRenderedOnce(t *testing.T) {
	acme := gatehouse.Realm{Name: "acme", UpdatedAt: time.Unix(1, 0)}
	asked := 0
	h := site(t, func(c *endpoint.Config) {
		c.Realm = func(context.Context, string) (gatehouse.Realm, error) { return acme, nil }
		c.Describe = []func(map[string]any, gatehouse.Realm, string){func(m map[string]any, r gatehouse.Realm, base string) {
			asked++
			m["token_endpoint"], m["title"] = base+"/token", r.Title
		}}
	})
	const path = "/.well-known/oauth-authorization-server/realms/acme"
	first := call(h, "GET", path)
	if again := call(h, "GET", path); asked != 1 || again.Body.String() != first.Body.String() || !strings.Contains(first.Body.String(), `"token_endpoint":"https://id.example/realms/acme/token"`) {
		t.Errorf("asked %d times: %s", asked, first.Body)
	}
	acme.Title, acme.UpdatedAt = "Acme", time.Unix(2, 0)
	if w := call(h, "GET", path, "If-None-Match", first.Header().Get("ETag")); asked != 2 || w.Code != 200 || !strings.Contains(w.Body.String(), "Acme") {
		t.Errorf("after a change, asked %d times: %d %s", asked, w.Code, w.Body)
	}
}
