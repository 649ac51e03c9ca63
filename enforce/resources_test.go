package enforce

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// resourceful is a pipeline whose realm main has its issuer and, where it is not "", an audience.
func resourceful(t *testing.T, f *fakes, audience string, routes ...Route) *Pipeline {
	t.Helper()
	p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Resolver: f, Limiter: limit.New(limit.Config{}),
		Issuer: func(realm string) string { return "https://id.test/" + realm }, Audience: func(context.Context, string) string { return audience }})
	if err == nil {
		err = p.SetRoutes(routes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestResourceMetadata: the metadata of an API say what its routes do, at the one address that follows from its name, and the refusals of
// these routes lead there (RFC 9728). Of a host without an API that tokens can be for, nothing is said.
func TestResourceMetadata(t *testing.T) {
	const at = "/.well-known/oauth-protected-resource"
	routes := []Route{
		{Pattern: "/mcp", Audience: "https://API.test/mcp", Scopes: []string{"mcp:use"}, Proof: "bound"},
		{Pattern: "/mcp/admin", Audience: "https://API.test/mcp", AnyOf: []Requirement{{Scopes: []string{"mcp:admin"}}, {Scopes: []string{"a"}}}, Proof: "nonce"},
		{Pattern: "/slash/", Audience: "https://api.test/slash/", Authenticated: true},
		{Pattern: "/urn", Audience: "urn:api", Authenticated: true},
		{Pattern: "/query", Audience: "https://api.test/q?x=1", Authenticated: true},
		{Pattern: "/keys", Schemes: []gatehouse.Scheme{gatehouse.SchemeAPIKey}, Scopes: []string{"hidden"}},
		{Pattern: "/", Scopes: []string{"rest"}},
	}
	f := newFakes()
	p := resourceful(t, f, "https://api.test", routes...)
	whole := func(resource, scopes, bound string) string {
		return `{"resource":"` + resource + `","authorization_servers":["https://id.test/main"],` + scopes + `"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","ES384","ES512","EdDSA","Ed25519","PS256","PS384","PS512"]` + bound + `}`
	}
	for target, want := range map[string]string{
		"http://api.test" + at + "/mcp":    whole("https://API.test/mcp", `"scopes_supported":["a","mcp:admin","mcp:use"],`, `,"dpop_bound_access_tokens_required":true`),
		"http://Api.Test" + at + "/slash/": whole("https://api.test/slash/", "", ""),
		"http://api.test" + at:             whole("https://api.test", `"scopes_supported":["rest"],`, ""),
		"http://api.test" + at + "/slash":  "", "http://api.test" + at + "/mcp/": "", "http://api.test" + at + "/": "", "http://api.test" + at + "/mcp/admin": "", "http://api.test" + at + "/urn": "",
		"http://api.test" + at + "/q": "", "http://other.test" + at: "", "http://other.test" + at + "/mcp": "", "http://api.test:8080" + at + "/mcp": "", "http://api.test" + at + "x": "",
	} {
		if got, err := p.Metadata(request("GET", target, "")); err != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", target, got, err, want)
		}
	}
	f.authErr = gatehouse.E(gatehouse.Unauthenticated, "invalid_token", "")
	for _, c := range []struct{ path, show, want string }{
		{"/mcp", "", `DPoP realm="main", algs="ES256 ES384 ES512 EdDSA Ed25519 PS256 PS384 PS512", scope="mcp:use", resource_metadata="https://API.test` + at + `/mcp"`},
		{"/slash/", "", `Bearer realm="main", resource_metadata="https://api.test` + at + `/slash/"`},
		{"/slash/", bearer, `Bearer realm="main", error="invalid_token", resource_metadata="https://api.test` + at + `/slash/"`},
		{"/x", "", `Bearer realm="main", scope="rest", resource_metadata="https://api.test` + at + `"`},
		{"/urn", "", `Bearer realm="main"`}, {"/query", "", `Bearer realm="main"`}, {"/keys", "", `Bearer realm="main"`},
	} {
		r := request("GET", "http://api.test"+c.path, "")
		if c.show != "" {
			r.Header.Set("Authorization", c.show)
		}
		if lines := f.do(p, r).Header["Www-Authenticate"]; len(lines) == 0 || lines[0] != c.want || len(lines) > 1 && strings.HasPrefix(lines[1], "Basic") && strings.Contains(lines[1], "resource_metadata") {
			t.Errorf("%s: %q, want %q", c.path, lines, c.want)
		}
	}
	if lines := f.do(p, request("GET", "http://other.test/x", "")).Header["Www-Authenticate"]; lines[0] != `Bearer realm="main"` {
		t.Errorf("at another host: %q", lines)
	}
	f.authErr, f.principal = nil, &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "u", Scheme: gatehouse.SchemeAPIKey, CredentialID: "k", Scopes: []string{"none"}}
	if lines := f.do(p, request("GET", "http://api.test/x", "", "Authorization", bearer)).Header["Www-Authenticate"]; len(lines) == 0 || lines[0] != `Bearer realm="main", error="insufficient_scope", scope="rest", resource_metadata="https://api.test`+at+`"` {
		t.Errorf("a scope is missing: %q", lines)
	}
	// Nobody's audience is guessed.
	for _, audience := range []string{"", "https://api.test/v1", "api", "https://api.test?x"} {
		p := resourceful(t, f, audience, routes[6])
		if got, err := p.Metadata(request("GET", "http://api.test"+at, "")); err != nil || got != nil {
			t.Errorf("%q: %s %v", audience, got, err)
		}
	}
	if got, err := f.pipeline(t, routes...).Metadata(request("GET", "http://api.test"+at+"/mcp", "")); err != nil || got != nil {
		t.Errorf("no issuer is known: %s %v", got, err)
	}
}

// TestAudienceOfRoutes: what a route says of whom tokens are for goes to what verifies them, and must be about tokens.
func TestAudienceOfRoutes(t *testing.T) {
	f := newFakes()
	p := f.pipeline(t, Route{Pattern: "/a", Audience: "urn:api", Authenticated: true}, Route{Pattern: "/b", Authenticated: true})
	for path, want := range map[string]string{"/a": "urn:api", "/b": ""} {
		if f.do(p, request("GET", path, "", "Authorization", bearer)); f.rule.Audience != want {
			t.Errorf("%s: %q", path, f.rule.Audience)
		}
	}
	for name, r := range map[string]Route{
		"closed": {Closed: true, Audience: "urn:api"}, "no tokens": {Schemes: []gatehouse.Scheme{gatehouse.SchemeAPIKey, gatehouse.SchemeBasic}, Authenticated: true, Audience: "urn:api"},
		"a space": {Authenticated: true, Audience: "a b"}, "a quote": {Authenticated: true, Audience: `a"b`}, "a fragment": {Authenticated: true, Audience: "https://a.test#b"}, "a line": {Authenticated: true, Audience: "a\nb"},
		"long": {Authenticated: true, Audience: strings.Repeat("a", 513)}, "another script": {Authenticated: true, Audience: "https://bücher.test"},
	} {
		if r.Pattern = "/a"; f.pipeline(t).SetRoutes([]Route{r}) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
