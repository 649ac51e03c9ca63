// Package revocation knows what is no longer valid, and answers from memory: a
// [View] holds status bits and cut-offs of all realms, loaded at start and kept
// up to date by gatehouse.Change, so that a revocation takes effect before the
// call that made it returns.
//
// # Status bits
//
// Every grant has a status index: a bit in a numbered list ([NewStatus]). Lists
// are by the day on which the grant ends at the latest, so a whole list is
// dropped when that day is over:
//
//	list  = day × 64 + shard        day = days since 1970, of the end rounded up
//	index = 0 … 2^20-1              both shard and index are random
//
// So a day has room for 67 million grants of a realm; random places tell an
// outsider neither how many grants there are nor which belong together. Two
// grants must never share a place: the store holds (realm, list, index) of grants
// unique, and who makes a grant draws a new place on gatehouse.Conflict.
//
// # Cut-offs
//
// A cut-off says that nothing issued at or before an instant is valid for a
// subject, client, session, signing key or realm. Instants are compared in whole
// milliseconds; what was issued within the same millisecond is refused.
//
// # Threat model
//
// A stolen or outdated credential must die at once. Whenever the view cannot
// know, it answers "revoked": before the first complete load, for a place that
// cannot exist, for a list that was dropped, after a change it did not
// understand. Answers take no lock and no memory, so the check cannot be used to
// slow the server down.
//
// It must never import net/http, database/sql, os, or a package of level 2 or above.
package revocation
