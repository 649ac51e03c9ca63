package token_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// signed is what a client with a key sends.
type signed struct {
	id  string
	key *token.Key
	n   atomic.Int64
}

// assertion is a new one, with changes by member; nil takes one away.
func (s *signed) assertion(change ...any) string {
	claims := map[string]any{"iss": s.id, "sub": s.id, "aud": issuer, "jti": fmt.Sprint("jti-", s.n.Add(1)), "exp": time.Now().Add(time.Minute).Unix()}
	for i := 0; i+1 < len(change); i += 2 {
		if claims[change[i].(string)] = change[i+1]; change[i+1] == nil {
			delete(claims, change[i].(string))
		}
	}
	return must(s.key.Sign("client-authentication+jwt", must(json.Marshal(claims))))
}

func asks(assertion string, more ...string) string {
	return form(append([]string{"grant_type", "client_credentials", "client_assertion_type", client.AssertionType, "client_assertion", assertion}, more...)...)
}

// holder registers a client with a key.
func (h *house) holder(change func(c *client.Client)) *signed {
	s := &signed{key: must(token.GenerateKey(token.ES256))}
	s.id, _ = h.register(client.AuthPrivateKey, "read", func(c *client.Client) {
		c.Metadata.JWKS = token.MarshalJWKSet([]*token.Key{s.key})
		c.Secret.Hash = nil
		change(c)
	})
	return s
}

// TestPrivateKeyJWT: a client proves itself by what it signs (RFC 7523 §2.2), with each assertion once, and in no other way.
func TestPrivateKeyJWT(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{Scopes: map[string]string{"read": "Read"}})
	limited := false
	s := site(h, &limited)
	one, off := h.holder(func(*client.Client) {}), h.holder(func(c *client.Client) { c.Disabled = true })
	pinned := h.holder(func(c *client.Client) { c.Metadata.SigningAlg = "PS256" })
	elsewhere := h.holder(func(c *client.Client) { c.Realm = "acme" })
	id, secret := h.register(client.AuthBasic, "read", func(*client.Client) {})
	ask := func(body string, header ...string) answer {
		return call(s, "POST", "/token", body, append([]string{"Content-Type", formCT}, header...)...)
	}
	first := one.assertion()
	for name, body := range map[string]string{"plain": asks(first), "with its id": asks(one.assertion(), "client_id", one.id), "with iat and nbf": asks(one.assertion("iat", time.Now().Unix(), "nbf", time.Now().Unix()))} {
		a := ask(body)
		if c, err := h.claims(gatehouse.Secret(a.str("access_token"))); a.code != 200 || err != nil || c.Subject != one.id || c.ClientID != one.id || c.Scope != "read" {
			t.Fatalf("%s: %d %s %v", name, a.code, a.raw, err)
		}
	}
	head := func(header, assertion string) string {
		_, rest, _ := strings.Cut(assertion, ".")
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
	}
	for name, c := range map[string]struct {
		body   string
		auth   string
		status int
		code   string
	}{
		"again":                      {asks(first), "", 401, "invalid_client"},
		"of nobody":                  {asks((&signed{id: "cli_none", key: one.key}).assertion()), "", 401, "invalid_client"},
		"by another's key":           {asks((&signed{id: one.id, key: off.key}).assertion()), "", 401, "invalid_client"},
		"of a client with a secret":  {asks((&signed{id: id, key: one.key}).assertion()), "", 401, "invalid_client"},
		"disabled":                   {asks(off.assertion()), "", 401, "invalid_client"},
		"another algorithm":          {asks(pinned.assertion()), "", 401, "invalid_client"},
		"of another realm":           {asks(elsewhere.assertion()), "", 401, "invalid_client"},
		"for the endpoint":           {asks(one.assertion("aud", issuer+"/token")), "", 401, "invalid_client"},
		"for another beside us":      {asks(one.assertion("aud", []string{issuer, "https://evil.example"})), "", 401, "invalid_client"},
		"about another":              {asks(one.assertion("sub", off.id)), "", 401, "invalid_client"},
		"no jti":                     {asks(one.assertion("jti", nil)), "", 401, "invalid_client"},
		"no exp":                     {asks(one.assertion("exp", nil)), "", 401, "invalid_client"},
		"for a day":                  {asks(one.assertion("exp", time.Now().Add(24*time.Hour).Unix())), "", 401, "invalid_client"},
		"unsigned":                   {asks(head(`{"alg":"none"}`, one.assertion())), "", 401, "invalid_client"},
		"by the public key as HMAC":  {asks(head(`{"alg":"HS256"}`, one.assertion())), "", 401, "invalid_client"},
		"nonsense":                   {asks("hunter2"), "", 401, "invalid_client"},
		"a very long one":            {asks(one.assertion("x", strings.Repeat("x", 15<<10))), "", 413, "body_too_large"},
		"another type":               {form("grant_type", "client_credentials", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", one.assertion()), "", 400, "client_assertion_type"},
		"no type":                    {form("grant_type", "client_credentials", "client_assertion", one.assertion()), "", 400, "client_assertion_type"},
		"a type alone":               {form("grant_type", "client_credentials", "client_assertion_type", client.AssertionType), "", 400, "client_assertion_type"},
		"another client_id":          {asks(one.assertion(), "client_id", off.id), "", 400, "client_auth_twice"},
		"with a secret":              {asks(one.assertion(), "client_secret", secret), "", 400, "client_auth_twice"},
		"with Basic":                 {asks(one.assertion()), basicOf(id, secret), 400, "client_auth_twice"},
		"twice":                      {asks(one.assertion(), "client_assertion", one.assertion()), "", 400, "invalid_request"},
		"another's secret by Basic":  {form("grant_type", "client_credentials"), basicOf(one.id, secret), 401, "invalid_client"},
		"another's secret as a form": {form("grant_type", "client_credentials", "client_id", one.id, "client_secret", secret), "", 401, "invalid_client"},
		"a scope beyond":             {asks(one.assertion(), "scope", "admin"), "", 400, "invalid_scope"},
	} {
		header := []string{}
		if c.auth != "" {
			header = append(header, "Authorization", c.auth)
		}
		a := ask(c.body, header...)
		if a.code != c.status || a.str("code") != c.code || a.str("access_token") != "" || a.header.Get("Content-Type") != jsonCT {
			t.Errorf("%s: %d %s", name, a.code, a.raw)
		}
		if strings.Contains(a.raw, "hunter2") || strings.Contains(a.raw, "jti-") {
			t.Errorf("%s: the answer repeats the input", name)
		}
	}
	// What a request with an assertion was refused for does not bring that back.
	spent := one.assertion()
	if a := ask(asks(spent, "scope", "admin")); a.str("code") != "invalid_scope" {
		t.Fatal(a.raw)
	}
	if a := ask(asks(spent)); a.code != 401 {
		t.Errorf("an assertion that was used for a refused request: %d %s", a.code, a.raw)
	}
	// Of many at once one wins.
	same, wins, wg := asks(one.assertion()), atomic.Int64{}, sync.WaitGroup{}
	for range 16 {
		wg.Go(func() {
			if ask(same).code == 200 {
				wins.Add(1)
			}
		})
	}
	if wg.Wait(); wins.Load() != 1 {
		t.Errorf("one assertion gave tokens %d times", wins.Load())
	}
	h.away = true
	if a := ask(asks(one.assertion())); a.code != 400 || a.str("code") != "https_required" {
		t.Errorf("without TLS: %d %s", a.code, a.raw)
	}
}
