package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestChecker: the check that peers ask verifies what it must, in both algorithms;
// a comparison with a check that lets through what it should not is worth nothing.
func TestChecker(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"e","x":%q,"y":%q},{"kty":"OKP","crv":"Ed25519","kid":"d","x":%q}]}`,
			b64(string(point[1:33])), b64(string(point[33:])), b64(string(edPublic)))
	}))
	defer srv.Close()
	c, err := fetchChecker(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	c.now = func() time.Time { return now }

	sign := func(header, claims string) string {
		input := b64(header) + "." + b64(claims)
		if strings.Contains(header, `"kid":"d"`) {
			return input + "." + b64(string(ed25519.Sign(ed, []byte(input))))
		}
		sum := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, ec, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	const es256, eddsa = `{"alg":"ES256","kid":"e","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"d","typ":"at+jwt"}`
	claims := func(iss, aud string, exp int64) string {
		return fmt.Sprintf(`{"iss":%q,"sub":"usr_1","aud":%s,"exp":%d}`, iss, aud, exp)
	}
	us := fmt.Sprintf("%q", srv.URL)
	good := claims(srv.URL, us, now.Unix()+1)
	text := sign(es256, good)
	for _, x := range []struct {
		name, authorization string
		want                int
	}{
		{"ES256", "Bearer " + text, 200},
		{"EdDSA", "bearer " + sign(eddsa, good), 200},
		{"several audiences", "Bearer " + sign(es256, claims(srv.URL, `["other",`+us+`]`, now.Unix()+1)), 200},
		{"nothing", "", 401},
		{"other scheme", "Basic " + text, 401},
		{"altered signature", "Bearer " + spoil(text), 401},
		{"no signature", "Bearer " + text[:strings.LastIndexByte(text, '.')+1], 401},
		{"expired", "Bearer " + sign(es256, claims(srv.URL, us, now.Unix())), 401},
		{"no expiry", "Bearer " + sign(es256, `{"iss":`+us+`,"sub":"usr_1","aud":`+us+`}`), 401},
		{"other issuer", "Bearer " + sign(es256, claims("http://other", us, now.Unix()+1)), 401},
		{"other audience", "Bearer " + sign(es256, claims(srv.URL, `"other"`, now.Unix()+1)), 401},
		{"algorithm of another key", "Bearer " + sign(`{"alg":"EdDSA","kid":"e","typ":"at+jwt"}`, good), 401},
		{"none", "Bearer " + sign(`{"alg":"none","kid":"e","typ":"at+jwt"}`, good), 401},
		{"unknown key", "Bearer " + sign(`{"alg":"ES256","kid":"x","typ":"at+jwt"}`, good), 401},
		{"other kind of token", "Bearer " + sign(`{"alg":"ES256","kid":"e","typ":"JWT"}`, good), 401},
		{"too long", "Bearer " + sign(es256, strings.TrimSuffix(good, "}")+`,"x":"`+strings.Repeat("x", 9000)+`"}`), 401},
	} {
		r := httptest.NewRequest("GET", "/check", nil)
		r.Header.Set("Authorization", x.authorization)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != x.want || (w.Code == 200) != (w.Header().Get("X-User") == "usr_1") {
			t.Errorf("%s: %d %q", x.name, w.Code, w.Header().Get("X-User"))
		}
		w = httptest.NewRecorder()
		passed := ""
		c.before(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = r.Header.Get("X-User") + r.Header.Get("Authorization")
		})).ServeHTTP(w, r)
		if w.Code != x.want || (w.Code == 200) != (passed == "usr_1") {
			t.Errorf("%s, before a proxy: %d %q", x.name, w.Code, passed)
		}
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
