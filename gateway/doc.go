// Package gateway stands before upstream APIs: it asks the enforcement pipeline
// about every request and forwards what is allowed.
//
// It serves every path of its listener ([Gateway]), and the questions of other
// proxies ([ForwardAuth]). [Upstreams] holds the connections, and [Resolver] fetches
// the resources that decisions are about.
//
// # A request
//
//	begin -> bounds -> check -> body rules -> assertion -> forward -> finish
//
// A failure at any arrow answers with a problem document and ends in finish,
// which records the exchange exactly once, whatever happened: a panic, an
// aborted client, an upgraded connection.
//
// # What the upstream is told
//
// Every header by which a caller could pose as somebody is removed, in every
// spelling that a CGI-like upstream would take for it, and so are headers that
// make frameworks act on another method or path than the one judged. Then the
// gateway adds X-Gatehouse-Assertion, a signed statement of who calls, and, where
// asked for, plain headers. An anonymous caller gets neither.
//
// # Threats
//
// Spoofed identity headers; Connection lines that name our headers; h2c upgrade
// smuggling; paths that the gateway and the upstream read differently; bodies and
// headers without end; upstreams that hang; internals in error texts; answers
// that shared caches keep; browsers that add cached Basic passwords to requests
// of other sites; proxies that nobody trusts and that ask as if they were.
//
// It must never import guard, oauth/token, oauth/endpoint, admin, store or
// server, and never decides: that is enforce's.
package gateway
