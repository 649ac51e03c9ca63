// Package oracles holds our verifier against other implementations of JOSE:
// go-jose, jwx and golang-jwt. It is a module of its own so that none of them but
// go-jose, which the product uses elsewhere, reaches the product's dependencies.
//
// # What it shows
//
// TestDifferential makes tokens, most of them spoiled in one of many ways, and
// asks our verifier, go-jose and jwx about each. Where they disagree, one of the
// rules in rules_test.go must say why; a disagreement that no rule explains fails. We
// may be stricter for the reasons listed, and we are never laxer: the rules for
// "we accept, another refuses" are about names alone, not about signatures.
//
// The benchmarks compare one verification and one signature of ours with the same
// work in each library and with the bare primitive of the standard library.
//
// Nothing of the product may import this package.
package oracles
