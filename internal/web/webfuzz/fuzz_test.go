package webfuzz

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// FuzzForwarded: a caller writes what he likes into the forwarding header, a proxy
// that we trust adds its own element behind it, on the same line or a new one. The
// address is then the one the proxy saw or, where the whole cannot be read, the
// proxy's own: never one that the caller chose. Nor can he make a plain connection
// pass for TLS.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "198.51.100.7", "unknown", "10.0.0.2", "for=198.51.100.7", "for=198.51.100.7;proto=https", `for=198.51.100.7;x="`, `for=198.51.100.7;proto=https;x="a\`,
		`for="[2001:db8::1]:80"`, `"`, `\`, "for=198.51.100.7,", ";for=198.51.100.7", ",,,,", "for=198.51.100.7;for=10.0.0.2", "[::1]", "::ffff:198.51.100.7"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	seen, proxy := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("10.0.0.1")
	behind := map[string]*web.Proxies{}
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		p, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"10.0.0.0/8"}, Header: header})
		if err != nil {
			f.Fatal(err)
		}
		behind[header] = p
	}
	f.Fuzz(func(t *testing.T, sent string, sameLine bool) {
		for header, proxies := range behind {
			for _, added := range map[string][]string{"X-Forwarded-For": {"203.0.113.9"},
				"Forwarded": {"for=203.0.113.9;proto=http", `for="203.0.113.9:4711";proto=http;by="_x"`, `proto=http;for=203.0.113.9`}}[header] {
				lines := []string{sent, added}
				if sameLine {
					lines = []string{sent + ", " + added}
				}
				r := &http.Request{RemoteAddr: "10.0.0.1:99", Header: http.Header{header: lines, "X-Forwarded-Proto": {"http"}}}
				if c := proxies.Client(r); c != seen && c != proxy {
					t.Fatalf("%s %q: the client is %s", header, lines, c)
				}
				if proxies.Scheme(r) != "http" || proxies.Secure(r) {
					t.Fatalf("%s %q: passes for TLS", header, lines)
				}
				r.RemoteAddr = "192.0.2.1:99" // nobody's proxy
				if c := proxies.Client(r); c != netip.MustParseAddr("192.0.2.1") {
					t.Fatalf("%s %q: a stranger speaks for %s", header, lines, c)
				}
			}
		}
	})
}

// FuzzJSON: what the strict reader accepts is one JSON object to the standard
// library too, with the same members, and writes and reads back the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":"x","n":1,"l":["y"]}`, `{"a":"x","a":"y"}`, `{"A":"x"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{} {}`, `null`, `[]`, `{"n":1e0}`, `{"m":{"k":null}}`, "\ufeff{}"} {
		f.Add([]byte(s))
	}
	type body struct {
		A string            `json:"a"`
		N int               `json:"n"`
		L []string          `json:"l"`
		M map[string]string `json:"m"`
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, std, again body
		if err := web.UnmarshalStrict(data, &ours); err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&std); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		text, err := json.Marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		if err := web.UnmarshalStrict(text, &again); err != nil {
			t.Fatalf("%s is not read again: %v", text, err)
		}
		for _, other := range []body{std, again} {
			if o, err := json.Marshal(other); err != nil || !bytes.Equal(o, text) {
				t.Fatalf("%q: we read %s, then %s (%v)", data, text, o, err)
			}
		}
	})
}
