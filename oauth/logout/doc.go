// Package logout tells clients that a sign-in has ended (OpenID Connect Back-Channel Logout 1.0).
//
// A client that learns of a session by an ID token, and has an address for it, is noted beside that session in the
// transaction of the token ([Record]). Whatever ends the session makes the note due in the transaction of the end: without
// the end nobody is told, and without the note no session ends. A session that nobody ends is told of at its own end. One
// process sends ([Sender], under a lease), again and again until the client has taken it or [TryFor] is over, and each end
// of that is in the record.
//
// # Threat model
//
// Whoever registers a client chooses an address that this server talks to: it does so by package egress alone, takes
// nothing of the answer but its status, and one that is slow holds up itself and not the others. Whoever gets a logout
// token of another client can do nothing with it: it has an audience and a type of its own, and lives for two minutes.
package logout
