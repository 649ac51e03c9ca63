package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// web is the registration of a program that people allow something, with changes.
func web(change func(*client.Metadata)) client.Metadata {
	m := client.Metadata{Name: "App", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantAuthorizationCode, client.GrantRefreshToken}, Scope: "read",
		Flow: client.Flow{RedirectURIs: []string{"https://app.example/back", "http://127.0.0.1/back", "http://[::1]:8080/back?x=1", "http://localhost:9/back", "com.example.app:/back"}}}
	change(&m)
	return m
}

// TestRedirects: an address is the registered one byte for byte, but for the port of a loopback address (RFC 8252 §7.3).
func TestRedirects(t *testing.T) {
	m := web(func(*client.Metadata) {})
	for uri, want := range map[string]bool{
		"https://app.example/back": true, "com.example.app:/back": true, "http://localhost:9/back": true,
		"http://127.0.0.1/back": true, "http://127.0.0.1:1/back": true, "http://127.0.0.1:65535/back": true, "http://[::1]/back?x=1": true, "http://[::1]:9/back?x=1": true,
		"": false, "https://app.example/back/": false, "https://app.example/back?": false, "https://app.example/Back": false, "https://APP.example/back": false,
		"https://app.example:443/back": false, "http://app.example/back": false, "https://app.example/back#x": false, "https://app.example.evil.example/back": false,
		"https://app.example@evil.example/back": false, "https://evil.example/https://app.example/back": false, "https://app.example/back%20": false, "https://app.example/x/../back": false,
		"http://localhost:10/back": false, "http://127.0.0.1:/back": false, "http://127.0.0.1:x/back": false, "http://127.0.0.1:123456/back": false, "http://127.0.0.1:80@evil.example/back": false,
		"http://127.0.0.1.evil.example/back": false, "http://127.0.0.1:80.evil.example/back": false, "http://127.0.0.1/back/": false, "http://127.0.0.1:1/back#x": false, "https://127.0.0.1/back": false,
		"http://127.0.0.2/back": false, "http://[::1]:9/back": false, "http://[::1]:9/back?x=2": false, "http://[::1]evil/back?x=1": false, "HTTP://127.0.0.1/back": false, "com.example.app://back": false,
	} {
		if m.Redirects(uri) != want {
			t.Errorf("%q: %v", uri, !want)
		}
	}
	if (client.Metadata{}).Redirects("") {
		t.Error("nothing is registered, and nothing is an address")
	}
}

