package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/once"
)

const onceColumns = `kind, hash, sealed, expires_at`

// scanOnce reads a row that was found by key.
func scanOnce(key []byte) func(row) (once.Record, error) {
	return func(r row) (v once.Record, err error) {
		v.Key = key
		var place []byte
		err = r.Scan(enum(&v.Kind), blob(&place), blob(&v.Sealed), at(&v.ExpiresAt))
		return v, err
	}
}

// oncePlace is where a key is stored: a hash that no key of another kind can have.
// Tickets lie under their key itself, as they did when there was nothing else: a node of
// the version before finds those of this one, and the other way round.
func oncePlace(kind once.Kind, key []byte) ([]byte, error) {
	if kind == "" || len(key) != once.KeySize {
		return nil, internal("a key of kind %q has %d bytes", kind, len(key))
	}
	if kind == once.KindTicket {
		return key, nil
	}
	sum := sha256.Sum256(append([]byte(string(kind)+"\x00"), key...))
	return sum[:], nil
}

// Once returns what was put under a key and neither taken nor purged since, whether it
// has ended or not. It decides nothing: another may take it a moment later.
func (q Queries) Once(ctx context.Context, kind once.Kind, key []byte) (once.Record, error) {
	place, err := oncePlace(kind, key)
	if err != nil {
		return once.Record{}, err
	}
	return one(ctx, q.c, scanOnce(key), `SELECT `+onceColumns+` FROM tickets WHERE hash=$1 AND kind=$2`, place, string(kind))
}

// OnceOf lists up to limit records of a kind that have not ended, the first to end first. They come without
// their keys, which the database does not have.
func (q Queries) OnceOf(ctx context.Context, kind once.Kind, now time.Time, limit int) ([]once.Record, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanOnce(nil), `SELECT `+onceColumns+` FROM tickets WHERE kind=$1 AND expires_at>$2 ORDER BY expires_at, hash LIMIT $3`,
		string(kind), now, limit)
}

// PutOnce puts a key. Of all that put the same key of one kind, on any node, one wins and
// the others get Conflict, until the winner's record was taken or purged: also when it has
// ended. A transaction that is not committed has put nothing; one that comes second waits
// for it.
func (t *Tx) PutOnce(ctx context.Context, v once.Record) error {
	place, err := oncePlace(v.Kind, v.Key)
	if err == nil && v.ExpiresAt.IsZero() {
		err = internal("a key of kind %q has no end", v.Kind)
	}
	if err != nil {
		return t.fail(err)
	}
	return insert(ctx, t.c, `INSERT INTO tickets (`+onceColumns+`) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING`,
		string(v.Kind), place, append([]byte{}, v.Sealed...), v.ExpiresAt)
}

// TakeOnce removes what was put under a key and returns it. Of all that take the same one,
// on any node, one gets it and the others NotFound. What has ended by now is NotFound to
// everybody, and stays.
func (t *Tx) TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error) {
	place, err := oncePlace(kind, key)
	if err != nil {
		return once.Record{}, t.fail(err)
	}
	return one(ctx, t.c, scanOnce(key), `DELETE FROM tickets WHERE hash=$1 AND kind=$2 AND expires_at>$3 RETURNING `+onceColumns,
		place, string(kind), now)
}

// ForgetOnce removes whatever can be taken, of all kinds. Claims stay: they only refuse.
func (t *Tx) ForgetOnce(ctx context.Context) error {
	_, err := exec(ctx, t.c, `DELETE FROM tickets WHERE length(sealed)>0`)
	return err
}

// PurgeOnce removes up to limit keys that ended before the given time, and returns how
// many.
func (t *Tx) PurgeOnce(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "tickets", "hash", before, limit)
}
