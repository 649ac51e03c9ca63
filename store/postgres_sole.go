package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
)

const (
	// quietFor is how long a node must have said nothing, and not be connected, before
	// another one may be the only one: longer than a transaction of its can stay open.
	quietFor = time.Minute
	// soleMargin is added to the bound of a node before others take it that its time is over:
	// its clock and the database's need not run at the same pace.
	soleMargin = 5 * time.Second
	clockDrift = 100 // a hundredth of the bound
	boundNoEnd = -1
	soleTable  = `SELECT node, host, home, bound, contact, ` + pgClock + ` FROM sole_node WHERE one=1`
	pgClock    = `CAST(EXTRACT(EPOCH FROM clock_timestamp())*1000000 AS BIGINT)`
	// otherProcess is true when a process other than $3 and $4 said something in the last $5
	// microseconds, or another backend than $2 has the lock of class $1. The locks come last:
	// to list them costs the server more than all the rest.
	otherProcess = `(EXISTS (SELECT 1 FROM nodes WHERE id<>$3 AND id<>$4 AND seen_at>` + pgClock + `-$5)
		OR EXISTS (SELECT 1 FROM pg_locks WHERE ` + holdsLock + ` AND pid<>$2))`
	soleCleared = `UPDATE sole_node SET node='', contact=` + pgClock + ` WHERE one=1 AND node=$1`
)

// errWaits is what a change that others must know of is refused with while another node
// may be answering that cannot hear of it.
var errWaits = gatehouse.E(gatehouse.Unavailable, "node_waits", "This node waits for another one that may be answering without the database.")

// Sole returns the register of the node that may go on alone; nil where no other can be.
func (db *DB) Sole() staleness.Register { return db.engine.register() }

func (e *postgresEngine) register() staleness.Register {
	if e.feed == nil {
		return nil
	}
	return soleRegister{e}
}

