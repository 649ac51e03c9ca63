// Package serverfuzz holds the fuzz test of the forms of all pages, against a server that runs.
//
// It holds test files only, serves nothing, and must never be imported.
package serverfuzz
