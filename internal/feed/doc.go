// Package feed is a change feed in PostgreSQL: every transaction appends at most one
// row in itself, and every node applies the rows of all others, each at least once,
// whatever the order in which they commit.
//
// A reader remembers as its position what it has seen: a snapshot (xmin, xmax, and
// the transactions in progress in between), not a number, because numbers are given
// out before the commit. docs/adr/0008-a-feed-by-snapshots.md has the proof.
//
// Who reads is listed in a table of nodes, with how far it has read: who made a change
// can tell which of the others have applied it.
//
// The package knows nothing of what the rows say. It needs four tables, made by the
// store's migrations:
//
//	feed       (xid BIGINT PRIMARY KEY, node TEXT, written_at BIGINT, changes TEXT NULL)
//	feed_floor (one BIGINT PRIMARY KEY, snapshot TEXT)
//	sole_node  (one BIGINT PRIMARY KEY, node TEXT, …)
//	nodes      (id TEXT PRIMARY KEY, and the columns of [member])
package feed
