// Package counters keeps what several processes count together on a server of Redis or
// Valkey: one script for each kind of count, run there, by the clock of that server, so that
// no clock of a process counts.
//
// Threats it stands against: a server that is slow, silent or away and would make every
// request slow (a time-out for each question, and none at all while the server is known to be
// away); a stranger who reads that server's memory (names of counts hold a keyed hash of whom
// they count); and one who stands between (TLS, verified, where it is used; the password is
// never part of an address or an error).
//
// It must never decide what follows when nothing is known: its callers do.
package counters
