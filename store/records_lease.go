package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
)

// AcquireLease takes the lease of that name for term, and raises its epoch; see
// [lease.Store]. It is lease.ErrHeld while somebody else has it, unless nobody else is
// connected to the database: then whoever had it is dead, and it need not run out.
func (db *DB) AcquireLease(ctx context.Context, name, holder string, term time.Duration) (lease.Lease, error) {
	l := lease.Lease{Name: name, Holder: holder}
	free, err := db.leaseFree(ctx, name, holder, term)
	if err != nil {
		return l, err
	}
	err = db.run(ctx, func(ctx context.Context, t *Tx) error {
		// Of two that found it free, the second must find it taken.
		l.Epoch, err = one(ctx, t.c, func(r row) (v int64, err error) { return v, r.Scan(&v) },
			`INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1,$2,1,`+t.ends("$3")+`)
			ON CONFLICT (name) DO UPDATE SET holder=excluded.holder, epoch=leases.epoch+1, expires_at=excluded.expires_at
			WHERE leases.epoch=$4 RETURNING epoch`, name, holder, term.Microseconds(), free)
		if err == error(gatehouse.ErrNotFound) {
			return lease.ErrHeld
		}
		return err
	})
	return l, err
}

// LeasesOfOthers returns the names of the leases that another process holds which may be
// alive; see [lease.Store]. It writes nothing: who waits asks every second or two.
func (db *DB) LeasesOfOthers(ctx context.Context, holder string) ([]string, error) {
	names, err := many(ctx, db.c, func(r row) (v string, err error) { return v, r.Scan(&v) },
		`SELECT name FROM leases WHERE holder<>'' AND holder<>$1 AND expires_at IS NOT NULL AND expires_at>`+db.clock+` ORDER BY name`, holder)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	if alone, err := db.engine.alone(ctx); err != nil || alone {
		return nil, err
	}
	return names, nil
}

// leaseFree returns the epoch of a lease that may be taken, 0 when it was never held.
func (db *DB) leaseFree(ctx context.Context, name, holder string, term time.Duration) (epoch int64, err error) {
	type state struct {
		epoch int64
		held  bool
	}
	s, err := one(ctx, db.c, func(r row) (v state, err error) { return v, r.Scan(&v.epoch, &v.held) },
		`SELECT epoch, holder<>'' AND holder<>$2 AND expires_at IS NOT NULL AND expires_at>`+db.clock+` FROM leases WHERE name=$1`, name, holder)
	if err == error(gatehouse.ErrNotFound) {
		return 0, nil
	}
	if err != nil || !s.held || term == 0 {
		return s.epoch, err
	}
	alone, err := db.engine.alone(ctx)
	if err == nil && !alone {
		err = lease.ErrHeld
	}
	return s.epoch, err
}

// ends is when a lease ends that is taken or renewed now: never, without a term.
func (q Queries) ends(micros string) string {
	micros = `CAST(` + micros + ` AS BIGINT)`
	return `CASE WHEN ` + micros + `>0 THEN ` + q.clock + `+` + micros + ` END`
}

// RenewLeases makes all leases of the holder last for term from now on, by the database's
// clock, and returns them.
func (db *DB) RenewLeases(ctx context.Context, holder string, term time.Duration) (out []lease.Lease, err error) {
	err = db.run(ctx, func(ctx context.Context, t *Tx) error {
		out, err = many(ctx, t.c, scanLease, `UPDATE leases SET expires_at=`+t.ends("$2")+` WHERE holder=$1 RETURNING name, holder, epoch`,
			holder, term.Microseconds())
		return err
	})
	return out, err
}

// ReleaseLease lets others have the lease; nothing happens when it is lost already.
func (db *DB) ReleaseLease(ctx context.Context, l lease.Lease) error {
	return db.run(ctx, func(ctx context.Context, t *Tx) error {
		_, err := exec(ctx, t.c, `UPDATE leases SET holder='', expires_at=NULL WHERE name=$1 AND holder=$2 AND epoch=$3`, l.Name, l.Holder, l.Epoch)
		return err
	})
}

func scanLease(r row) (l lease.Lease, err error) { return l, r.Scan(&l.Name, &l.Holder, &l.Epoch) }

// fence refuses a transaction whose work is done under a lease that has another holder
// since. It comes last: a process that was stopped at any moment before has not seen yet
// that it lost the lease, and from here to the commit the row is locked against whoever
// wants to take it.
func (t *Tx) fence(ctx context.Context) error {
	h := lease.From(ctx)
	if h == nil {
		return nil
	}
	_, err := one(ctx, t.c, scanLease, `SELECT name, holder, epoch FROM leases WHERE name=$1 AND holder=$2 AND epoch=$3`+t.share, h.Name, h.Holder, h.Epoch)
	if err == error(gatehouse.ErrNotFound) {
		h.Lost()
		return t.fail(lease.ErrLost)
	}
	return err
}
