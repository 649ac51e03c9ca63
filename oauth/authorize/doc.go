// Package authorize is the authorization endpoint of a realm (RFC 6749 §3.1): it judges what a client asks for in a person's
// browser, says what has to happen before it is given, and makes the answer. It knows nothing of HTTP: package pages shows
// what is to be shown, and knows who is signed in.
//
// # Order
//
// The checks of a request are two lists of small steps (steps.go), each with the section that it comes from:
//
//	1 whose request it is, and where browsers may be sent for that client: what fails here is shown
//	  to the person, since nobody knows yet whom an answer would reach (RFC 6749 §4.1.2.1)
//	2 everything else: what fails here goes to the client, with the state of its request and the
//	  issuer (RFC 9207)
//
// Then [Request.Next] says what the person still has to do: sign in, sign in again, say whether the client may. The request
// itself is kept nowhere: it travels in the address of the page, and is judged anew at each step.
//
// # Threat model
//
// Whoever makes a person open an address of this endpoint chooses every word of it. Browsers are sent to registered
// addresses alone, byte for byte, and to none before the person is signed in, errors included: else this would be a way to
// lead people from a name that they trust to any page that somebody could register (RFC 9700 §4.11). A code says nothing by
// itself, is bound to the client, the address, the challenge, the session and the person, and works once (package grant).
// Without a challenge a request is refused, unless the client proves itself and is registered so.
//
// It must never import net/http, a package of storage, or pages.
package authorize
