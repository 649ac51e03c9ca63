// Package faults runs the real program and breaks the ground under it: it is
// killed under load, its disk fills up, its disk reports errors, its database
// goes away and comes back. It holds tests only.
//
// # What is expected, whatever breaks
//
//   - What was acknowledged is there afterwards: what was created exists, what
//     was revoked, ended or disabled is refused by the gateway.
//   - What could not be stored is answered with 503 and a stable code, within a
//     bounded time. Nothing passes that the audit log could not take.
//   - What answers from memory goes on: a credential that is known is still
//     checked, and one that is revoked is still refused.
//   - The log says what happened and holds no secret.
//   - When the fault ends, so do its effects, by themselves.
//   - The audit log verifies, against every checkpoint saved before.
//
// # How
//
// The faults are real. SIGKILL ends the process; strace makes system calls fail
// with EIO or EROFS in the kernel's name; a tiny file system or a limit on the
// size of files fills up; PostgreSQL is stopped, crashes, hangs, fails over and comes
// back; Toxiproxy cuts and slows the network. Nothing in the product knows of
// these tests. A clock that is off is built into a program of its own, by a line
// that is replaced (clockOff); one that steps back is tested beside package server.
//
// Each test is short by default. GATEHOUSE_TEST_LONG=1 (`make crash`) runs the
// full hundred kills on each database, keeps it away for a minute, and goes three
// times through everything that can befall three nodes.
package faults
