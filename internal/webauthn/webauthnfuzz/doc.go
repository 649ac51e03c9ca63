// Package webauthnfuzz holds the fuzz tests of what browsers answer with passkeys, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package webauthnfuzz
