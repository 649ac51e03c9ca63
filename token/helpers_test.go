package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	issuer   = "https://gate.example"
	audience = "https://api.example"
)

var clock = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func raw(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func unraw(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// theRSA is made once: it takes most of a second. Keys for the other RSA
// algorithms are the same numbers under another alg.
var theRSA = sync.OnceValues(func() (*token.Key, error) { return token.GenerateKey(token.RS256) })

func newKey(t testing.TB, alg token.Algorithm) *token.Key {
	t.Helper()
	if alg[0] != 'R' && alg[0] != 'P' {
		return freshKey(t, alg)
	}
	k, err := theRSA()
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	k, err = token.UnmarshalPrivate([]byte(strings.Replace(string(text), `"RS256"`, `"`+string(alg)+`"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func freshKey(t testing.TB, alg token.Algorithm) *token.Key {
	t.Helper()
	k, err := token.GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keySet(t testing.TB, keys ...*token.Key) *token.KeySet {
	t.Helper()
	s, err := token.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// config is a verifier of access tokens that allows everything there is.
func config(keys token.KeySource) token.VerifierConfig {
	return token.VerifierConfig{Issuer: issuer, Audience: []string{audience}, Algorithms: token.Algorithms(),
		Types: []string{token.TypeAccess}, Keys: keys, Now: func() time.Time { return clock }}
}

func newVerifier(t testing.TB, cfg token.VerifierConfig) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func access() *token.Access {
	return &token.Access{Issuer: issuer, Subject: "usr_1", Audience: []string{audience}, ClientID: "gatehouse", Scope: "read write",
		ID: gatehouse.NewID("tok", clock), IssuedAt: clock, ExpiresAt: clock.Add(10 * time.Minute), AuthTime: clock.Add(-time.Hour),
		ACR: "1", AMR: []string{"pwd", "otp"}, SessionID: "ses_1", GrantID: "grt_1", StatusList: 7, StatusIndex: 1234}
}

// claims returns valid claims with some replaced; nil removes.
func claims(change map[string]any) []byte {
	m := map[string]any{"iss": issuer, "sub": "usr_1", "aud": audience, "exp": clock.Unix() + 600, "iat": clock.Unix(), "jti": "tok_1"}
	for k, v := range change {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	b, _ := json.Marshal(m)
	return b
}

func signed(t testing.TB, k *token.Key, typ string, claims []byte) string {
	t.Helper()
	s, err := k.Sign(typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantCode(t *testing.T, name string, err error, code string) {
	t.Helper()
	got := ""
	if err != nil {
		got = gatehouse.CodeOf(err)
		if !errors.Is(err, gatehouse.Unauthenticated) && code != "" && len(code) > 5 && code[:5] == "token" {
			t.Errorf("%s: kind %v", name, gatehouse.KindOf(err))
		}
	}
	if got != code {
		t.Errorf("%s: %q (%v), want %q", name, got, err, code)
	}
}

// vectors returns a directory of test vectors that lie beside the checkout.
func vectors(t *testing.T, name string) fs.FS {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no module root above the test")
		}
	}
	dir = filepath.Join(dir, "..", "shared", "vectors", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the vectors %s are not beside the checkout", name)
	}
	return os.DirFS(dir)
}
