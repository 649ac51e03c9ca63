// Package token signs and verifies compact JSON Web Signatures and the JSON Web
// Tokens inside them, reads and writes JSON Web Keys, and plans the life of
// signing keys. It is pure: no network, no files, no database.
//
// # Use
//
// Build one [Verifier] per kind of token. Each is fixed to an issuer, an
// audience, a list of algorithms, a list of types and a source of keys, so that
// a token of one kind can never pass as another (RFC 8725 §3.12). There is no
// function that verifies "any JWT". [Peek] and [UnverifiedIssuer] read without
// verifying; their results choose a verifier or are shown to a person, and prove
// nothing.
//
// # Threats
//
// The whole token is written by the attacker until its signature is verified.
//
//   - Algorithm confusion: a [Key] is bound to one algorithm; the header must
//     equal it. The word for "unsigned" is not an algorithm of this package.
//   - Keys from the token: jku, x5u, jwk and x5c in a header refuse the token,
//     as do crit, b64 and zip, of which we implement none.
//   - Two readings of one text: exactly three parts, one spelling of base64url
//     (no padding, no line breaks, zero tail bits), no member twice, no invalid
//     UTF-8, case-sensitive names. Claims of the common shape are read by a
//     faster reader, which is tested to take nothing that the full one refuses,
//     and to read it the same.
//   - Weak keys: RSA below 2048 bits, small or even exponents, the ROCA pattern,
//     points off the curve, short or guessable HMAC secrets are refused when the
//     key is read.
//   - Exhaustion: tokens are at most 16 KiB by default, nesting at most 16 deep;
//     only headers whose signature was good are cached.
//
// # Key life
//
//	published -> active -> retired -> removed
//
// See [PlanKeys]. Every public key is in the published set before it signs and
// stays until the last token it signed has expired.
//
// The package must never import net/http, os, database/sql or anything of this
// module but the root.
package token
