package gateway_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestKeyForms: a key as user name of Basic, and a key after an auth-scheme of its own,
// are accepted on the routes that say so and nowhere else, and reach no API.
func TestKeyForms(t *testing.T) {
	minted, _, _ := credential.MintKey("ghk", "live")
	opaque, _, _ := credential.MintKey(credential.PrefixAccess, "live")
	renewal, _, _ := credential.MintKey(credential.PrefixRefresh, "live")
	key := minted.Reveal()
	srv, log := carrierServer(t, []enforce.Route{
		{Pattern: "/usual", Authenticated: true, Upstream: "api"},
		{Pattern: "/open", Anonymous: true, Upstream: "api"},
		{Pattern: "/user", Authenticated: true, Upstream: "api", KeyAsUser: true},
		{Pattern: "/scheme", Authenticated: true, Upstream: "api", KeyScheme: "ApiKey"},
		{Pattern: "/people", Authenticated: true, Upstream: "api", KeyAsUser: true, KeyScheme: "ApiKey", Schemes: []gatehouse.Scheme{"basic"}},
	})
	pair := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	evil := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	for _, c := range []struct {
		name, method, target, value string
		more                        []string
		want                        int
		code                        string
	}{
		{"as user name", "GET", "/user", pair(key, ""), nil, 200, ""},
		{"as Bearer all the same", "GET", "/user", "Bearer " + key, nil, 200, ""},
		{"with a password", "GET", "/user", pair(key, "x"), nil, 400, "credentials_conflict"},
		{"as password", "GET", "/user", pair("x", key), nil, 401, "invalid_credentials"},
		{"beside another", "GET", "/user", pair(key, ""), []string{"X-Api-Key", key}, 400, "credentials_conflict"},
		{"mistyped", "GET", "/user", pair(key[:len(key)-1]+"_", ""), nil, 401, "invalid_credentials"},
		{"incomplete", "GET", "/user", pair(wrongEnd(key), ""), nil, 401, "key_checksum"},
		{"token as user name", "GET", "/user", pair(opaque.Reveal(), ""), nil, 401, "scheme_not_accepted"},
		{"refresh token as user name", "GET", "/user", pair(renewal.Reveal(), ""), nil, 401, "refresh_token_presented"},
		{"saved by the browser, sent for another site", "POST", "/user", pair(key, ""), evil, 403, "cross_origin_refused"},
		{"meant, sent for another site", "POST", "/user", "Bearer " + key, evil, 200, ""},
		{"where nothing is said", "GET", "/usual", pair(key, ""), nil, 401, "scheme_not_accepted"},
		{"where nothing is said, with a password", "GET", "/usual", pair(key, "x"), nil, 401, "scheme_not_accepted"},
		{"on a public route", "GET", "/open", pair(key, ""), nil, 401, "scheme_not_accepted"},
		{"where only the other is said", "GET", "/scheme", pair(key, ""), nil, 401, "scheme_not_accepted"},
		{"where people log in", "GET", "/people", pair(key, ""), nil, 401, "scheme_not_accepted"},
		{"people log in", "GET", "/people", pair("alice", "pw"), nil, 200, ""},
		{"people beside keys", "GET", "/user", pair("alice", "pw"), nil, 200, ""},

		{"own scheme", "GET", "/scheme", "ApiKey " + key, nil, 200, ""},
		{"own scheme in other letters", "GET", "/scheme", "apikey  " + key, nil, 200, ""},
		{"own scheme where nothing is said", "GET", "/usual", "ApiKey " + key, nil, 401, "scheme_unsupported"},
		{"own scheme where only the other is said", "GET", "/user", "ApiKey " + key, nil, 401, "scheme_unsupported"},
		{"own scheme where people log in", "GET", "/people", "ApiKey " + key, nil, 401, "scheme_not_accepted"},
		{"two keys", "GET", "/scheme", "ApiKey " + key + ", ApiKey " + key, nil, 400, "credentials_conflict"},
		{"no key", "GET", "/scheme", "ApiKey abc", nil, 401, "key_malformed"},
		{"nothing", "GET", "/scheme", "ApiKey", nil, 401, "key_malformed"},
		{"a token", "GET", "/scheme", "ApiKey " + opaque.Reveal(), nil, 401, "key_malformed"},
		{"parameters", "GET", "/scheme", `ApiKey key="` + key + `"`, nil, 401, "key_malformed"},
	} {
		req, _ := http.NewRequest(c.method, srv.URL+c.target, nil)
		req.Header.Set("Authorization", c.value)
		req.Header.Set("X-Forwarded-Proto", "https")
		for i := 0; i+1 < len(c.more); i += 2 {
			req.Header.Set(c.more[i], c.more[i+1])
		}
		res, body := do(t, req)
		if res.StatusCode != c.want || c.code != "" && !strings.Contains(body, `"`+c.code+`"`) {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, body)
		} else if c.want == 200 && (seen(t, body).Get("Authorization") != "" || strings.Contains(body, key)) {
			t.Errorf("%s: the API saw the key: %s", c.name, body)
		}
	}
	if text := log.text(); strings.Contains(text, key) || strings.Contains(text, opaque.Reveal()) {
		t.Errorf("a secret is in the record: %s", text)
	}
	for target, want := range map[string][]string{
		"/usual":  {`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`},
		"/user":   {`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`},
		"/scheme": {`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`, `ApiKey realm="main"`},
		"/people": {`Basic realm="main", charset="UTF-8"`},
	} {
		req, _ := http.NewRequest("GET", srv.URL+target, nil)
		if res, _ := do(t, req); res.StatusCode != 401 || !slices.Equal(res.Header["Www-Authenticate"], want) {
			t.Errorf("%s invites by %q", target, res.Header["Www-Authenticate"])
		}
	}
}

