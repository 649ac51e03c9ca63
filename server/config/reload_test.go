package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/keydiff"
)

// TestEveryKeySaysWhatAReloadDoes: a key that says nothing would wait for a restart, and
// nobody would have decided that.
func TestEveryKeySaysWhatAReloadDoes(t *testing.T) {
	n := 0
	var walk func(t *testing.T, of reflect.Type, path string, above bool)
	walk = func(t *testing.T, of reflect.Type, path string, above bool) {
		for _, k := range keysOf(of) {
			n++
			ft, at := of.FieldByIndex(k.index).Type, join(path, k.name)
			group := shapeOf(ft) == shapeGroup && ft.Kind() == reflect.Struct
			says := k.tag.Get("reload") != ""
			switch {
			case above && says:
				t.Errorf("%s: what it stands in says what a reload does; its own word would be overlooked", at)
			case group && says && !above:
				t.Errorf("%s: a group is reloaded key by key; its own word would be overlooked", at)
			case !group && !says && !above:
				t.Errorf("%s does not say what a reload does: live, restart or replace", at)
			}
			for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice || ft.Kind() == reflect.Map {
				ft = ft.Elem()
			}
			if shapeOf(ft) == shapeGroup {
				walk(t, ft, at, above || !group)
			}
		}
	}
	walk(t, reflect.TypeFor[Config](), "", false)
	if n < 60 {
		t.Errorf("found only %d keys: the search is broken", n)
	}
}

// TestReloaded: what a reload takes and what it leaves to a restart, told by name, and
// no value of a key that waits: it may be a secret.
func TestReloaded(t *testing.T) {
	parse := func(text string) Config {
		t.Helper()
		c, err := Parse([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const secure = "auth: {address: \"127.0.0.1:8080\", cert_file: a.pem, key_file: a.key}"
	for name, tc := range map[string]struct {
		from, to      string // in goodConfig
		live, restart string // changes, joined by "; "
		check         func(c *Config) bool
	}{
		"nothing": {"", "", "", "", func(c *Config) bool { return len(c.Routes) == 2 }},
		"order of routes": {goodConfig[strings.Index(goodConfig, "  - match: GET /public"):strings.Index(goodConfig, "  - match: GET /documents")],
			"", "routes[GET /public] removed", "", func(c *Config) bool { return len(c.Routes) == 1 }},
		"a route": {"    timeout: 15s", "    timeout: 16s", "routes[GET /documents/{id}] changed", "",
			func(c *Config) bool { return c.Routes[1].Timeout == 16*time.Second }},
		"another route": {"  - match: GET /public", "  - {match: GET /new, closed: true}\n  - match: GET /public", "routes[GET /new] added", "",
			func(c *Config) bool { return len(c.Routes) == 3 }},
		"an upstream":   {"routes:", "  more: {url: \"http://10.0.0.1\"}\nroutes:", "", "", nil}, // see below
		"an empty list": {"data: d", "data: d\ntrusted_proxies: []\ngateway: {strip_headers: []}", "", "", nil},
		"a level":       {"data: d", "data: d\nlog: {level: debug}", "log.level info → debug", "", func(c *Config) bool { return c.Log.Level == "debug" }},
		"a rate": {"data: d", "data: d\nlimits: {tokens: 5/1s}", "limits.tokens 600/1m → 5/1s", "",
			func(c *Config) bool { return c.Limits.Tokens.Limit == 5 }},
		"proxies": {"data: d", "data: d\ntrusted_proxies: [10.0.0.0/8, \"::1\"]", "trusted_proxies added: 10.0.0.0/8, ::1", "",
			func(c *Config) bool { return len(c.TrustedProxies) == 2 }},
		"a default of the gateway": {"data: d", "data: d\ngateway: {cors: {origins: [\"https://a.example\"]}}",
			"gateway.cors added; routes[GET /documents/{id}] changed; routes[GET /public] changed", "",
			func(c *Config) bool { return c.Routes[0].CORS != nil }},
		"headers, whose values may be secrets": {"data: d", "data: d\ngateway: {response_headers: {X-A: hunter2}}", "gateway.response_headers added", "", nil},
		"the database": {"data: d", "data: d\nstore: {driver: postgres, dsn: \"postgres://u:hunter2@h/d\"}", "",
			"store.driver changed; store.dsn added", func(c *Config) bool { return c.Store.Driver == "sqlite" && c.Store.DSN == "" }},
		"an address, and a level": {`gateway: {address: "127.0.0.1:8081"}`, "gateway: {address: \"127.0.0.1:9\"}\nlog: {level: warn}",
			"log.level info → warn", "listen.gateway.address changed",
			func(c *Config) bool { return c.Listen.Gateway.Address == "127.0.0.1:8081" && c.Log.Level == "warn" }},
		"TLS for the first time": {`auth: {address: "127.0.0.1:8080"}`, secure, "", "listen.auth.cert_file added: a.pem; listen.auth.key_file added: a.key",
			func(c *Config) bool { return c.Listen.Auth.CertFile == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodConfig, tc.from, tc.to, 1)
			if name == "an upstream" {
				text = strings.NewReplacer("routes:", "  more: {url: \"http://10.0.0.1\"}\nroutes:", "    anonymous: true", "    anonymous: true\n    upstream: documents",
					"    action: read", "    action: read\n    upstream: documents").Replace(goodConfig)
				tc.live = "upstreams.more added"
			}
			next := parse(text)
			out, live, restart := parse(goodConfig).Reloaded(next)
			if got := told(live); got != tc.live {
				t.Errorf("taken: %q, want %q", got, tc.live)
			}
			if got := told(restart); got != tc.restart {
				t.Errorf("left: %q, want %q", got, tc.restart)
			}
			if strings.Contains(told(live)+told(restart), "hunter2") {
				t.Error("a secret is told")
			}
			if tc.check != nil && !tc.check(&out) {
				t.Errorf("in force: %+v", out)
			}
			if _, live, left := out.Reloaded(next); len(live) > 0 || told(left) != tc.restart {
				t.Errorf("once more: taken %q, left %q", told(live), told(left))
			}
		})
	}
	was := parse(strings.Replace(goodConfig, `auth: {address: "127.0.0.1:8080"}`, secure, 1))
	is := parse(strings.Replace(goodConfig, `auth: {address: "127.0.0.1:8080"}`, strings.Replace(secure, "a.pem", "b.pem", 1), 1))
	if out, live, restart := was.Reloaded(is); told(live) != "listen.auth.cert_file a.pem → b.pem" || len(restart) > 0 || out.Listen.Auth.CertFile != "b.pem" {
		t.Errorf("another certificate: %q, %q", told(live), told(restart))
	}
	if _, _, restart := was.Reloaded(parse(goodConfig)); len(restart) != 2 {
		t.Errorf("the end of TLS is taken: %q", told(restart))
	}
}

func told(changes []keydiff.KeyChange) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.String())
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
