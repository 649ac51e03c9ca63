// Package endpoint serves what a realm publishes about itself to anybody: its
// public keys, its status lists and its metadata.
//
// Paths (for the realm "main"; other realms have the first two under
// /realms/{realm}, and the third where RFC 8414 §3.1 puts it):
//
//	GET /.well-known/jwks.json                    public signing keys (RFC 7517)
//	GET /status/{list}                            status list token
//	GET /.well-known/oauth-authorization-server   metadata (RFC 8414)
//	GET /.well-known/openid-configuration         the same, where OpenID clients look;
//	                                              a realm has it behind its issuer as well
//
// # Threat model
//
// The answers are public and the same for everybody, so they take no credential,
// ignore a query, and are bounded by the number of keys and tokens. What
// must not happen is that a private half is served: the key set comes from the
// key ring as finished bytes, made of public parts only. A realm that does not
// exist and one that is disabled look the same.
//
// It must never import admin, gateway, guard, oauth/token, store or server.
package endpoint
