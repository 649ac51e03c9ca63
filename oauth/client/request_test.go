package client_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestRequestKeys: what a client asks for is signed by a key of its registration, by the algorithm that this names, however it proves
// who it is.
func TestRequestKeys(t *testing.T) {
	key := func(a token.Algorithm) *token.Key {
		k, err := token.GenerateKey(a)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	es, ed, fresh := key(token.ES256), key(token.EdDSA), key(token.ES256)
	set := func(keys ...*token.Key) json.RawMessage { return token.MarshalJWKSet(keys) }
	asked := 0
	a, err := client.NewAssertions(client.AssertionsConfig{Issuer: func(realm string) string { return "https://id.example/" + realm }, TokenEndpoint: func(string) string { return "" }, Now: time.Now,
		Fetched: func(client.Client) (client.Keys, error) { asked++; return token.NewKeySet(fresh) },
		Run: func(context.Context, func(context.Context, client.OnceTx) error) error {
			t.Error("it is used up")
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k *token.Key, id string) string {
		b, err := json.Marshal(map[string]any{"iss": id, "client_id": id, "aud": "https://id.example/main", "exp": time.Now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		text, err := k.Sign(token.TypeRequest, b)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	version := int64(0)
	for name, c := range map[string]struct {
		m    client.Metadata
		by   *token.Key
		code string
	}{
		"the keys by which it proves itself": {client.Metadata{AuthMethod: client.AuthPrivateKey, JWKS: set(es)}, es, ""},
		"keys of a client with a secret":     {client.Metadata{AuthMethod: client.AuthBasic, JWKS: set(es), RequestAlg: "ES256"}, es, ""},
		"of one that has to sign":            {client.Metadata{AuthMethod: client.AuthNone, JWKS: set(ed), RequireSignedRequest: true}, ed, ""},
		"one for each":                       {client.Metadata{AuthMethod: client.AuthPrivateKey, JWKS: set(es, ed), SigningAlg: "ES256", RequestAlg: "EdDSA"}, ed, ""},
		"the one for the other":              {client.Metadata{AuthMethod: client.AuthPrivateKey, JWKS: set(es, ed), SigningAlg: "ES256", RequestAlg: "EdDSA"}, es, "token_algorithm_not_allowed"},
		"another key":                        {client.Metadata{AuthMethod: client.AuthBasic, JWKS: set(es), RequestAlg: "ES256"}, fresh, "token_key_unknown"},
		"fetched":                            {client.Metadata{AuthMethod: client.AuthBasic, JWKSURI: "https://app.example/keys", RequestAlg: "ES256"}, fresh, ""},
		"no keys":                            {client.Metadata{AuthMethod: client.AuthBasic}, es, "client_without_keys"},
		"keys of before":                     {client.Metadata{AuthMethod: client.AuthBasic, JWKS: set(es)}, es, "client_without_keys"},
	} {
		version++
		registered := client.Client{Realm: "main", ID: "cli_1", Version: version, Metadata: c.m}
		for range 2 {
			if _, err := a.VerifyRequest(registered, sign(c.by, "cli_1")); c.code == "" && err != nil || c.code != "" && gatehouse.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := a.VerifyRequest(registered, sign(c.by, "cli_2")); err == nil {
			t.Errorf("%s: another client's", name)
		}
	}
	if asked != 1 {
		t.Errorf("the keys were fetched %d times", asked)
	}
}

// TestRequestRegistration: what a registration says of signed requests fits together.
func TestRequestRegistration(t *testing.T) {
	k, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	good := client.Metadata{Name: "App", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantAuthorizationCode}, JWKS: token.MarshalJWKSet([]*token.Key{k}), RequestAlg: "ES256",
		Flow: client.Flow{RedirectURIs: []string{"https://app.example/"}}}
	for name, c := range map[string]struct {
		change func(m *client.Metadata)
		wrong  string // the members that are
	}{
		"good":            {func(*client.Metadata) {}, ""},
		"must, any":       {func(m *client.Metadata) { m.RequestAlg, m.RequireSignedRequest = "", true }, ""},
		"no keys":         {func(m *client.Metadata) { m.JWKS = nil }, "jwks"},
		"keys for what":   {func(m *client.Metadata) { m.RequestAlg = "" }, "jwks"},
		"none":            {func(m *client.Metadata) { m.RequestAlg = "none" }, "request_object_signing_alg"},
		"HMAC":            {func(m *client.Metadata) { m.RequestAlg = "HS256" }, "request_object_signing_alg"},
		"no key for it":   {func(m *client.Metadata) { m.RequestAlg = "PS256" }, "jwks"},
		"of another way":  {func(m *client.Metadata) { m.SigningAlg = "ES256" }, "token_endpoint_auth_signing_alg"},
		"nobody is asked": {func(m *client.Metadata) { m.GrantTypes, m.RedirectURIs = []string{client.GrantClientCredentials}, nil }, "request_object_signing_alg"},
	} {
		m := good
		c.change(&m)
		var wrong []string
		m.Check(func(member, text string) { wrong = append(wrong, member) })
		if strings.Join(wrong, " ") != c.wrong {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}
