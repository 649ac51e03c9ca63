package authnfuzz

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
)

const (
	key = "ghk_live_"
	jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
)

// FuzzExtract: never two credentials, never one from the URL, never a secret
// beside an error, and what is accepted is what stood in the field.
func FuzzExtract(f *testing.F) {
	text, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive)
	for _, auth := range []string{"", "Bearer " + text.Reveal(), "bearer " + jwt, "Basic YTpi", "Basic YTpi, Bearer x", "Bearer  a", "Digest a", key} {
		f.Add(auth, "", "", "/", "")
		f.Add(auth, auth, text.Reveal(), "/a", "access_token=x")
	}
	f.Add("", "", text.Reveal(), "/"+text.Reveal(), "q="+text.Reveal())
	f.Fuzz(func(t *testing.T, auth1, auth2, apiKey, path, query string) {
		r := &http.Request{Method: "GET", Header: http.Header{}, URL: &url.URL{Path: path, RawQuery: query}}
		n := 0
		for _, a := range []string{auth1, auth2} {
			if a != "" {
				r.Header["Authorization"] = append(r.Header["Authorization"], a)
				n++
			}
		}
		if apiKey != "" {
			r.Header["X-Api-Key"] = []string{apiKey}
			n++
		}
		p, err := authn.Extract(r)
		if err != nil {
			if p.Secret != "" || gatehouse.KindOf(err) == gatehouse.Internal {
				t.Fatalf("%+v beside %v", p, err)
			}
			return
		}
		switch {
		case n > 1:
			t.Fatalf("accepted one of %d credentials", n)
		case n == 0 && !p.None():
			t.Fatalf("found %+v where there is none", p)
		case n == 1 && p.None():
			t.Fatal("a credential passes for none")
		}
		if p.None() {
			return
		}
		if p.Secret == "" && p.Scheme != gatehouse.SchemeBasic {
			t.Fatalf("no secret: %+v", p)
		}
		switch p.Scheme {
		case gatehouse.SchemeBasic:
			if _, ok := credential.FormatBasic(p.User, p.Secret); !ok {
				t.Fatal("accepted a pair that cannot be sent")
			}
		case gatehouse.SchemeAPIKey, gatehouse.SchemeOpaque, gatehouse.SchemeJWT:
			if !strings.HasSuffix(auth1+auth2+apiKey, p.Secret.Reveal()) {
				t.Fatal("the secret is not the one presented")
			}
			if _, err := credential.ParseKey(p.Secret.Reveal()); (err == nil) != (p.Scheme != gatehouse.SchemeJWT) {
				t.Fatalf("classified as %s: %v", p.Scheme, err)
			}
		default:
			t.Fatalf("scheme %q", p.Scheme)
		}
		// What is refused in the URL must not be found there again.
		if authn.RedactPath(path) != path {
			t.Fatal("accepted a credential in the path")
		}
	})
}

// FuzzChallenges: a line never breaks out of its field.
func FuzzChallenges(f *testing.F) {
	f.Add("main", "read write")
	f.Add("a\"b\\\r\nX: y", "s\"")
	f.Fuzz(func(t *testing.T, realm, scope string) {
		err := gatehouse.E(gatehouse.Denied, "insufficient_scope", "")
		for _, line := range authn.Challenges(realm, nil, err, scope) {
			quotes := 0
			for i := 0; i < len(line); i++ {
				switch c := line[i]; {
				case c < ' ' || c == 0x7f:
					t.Fatalf("control character in %q", line)
				case c == '\\':
					i++
				case c == '"':
					quotes++
				}
			}
			if quotes%2 != 0 || quotes > 6 {
				t.Fatalf("%d quotes in %q", quotes, line)
			}
		}
	})
}
