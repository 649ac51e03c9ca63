package grant

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// openID reports whether an ID token comes with the access token: the person allowed the scope, whatever of the scopes the client
// wants for the access token (OpenID Connect Core §3.1.2.1, §12).
func (i *issue) openID() bool {
	return i.order.By != nil && !i.grant.OfClient() && slices.Contains(i.available, openid.ScopeOpenID)
}

// TellsOf are the names of the claims that userinfo has for an access token with these scopes: what they give, and what the client asked
// for by name (OpenID Connect Core §5.4, §5.5).
func TellsOf(scopes []string, asked gatehouse.Claims, m client.Metadata) []string {
	return append(openid.ClaimsOf(scopes), both(asked.UserInfo, openid.ClaimsOf(m.Scopes()))...)
}

// idToken is what the client is told of the sign-in (OpenID Connect Core §2). What the scopes give it asks userinfo for (§5.4); here is
// what it asked to have here by name. At a renewal all is the same but the times, and there is no nonce (§12.2).
func (s *Service) idToken(i *issue, access gatehouse.Secret) *token.ID {
	of := "" // who exchanges none is told nothing that it did not ask for
	if i.client.Metadata.ExchangesIDTokens() {
		of = i.grant.ID
	}
	return &token.ID{Issuer: s.c.Issuer(i.realm.Name), Subject: i.grant.Subject, Audience: i.grant.ClientID, IssuedAt: i.now, ExpiresAt: i.expiry(),
		AuthTime: i.grant.AuthTime, Nonce: i.nonce, ACR: i.grant.ACR, AMR: i.grant.AMR, SessionID: i.sid, GrantID: of, AccessToken: access.Reveal(),
		More: PersonOf(i.user).Values(both(i.grant.Claims.IDToken, openid.ClaimsOf(i.client.Metadata.Scopes())))}
}

// PersonOf is what clients can be told of an account.
func PersonOf(u identity.User) openid.Person {
	return openid.Person{Username: u.Username, DisplayName: u.DisplayName, Email: u.Email, EmailVerified: u.EmailVerified(), UpdatedAt: u.UpdatedAt,
		Attributes: u.Attributes}
}
