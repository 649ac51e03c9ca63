// Package adminhttp is the frame of the management API: it serves what the subjects of administration add with [Handle]
// under /admin/v1, with an OpenAPI 3.1 document at /admin/v1/openapi.json that is
// made from the very types that are served.
//
// A request passes these steps: cross-origin check, bounds on path and body, rate
// limit by address, authentication (but for the three public operations), strict
// decoding, validation against the document's schema, the use case. Every
// failure, the router's own included, is a problem document (RFC 9457) that
// repeats nothing of the input.
//
// GET, PUT and DELETE are idempotent as HTTP defines them. A POST that makes
// something with a name (user, realm) answers 409 when it is repeated; one that
// makes a key makes another one each time, since its text is shown only once.
// PATCH takes a "version" to refuse overwriting somebody else's change.
//
// # Threat model
//
// Browsers may hold Basic credentials of their own accord, so requests of other
// origins are refused even though no cookie is read. JSON with duplicate or
// unknown members, other letter case, invalid UTF-8 or NUL is refused, so that no
// reviewer in front can have read something else. Secrets appear in the answers
// that make them, which are never cached.
//
// It knows no subject, and must never import one, store or server; authorization is package kernel's.
package adminhttp
