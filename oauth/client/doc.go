// Package client is what a realm knows of the programs that ask it for tokens: the registration of
// each (RFC 7591 §2), and how it proves that it is that client (RFC 6749 §2.3).
//
// # State
//
// A client is there from its registration to its removal. Disabled, it gets no token, and what was
// issued to it counts no more. It has one secret, and for the overlap of a rotation the former one
// beside it, so that no deployment has to change all its programs at one moment.
//
// # Threat model
//
// Secrets are made here and never chosen: 178 random bits, so that their hash needs no slow
// function and nobody guesses one. A client proves itself by the one method that its registration
// names; a secret that turns up in another place than its owner keeps it for is refused. Whether
// a client is unknown, disabled or shows a wrong secret looks the same from outside.
//
// It must never import net/http, a package of storage, or a package of endpoints above it.
package client
