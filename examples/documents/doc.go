// Package documents is a small API to protect: documents with an owner, a team
// and a visibility. It knows nothing of authentication or authorization; whoever
// can reach it may do everything, which is why it listens on loopback only and
// why a gateway stands before it.
//
// Paths: GET /public, GET /private, GET and POST /documents, GET, PUT and DELETE
// /documents/{id}. openapi.yaml describes them.
//
// Every body is bounded and parsed strictly: a duplicate, unknown or wrongly
// cased member is refused, so that the gateway, which judges the body of a POST,
// and this API can never read the same bytes differently.
//
// It must never import a package of Gatehouse.
package documents
