package client_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestOpenIDMetadata: a registration names algorithms by which we sign for clients, and none else; without one, what OpenID Connect
// Registration says.
func TestOpenIDMetadata(t *testing.T) {
	for alg, good := range map[string]bool{"": true, "RS256": true, "ES256": true, "EdDSA": true, "none": false, "HS256": false, "RS512": false, "rs256": false} {
		for member, m := range map[string]client.OpenID{"id_token_signed_response_alg": {IDTokenAlg: alg}, "userinfo_signed_response_alg": {UserInfoAlg: alg}} {
			wrong := ""
			client.Metadata{AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantClientCredentials}, OpenID: m}.Check(func(member, _ string) { wrong += member })
			if good != (wrong == "") || !good && wrong != member {
				t.Errorf("%s %s: %q", member, alg, wrong)
			}
		}
	}
	if by := (client.Metadata{}).SignsID(); by != token.RS256 {
		t.Error(by)
	}
	if by := (client.Metadata{OpenID: client.OpenID{IDTokenAlg: "ES256"}}).SignsID(); by != token.ES256 {
		t.Error(by)
	}
}
