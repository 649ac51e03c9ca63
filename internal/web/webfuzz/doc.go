// Package webfuzz holds the fuzz tests of forwarding headers and strict JSON, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package webfuzz
