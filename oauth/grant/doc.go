// Package grant issues, renews and ends the tokens of first-party logins: the
// token endpoint of a realm.
//
// Paths (for the realm "main"; other realms have them under /realms/{realm}):
//
//	POST   /tokens          Basic → access token and refresh token
//	POST   /tokens/refresh  refresh token → new access token, next refresh token
//	DELETE /tokens          access token → its grant ends, with all that came from it
//
// # State
//
// A [Grant] is open from the login until it is ended or its absolute end comes.
// It owns one status index, which every signed token of it carries, and a chain
// of refresh tokens of which only the last one is unused:
//
//	unused ──used by its one winner──▶ used ──shown again──▶ the grant ends
//	                                     │
//	                                     └─ within the grace, while its
//	                                        successor is unused: the same
//	                                        successor is answered once more
//
// The successor is not random but HMAC(server key, presented token), so the
// answer that a client lost can be given again although only hashes are stored,
// and concurrent retries of one client all receive the same token. Whoever
// steals a token cannot compute what follows without the server key; whoever
// steals the server key and the database holds only hashes.
//
// # Threat model
//
// A stolen refresh token is noticed at its second use and costs the thief and
// the owner the whole family. A stolen database gives nothing that can be
// presented. Ending a grant writes the end, the status bit and the audit event
// in one transaction, and every checker in the process obeys before the call
// returns. A user who was disabled, removed or given another password after the
// grant began gets no further token.
//
// It must never import admin, gateway, guard, oauth/endpoint, store or server.
package grant
