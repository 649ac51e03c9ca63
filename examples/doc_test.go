// Package examples_test runs the example programs for real: each one as its own
// process, beside or behind a Gatehouse that runs in the test.
package examples_test
