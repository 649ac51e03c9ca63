// Package guard puts the rules of Gatehouse into a Go program: net/http
// middleware that authenticates, authorizes and records each request through the
// same pipeline as the gateway. It is the stable public API of this module.
//
// There are two ways to get a [Guard]:
//
//   - [New] around an *enforce.Pipeline, for programs that embed Gatehouse.
//   - [NewRemote] for a resource server of its own, which knows an issuer and its
//     own audience, fetches the issuer's public keys, and verifies tokens without
//     asking anybody. It reads access tokens from Authorization, or the gateway's
//     assertions for services that stand behind one.
//
// Inside a guarded handler, [Principal] tells who calls and [Allowed] asks the
// policies about anything the route's own rule did not cover.
//
// # Threats
//
// Handlers that forget a check: what no route allows never reaches them. Tokens
// for somebody else: issuer and audience are always required. Identity headers
// that a caller made up: they are removed. A remote guard learns of a revoked
// token only when it expires; keep tokens short-lived, or let requests come
// through the gateway, which learns at once.
//
// It must never import gateway, oauth/grant, oauth/endpoint, admin, store or
// server.
package guard