// wrongEnd is a key with another last character.
func wrongEnd(key string) string {
	if strings.HasSuffix(key, "a") {
		return key[:len(key)-1] + "b"
	}
	return key[:len(key)-1] + "a"
}

// TestKeyFormRules: what would not mean what it says is refused at the start.
func TestKeyFormRules(t *testing.T) {
	for name, rt := range map[string]enforce.Route{
		"Bearer":                {KeyScheme: "bearer"},
		"Basic":                 {KeyScheme: "BASIC"},
		"a blank":               {KeyScheme: "Api Key"},
		"a line break":          {KeyScheme: "Api\nKey"},
		"a long name":           {KeyScheme: strings.Repeat("a", 33)},
		"no Authorization":      {KeyScheme: "ApiKey", Credentials: []string{"X-Acme-Key"}},
		"no Authorization, too": {KeyAsUser: true, Credentials: []string{"X-Acme-Key"}},
		"no credential at all":  {KeyAsUser: true, Credentials: []string{"none"}, Anonymous: true},
	} {
		rt.Pattern, rt.Authenticated = "/x", !rt.Anonymous
		if enforce.CheckRoutes([]enforce.Route{rt}) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := enforce.CheckRoutes([]enforce.Route{{Pattern: "/x", Authenticated: true, KeyScheme: "Token", KeyAsUser: true}}); err != nil {
		t.Error(err)
	}
}

// carrierServer is a gateway in front of an API that answers with what it saw.
func carrierServer(t *testing.T, routes []enforce.Route) (*httptest.Server, *tape) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(api.Close)
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: api.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ups.Close)
	proxies, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	log := &tape{}
	p, err := enforce.New(enforce.Config{Authenticator: keyed{world}, Decider: noDecider{}, Recorder: log, Limiter: limit.New(limit.Config{}), Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Enforcer: gateway.Pipeline(p), Upstreams: ups, Asserter: newAsserter(t), Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return srv, log
}

// text is everything that was recorded so far.
func (t *tape) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, e := range t.events {
		fmt.Fprintf(&b, "%+v\n", *e)
	}
	return b.String()
}
