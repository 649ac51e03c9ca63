// Package sealfuzz holds the fuzz tests of sealed blobs and master keys, apart
// from the package so that they see only what callers see.
//
// It holds test files only, serves nothing, and must never be imported.
package sealfuzz
