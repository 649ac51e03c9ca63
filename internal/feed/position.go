package feed

import (
	"fmt"
	"time"
)

// Row is what one transaction left for the others.
type Row struct {
	XID  uint64 // its id, which is never given again on one timeline
	Node string // who wrote it
	// WrittenAt is the database's clock shortly before the commit.
	WrittenAt time.Time
	// Changes is what the writer gave to [Append]; a heartbeat has none.
	Changes []byte
}

// history names a line of events in which transaction ids mean one thing: one
// cluster, between two failovers.
type history struct {
	system   uint64 // the cluster, from its first day on
	timeline string // 8 hexadecimal digits, another one after each promotion
}

// reading is what one statement found: all of it belongs to one moment.
type reading struct {
	history  history
	now      time.Time // the database's clock
	snapshot snapshot
	floor    snapshot // what may have been removed; empty when nothing was
	kept     bool     // the row that proves the reader's position is still there, or none was asked for
	rows     []Row
}

// reader is the state of one who follows the feed. Its zero value has seen nothing.
type reader struct {
	history history
	// last is what was seen. On this connection it is good: a server that crashes
	// takes the connection with it.
	last snapshot
	// proven is the newest position after which a row of the feed has committed, which
	// is proof. A server that crashes may hand out again the transaction ids
	// that never reached its disk; those of before a commit have reached it.
	proven snapshot
	proof  Row
}

// reconnected goes back to what a crash of the server cannot have undone.
func (r *reader) reconnected() { r.last = r.proven }

// maxRows bounds what one reading may bring: some minutes of a busy installation.
const maxRows = 50_000

// reloadReason says why rows alone do not bring a reader up to date.
type reloadReason string

const (
	reloadFirst    reloadReason = "nothing was read before"
	reloadHistory  reloadReason = "another server answers, or a standby was promoted"
	reloadAhead    reloadReason = "the database is older than what was read from it"
	reloadReplaced reloadReason = "what was read last is no longer there"
	reloadRemoved  reloadReason = "rows that were not read may have been removed"
	reloadDoubt    reloadReason = "somebody else may have written"
	reloadMany     reloadReason = "more was written than is worth reading"
)

// judge says why everything has to be loaded anew, or "" when the rows of the
// reading are all that is new.
func (r *reader) judge(g reading) reloadReason {
	switch {
	case r.last.empty():
		return reloadFirst
	case r.history != g.history:
		return reloadHistory
	case !g.snapshot.covers(r.last):
		return reloadAhead
	case !g.kept:
		return reloadReplaced
	case !r.last.covers(g.floor):
		return reloadRemoved
	case len(g.rows) > maxRows:
		return reloadMany
	}
	return ""
}

// accept moves on to a reading whose rows were applied.
func (r *reader) accept(g reading) {
	for _, row := range g.rows {
		if row.XID >= r.last.xmax {
			r.proven, r.proof = r.last, row
			break
		}
	}
	r.last = g.snapshot
}

// reloaded begins anew at a reading after which everything was loaded: what was
// proven before may belong to another history.
func (r *reader) reloaded(g reading) { *r = reader{history: g.history, last: g.snapshot} }

// newest is the time at which the last of the rows was written, by the database's
// clock; zero without rows.
func newest(rows []Row) (t time.Time) {
	for _, row := range rows {
		if row.WrittenAt.After(t) {
			t = row.WrittenAt
		}
	}
	return t
}

func (h history) String() string { return fmt.Sprintf("%d/%s", h.system, h.timeline) }