// TestFlowMetadata: a registration says nothing that contradicts itself, and names no address that a browser must not be sent to.
func TestFlowMetadata(t *testing.T) {
	no := false
	faults := func(m client.Metadata) string {
		var found []string
		m.Check(func(member, _ string) { found = append(found, member) })
		return strings.Join(found, " ")
	}
	uris := func(list ...string) func(*client.Metadata) {
		return func(m *client.Metadata) { m.RedirectURIs = list }
	}
	for name, c := range map[string]struct {
		change func(*client.Metadata)
		want   string
	}{
		"good":                {func(*client.Metadata) {}, ""},
		"public":              {func(m *client.Metadata) { m.AuthMethod = client.AuthNone }, ""},
		"response type":       {func(m *client.Metadata) { m.ResponseTypes = []string{"code"} }, ""},
		"an old one":          {func(m *client.Metadata) { m.RequirePKCE = &no }, ""},
		"public without PKCE": {func(m *client.Metadata) { m.AuthMethod, m.RequirePKCE = client.AuthNone, &no }, "require_pkce"},
		"public, for itself": {func(m *client.Metadata) {
			m.AuthMethod = client.AuthNone
			m.GrantTypes = append(m.GrantTypes, client.GrantClientCredentials)
		}, "grant_types"},
		"no address":                {uris(), "redirect_uris"},
		"no grant for them":         {func(m *client.Metadata) { m.GrantTypes = []string{client.GrantClientCredentials} }, "redirect_uris"},
		"refresh alone":             {func(m *client.Metadata) { m.GrantTypes, m.RedirectURIs = []string{client.GrantRefreshToken}, nil }, "grant_types"},
		"offline without refresh":   {func(m *client.Metadata) { m.GrantTypes, m.Scope = m.GrantTypes[:1], "offline_access" }, "scope"},
		"offline":                   {func(m *client.Metadata) { m.Scope = "offline_access" }, ""},
		"token":                     {func(m *client.Metadata) { m.ResponseTypes = []string{"code", "token"} }, "response_types"},
		"twice":                     {uris("https://a.example", "https://a.example"), "redirect_uris"},
		"21":                        {func(m *client.Metadata) { m.RedirectURIs = strings.Fields(strings.Repeat("https://a.example/ ", 21)) }, "redirect_uris redirect_uris"},
		"a query":                   {uris("https://a.example/?a=b"), ""},
		"fragment":                  {uris("https://a.example/#x"), "redirect_uris"},
		"empty fragment":            {uris("https://a.example/#"), "redirect_uris"},
		"plain http":                {uris("http://a.example/"), "redirect_uris"},
		"plain http, looks like us": {uris("http://127.0.0.1.a.example/"), "redirect_uris"},
		"a user":                    {uris("https://u@a.example/"), "redirect_uris"},
		"no host":                   {uris("https:///x"), "redirect_uris"},
		"no scheme":                 {uris("//a.example/"), "redirect_uris"},
		"a path":                    {uris("/back"), "redirect_uris"},
		"script":                    {uris("javascript:alert(1)"), "redirect_uris"},
		"data":                      {uris("data:text/html,x"), "redirect_uris"},
		"no dot":                    {uris("app:/back"), "redirect_uris"},
		"capitals":                  {uris("HTTPS://a.example/"), "redirect_uris"},
		"space":                     {uris("https://a.example/ b"), "redirect_uris"},
		"a policy's words":          {uris("https://a.example/;form-action"), ""},
		"a policy in the host":      {uris("https://a.example;form-action/"), "redirect_uris"},
		"quote":                     {uris("https://a.example/\"x"), "redirect_uris"},
		"backslash":                 {uris("https://a.example\\@b.example/"), "redirect_uris"},
		"not ASCII":                 {uris("https://ä.example/"), "redirect_uris"},
		"long":                      {uris("https://a.example/" + strings.Repeat("x", 500)), "redirect_uris"},
		"a code of its own":         {uris("https://a.example/?code=x"), "redirect_uris"},
		"an issuer of its own":      {uris("https://a.example/?a=b&iss=x"), "redirect_uris"},
	} {
		if got := faults(web(c.change)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestFlowDefaults: what a registration does not say is the careful way.
func TestFlowDefaults(t *testing.T) {
	no := false
	public := func(m *client.Metadata) { m.AuthMethod = client.AuthNone }
	if !web(func(*client.Metadata) {}).NeedsPKCE() || web(func(m *client.Metadata) { m.RequirePKCE = &no }).NeedsPKCE() ||
		!web(func(m *client.Metadata) { public(m); m.RequirePKCE = &no }).NeedsPKCE() {
		t.Error("PKCE")
	}
	const site, local, scheme = "https://app.example/back", "http://127.0.0.1:1/back", "com.example.app:/back"
	own := web(func(m *client.Metadata) { m.FirstParty = true })
	device := web(func(m *client.Metadata) { public(m); m.FirstParty = true })
	for _, c := range []struct {
		m                 client.Metadata
		uri               string
		skips, remembered bool
	}{{web(func(*client.Metadata) {}), site, false, true}, {web(func(*client.Metadata) {}), local, false, true}, {web(public), site, false, true}, {web(public), local, false, false},
		{web(public), scheme, false, false}, {own, site, true, true}, {own, local, true, true}, {device, site, true, true}, {device, local, false, true}, {device, scheme, false, true}} {
		if c.m.SkipsConsent(c.uri) != c.skips || c.m.Remembers(c.uri) != c.remembered {
			t.Errorf("%s of %+v: %v %v", c.uri, c.m, !c.skips, !c.remembered)
		}
	}
	prints := map[string]bool{}
	for _, m := range []client.Metadata{web(func(*client.Metadata) {}), web(public), web(func(m *client.Metadata) { m.Name += "!" }), web(func(m *client.Metadata) { m.RedirectURIs = []string{site + "2"} })} {
		prints[string(m.Print())] = true
	}
	if len(prints) != 4 || string(web(func(m *client.Metadata) { m.Scope = "x"; m.JWKSURI = "y" }).Print()) != string(web(func(*client.Metadata) {}).Print()) {
		t.Error("people know a client by something else")
	}
	scopes := web(func(m *client.Metadata) { m.Scope = "read offline_access openid gone" }).ScopesOf(gatehouse.RealmSettings{Scopes: map[string]string{"read": ""}})
	if strings.Join(scopes, " ") != "read offline_access openid" {
		t.Errorf("%q", scopes)
	}
	// For itself a client has none that says something of a person, but what the realm made a scope of an API.
	itself := web(func(m *client.Metadata) { m.Scope = "read offline_access openid email gone" }).OwnScopes(gatehouse.RealmSettings{Scopes: map[string]string{"read": "", "email": ""}})
	if strings.Join(itself, " ") != "read email" {
		t.Errorf("%q", itself)
	}
}

// TestPublicClient: who says to be a public client is one, and nobody is another client by its name alone.
func TestPublicClient(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		change func(c *client.Client)
		reason string // of the record; "": it is let through
	}{
		"public":       {func(*client.Client) {}, ""},
		"with secret":  {func(c *client.Client) { c.Metadata.AuthMethod = client.AuthBasic }, "proof_missing"},
		"disabled":     {func(c *client.Client) { c.Disabled = true }, "client_disabled"},
		"another":      {func(c *client.Client) { c.ID = "cli_2" }, "client_unknown"},
		"of elsewhere": {func(c *client.Client) { c.Realm = "acme" }, "client_unknown"},
	} {
		stored := client.Client{Realm: "main", ID: "cli_1", Secret: client.NoSecret(now), Metadata: web(func(m *client.Metadata) { m.AuthMethod = client.AuthNone })}
		c.change(&stored)
		said := ""
		_, who, err := client.Authenticator{Clients: one{stored}, Record: func(e *gatehouse.Event) { said = e.Reason }, Now: time.Now}.Authenticate(t.Context(), "main", client.Proof{Method: client.AuthNone, ID: "cli_1"})
		if said != c.reason || (err == nil) != (c.reason == "") || (who != nil) != (c.reason == "") || err != nil && gatehouse.CodeOf(err) != "invalid_client" {
			t.Errorf("%s: %q %v %v", name, said, who, err)
		}
		if who != nil && (!stored.Has(who.IssuedAt, now) || stored.Has(now.Add(time.Second), now)) {
			t.Errorf("%s: since when it is public does not count", name)
		}
	}
}
