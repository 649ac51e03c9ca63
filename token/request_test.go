package token_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestRequestObject: a request object is by its client, for this server, of now, and no other token (RFC 9101, FAPI 2.0 Message
// Signing §5.3.1).
func TestRequestObject(t *testing.T) {
	key, other := newKey(t, token.ES256), newKey(t, token.ES256)
	config := token.RequestConfig{Client: "cli_1", Audience: issuer, Algorithms: []token.Algorithm{token.ES256}, Keys: keySet(t, key), Leeway: 30 * time.Second, Now: func() time.Time { return clock }}
	v, err := token.NewRequestVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) int64 { return clock.Add(d).Unix() }
	good := map[string]any{"iss": "cli_1", "client_id": "cli_1", "aud": issuer, "nbf": at(0), "exp": at(5 * time.Minute), "scope": "read"}
	sign := func(k *token.Key, typ string, claims any) string {
		t.Helper()
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := k.Sign(typ, b)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		change map[string]any // nil takes away
		code   string
	}{
		"good":                     {nil, ""},
		"for us and another":       {map[string]any{"aud": []string{"https://other.example", issuer}}, ""},
		"for another":              {map[string]any{"aud": "https://other.example"}, "token_wrong_audience"},
		"for the endpoint":         {map[string]any{"aud": issuer + "/par"}, "token_wrong_audience"},
		"for nobody":               {map[string]any{"aud": nil}, "token_claim_missing"},
		"by nobody":                {map[string]any{"iss": nil}, "token_claim_missing"},
		"by another client":        {map[string]any{"iss": "cli_2"}, "token_wrong_issuer"},
		"of another client":        {map[string]any{"client_id": "cli_2"}, "token_wrong_subject"},
		"of no client":             {map[string]any{"client_id": nil}, "token_claim_missing"},
		"the client's assertion":   {map[string]any{"sub": "cli_1"}, "token_wrong_subject"},
		"for ever":                 {map[string]any{"exp": nil}, "token_claim_missing"},
		"over":                     {map[string]any{"exp": at(-31 * time.Second)}, "token_expired"},
		"an hour":                  {map[string]any{"exp": at(time.Hour)}, ""},
		"more than an hour":        {map[string]any{"exp": at(time.Hour + time.Second)}, "token_lives_too_long"},
		"an hour of now":           {map[string]any{"nbf": nil, "exp": at(time.Hour)}, ""},
		"more than an hour of now": {map[string]any{"nbf": nil, "exp": at(time.Hour + 31*time.Second)}, "token_lives_too_long"},
		"an hour ago":              {map[string]any{"nbf": at(-time.Hour), "exp": at(0)}, ""},
		"more than an hour ago":    {map[string]any{"nbf": at(-time.Hour - 31*time.Second), "exp": at(-31 * time.Second)}, "token_expired"},
		"older, and not over":      {map[string]any{"nbf": at(-time.Hour - 40*time.Second), "exp": at(-20 * time.Second)}, "token_lives_too_long"},
		"not yet":                  {map[string]any{"nbf": at(61 * time.Second)}, "token_not_yet_valid"},
	} {
		claims := maps.Clone(good)
		for k, v := range c.change {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
		if _, err := v.Verify(sign(key, token.TypeRequest, claims)); c.code == "" && err != nil || c.code != "" && gatehouse.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	for typ, code := range map[string]string{"": "", "oauth-authz-req+jwt": "", "JWT": "token_wrong_type", "at+jwt": "token_wrong_type", "client-authentication+jwt": "token_wrong_type"} {
		if _, err := v.Verify(sign(key, typ, good)); code == "" && err != nil || code != "" && gatehouse.CodeOf(err) != code {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
	if _, err := v.Verify(sign(other, token.TypeRequest, good)); gatehouse.CodeOf(err) != "token_key_unknown" {
		t.Errorf("by another key: %v", err)
	}
	if _, err := v.Verify("eyJhbGciOiJub25lIn0.e30."); err == nil {
		t.Error("by no key")
	}
	begins := config
	begins.Begins = true
	strict, err := token.NewRequestVerifier(begins)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Verify(sign(key, "", good)); err != nil {
		t.Error(err)
	}
	delete(good, "nbf")
	if _, err := strict.Verify(sign(key, "", good)); gatehouse.CodeOf(err) != "token_claim_missing" {
		t.Errorf("without nbf: %v", err)
	}
	for name, change := range map[string]func(c *token.RequestConfig){"of nobody": func(c *token.RequestConfig) { c.Client = "" }, "for nobody": func(c *token.RequestConfig) { c.Audience = "" }, "no keys": func(c *token.RequestConfig) { c.Keys = nil }} {
		open := config
		change(&open)
		if _, err := token.NewRequestVerifier(open); err == nil {
			t.Errorf("%s is a verifier", name)
		}
	}
}
