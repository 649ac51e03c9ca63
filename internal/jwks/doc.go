// Package jwks holds the key sets of foreign issuers: given as text, or fetched
// from an address and kept fresh. A [Source] is a token.KeySource.
//
// # States of a fetched set
//
//	empty -> fresh -> aged -> stale
//
// Empty: nobody has asked yet. Fresh: answers from memory. Aged (past the max-age
// of the answer, which is bounded to between a minute and a day): still answers,
// and fetches in the background. Stale (a day after the last good answer): counts
// no more, because an issuer that was out of reach for that long may have withdrawn
// any of its keys. A question that memory cannot answer waits for a fetch, a bounded
// time; when the issuer cannot be asked, the answer is that nobody knows
// (gatehouse.Unavailable), and not that the key is wrong.
//
// # Threats
//
// The kid of a question is the attacker's. An unknown one starts a fetch, but there
// is one fetch at a time, at most two quick ones after a good one, and then a
// cool-down, kept per issuer and after failures from the first on, so that invented
// kids make nobody hammer the issuer. The answer is hostile too: it is bounded, read
// by token.ParsePublishedJWKSet, which leaves out private and weak keys, and one
// without a usable key changes nothing. Metadata that names another issuer is
// refused. Whether an address may be reached is the Fetcher's duty (internal/egress).
//
// The package must never import packages of this module other than the root and
// token.
package jwks
