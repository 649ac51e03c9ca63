// Package egress is the one way in which Gatehouse fetches from addresses that
// configuration names: key sets of trusted issuers, and later metadata and hooks.
//
// # Threats
//
// Whoever may configure an address must not be able to make the server talk to
// its own network (server-side request forgery). Names are resolved by the
// dialer, and every single address is checked at the moment of connecting, in
// [net.Dialer.ControlContext]: a name that resolves to something else the second
// time (DNS rebinding) gains nothing. Besides that: https only, no redirects, no
// proxy from the environment, no credentials in the address, no cookies, bounded
// time, header and body.
//
// AllowPrivate opens loopback and private addresses, and plain http to those
// alone. Link-local addresses (cloud metadata among them), multicast and the
// unspecified address stay closed always.
//
// The package must never import packages of this module above the root.
package egress
