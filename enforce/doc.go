// Package enforce is the policy enforcement point: the one pipeline that every
// request goes through, whether it came to the gateway, to forward-auth, or to
// the guard middleware of a Go program. Its steps are receive, match, extract,
// authenticate, authorize and limit; each is a method in a file of its own, and
// none calls another.
//
// It decides and records; it never forwards and never writes a response. The
// caller takes the [Verdict] and does that.
//
// It must never import gateway, guard, store or server.
package enforce
