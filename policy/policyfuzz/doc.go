// Package policyfuzz holds the fuzzers of policy texts and schemas. It has no
// code of its own; its corpora would otherwise crowd package policy. It must
// never be imported.
package policyfuzz
