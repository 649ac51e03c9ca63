// Package guard puts the rules of Gatehouse into a Go program: net/http
// middleware that authenticates, authorizes and records each request through the
// same pipeline as the gateway. It is the stable public API of this module.
//
// There are two ways to get a [Guard]:
//
//   - [New] around an *enforce.Pipeline, for programs that embed Gatehouse.
//   - [NewRemote] for a resource server of its own, which knows an issuer and its
//     own audience, fetches the issuer's public keys and status lists, and verifies
//     tokens without asking about any of them. It reads access tokens from
//     Authorization, or the gateway's assertions for services that stand behind one.
//
// Inside a guarded handler, [Principal] tells who calls and [Allowed] asks the
// policies about anything the route's own rule did not cover.
//
// # Threats
//
// Handlers that forget a check: what no route allows never reaches them. Tokens
// for somebody else: issuer and audience are always required. Identity headers
// that a caller made up: they are removed.
//
// Tokens that were revoked: a remote guard of access tokens reads the status lists
// that the issuer publishes and asks them on every request, from memory. A list is
// fetched again when a request needs it half a minute after its issue; until the
// new one is there the old one counts, for a minute after its issue at most. So a
// token is refused half a minute after its grant has ended where tokens of its list
// come all the time, and a minute after it at the latest. When the issuer cannot be reached, requests are
// refused (503) once the last list has expired. Nobody without a good token causes
// a fetch, and a list has one fetch at a time with five seconds between two.
//
// With [RemoteConfig.Follow] it is told within a second, of cut-offs too, and refuses
// when it was told nothing for too long. Without:
//
// Not on any list: a cut-off that is set by itself, for a subject, client, session,
// key or realm. And with [RemoteConfig.JWKS] alone nothing is fetched. Both are seen
// when the token expires; keep tokens short-lived, or let requests come through
// the gateway, which learns at once. Assertions have no status and need none: the
// gateway makes them for a request that it has just checked.
//
// It must never import gateway, oauth/token, oauth/endpoint, admin, store or
// server.
package guard
