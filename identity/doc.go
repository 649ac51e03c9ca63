// Package identity knows the people and programs of a realm: what a username
// is, whether a password is right, how fast passwords may be tried, which new
// password may be set, and who a subject is at this moment.
//
// It serves no path; authn, authz and admin call it.
//
// # A password, from attempt to answer
//
//  1. The throttle is asked, before anything that costs.
//  2. The user is looked up by the folded username ([NormalizeUsername]).
//  3. The cache of verified passwords may know this very password.
//  4. Otherwise the attempt is counted and exactly one hash is
//     evaluated: the stored one, or a dummy of the same cost when there is no
//     user, no password, or the user is disabled.
//  5. A right password takes the count back, and is hashed anew when the
//     parameters have risen; a wrong one leaves it.
//
// Unknown, wrong, disabled and password-less give one answer in text, status and
// work. Accounts whose hash was imported and not yet upgraded take another time;
// see credential.HasherConfig.Equalize.
//
// # The throttle
//
// A network is an IPv4 address or an IPv6 /64. A network is known for an account
// for 30 days after the last success from it; 16 networks for each account.
// Accounts are counted by the hash of the folded username, so one that does not
// exist behaves as one that does. With the default numbers:
//
//	counter   counts failures of       applies to     free  then each costs        forgiven
//	pair      account from a network   everybody       5    1 s, 2 s, 4 s … 15 min; by a success of the pair;
//	                                                        from 100 on: 1 h       after 24 h without failure
//	device    account with a device    everybody       5    1 s, 2 s, 4 s … 15 min; by a success with the
//	          that it knows            with it              from 20 on: 24 h      device; after 30 days
//	account   account from all         unknown         20   1 s, 2 s, 4 s … 15 min; by a success from an unknown
//	          unknown networks         networks             from 100 on: 24 h      network; after 30 days
//	address   network, for all         unknown         30   1 s, 2 s, 4 s … 15 min  one each 5 min; all after
//	          accounts                 networks                                    24 h
//	realm     all unknown networks,    unknown         300  until the bucket has   5 a second
//	          for all its accounts     networks             room
//
// A device is a browser, by its device cookie. It is known for an account for 30 days
// after the last sign-in there that opened a session ([Service.SignedIn]), 16 devices
// for each account, and kept as a keyed hash of account and cookie. With one, the counter
// of the device is the only one that applies, from any network; when that has to wait,
// the attempt is judged as one without a device. So whoever makes up a device cookie has
// none, and whoever stole one has the few tries of that counter and keeps its owner from
// nothing. The counters of codes have devices of their own, known by a code.
// When another password is set, every network and device of before is unknown.
//
// An attempt waits for the longest of the counters that apply. A refused attempt
// (429, too_many_attempts, Retry-After) is not counted and prolongs nothing. An
// attempt counts as failed from its beginning, and the count is taken back when it
// succeeds or breaks; so a thousand at once do not pass before the first fails.
//
// What follows from that: somebody who guesses at an account from anywhere has
// 100 tries and then one a day (NIST SP 800-63B-4 §3.2.2: at most 100), yet the
// owner at a known network or with a known device is not slowed by it at all. An owner at
// a new network, without one, during such an attack waits; a success there, or the administrator's
// help, ends it. Whoever tries many accounts from one address gets 30 tries and
// then 12 an hour; from many addresses, 5 a second in a realm, while known networks go
// on, and everybody in other realms. A neighbour behind the owner's address can slow the
// owner's log-in there without a known device by 15 minutes, and by an hour after 100
// failures.
//
// The counter that bounds the guesses at an account is in the store, for all nodes and
// over restarts: that of the account, and at a known network or device that of the pair. A node
// reserves attempts there before it looks at a password: up to five at once while they
// cost nothing, then one by one. What is reserved counts as failed until a success
// forgives it or the node gives it back; so a node that is killed leaves more failures
// behind than there were, never fewer. When the store does not answer, nobody is let
// through beyond what is reserved (attempts_unavailable). A success forgives what
// failed before it; what another node has reserved in the last 12 minutes stays, since
// it may still fail. Known networks and devices are in the store too (a keyed hash of
// each); before a node refuses somebody at a network or with a device that it does not
// know, it asks for them, at most once in 10 s for an account and a hundred times a
// second, for those with a device cookie and for those without. A failure leaves a row for
// 30 days: those of strangers 5 a second at most, in a realm.
//
// The counters of addresses and of realms are in memory, and added up in the store
// each second: all nodes let through together what one would, and what comes within a
// second. Pairs at unknown networks are of each node for itself, since the account's
// counter bounds them all; a restart forgets them. Memory is bounded
// (100,000 entries a table, the least recently used go first; to push one counter out
// takes 100,000 counted failures, which the counter of a realm stretches over five hours).
//
// # Threats
//
// Guessing and stuffing (throttle), locking others out (known networks and devices), telling
// accounts apart (one answer, one cost), exhausting the processor with Basic on
// each request (cache of verified passwords, and its reasons, in verified.go),
// passwords typed as usernames (events hold a keyed hash of unknown names),
// look-alike usernames, a stale user after a change ([Directory]).
//
// This package must never import net/http, database/sql, authn, authz or
// anything above, and never print a password or an unknown username.
package identity
