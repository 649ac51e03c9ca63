// Package document knows clients that nobody registered: each is described by a document at the https address that is its client_id
// (OAuth Client ID Metadata Document, draft 02).
//
// # State
//
// What a document says is kept in the memory of the node that fetched it, for as long as the answer says, within bounds. Once a
// person lets the client have something, it is stored as other clients are ([Source.Keep]), and each change of the document that a node sees
// with it: so tokens, consents, and what an administrator says of the client are the same on all nodes. What is stored goes when nobody
// has anything of it any more.
//
// # Threat model
//
// Whoever asks chooses the address. The realm says which hosts it may name; the [Fetcher] must refuse networks that may not be
// reached, redirects, and what is too long; what a caller's own network address may have fetched is bounded, so is how many
// fetches there are at once, and many who ask for one document wait for one fetch. Errors are not kept. No fetch happens in a transaction.
// A document speaks for its own address alone, and for a client without a secret.
//
// It must never import a package of storage, or one of endpoints above it.
package document
