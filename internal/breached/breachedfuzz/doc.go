// Package breachedfuzz holds the fuzz tests of the filter of breached passwords and of the
// lists that it is made of, apart from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package breachedfuzz
