// Package grant is the life of a grant: it opens grants, renews their tokens and
// ends them. It knows nothing of HTTP, and nothing of how somebody proved who he
// is: whoever calls it does.
//
// # Phases
//
// Every kind of grant goes through the same phases, in one transaction and in this
// order ([Service] has them as one list, so that no kind can leave one out):
//
//	1 realm     may this realm issue tokens
//	2 origin    a new grant, or the one that a refresh token belongs to
//	3 subject   may he still have tokens
//	4 scope     what was asked of what he may give
//	5 resource  whom the tokens are for
//	6 binding   does the grant belong to the client that asks
//	7 issue     the records of grant, refresh token and opaque token
//	8 record    the audit event
//
// Signing comes after the commit: what was not stored is never handed out. A kind
// (open.go, renew.go) only says what differs in phases 2 and 7.
//
// # State
//
// A [Grant] is open from its opening until it is ended or its absolute end comes.
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
// It must never import net/http, or a package of protocols above it.
package grant
