// Package rar reads and compares authorization details (RFC 9396), which say more exactly than scopes what a client asks for.
//
// # Threat model
//
// Details are the client's: they are bounded, read once and exactly, and of a type that the realm has and the client is registered for. The
// JSON Schema of that type admits no member that it does not name, so that nobody is asked about one thing and gives another. Schemas are
// an administrator's; they refer to nothing outside of themselves, and nothing is fetched. Whether one detail is no wider
// than another follows from rules that the type names, member by member; what has no rule has to be equal.
package rar
