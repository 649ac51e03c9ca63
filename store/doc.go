// Package store keeps everything that must outlive the process, on SQLite or
// PostgreSQL, with the same queries and the same promises on both.
//
// # Promises
//
//   - What a runner reported as done is on the disk: SQLite commits with
//     synchronous=FULL, PostgreSQL with synchronous_commit not off. A failed
//     commit is reported to everybody whose writes were in it.
//   - A transaction is all or nothing, and a statement that failed ends it: a
//     function that swallows the error still gets it from the runner.
//   - [gatehouse.Change]s reach the subscribers after the commit, before the
//     runner returns, in the order of the commits, once each.
//   - The audit batches of a realm get their positions in the order of the
//     commits: a reader who saw position n will never see a smaller one appear.
//   - Text is UTF-8 without NUL; anything else is refused before it reaches a
//     database, because the two databases would not agree on it.
//
// # Transactions
//
// On SQLite one goroutine writes. It takes all the transactions that wait, runs
// each in a savepoint of its own and commits them together, so one fsync serves
// many callers; while it works, others queue up for the next. Transactions are
// therefore serial. On PostgreSQL each runs on its own connection with READ
// COMMITTED, and every row that it reads is locked until its end (records that
// flows change: FOR NO KEY UPDATE; others: FOR SHARE), so a decision taken on
// what was read still holds at the commit; deadlocks and serialization failures
// are run again. What this does not cover on PostgreSQL is a row that did not
// exist when the transaction looked; unique indexes and compare-and-swap do.
//
// # Threats
//
// Someone who reads the database must not be able to call an API with it: only
// hashes of credentials and sealed private keys arrive here, and no column is
// meant for anything else. Someone who writes to the database is noticed by the
// Merkle log (package audit), not by this package. Two processes that write to
// one database could each answer from a stale memory after the other revoked
// something: on SQLite a second one is refused (a file lock), on PostgreSQL each tells
// the others what it changes, and whoever does not is kept away (an advisory lock).
//
// # Imports
//
// The packages whose records are stored, and drivers. Never server or a
// command. It does not know who asks: no method takes a principal.
package store
