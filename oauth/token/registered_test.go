package token_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

func basicOf(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// TestClientCredentials: a registered client gets a token for itself by the method that it is registered for
// (RFC 6749 §4.4, §2.3.1), with its own scopes and no refresh token, and without saying which form it reads.
func TestClientCredentials(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"read": "Read", "write": "Write"}, Audiences: map[string]gatehouse.AudienceRules{"https://api.example": {}}})
	limited := false
	s := site(h, &limited)
	id, secret := h.register(client.AuthBasic, "read write", func(*client.Client) {})
	byForm, formSecret := h.register(client.AuthPost, "read", func(*client.Client) {})
	want := func(a answer, subject, scope string) {
		t.Helper()
		c, err := h.claims(gatehouse.Secret(a.str("access_token")))
		if a.code != 200 || a.header.Get("Content-Type") != jsonCT || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.str("token_type") != "Bearer" ||
			a.json["expires_in"] != 600.0 || a.str("scope") != scope || a.json["refresh_token"] != nil {
			t.Fatalf("%d %v %s", a.code, a.header, a.raw)
		}
		if err != nil || c.Subject != subject || c.ClientID != subject || c.Scope != scope {
			t.Fatalf("%+v %v", c, err)
		}
	}
	want(call(s, "POST", "/token", form("grant_type", "client_credentials"), "Content-Type", formCT, "Authorization", basicOf(id, secret)), id, "read write")
	want(call(s, "POST", "/token", form("grant_type", "client_credentials", "scope", "write", "client_id", id), "Content-Type", formCT, "Authorization", basicOf(id, secret)), id, "write")
	want(call(s, "POST", "/token", form("grant_type", "client_credentials", "client_id", byForm, "client_secret", formSecret), "Content-Type", formCT, "Accept", "*/*"), byForm, "read")
	a := call(s, "POST", "/token", form("grant_type", "client_credentials", "resource", "https://api.example"), "Content-Type", formCT, "Authorization", basicOf(id, secret))
	if c := h.audience(a.str("access_token")); a.code != 200 || strings.Join(c, " ") != "https://api.example" {
		t.Errorf("%d %v", a.code, c)
	}
}

