package token_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestAssertion: an assertion says by whom it is, of whom, for this server alone, when it ends, soon, and which it is
// (RFC 7523 §3, RFC 10070).
func TestAssertion(t *testing.T) {
	key, other := newKey(t, token.ES256), newKey(t, token.ES256)
	config := token.AssertionConfig{Subject: "cli_1", Audience: issuer, Algorithms: []token.Algorithm{token.ES256}, Types: []string{"client-authentication+jwt", token.TypeJWT, ""},
		Keys: keySet(t, key), Leeway: 30 * time.Second, MaxLife: 5 * time.Minute, Now: func() time.Time { return clock }}
	v, err := token.NewAssertionVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) string { return fmt.Sprint(clock.Add(d).Unix()) }
	good := map[string]string{"iss": `"cli_1"`, "sub": `"cli_1"`, "aud": `"` + issuer + `"`, "jti": `"1"`, "exp": at(time.Minute), "iat": at(0)}
	for name, c := range map[string]struct {
		member, value string // "" takes it away
		code          string
	}{
		"good":                      {"jti", `"1"`, ""},
		"no iat":                    {"iat", "", ""},
		"iat of a clock ahead":      {"iat", at(10 * time.Second), ""},
		"iat far ahead":             {"iat", at(61 * time.Second), "token_not_yet_valid"},
		"nbf far ahead":             {"nbf", at(61 * time.Second), "token_not_yet_valid"},
		"nbf":                       {"nbf", at(10 * time.Second), ""},
		"no exp":                    {"exp", "", "token_claim_missing"},
		"over":                      {"exp", at(-31 * time.Second), "token_expired"},
		"over by a little":          {"exp", at(-10 * time.Second), ""},
		"as long as may be":         {"exp", at(5 * time.Minute), ""},
		"longer":                    {"exp", at(6 * time.Minute), "token_lives_too_long"},
		"for ever":                  {"exp", "253402300799", "token_lives_too_long"},
		"no jti":                    {"jti", "", "token_claim_missing"},
		"an empty jti":              {"jti", `""`, "token_claim_missing"},
		"another issuer":            {"iss", `"cli_2"`, "token_wrong_issuer"},
		"about another":             {"sub", `"cli_2"`, "token_wrong_subject"},
		"about nobody":              {"sub", "", "token_claim_missing"},
		"for nobody":                {"aud", "", "token_claim_missing"},
		"for the endpoint":          {"aud", `"` + issuer + `/token"`, "token_wrong_audience"},
		"with a slash":              {"aud", `"` + issuer + `/"`, "token_wrong_audience"},
		"for another beside us":     {"aud", `["` + issuer + `","https://evil.example"]`, "token_wrong_audience"},
		"for us twice":              {"aud", `["` + issuer + `","` + issuer + `"]`, "token_wrong_audience"},
		"for us as the list of one": {"aud", `["` + issuer + `"]`, "token_wrong_audience"},
	} {
		claims := map[string]string{}
		for k, v := range good {
			claims[k] = v
		}
		if claims[c.member] = c.value; c.value == "" {
			delete(claims, c.member)
		}
		var members []string
		for k, v := range claims {
			members = append(members, fmt.Sprintf("%q:%s", k, v))
		}
		text, err := key.Sign(token.TypeJWT, []byte("{"+strings.Join(members, ",")+"}"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Verify(text)
		if c.code == "" {
			if err != nil || got.ID != "1" || got.Subject != "cli_1" || !v.End(got).Equal(got.ExpiresAt.Add(30*time.Second)) {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		} else if gatehouse.CodeOf(err) != c.code || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	claims := []byte(`{"iss":"cli_1","sub":"cli_1","aud":"` + issuer + `","jti":"1","exp":` + at(time.Minute) + `}`)
	for typ, code := range map[string]string{"": "", "JWT": "", "client-authentication+jwt": "", "application/client-authentication+jwt": "", "at+jwt": "token_wrong_type", "dpop+jwt": "token_wrong_type", "oauth-authz-req+jwt": "token_wrong_type"} {
		text, err := key.Sign(typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(text); err != nil && gatehouse.CodeOf(err) != code || (err == nil) != (code == "") {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
	forged, err := other.Sign("", claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(forged); gatehouse.CodeOf(err) != "token_key_unknown" {
		t.Errorf("by another key: %v", err)
	}
	both := config
	both.Endpoint = issuer + "/token"
	lenient, err := token.NewAssertionVerifier(both)
	if err != nil {
		t.Fatal(err)
	}
	for aud, good := range map[string]bool{`"` + issuer + `"`: true, `"` + issuer + `/token"`: true, `"` + issuer + `/par"`: false, `"` + issuer + `/token/"`: false,
		`["` + issuer + `/token"]`: false, `["` + issuer + `/token","https://evil.example"]`: false, `["` + issuer + `","` + issuer + `/token"]`: false} {
		text, err := key.Sign("", []byte(strings.Replace(string(claims), `"`+issuer+`"`, aud, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lenient.Verify(text); (err == nil) != good || err != nil && gatehouse.CodeOf(err) != "token_wrong_audience" {
			t.Errorf("aud %s: %v", aud, err)
		}
	}
	for name, change := range map[string]func(c *token.AssertionConfig){
		"of nobody":  func(c *token.AssertionConfig) { c.Subject = "" },
		"for nobody": func(c *token.AssertionConfig) { c.Audience = "" },
		"for ever":   func(c *token.AssertionConfig) { c.MaxLife = 0 },
		"no keys":    func(c *token.AssertionConfig) { c.Keys = nil },
		"no types":   func(c *token.AssertionConfig) { c.Types = nil },
	} {
		open := config
		change(&open)
		if _, err := token.NewAssertionVerifier(open); err == nil {
			t.Errorf("%s is a verifier", name)
		}
	}
}
