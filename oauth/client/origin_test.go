package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestPageOrigins: pages are where they are registered, and where a public client has browsers sent; an origin is as browsers send it.
func TestPageOrigins(t *testing.T) {
	m := web(func(m *client.Metadata) {
		m.RedirectURIs = []string{"https://App.example:443/back", "http://localhost:9/back", "http://127.0.0.1/back", "com.example.app:/back", "https://app.example/other"}
		m.Origins = []string{"https://more.example:8443"}
	})
	if got := m.PageOrigins(); !slices.Equal(got, m.Origins) {
		t.Errorf("with a secret: %v", got)
	}
	m.AuthMethod = client.AuthNone
	if got := m.PageOrigins(); !slices.Equal(got, []string{"https://more.example:8443", "https://app.example", "http://localhost:9", "http://127.0.0.1"}) || len(m.Origins) != 1 {
		t.Errorf("public: %v", got)
	}
	for origin, good := range map[string]bool{"https://a.example": true, "http://localhost:3000": true, "https://a.example/": false, "https://A.example": false, "*": false,
		"null": false, "": false, "https://*.example": false, "app:": false, "https://" + strings.Repeat("a", 510): false} {
		m := web(func(m *client.Metadata) { m.Origins = []string{origin} })
		fine := true
		m.Check(func(member, _ string) { fine = fine && member != "allowed_cors_origins" })
		if fine != good {
			t.Errorf("%q: %v", origin, fine)
		}
	}
	for name, list := range map[string][]string{"twice": {"https://a.example", "https://a.example"}, "many": strings.Fields(strings.Repeat("https://a.example ", 21))} {
		m, found := web(func(m *client.Metadata) { m.Origins = list }), false
		m.Check(func(member, _ string) { found = found || member == "allowed_cors_origins" })
		if !found {
			t.Errorf("%s is taken", name)
		}
	}
}
