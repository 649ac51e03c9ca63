// Package proof verifies that whoever presents a token has what it is bound to: a key, by a proof with each request (RFC 9449,
// DPoP), or a client certificate, by TLS (RFC 8705). It knows nothing of requests beside what it is given of them, and decides
// nothing about the token.
//
// # What is remembered
//
// A proof is good once, on all nodes. [Seen] says who remembers it. Where one process has the database to itself that is
// its memory ([Memory]): what the process before it saw is unknown, so proofs that could be of that time need a nonce
// that was made since. Where processes share a database, each proof is claimed there.
//
// # Nonces
//
// A nonce is a time under a MAC ([Nonces]): nothing is stored of one, and every node knows those of all others. It proves
// that the proof was made lately, whatever the clock of the client says, and so not stolen in advance (RFC 9449 §11.2).
//
// # Threats
//
// A stolen token: it is nothing without the key. A stolen proof: it names method and URL, counts for a minute, and once.
// A proof that the client was made to sign for another server: the URL is that server's. A key in the header of an
// algorithm that the sender chose: asymmetric ones of the list alone, private keys are refused. Somebody who fills the
// memory: it is asked after the signature, and only for tokens and clients that are genuine; when it is full, requests
// are refused and nothing is forgotten.
//
// It must never import net/http, or a package of storage.
package proof
