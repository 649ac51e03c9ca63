// Package program is a small program that acts for people: it sends the browser to an issuer, by which they sign in and
// allow it, takes the code that comes back, gets tokens for it, and shows what they say. It is public, as a program on
// somebody's own machine is, and has no secret.
//
// Paths: GET / begins, GET /back is where the browser comes back to.
//
// # Threat model
//
// Other pages of the browser can call both paths. What comes back counts once, with the state that was given to this browser
// (a cookie), of the issuer that was asked (RFC 9207); the code is worth nothing without the verifier, which never leaves
// this program (RFC 7636). What tokens say is shown as text.
//
// It must never import a package of Gatehouse.
package program
