// Package gatehouse holds the nouns that every part of Gatehouse shares: who
// calls ([Principal]), what is asked ([AccessRequest]), what was answered
// ([Decision]), what is recorded ([Event]), where a caller lives ([Realm]) and
// how a failure is named ([Error]).
//
// It imports the standard library only and performs no I/O. The zero value of
// each type denies: a zero Decision is a denial, a zero Principal is nobody and
// holds no scope, a zero Realm accepts no credential.
//
// It must never import another package of this module; the levels of the
// packages and the rule that imports only go down are in
// docs/architecture.md, proven by layers_test.go.
package gatehouse
