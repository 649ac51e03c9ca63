// Package credentialfuzz holds the fuzz tests of the credential parsers, apart
// from the package so that they see only what callers see. The property of each:
// it never panics, and what it accepts re-encodes to the same bytes.
//
// It holds test files only, serves nothing, and must never be imported.
package credentialfuzz
