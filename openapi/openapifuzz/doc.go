// Package openapifuzz holds the fuzz tests of the reader of OpenAPI documents, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package openapifuzz
