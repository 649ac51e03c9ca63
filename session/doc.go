// Package session is the life of a person's sign-in in a browser: it opens sessions, gives
// them new secrets and ends them. It knows nothing of HTTP, and nothing of how somebody proved
// who he is: whoever calls it does. Package authn says of a cookie whose session it is, from
// memory, as for an API key.
//
// # State
//
//	open ──proved more, or again──▶ open, with another secret
//	  │
//	  └─ signed out; ended by the person, by an administrator, by a later session beyond the
//	     limit; password changed, account disabled or removed; cut-off; unused for too long;
//	     absolute end ──▶ over
//
// What is over never comes back. A session's secret is 178 random bits in the form of the
// house's keys, stored as a hash; there is one at a time, and the one before is unknown as
// soon as the transaction that replaced it has been committed.
//
// # Threat model
//
// A stolen database gives nothing that can be presented. A cookie that was fixed before a
// sign-in is worth nothing after it: opening makes a new session, and every later proof a new
// secret. A cookie that was copied into another browser is refused where the session knows a
// device cookie, unless that was copied too; it stands in a cookie of its own that lives longer.
// Ending a session has effect on every node, as the end of a key has.
//
// It must never import net/http, or a package of protocols above it.
package session
