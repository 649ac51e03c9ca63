// Package registrationfuzz holds the fuzz tests of package registration, apart from its
// other tests so that those stay quick. It has no code of its own and must not be
// imported.
package registrationfuzz
