package authn

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// FromClaims is the principal that verified claims speak for, before anything that
// depends on whose token it is: the one place where claims become a principal. A
// subject that is its own client is a client without a user (RFC 9068 §2.2, §5).
func FromClaims(realm string, c *token.Claims) *gatehouse.Principal {
	p := &gatehouse.Principal{
		Realm: realm, Kind: gatehouse.KindUser, ID: c.Subject,
		Scopes: strings.Fields(c.Scope), Scheme: gatehouse.SchemeJWT, Environment: gatehouse.EnvironmentLive,
		CredentialID: c.GrantID, GrantID: c.GrantID, ClientID: c.ClientID, SessionID: c.SessionID, TokenID: c.ID,
		Issuer: c.Issuer, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR,
		Confirmation: confirmation(c.Confirmation),
	}
	if c.ClientID != "" && c.ClientID == c.Subject {
		p.Kind = gatehouse.KindClient
	}
	return p
}

// ownPrincipal is the principal of a token of ours, which holds the millisecond of
// its issue, for cut-offs.
func ownPrincipal(realm string, c *token.Claims) *gatehouse.Principal {
	p := FromClaims(realm, c)
	if at, ok := gatehouse.IDTime(c.ID); ok {
		p.IssuedAt = at
	}
	return p
}
