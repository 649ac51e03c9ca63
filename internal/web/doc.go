// Package web is what every HTTP surface of Gatehouse shares: one mapping from
// errors to responses (RFC 9457 problem details), request ids, the client's
// real address behind trusted proxies, bounded and strict reading of bodies,
// security headers, and recovery from panics.
//
// Threats it stands against: internal text leaking through error bodies; a
// client that forges its address or scheme with X-Forwarded-* or Forwarded;
// bodies without end, compressed bombs and JSON that two parsers read
// differently; log forging through an inbound request id; responses that a
// shared cache or a browser may misuse.
//
// It knows nothing of credentials, principals or policies, and must never
// import a package of level 2 or above.
package web