// refuseSole refuses whoever needs the database for himself while a node may be answering
// without it: by what it knew, which he is about to change.
func refuseSole(ctx context.Context, db *sql.DB, c staleness.Claim) error {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('sole_node') IS NOT NULL`).Scan(&there); err != nil || !there {
		return public(err)
	}
	h, err := scanSole(db.QueryRowContext(ctx, soleTable))
	if errors.Is(err, sql.ErrNoRows) || err == nil && (h.node == "" || h.ended(c) != "") {
		return nil
	}
	if err != nil {
		return public(err)
	}
	left := "until it is started, or removed by 'gatehouse node remove' asked of a node that waits for it"
	if d := h.left(); d < staleness.Forever {
		left = "for " + d.Round(time.Second).String() + " more, unless it is started and stopped"
	}
	return errLocked.With(fmt.Errorf("node %s on %s may be answering without the database, %s", h.node, h.host, left))
}

// soleRegister keeps the row of the sole node.
type soleRegister struct{ e *postgresEngine }

// soleHolder is the row, and the database's clock.
type soleHolder struct {
	node, host, home    string
	bound, contact, now int64
}

func scanSole(r pgx.Row) (h soleHolder, err error) {
	err = r.Scan(&h.node, &h.host, &h.home, &h.bound, &h.contact, &h.now)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return h, err
}

// Sole implements [staleness.Register].
//
// Of one who comes and one who takes the row, either the one who comes is first to lock
// the row: then his lock of the database, which he has by then, is counted. Or he finds the
// row taken.
func (s soleRegister) Sole(ctx context.Context, c staleness.Claim) (st staleness.Standing, err error) {
	if err := s.e.lock.hold(ctx); err != nil {
		if gatehouse.CodeOf(err) == errLocked.Code {
			return st, nil // the database is there; its heartbeats are not, and the view gets old
		}
		return st, err
	}
	held, backend := s.e.lock.taken.Load(), s.e.lock.backend.Load()
	var holder string // as the row says, which may not be there yet
	var now int64
	var others bool
	err = s.e.pool.QueryRow(ctx, `SELECT coalesce((SELECT node FROM sole_node WHERE one=1),''), `+pgClock+`, `+otherProcess,
		postgresLockClass, backend, c.Node, "", quietFor.Microseconds()).Scan(&holder, &now, &others)
	if err != nil {
		return st, public(err)
	}
	clock := time.UnixMicro(now)
	if holder == "" && (others || c.Bound <= 0) && s.e.joined.Load() == held {
		return staleness.Standing{Database: clock}, nil // as nearly always: nothing is written
	}
	tx, err := s.e.pool.Begin(ctx)
	if err != nil {
		return st, public(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after a commit
	if st, err = s.decide(ctx, tx, c, backend); err == nil {
		err = tx.Commit(ctx)
	}
	if err == nil && st.Holder == "" {
		s.e.joined.Store(held)
	}
	st.Database = clock
	return st, public(err)
}

// others reports whether another process is connected, or was a moment ago and has not
// said that it stops. dead is one that is known to have ended.
func (s soleRegister) others(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, node, dead string, backend int64) (yes bool, err error) {
	err = q.QueryRow(ctx, `SELECT `+otherProcess, postgresLockClass, backend, node, dead, quietFor.Microseconds()).Scan(&yes)
	return yes, err
}

func (s soleRegister) decide(ctx context.Context, tx pgx.Tx, c staleness.Claim, backend int64) (st staleness.Standing, err error) {
	if _, err := tx.Exec(ctx, `INSERT INTO sole_node (one, node, host, home, bound, contact) VALUES (1,'','','',0,0) ON CONFLICT DO NOTHING`); err != nil {
		return st, err
	}
	h, err := scanSole(tx.QueryRow(ctx, soleTable+` FOR UPDATE`))
	if err != nil {
		return st, err
	}
	dead := ""
	if h.node != "" && h.node != c.Node {
		if st.Why = h.ended(c); st.Why == "" {
			st.Holder, st.Host, st.Left = h.node, h.host, h.left()
			return st, nil
		}
		if st.Ended = h.node; h.sameProcess(c) {
			dead = h.node
			if _, err := tx.Exec(ctx, `DELETE FROM nodes WHERE id=$1`, dead); err != nil {
				return st, err
			}
		}
		if _, err := tx.Exec(ctx, soleCleared, h.node); err != nil {
			return st, err
		}
	}
	others, err := s.others(ctx, tx, c.Node, dead, backend) // after the lock of the row
	switch {
	case err != nil:
		return st, err
	case others:
		st.Asked = h.node == c.Node
		return st, nil
	case c.Bound <= 0:
		return st, nil
	}
	bound := int64(boundNoEnd)
	if c.Bound < staleness.Forever {
		bound = c.Bound.Microseconds()
	}
	st.Sole = true
	_, err = tx.Exec(ctx, `UPDATE sole_node SET node=$1, host=$2, home=$3, bound=$4, contact=`+pgClock+` WHERE one=1`, c.Node, c.Host, c.Home, bound)
	return st, err
}

// sameProcess: whoever has the holder's data directory to himself has taken the place of a
// process that has ended.
func (h soleHolder) sameProcess(c staleness.Claim) bool {
	return c.Home != "" && h.home == c.Home && h.host == c.Host
}

// ended says why the holder cannot be going on, "" when he can.
func (h soleHolder) ended(c staleness.Claim) string {
	switch {
	case h.sameProcess(c):
		return "its process has ended"
	case h.left() <= 0:
		return "its time is over"
	}
	return ""
}

// left is how long the holder can be going on.
func (h soleHolder) left() time.Duration {
	if h.bound == boundNoEnd {
		return staleness.Forever
	}
	end := h.contact + h.bound + h.bound/clockDrift + soleMargin.Microseconds()
	return time.Duration(min(end-h.now, math.MaxInt64/1000)) * time.Microsecond
}

// YieldSole implements [staleness.Register].
func (s soleRegister) YieldSole(ctx context.Context, node string) error {
	_, err := s.e.pool.Exec(ctx, soleCleared, node)
	return public(err)
}
