package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/gateway"
)

const goodConfig = `
issuer: http://127.0.0.1:8080
data: d
listen:
  auth: {address: "127.0.0.1:8080"}
  gateway: {address: "127.0.0.1:8081"}
upstreams:
  documents: {url: "http://127.0.0.1:3000"}
routes:
  - match: GET /public
    anonymous: true
  - match: GET /documents/{id}
    action: read
    resource: {type: Document, id: "{id}", source: upstream, fetch: "/documents/{id}"}
    timeout: 15s
    rate_address: 100/1m
`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(goodConfig), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Routes[1].Timeout != 15*time.Second {
		t.Errorf("timeout %v", c.Routes[1].Timeout)
	}
	r := c.Routes[1]
	if r.Upstream != "documents" || r.Realm != "main" || r.RateAddress.Limit != 100 || r.RateAddress.Window != time.Minute {
		t.Errorf("route %+v", r)
	}
}

// Each mistake is told with the member it is in, and nothing is guessed.
func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"unknown member":      {"data: d", "dada: d", "dada"},
		"duplicate":           {"data: d", "data: d\ndata: e", "data"},
		"second document":     {"data: d", "data: d\n---\nissuer: x", "second"},
		"tag":                 {"data: d", "data: !!str d", "tag"},
		"tag on a list":       {"routes:\n  - match: GET /public", "routes:\n  ! x\nother:\n  - match: GET /public", "routes: a list"},
		"tag on a mapping":    {"listen:", "listen: !x", "listen: a YAML tag"},
		"tag on a name":       {"data: d", "!!str data: d", "a name must be text"},
		"name of no text":     {"data: d", "[data]: d", "a name must be text"},
		"wrong type":          {"timeout: 15s", "timeout: [1]", "duration"},
		"bad duration":        {"timeout: 15s", "timeout: soon", "duration"},
		"issuer slash":        {"issuer: http://127.0.0.1:8080", "issuer: http://127.0.0.1:8080/", "issuer"},
		"issuer user":         {"issuer: http://127.0.0.1:8080", "issuer: http://a:b@127.0.0.1", "issuer"},
		"open to nobody":      {"anonymous: true", "id: x", "who may call"},
		"action, no resource": {`resource: {type: Document, id: "{id}", source: upstream, fetch: "/documents/{id}"}`, "", "resource"},
		"unknown scheme":      {"anonymous: true", "anonymous: true\n    schemes: [digest]", "digest"},
		"bad rate":            {"rate_address: 100/1m", "rate_address: lots", "rate_address"},
		"unknown upstream":    {"anonymous: true", "anonymous: true\n    upstream: nope", "upstream"},
		"proxy list":          {"data: d", "data: d\ntrusted_proxies: [everyone]", "trusted_proxies"},
		"proxies on a socket": {"data: d", "data: d\ntrusted_proxies: [unix]", "no listener is a UNIX socket"},
		"overflow":            {"data: d", "data: d\naudit: {overflow: forget}", "audit.overflow"},
		"dsn for sqlite":      {"data: d", "data: d\nstore: {dsn: x}", "store.dsn"},
		"half of tls":         {`auth: {address: "127.0.0.1:8080"}`, `auth: {address: "127.0.0.1:8080", cert_file: c}`, "belong together"},
		"the clock":           {"data: d", "data: d\nNow: x", "Now"},
		"the clock, unnamed":  {"data: d", "data: d\n\"-\": x", "-"},
		"stream type":         {"data: d", "data: d\ngateway: {stream_types: [log]}", "gateway.stream_types"},
		"origin with a path":  {"data: d", "data: d\ngateway: {cors: {origins: [\"https://app.example/login\"]}}", "gateway.cors"},
		"negative bound":      {"data: d", "data: d\ngateway: {idle_timeout: -1s}", "gateway.idle_timeout"},
		"strip what frames":   {"data: d", "data: d\ngateway: {strip_headers: [Content-Length]}", "gateway.strip_headers"},
		"header with a line":  {"data: d", "data: d\ngateway: {response_headers: {X-A: \"a\\nX-B: b\"}}", "gateway.response_headers"},
		"header that frames":  {"data: d", "data: d\ngateway: {response_headers: {Transfer-Encoding: chunked}}", "gateway.response_headers"},
		"reserved prefix":     {"data: d", "data: d\nkey_prefix: ght", "key_prefix"},
		"prefix of clients":   {"data: d", "data: d\nkey_prefix: ghc", "key_prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodConfig, tc.from, tc.to, 1)
			if text == goodConfig {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse([]byte(text), nil)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v does not name %q", err, tc.want)
			}
		})
	}
}

