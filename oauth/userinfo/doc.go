// Package userinfo is the userinfo endpoint of a realm: what a client is told of the person behind an access token (OpenID Connect
// Core §5.3).
//
// Paths (for the realm "main"; other realms have them under /realms/{realm}):
//
//	GET  /userinfo  the token in Authorization
//	POST /userinfo  likewise, or as access_token in a form (RFC 6750 §2.2)
//
// # Threat model
//
// A token answers here that says so: it is the realm's, for the realm, about a person, and the person allowed the scope
// openid. What comes back is the account as it is now, and no more than the scopes of that token give, and the claims that the
// client asked for by name when the person allowed it; a client that may less since then is told less. A
// token that is bound to a key needs its proof. An ID token is none: it is no access token to any verifier of ours.
//
// It must never import admin, gateway, guard, oauth/endpoint, store or server.
package userinfo