// TestClientRefusals: what is wrong with a client, its proof or its request is refused in the form of RFC 6749 §5.2, and
// nobody learns from it whether there is such a client.
func TestClientRefusals(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"read": "Read", "write": "Write"}})
	limited := false
	s := site(h, &limited)
	now := time.Now()
	id, secret := h.register(client.AuthBasic, "read", func(*client.Client) {})
	byForm, formSecret := h.register(client.AuthPost, "read", func(*client.Client) {})
	off, offSecret := h.register(client.AuthBasic, "read", func(c *client.Client) { c.Disabled = true })
	over, overSecret := h.register(client.AuthBasic, "read", func(c *client.Client) { c.Secret.ExpiresAt = now })
	idle, idleSecret := h.register(client.AuthBasic, "read", func(c *client.Client) { c.Metadata.GrantTypes = nil })
	elsewhere, elsewhereSecret := h.register(client.AuthBasic, "read", func(c *client.Client) { c.Realm = "acme" })
	former, formerSecret := h.register(client.AuthBasic, "read", func(c *client.Client) {
		c.Former, c.Secret = c.Secret, client.Secret{Hash: []byte{1}, SetAt: now}
		c.Former.ExpiresAt = now.Add(time.Hour)
	})
	gone, goneSecret := h.register(client.AuthBasic, "read", func(c *client.Client) {
		c.Former, c.Secret = c.Secret, client.Secret{Hash: []byte{1}, SetAt: now}
		c.Former.ExpiresAt = now
	})
	good := form("grant_type", "client_credentials")
	if a := call(s, "POST", "/token", good, "Content-Type", formCT, "Authorization", basicOf(former, formerSecret)); a.code != 200 {
		t.Errorf("the former secret, in its overlap: %d %s", a.code, a.raw)
	}
	unknown := ""
	for name, c := range map[string]struct {
		body, auth string
		status     int
		error      string
	}{
		"unknown client":               {good, basicOf("cli_none", secret), 401, "invalid_client"},
		"another's secret":             {good, basicOf(id, formSecret), 401, "invalid_client"},
		"no secret of ours":            {good, basicOf(id, "hunter2"), 401, "invalid_client"},
		"disabled":                     {good, basicOf(off, offSecret), 401, "invalid_client"},
		"secret over":                  {good, basicOf(over, overSecret), 401, "invalid_client"},
		"former secret over":           {good, basicOf(gone, goneSecret), 401, "invalid_client"},
		"another realm's":              {good, basicOf(elsewhere, elsewhereSecret), 401, "invalid_client"},
		"no proof":                     {good, "", 401, "invalid_client"},
		"an id alone":                  {form("grant_type", "client_credentials", "client_id", id), "", 401, "invalid_client"},
		"a token":                      {good, "Bearer " + secret, 401, "invalid_client"},
		"form in place of Basic":       {form("grant_type", "client_credentials", "client_id", id, "client_secret", secret), "", 401, "invalid_client"},
		"Basic in place of form":       {good, basicOf(byForm, formSecret), 401, "invalid_client"},
		"both":                         {form("grant_type", "client_credentials", "client_id", id, "client_secret", secret), basicOf(id, secret), 400, "invalid_request"},
		"another id in the form":       {form("grant_type", "client_credentials", "client_id", byForm), basicOf(id, secret), 400, "invalid_request"},
		"not registered for it":        {good, basicOf(idle, idleSecret), 400, "unauthorized_client"},
		"no grant type":                {form("scope", "read"), basicOf(id, secret), 400, "invalid_request"},
		"password":                     {form("grant_type", "password", "username", "bob", "password", "secret"), basicOf(id, secret), 400, "unsupported_grant_type"},
		"scope of another":             {form("grant_type", "client_credentials", "scope", "write"), basicOf(id, secret), 400, "invalid_scope"},
		"scope *":                      {form("grant_type", "client_credentials", "scope", "*"), basicOf(id, secret), 400, "invalid_scope"},
		"resource that there is not":   {form("grant_type", "client_credentials", "resource", "https://evil.example"), basicOf(id, secret), 400, "invalid_target"},
		"scope twice":                  {"grant_type=client_credentials&scope=read&scope=read", basicOf(id, secret), 400, "invalid_request"},
		"escapes that are none":        {good, "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":%zz")), 401, "invalid_client"},
		"not the client's own account": {good, basic, 401, "invalid_client"},
	} {
		header := []string{"Content-Type", formCT}
		if c.auth != "" {
			header = append(header, "Authorization", c.auth)
		}
		a := call(s, "POST", "/token", c.body, header...)
		if a.code != c.status || a.str("error") != c.error || a.header.Get("Content-Type") != jsonCT || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, a.code, a.header, a.raw)
		}
		if challenge := a.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if strings.Contains(a.raw, "hunter2") || strings.Contains(a.raw, secret) {
			t.Errorf("%s: the answer repeats the input", name)
		}
		switch name {
		case "unknown client", "another's secret", "disabled", "secret over", "another realm's":
			delete(a.json, "request_id")
			if unknown == "" {
				unknown = a.str("code") + a.str("detail")
			} else if unknown != a.str("code")+a.str("detail") {
				t.Errorf("%s is told apart: %s", name, a.raw)
			}
		}
	}
	for name, c := range map[string]struct {
		method, path, contentType string
		status                    int
	}{"GET": {"GET", "/token", formCT, 405}, "query": {"POST", "/token?scope=read", formCT, 400}, "JSON": {"POST", "/token", jsonCT, 415}} {
		body := good
		if c.method == "GET" {
			body = ""
		}
		if a := call(s, c.method, c.path, body, "Content-Type", c.contentType, "Authorization", basicOf(id, secret)); a.code != c.status || a.str("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.code, a.raw)
		}
	}
	h.away = true
	for _, c := range [][2]string{{good, basicOf(id, secret)}, {form("grant_type", "client_credentials", "client_id", byForm, "client_secret", formSecret), ""}} {
		if a := call(s, "POST", "/token", c[0], "Content-Type", formCT, "Authorization", c[1]); a.code != 400 || a.str("code") != "https_required" {
			t.Errorf("without TLS: %d %s", a.code, a.raw)
		}
	}
	h.away, limited = false, true
	if a := call(s, "POST", "/token", good, "Content-Type", formCT, "Authorization", basicOf(id, secret)); a.code != 429 || a.header.Get("Retry-After") != "7" {
		t.Errorf("%d %s", a.code, a.raw)
	}
}
