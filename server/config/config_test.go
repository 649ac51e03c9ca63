package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	if time.Duration(c.Routes[1].Timeout) != 15*time.Second {
		t.Errorf("timeout %v", c.Routes[1].Timeout)
	}
	r, err := c.Routes[1].Pipeline([]string{"documents"})
	if err != nil || r.Upstream != "documents" || r.Realm != "main" || r.RateAddress.Limit != 100 || r.RateAddress.Window != time.Minute {
		t.Errorf("route %+v, %v", r, err)
	}
}

// Each mistake is told with the member it is in, and nothing is guessed.
func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"unknown member":      {"data: d", "dada: d", "dada"},
		"duplicate":           {"data: d", "data: d\ndata: e", "data"},
		"second document":     {"data: d", "data: d\n---\nissuer: x", "second"},
		"tag":                 {"data: d", "data: !!str d", "tag"},
		"tag on a list":       {"routes:\n  - match: GET /public", "routes:\n  ! x\nother:\n  - match: GET /public", "tag"},
		"wrong type":          {"timeout: 15s", "timeout: [1]", "duration"},
		"bad duration":        {"timeout: 15s", "timeout: soon", "duration"},
		"issuer slash":        {"issuer: http://127.0.0.1:8080", "issuer: http://127.0.0.1:8080/", "issuer"},
		"issuer user":         {"issuer: http://127.0.0.1:8080", "issuer: http://a:b@127.0.0.1", "issuer"},
		"open to nobody":      {"anonymous: true", "id: x", "says nobody may call"},
		"action, no resource": {`resource: {type: Document, id: "{id}", source: upstream, fetch: "/documents/{id}"}`, "", "resource"},
		"unknown scheme":      {"anonymous: true", "anonymous: true\n    schemes: [digest]", "digest"},
		"bad rate":            {"rate_address: 100/1m", "rate_address: lots", "rate_address"},
		"unknown upstream":    {"anonymous: true", "anonymous: true\n    upstream: nope", "upstream"},
		"proxy list":          {"data: d", "data: d\ntrusted_proxies: [everyone]", "trusted_proxies"},
		"overflow":            {"data: d", "data: d\naudit: {overflow: forget}", "audit.overflow"},
		"dsn for sqlite":      {"data: d", "data: d\nstore: {dsn: x}", "store.dsn"},
		"half of tls":         {`auth: {address: "127.0.0.1:8080"}`, `auth: {address: "127.0.0.1:8080", cert_file: c}`, "belong together"},
		"the clock":           {"data: d", "data: d\nNow: x", "Now"},
		"the clock, unnamed":  {"data: d", "data: d\n\"-\": x", "-"},
		"reserved prefix":     {"data: d", "data: d\nkey_prefix: ght", "key_prefix"},
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
		if _, err := Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), "levels") {
			t.Errorf("%s: %v", name, err)
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
