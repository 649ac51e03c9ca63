package token_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

const listURI = issuer + "/status/7"

// listClaims returns the claims of a good status list with some replaced; nil
// removes.
func listClaims(change map[string]any) []byte {
	m := map[string]any{"iss": issuer, "sub": listURI, "iat": clock.Unix(), "exp": clock.Unix() + 60, "ttl": 30,
		"status_list": map[string]any{"bits": 1, "lst": "eNrbuRgAAhcBXQ"}}
	maps.Copy(m, change)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	b, _ := json.Marshal(m)
	return b
}

func TestStatusListVerifier(t *testing.T) {
	key := newKey(t, token.ES256)
	list := func(bits any, lst any) map[string]any {
		return map[string]any{"status_list": map[string]any{"bits": bits, "lst": lst}}
	}
	good := signed(t, key, token.TypeStatusList, listClaims(nil))
	at := clock
	v, err := token.NewStatusListVerifier(token.StatusListVerifierConfig{Issuer: issuer, Algorithms: []token.Algorithm{token.ES256},
		Keys: keySet(t, key, newKey(t, token.Ed25519)), Leeway: 5 * time.Second, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(good, listURI)
	want := token.StatusList{Compressed: "eNrbuRgAAhcBXQ", IssuedAt: time.Unix(clock.Unix(), 0), ExpiresAt: time.Unix(clock.Unix()+60, 0), TTL: 30 * time.Second}
	if err != nil || got != want {
		t.Fatalf("%+v %v", got, err)
	}
	with := func(change map[string]any) string { return signed(t, key, token.TypeStatusList, listClaims(change)) }
	for _, c := range []struct {
		name, text, uri, code string
	}{
		{"other list asked for", good, issuer + "/status/8", "token_wrong_audience"},
		{"other list", with(map[string]any{"sub": issuer + "/status/8"}), listURI, "token_wrong_audience"},
		{"nothing asked for", with(map[string]any{"sub": nil}), "", "token_claim_missing"},
		{"other issuer", with(map[string]any{"iss": issuer + "/"}), listURI, "token_wrong_issuer"},
		{"no issuer", with(map[string]any{"iss": nil}), listURI, "token_claim_missing"},
		{"access token", signed(t, key, token.TypeAccess, listClaims(nil)), listURI, "token_wrong_type"},
		{"no type", signed(t, key, "", listClaims(nil)), listURI, "token_wrong_type"},
		{"other key", signed(t, newKey(t, token.ES256), token.TypeStatusList, listClaims(nil)), listURI, "token_key_unknown"},
		{"algorithm not allowed", signed(t, newKey(t, token.Ed25519), token.TypeStatusList, listClaims(nil)), listURI, "token_algorithm_not_allowed"},
		{"altered", tamper(t, good), listURI, "token_signature_invalid"},
		{"expired", with(map[string]any{"exp": clock.Unix()}), listURI, "token_expired"},
		{"no expiry", with(map[string]any{"exp": nil}), listURI, "token_claim_missing"},
		{"from the future", with(map[string]any{"iat": clock.Unix() + 6}), listURI, "token_not_yet_valid"},
		{"from the near future", with(map[string]any{"iat": clock.Unix() + 5}), listURI, ""},
		{"no issue", with(map[string]any{"iat": nil}), listURI, "token_claim_missing"},
		{"no ttl", with(map[string]any{"ttl": nil}), listURI, "token_claim_missing"},
		{"ttl below nothing", with(map[string]any{"ttl": -1}), listURI, "token_malformed"},
		{"ttl of a day", with(map[string]any{"ttl": 86400}), listURI, ""},
		{"ttl of more", with(map[string]any{"ttl": 86401}), listURI, "token_malformed"},
		{"ttl that overflows", with(map[string]any{"ttl": int64(1) << 62}), listURI, "token_malformed"},
		{"ttl as text", with(map[string]any{"ttl": "30"}), listURI, "token_malformed"},
		{"two bits", with(list(2, "eNrbuRgAAhcBXQ")), listURI, "token_malformed"},
		{"no bits", with(list(nil, "eNrbuRgAAhcBXQ")), listURI, "token_claim_missing"},
		{"no lst", with(list(1, nil)), listURI, "token_claim_missing"},
		{"no list", with(map[string]any{"status_list": nil}), listURI, "token_claim_missing"},
		{"lst is a number", with(list(1, 7)), listURI, "token_malformed"},
		{"a member twice", signed(t, key, token.TypeStatusList, append(listClaims(nil)[:len(listClaims(nil))-1], `,"sub":"x"}`...)), listURI, "token_malformed"},
		{"null", signed(t, key, token.TypeStatusList, []byte("null")), listURI, "token_malformed"},
		{"deep", with(map[string]any{"x": json.RawMessage(strings.Repeat("[", 20) + strings.Repeat("]", 20))}), listURI, "token_malformed"},
		{"as large as may be", with(list(1, strings.Repeat("A", 180_000))), listURI, ""},
		{"too large", with(list(1, strings.Repeat("A", 200_000))), listURI, "token_too_large"},
		{"nothing", "", listURI, "token_malformed"},
	} {
		_, err := v.Verify(c.text, c.uri)
		wantCode(t, c.name, err, c.code)
	}
	at = clock.Add(time.Minute)
	_, err = v.Verify(good, listURI)
	wantCode(t, "a minute later", err, "token_expired")
}

// tamper alters the claims of a signed text and leaves it well formed.
func tamper(t *testing.T, text string) string {
	parts := strings.Split(text, ".")
	return parts[0] + "." + raw(strings.Replace(string(unraw(t, parts[1])), `"ttl":30`, `"ttl":31`, 1)) + "." + parts[2]
}

func TestStatusListVerifierConfig(t *testing.T) {
	good := func() token.StatusListVerifierConfig {
		return token.StatusListVerifierConfig{Issuer: issuer, Algorithms: []token.Algorithm{token.ES256}, Keys: keySet(t, newKey(t, token.ES256))}
	}
	for _, leeway := range []time.Duration{0, token.MaxLeeway} {
		cfg := good()
		cfg.Leeway = leeway
		if _, err := token.NewStatusListVerifier(cfg); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(*token.StatusListVerifierConfig){
		"no issuer":         func(c *token.StatusListVerifierConfig) { c.Issuer = "" },
		"no algorithms":     func(c *token.StatusListVerifierConfig) { c.Algorithms = nil },
		"unknown algorithm": func(c *token.StatusListVerifierConfig) { c.Algorithms = []token.Algorithm{"none"} },
		"no keys":           func(c *token.StatusListVerifierConfig) { c.Keys = nil },
		"too much leeway":   func(c *token.StatusListVerifierConfig) { c.Leeway = token.MaxLeeway + 1 },
		"negative leeway":   func(c *token.StatusListVerifierConfig) { c.Leeway = -1 },
	} {
		c := good()
		change(&c)
		if _, err := token.NewStatusListVerifier(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
