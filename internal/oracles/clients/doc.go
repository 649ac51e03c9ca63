// Package clients has the OpenID Connect clients that others wrote sign people in at a Gatehouse that runs: what we take
// a specification to say is one reading of it, and theirs are others. Each is set up as its own page says, with nothing of ours.
//
// It stands in the module of the oracles, so that none of these libraries reaches the product's dependencies.
package clients
