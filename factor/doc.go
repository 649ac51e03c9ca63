// Package factor is what people prove themselves with beside a password: codes of
// authenticator apps (TOTP, RFC 6238), and recovery codes for whoever lost the app.
//
// It serves no path; admin/factors manages what is here, and a login asks it ([Service.Prove]).
//
// # A code, from attempt to answer
//
//  1. The attempt is counted, as one at a password is, with counters of its own.
//  2. In one transaction the factors of the user are read, and held against others.
//  3. Six digits are compared with what each app shows now, 24 letters and digits with the
//     hashes of the recovery codes that are left.
//  4. The step of the clock that was used, or that the code is gone, is stored together with
//     the event. So of all that use the same code at once, on any node, one wins.
//
// # At rest
//
// The secret that an app shares is sealed under a key of the installation, and bound to realm,
// user and factor. A recovery code is a hash.
//
// # Threats
//
// Guessing (a million codes: the throttle, and a right password before), a code that somebody
// has seen or caught (works once, the last accepted step is stored), clocks (the server's
// alone; a step early or late), a stolen database (sealed, hashed), a secret moved to another
// account (its place is authenticated), a factor that was not confirmed (counts for nothing).
// A page in the middle that passes a code on at once is not stopped: only keys that are bound
// to a host stop that (WebAuthn).
//
// This package must never import net/http, database/sql, identity, authn or anything above, and
// never print a secret or a code.
package factor
