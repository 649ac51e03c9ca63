// Package auditfuzz holds the fuzz tests of the event encoding and of what
// verification reads from outside. They are apart so that the fuzzer does not
// instrument and run the slow tests of package audit.
//
// It has no code of its own and must never be imported.
package auditfuzz
