// Package webauthn verifies what passkeys and security keys answer (W3C Web Authentication
// Level 3): a registration (§7.1) and an assertion (§7.2), step by step. It is pure: it
// knows no store, no clock and no user.
//
// What it takes is what Gatehouse asks for: ES256, EdDSA (Ed25519) and RS256, no
// attestation. Statements of attestation are read; of "packed" the signature is verified,
// and any other is taken for none. Nobody is trusted more because of one.
//
// # Threats
//
// Everything comes from whoever sends a form. Each part is bounded before it is read. The
// algorithm is that of the key that was stored, never of the message. A page of another
// origin, of a subdomain or in a frame is refused, as is an answer to another challenge, for
// another relying party, without the person (UP) or, where it is asked for, without a PIN or
// a finger (UV). CBOR has one reading: no duplicate keys, no indefinite lengths, no tags, the
// shortest form, nothing behind the value.
package webauthn
