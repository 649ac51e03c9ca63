// Package jwks holds the key sets of foreign issuers: given as text, or fetched
// from an address and kept fresh. A [Source] is a token.KeySource.
//
// # States of a fetched set
//
//	empty -> fresh -> aged -> stale
//
// Empty: nobody has asked yet; the first question fetches, and waits for it a
// bounded time. Fresh: answers from memory. Aged (past the max-age of the answer,
// which is bounded to between a minute and a day): still answers, and fetches in
// the background. Stale (a day after the last good answer): answers nobody and
// fetches, because an issuer that was out of reach for that long may have
// withdrawn any of its keys. After the first fetch no question ever waits.
//
// # Threats
//
// The kid of a question is the attacker's. An unknown one starts a fetch in the
// background, but there is one fetch at a time and a cool-down between two, kept
// per issuer and after failures as well, so that invented kids make nobody hammer
// the issuer. The answer is hostile too: it is bounded, read by token.ParseJWKSet
// without private keys, and a set that fails any check is refused whole and
// changes nothing. Whether an address may be reached is the Fetcher's duty
// (internal/egress).
//
// The package must never import packages of this module other than the root and
// token.
package jwks
