package configfuzz

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

const small = `issuer: https://id.example
data: data
listen: {auth: {address: ":8080"}, gateway: {address: ":8081"}}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {match: "GET /public", anonymous: true}
  - {match: "GET /documents/{id}", action: read, timeout: 5s, rate_address: 100/1m, resource: {type: Document, id: "{id}", source: upstream, fetch: "/documents/{id}", entities: {owner: User}}}
  - {match: "POST /documents", scopes: [write], content_types: [application/json], cors: {origins: ["https://app.example"], max_age: 1h}}
`

// FuzzConfig: a configuration that is read, written down and
// read again is the same, so nothing in it was understood by halves; and each
// route says who may call.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{small, "", "{}", strings.Replace(small, "anonymous: true", "", 1), strings.Replace(small, "issuer:", "issuer: x\nissuer:", 1), small + "---\nissuer: x\n",
		strings.Replace(small, "timeout: 5s", "timeout: -5s", 1), strings.Replace(small, "data: data", "data: &d [*d]", 1), strings.Replace(small, "/public", "/public/{x...}/y", 1),
		small + "trusted_proxies: [10.0.0.0/8, 192.0.2.1]\naudit: {overflow: drop, queue: 16}\nlog: {level: debug, format: json}\n", "a: &a [b, b]\nc: [*a, *a]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data, nil)
		if err != nil {
			return
		}
		for _, r := range c.Routes {
			if !r.Anonymous && !r.Authenticated && len(r.Scopes) == 0 && len(r.Roles) == 0 && r.Action == "" {
				t.Fatalf("a route that does not say who may call: %+v", r)
			}
		}
		text, err := config.Text(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse(text, nil)
		if err != nil {
			t.Fatalf("%s is not read again: %v", text, err)
		}
		second, err := config.Text(again)
		if err != nil || string(second) != string(text) {
			t.Fatalf("%s became %s (%v)", text, second, err)
		}
	})
}

// FuzzEnvironment: a variable sets the one setting it names or stops the start,
// the value is never in the error, and lists of rules cannot be set so.
func FuzzEnvironment(f *testing.F) {
	for _, kv := range [][2]string{{"STORE_DSN", "postgres://u:hunter2-hunter2@h/d"}, {"ISSUER", "https://other.example"}, {"ROUTES", "[]"}, {"AUDIT_QUEUE", "16"}, {"AUDIT_QUEUE", "hunter2-hunter2"},
		{"LISTEN_AUTH_ADDRESS", ":1"}, {"TRUSTED_PROXIES", "10.0.0.0/8, unix"}, {"UPSTREAMS_API_URL", "http://x"}, {"STORE_DSN_FIL", "x"}, {"issuer", "x"}, {"", "x"}} {
		f.Add(kv[0], kv[1])
	}
	plain, err := config.Parse([]byte(small), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.HasSuffix(name, "_FILE") || strings.Contains(name, "=") {
			return // names a file of this machine, or is another variable
		}
		c, err := config.Parse([]byte(small), []string{"GATEHOUSE_" + name + "=" + value})
		if err != nil {
			if strings.HasPrefix(value, "hunter2-hunter2") && strings.Contains(err.Error(), value) {
				t.Fatalf("the error quotes the value: %v", err)
			}
			return
		}
		if !reflect.DeepEqual(c.Routes, plain.Routes) || !reflect.DeepEqual(c.Upstreams, plain.Upstreams) {
			t.Fatalf("%s=%q changed the rules", name, value)
		}
	})
}
