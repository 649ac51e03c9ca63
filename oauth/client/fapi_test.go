package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestFAPI2: one setting has a client held to all that FAPI 2.0 asks of it, and no other setting takes some of that back.
func TestFAPI2(t *testing.T) {
	key := func(a token.Algorithm) *token.Key {
		k, err := token.GenerateKey(a)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	no := false
	es := key(token.ES256)
	good := client.Metadata{Name: "App", AuthMethod: client.AuthPrivateKey, GrantTypes: []string{client.GrantAuthorizationCode, client.GrantRefreshToken, client.GrantClientCredentials},
		JWKS: token.MarshalJWKSet([]*token.Key{es}), Flow: client.Flow{RedirectURIs: []string{"https://app.example/"}, Profile: client.ProfileFAPI2}}
	for name, c := range map[string]struct {
		change func(m *client.Metadata)
		wrong  string // the members that are
	}{
		"good":            {func(*client.Metadata) {}, ""},
		"by name":         {func(m *client.Metadata) { m.SigningAlg, m.RequestAlg = "ES256", "ES256" }, ""},
		"another profile": {func(m *client.Metadata) { m.Profile = "fapi1" }, "profile"},
		"a secret":        {func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.AuthBasic, nil }, "token_endpoint_auth_method"},
		"public":          {func(m *client.Metadata) { m.AuthMethod, m.JWKS, m.GrantTypes = client.AuthNone, nil, m.GrantTypes[:2] }, "token_endpoint_auth_method"},
		"no PKCE":         {func(m *client.Metadata) { m.RequirePKCE = &no }, "require_pkce"},
		"ES384": {func(m *client.Metadata) {
			m.SigningAlg, m.JWKS = "ES384", token.MarshalJWKSet([]*token.Key{key(token.ES384)})
		}, "token_endpoint_auth_signing_alg"},
		"ES384 of requests": {func(m *client.Metadata) {
			m.RequestAlg, m.JWKS = "ES384", token.MarshalJWKSet([]*token.Key{key(token.ES384), es})
		}, "request_object_signing_alg"},
		"RS256 of ID tokens": {func(m *client.Metadata) { m.IDTokenAlg = "RS256" }, "id_token_signed_response_alg"},
		"old assertions":     {func(m *client.Metadata) { m.LegacyAudience = true }, "legacy_assertion_aud"},
		"a device":           {func(m *client.Metadata) { m.GrantTypes = append(slices.Clone(m.GrantTypes), client.GrantDeviceCode) }, "grant_types"},
	} {
		m := good
		c.change(&m)
		var wrong []string
		m.Check(func(member, text string) { wrong = append(wrong, member) })
		if strings.Join(wrong, " ") != c.wrong {
			t.Errorf("%s: %v", name, wrong)
		}
	}
	strong := []token.Algorithm{token.PS256, token.ES256, token.EdDSA, token.Ed25519}
	if !good.MustPush() || !good.MustBind() || !good.NeedsPKCE() || good.SignsID() != token.ES256 || !slices.Equal(good.Algorithms(), strong) || !slices.Equal(good.RequestAlgorithms(), strong) || !slices.Equal(good.ProofAlgorithms(), strong) {
		t.Errorf("%+v", good)
	}
	plain := good
	plain.Profile, plain.RequirePKCE = "", &no
	if plain.MustPush() || plain.MustBind() || plain.NeedsPKCE() || plain.ProofAlgorithms() != nil || plain.SignsID() != token.RS256 || !slices.Contains(plain.Algorithms(), token.RS256) {
		t.Errorf("%+v", plain)
	}
}
