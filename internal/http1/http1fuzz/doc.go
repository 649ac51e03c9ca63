// Package http1fuzz holds the fuzz tests of what package http1 writes, apart from the
// package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package http1fuzz
