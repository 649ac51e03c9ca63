// Package credential knows the forms of the credentials that callers present
// and how each is checked: API keys and other random tokens of the same form,
// HTTP Basic, and passwords. It is worth importing alone: it does no I/O, keeps
// no state of its own beyond a pool of hashing slots, and asks no store.
//
// # API keys, opaque access tokens, refresh tokens
//
// All three have one form, told apart by the prefix:
//
//	<prefix>_<env>_<id><secret><crc>
//
//	prefix  2 to 10 characters, a lower-case letter and then lower-case letters
//	        and digits: "ghk" API key (an installation may choose another),
//	        "ght" opaque access token, "ghr" refresh token
//	env     "live" or "test"
//	id      12 base62 characters; public, names the record
//	secret  30 base62 characters, uniformly random: 178 bits
//	crc     CRC-32 (IEEE) of everything before it, as 6 base62 characters
//
// A secret scanner finds them with this regular expression, and then drops the
// false ones by the checksum (see [ParseKey]):
//
//	\b[a-z][a-z0-9]{1,9}_(live|test)_[0-9A-Za-z]{48}\b
//
// The checksum protects nothing: anybody can compute it. It makes typing errors
// and invented keys die before any look-up.
//
// # Passwords
//
// Passwords are hashed with Argon2id in PHC strings; other kinds are verified
// only, so that accounts can be imported, and are replaced at the next login.
// [Hasher] bounds how many evaluations run and wait at once: each takes about
// 19 MiB and 40 ms, so an unbounded one would let anybody exhaust the machine.
// Parameters inside a stored hash are bounded when parsed, for the same reason.
//
// A password is brought to Unicode NFC before hashing and before verifying, as
// NIST SP 800-63B-4 §3.1.1.2 asks, so that the same typed characters match
// whichever way a keyboard composes them. Nothing else is done to it: no
// trimming, no case folding, no truncation (ASVS 6.2.8), and two passwords that
// differ for a reader stay different; NFKC, which the standard would also
// allow, would make "①" equal "1" and is not used. Imported hashes were made
// from what the other system received, or brought to one of the forms, so they
// are tried over the NFC, the bytes received and, but for Argon2id, the NFKC,
// until the first login makes the hash ours. For a password of ASCII these are one.
//
// # Threats
//
// Guessing (random secrets, slow hashes), reading the database (only hashes are
// stored), timing (constant-time comparison; [Hasher.VerifyDummy] for accounts
// that do not exist), exhausting memory or time (every input is bounded before
// it is parsed or hashed), smuggling (one spelling per value: what a parser
// accepts re-encodes to the same bytes).
//
// This package must never import net/http, database/sql or os, read a clock, or
// print a secret.
package credential
