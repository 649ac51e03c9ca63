package guard_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
)

// TestMetadata: a program whose audience is its address says who gives tokens for it, and its refusals lead there; one behind a gateway says
// nothing, since the gateway does.
func TestMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		audience   string
		assertions bool
		want       bool
	}{"its address": {"https://api.test/v1", false, true}, "a name": {"documents", false, false}, "assertions": {"https://api.test/v1", true, false}} {
		g, err := guard.NewRemote(guard.RemoteConfig{Issuer: "https://id.test", Audience: c.audience, Assertions: c.assertions, Routes: []enforce.Route{{Pattern: "/v1/", Scopes: []string{"read"}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		ask := func(h http.Handler, path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "http://api.test"+path, nil))
			return w
		}
		m := ask(g.Metadata(), "/.well-known/oauth-protected-resource/v1")
		refused := ask(g.Protect(func(http.ResponseWriter, *http.Request) {}), "/v1/x")
		if got := m.Code == 200 && strings.Contains(m.Body.String(), `"authorization_servers":["https://id.test"]`); got != c.want || m.Code != 404 && !got {
			t.Errorf("%s: %d %s", name, m.Code, m.Body)
		}
		if got := strings.Contains(refused.Header().Get("WWW-Authenticate"), `resource_metadata="https://api.test/.well-known/oauth-protected-resource/v1"`); refused.Code != 401 || got != c.want {
			t.Errorf("%s: %d %v", name, refused.Code, refused.Header())
		}
	}
	if g, err := guard.NewRemote(guard.RemoteConfig{Issuer: "https://id.test", Audience: "a", Routes: []enforce.Route{{Pattern: "/", Audience: "b", Authenticated: true}}}); err == nil {
		g.Close()
		t.Error("another audience than that of the tokens is taken")
	}
}
