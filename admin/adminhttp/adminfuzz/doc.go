// Package adminfuzz holds the fuzz tests of the bodies that the management API takes, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package adminfuzz
