// Package authz is the decision point: it holds every realm's compiled policies
// in memory and answers whether a principal may do something ([Decider.Decide]),
// who somebody is in terms of roles ([Decider.Roles]) and who may administer
// Gatehouse ([Decider.DecideAdmin]).
//
// # Life of a realm's policies
//
// New loads and compiles all realms. A change of a role, policy, schema or realm
// reaches [Decider.Apply] after its commit and before the writer is told; Apply
// recompiles and swaps the snapshot before it returns, so whoever changed a
// policy knows that it is in force. If that fails, the realm denies everything
// (policy_unavailable) until a retry, made by decisions at most once a second,
// succeeds. Writers avoid this by trying a change ([Decider.Prepare], [Batch]) and
// confirming it inside their transaction.
//
// # Where facts come from
//
// For local subjects roles, groups and attributes come from the directory at
// every decision (through a cache that changes invalidate), never from the
// token: a role that was taken away is gone with the next request. A subject
// that is disabled or gone is denied. Roles are what the directory assigned,
// with what they inherit, narrowed by the credential. Facts of the credential
// and the connection go into the context under reserved names that the caller of
// Decide cannot set. Other entities are looked up when a policy needs them; a
// failing lookup denies.
//
// # Threats
//
// An attacker controls the resource's id, often its attributes (a request body)
// and parts of the context. These are bounded, cannot become a principal, a role
// or an action, and cannot override a reserved name. Caches are bounded, and a
// value loaded before a change is never used after it.
//
// The package must never import net/http, a database, or the packages of its own
// level; the directory and the store are interfaces declared here.
package authz
