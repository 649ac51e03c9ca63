// Package admin puts the subjects of administration together: what the management API,
// the commands and the console all call, so that no way in can do more, or forget more,
// than another.
//
// Each subject (realms, users, keys, rules, tokens, signing, records, system) is a room
// beside this file: its use cases, what goes over the wire about it (views.go) and its
// operations (http.go). They stand on kernel, the frame of every use case, and on
// adminhttp, the frame of every operation, and know nothing of one another: what one
// needs of another it declares as a small interface, and [New] brings the two together.
// Above the subjects stands realmfile, which changes a realm by their use cases.
//
// Every use case takes the actor and does the same steps in the same order: authorize
// (scope, then the administration policies), validate, then one transaction that holds
// the change and its audit event. Reads are authorized alike. What one may see or change
// of one's own account (keys, password) is decided in the same place, kernel/access.go.
//
// The views cannot hold a hash or a private key, because they have no member for one. A
// secret that is made here is shown once, in the answer that made it, as a
// [gatehouse.Secret].
//
// # Threat model
//
//   - An actor never hands out more than he has: only gatehouse-admin gives or
//     takes administrative roles, and touches accounts that hold one; everybody
//     else passes on no role that he lacks. A credential passes on no scope that
//     it lacks.
//   - A leaked API key cannot outlive itself: making keys for oneself takes a
//     login, not a key.
//   - Nobody can lock everybody out: the last administrator stays.
//   - The one-time secret of the first administrator is stored as a hash with an
//     end, compared in constant time, and taken out in the transaction that uses it.
//     Nodes that start while there is no administrator tell the same one.
//   - Refusals are recorded with who asked for what.
//
// It must never import gateway, guard, oauth/token, oauth/endpoint, store or
// server.
package admin