// Depth is bounded before the parser sees it: its time grows with the square.
func TestDepthIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"open brackets": "routes: " + strings.Repeat("[", MaxBytes/2),
		"brackets":      "routes: " + strings.Repeat("[", 1<<15) + strings.Repeat("]", 1<<15),
		"braces":        "upstreams: " + strings.Repeat("{a: ", 1<<15),
		"dashes":        "routes:\n  " + strings.Repeat("- ", 1<<15),
	} {
		if _, err := Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), "nested deeper than 64") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{ // that the parser takes, and we do not
		"lists":   "trusted_proxies: " + strings.Repeat("[", 70) + strings.Repeat("]", 70),
		"members": "routes:\n  - resource: {static: " + strings.Repeat("{a: ", 70) + "1" + strings.Repeat("}", 70) + "}",
		"aliases": "key_prefix: &a0 {}\ndata: &a1 [*a0, *a0]\nlog: {<<: [*a1, *a1]}\nupstreams: {a: &a {headers: &h {<<: *h}}}",
	} {
		if _, err := Parse([]byte(text), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Parse([]byte(goodConfig+strings.Repeat("#", MaxBytes)), nil); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("too large: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("postgres://u:hunter2@h/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse([]byte(goodConfig), []string{"GATEHOUSE_STORE_DRIVER=postgres", "GATEHOUSE_STORE_DSN_FILE=" + file,
		"GATEHOUSE_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.1", "GATEHOUSE_AUDIT_QUEUE=64", "HOME=/x", "GATEHOUSE_TOKEN=t"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.DSN != "postgres://u:hunter2@h/d" || len(c.TrustedProxies) != 2 || c.Audit.Queue != 64 {
		t.Errorf("%+v", c)
	}
	for _, env := range []string{"GATEHOUSE_STOR_DSN=x", "GATEHOUSE_AUDIT_QUEUE=many", "GATEHOUSE_ROUTES=x", "GATEHOUSE_NOW=x", "GATEHOUSE_-=x"} {
		if _, err := Parse([]byte(goodConfig), []string{env}); err == nil {
			t.Errorf("%s accepted", env)
		}
	}
	_, err = Parse([]byte(goodConfig), []string{"GATEHOUSE_AUDIT_QUEUE=hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the value: %v", err)
	}
}

// TestEveryMistakeAtOnce: one check tells all that is wrong, each at its place,
// mistakes of form beside mistakes of meaning, in the order of the file.
func TestEveryMistakeAtOnce(t *testing.T) {
	_, err := Parse([]byte(`issuer: http://127.0.0.1:8080/
lisen: {}
audit: {queue: many, overflow: bolck}
passwords: {parallel: 65, queue: "3"}
listen:
  auth: {address: 127.0.0.1:8080}
  gateway: {address: 127.0.0.1:8080}
upstreams:
  api: {url: "ftp://x", headers: {X-User: usrname}, plain_headers: yes}
routes:
  - match: GET /a
    anonymus: true
    timeout: 5 minutes
  - match: get /b
    roles: boss
  - match: GET /c
    authenticated: true
    rate_address: lots
    resource: {id: x}
`), []string{"GATEHOUSE_AUDT_QUEUE=hunter2"})
	if err == nil {
		t.Fatal("accepted")
	}
	got := err.Error()
	at := 0
	for _, want := range []string{
		"environment: GATEHOUSE_AUDT_QUEUE: names no setting; did you mean GATEHOUSE_AUDIT_QUEUE?",
		"1:1: issuer: no trailing slash",
		"2:1: lisen: unknown key; did you mean listen?",
		"audit.queue: a whole number",
		"audit.overflow: one of block, drop; did you mean block?",
		"passwords.parallel: 0 to 64",
		"passwords.queue: a whole number",
		"7:13: listen.gateway.address: listen.auth has this port already",
		"upstreams.api.url: an absolute http:// or https:// URL",
		"upstreams.api.headers.X-User: one of subject, username",
		"upstreams.api.plain_headers: true or false",
		"routes[0]: GET /a: it does not say who may call",
		"12:5: routes[0].anonymus: unknown key; did you mean anonymous?",
		"13:14: routes[0].timeout: a duration is a number with a unit",
		"routes[1]: get /b: methods are upper-case",
		"routes[1].roles: a list, such as [one, two]",
		"routes[2]: GET /c: a resource without an action decides nothing",
		"routes[2].rate_address: so many in so long",
		"routes[2].resource.type: needed",
	} {
		i := strings.Index(got, want)
		if i < 0 {
			t.Errorf("not told: %s", want)
		} else if i < at {
			t.Errorf("out of order: %s", want)
		}
		at = max(at, i)
	}
	if strings.Contains(got, "hunter2") || strings.ContainsRune(got, '\uFFFD') {
		t.Error("shows a value or a spoiled character")
	}
	if t.Failed() {
		t.Log("\n" + got)
	}
}

// TestRealmIssuers: a host name tells the realm.
func TestRealmIssuers(t *testing.T) {
	for text, want := range map[string]string{
		"shop: https://shop.example":                                    "",
		"{shop: https://shop.example, club: https://club.example:8443}": "",
		"main: https://main.example":                                    "that of realm main is 'issuer'",
		"shop: https://shop.example/login":                              "no path",
		"shop: shop.example":                                            "an absolute http:// or https:// URL",
		"shop: ''":                                                      "needed",
		"shop: https://ID.example.":                                     "issuer has this host already",
		"{shop: https://a.example, club: https://a.example:8443}":       "realm_issuers.club has this host already",
		"{shop: https://shop.example, club: https://user@club.example}": "no query, fragment or user name",
	} {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "}"
		}
		c, err := Parse([]byte("issuer: https://id.example\nlisten: {auth: {address: 127.0.0.1:8080}}\nrealm_issuers: "+text), nil)
		if want == "" {
			if err != nil || len(c.RealmIssuers) == 0 {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSyntax: a file that is no YAML is told with its place, and without an
// excerpt, which may hold a secret.
func TestSyntax(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"bracket":  {"data: d\nissuer: [hunter2", "2: did not find"},
		"tab":      {"data: d\nstore:\n\tdsn: hunter2", "3: found character"},
		"colon":    {"data: d\nissuer: a: hunter2", "2: mapping values"},
		"bytes":    {"data: d\nissuer: é\xff", "2:10: is not UTF-8"},
		"alias":    {"data: *nothing", "an alias of nothing"},
		"list":     {"- hunter2", "a mapping"},
		"in self":  {"trusted_proxies: &a [*a]", ""},
		"no value": {"issuer: {a: &b [*b, *b]}", ""},
	} {
		_, err := Parse([]byte(tc.text), nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnchors: what stands once can be used in several places, and a merged
// mapping gives way to what stands beside it.
func TestAnchors(t *testing.T) {
	c, err := Parse([]byte(strings.Replace(goodConfig, "  - match: GET /public\n    anonymous: true\n",
		"  - &public {match: GET /public, anonymous: true, timeout: 3s}\n  - {<<: *public, match: GET /other}\n", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Routes[1]; r.Pattern != "GET /other" || !r.Anonymous || r.Timeout != 3*time.Second {
		t.Errorf("%+v", r)
	}
}

// TestNamesWithColons: a scope within brackets or braces keeps its colon.
func TestNamesWithColons(t *testing.T) {
	c, err := Parse([]byte(goodConfig+"  - {match: /colon, scopes: [users:read, b], any_of: [{scopes: [c:d]}]}\n  - {match: /map, action: read, resource: {type: T, static: {a:b: c}}}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Routes[2]
	if len(r.Scopes) != 2 || r.Scopes[0] != "users:read" || r.AnyOf[0].Scopes[0] != "c:d" || c.Routes[3].Resource.Static["a:b"] != "c" {
		t.Errorf("%+v %+v", r, c.Routes[3].Resource)
	}
}

// TestText: a configuration that is written and read again is the same.
func TestText(t *testing.T) {
	c, err := Parse([]byte(strings.Replace(goodConfig, "data: d", "data: d\ngateway: {idle_timeout: 0s, stream_check: 90m, response_headers: {X-A: \"yes\"}, cors: {origins: []}}", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Text(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text, nil)
	c.at, again.at = nil, nil // stands elsewhere now
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("%v\n%s\n%+v\n%+v", err, text, c, again)
	}
	for _, line := range []string{"  idle_timeout: 0s\n", "  stream_check: 1h30m\n", "X-A: \"yes\"\n", "rate_address: 100/1m\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

// TestGatewayOptions: what is set for the whole gateway arrives there, from the file and
// from the environment, and the CORS rule is that of every route without one.
func TestGatewayOptions(t *testing.T) {
	text := strings.Replace(goodConfig, "data: d", `data: d
gateway:
  idle_timeout: 30s
  timeout: 10m
  max_body_bytes: 1
  max_header_bytes: 2
  max_header_lines: 3
  max_list_bytes: 4
  stream_lifetime: 5h
  stream_check: 6s
  stream_types: [application/vnd.log]
  strip_headers: [X-Team]
  response_headers: {x-frame-options: DENY}
  cors: {origins: ["https://app.example"]}`, 1)
	text = strings.Replace(text, "    anonymous: true", "    anonymous: true\n    cors: {origins: []}\n    idle_timeout: 1s\n    stream_lifetime: 2s", 1)
	c, err := Parse([]byte(text), []string{"GATEHOUSE_GATEWAY_IDLE_TIMEOUT=45s", "GATEHOUSE_GATEWAY_STREAM_TYPES=a/b,c/d"})
	if err != nil {
		t.Fatal(err)
	}
	o := c.Gateway.Options
	want := gateway.Options{IdleTimeout: 45 * time.Second, Timeout: 10 * time.Minute, MaxBodyBytes: 1, MaxHeaderBytes: 2, MaxHeaderLines: 3,
		MaxListBytes: 4, StreamLifetime: 5 * time.Hour, StreamCheck: 6 * time.Second, StreamTypes: []string{"a/b", "c/d"},
		StripHeaders: []string{"X-Team"}, ResponseHeaders: map[string]string{"x-frame-options": "DENY"}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("%+v", o)
	}
	if public := c.Routes[0]; len(public.CORS.Origins) != 0 || public.IdleTimeout != time.Second || public.StreamLifetime != 2*time.Second {
		t.Errorf("%+v", public)
	}
	if documents := c.Routes[1]; documents.CORS == nil || documents.CORS.Origins[0] != "https://app.example" {
		t.Errorf("%+v", documents)
	}
	for _, bad := range []string{"GATEHOUSE_GATEWAY_IDLE_TIMEOUT=soon", "GATEHOUSE_GATEWAY_CORS=x"} {
		if _, err := Parse([]byte(goodConfig), []string{bad}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// What is said of an upstream holds for its routes, and for no others.
func TestStrictPaths(t *testing.T) {
	c, err := Parse([]byte(`
issuer: http://localhost:8080
listen: {auth: {address: "127.0.0.1:8080"}, gateway: {address: "127.0.0.1:8081"}}
upstreams:
  strict: {url: "http://127.0.0.1:1", strict_paths: true}
  common: {url: "http://127.0.0.1:2"}
routes:
  - {match: /a, upstream: strict, authenticated: true}
  - {match: /b, upstream: common, authenticated: true}
`), nil)
	if err != nil || !c.Routes[0].StrictPaths || c.Routes[1].StrictPaths {
		t.Errorf("%+v, %v", c.Routes, err)
	}
}

// TestRetention: events are kept for good, or for a day at least, whatever the unit.
func TestRetention(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 0, "24h": 24 * time.Hour, "400d": 400 * 24 * time.Hour, "1h": -1, "23h": -1, "0s": 0, "-24h": -1} {
		text := goodConfig
		if value != "" {
			text += "audit: {retention: " + value + "}\n"
		}
		c, err := Parse([]byte(text), nil)
		if (err != nil) != (want < 0) || err == nil && c.Audit.Retention != want {
			t.Errorf("%q: %v, %v", value, c.Audit.Retention, err)
		}
	}
}
