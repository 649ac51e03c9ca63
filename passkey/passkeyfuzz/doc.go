// Package passkeyfuzz holds the fuzz tests of questions for passkeys and of their answers,
// apart from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package passkeyfuzz
