// Package configfuzz holds the fuzz tests of the configuration and its environment, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package configfuzz
