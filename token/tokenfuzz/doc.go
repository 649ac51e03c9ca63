// Package tokenfuzz holds the fuzz tests of package token, apart from it so that
// they see only what others see and may compare it with another library.
//
// The properties: what is accepted has one spelling, so that it re-encodes to the
// same octets; and what we accept, an independent implementation accepts with the
// same meaning, so that we are never the laxer of two.
package tokenfuzz
