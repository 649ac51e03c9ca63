// Package registration is the endpoint at which clients register themselves (RFC 7591), and change what they registered (RFC 7592).
//
// # Threat model
//
// Who registers is a stranger: what it says of itself is bounded before it is read, read once, and checked by the same code as what an
// administrator registers; what only an administrator gives is not read at all. Registrations are counted by address and for the realm. Nothing
// is fetched. A token to change a registration is kept as a hash, compared in constant time, and replaced by each change. That
// a client is unknown, and that its token is another one, look the same. People are told that nobody looked at the client.
package registration
