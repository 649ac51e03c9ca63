package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// AuditRemoval tells what was removed from the beginning of the realm's log; NotFound
// when nothing was.
func (q Queries) AuditRemoval(ctx context.Context, realm string) (audit.Removal, error) {
	return one(ctx, q.c, func(r row) (v audit.Removal, err error) {
		err = r.Scan(&v.Realm, &v.Size, &v.Position, at(&v.Time), at(&v.Before), blob(&v.Note))
		return v, err
	}, `SELECT realm, size, position, removed_at, before, note FROM audit_removals WHERE realm=$1`, realm)
}

// AuditRemovable returns the largest checkpoint, of at most upTo events when that is not
// below zero, before which all events are older than before, and the position of the
// last batch that it covers. What is newest in the log is never among them, however old.
// It is NotFound when there is no such checkpoint that covers more than what is removed.
func (q Queries) AuditRemovable(ctx context.Context, realm string, before time.Time, upTo int64) (c audit.SignedCheckpoint, position int64, err error) {
	index := func(query string, args ...any) (int64, error) {
		found, err := many(ctx, q.c, func(r row) (v int64, err error) { return v, r.Scan(&v) }, query, args...)
		if err != nil || len(found) == 0 {
			return -1, err
		}
		return found[0], nil
	}
	stop, err := index(`SELECT first_index FROM audit_batches WHERE realm=$1 AND first_index>=0 AND max_time>=$2 ORDER BY first_index LIMIT 1`, realm, before)
	if err != nil {
		return c, 0, err
	}
	newest, err := index(`SELECT first_index FROM audit_batches WHERE realm=$1 AND first_index>=0 ORDER BY first_index DESC LIMIT 1`, realm)
	if err != nil {
		return c, 0, err
	}
	if stop < 0 || newest < stop {
		stop = newest
	}
	if upTo >= 0 {
		stop = min(stop, upTo)
	}
	c, err = one(ctx, q.c, func(r row) (v audit.SignedCheckpoint, err error) {
		err = r.Scan(&v.Realm, &v.Size, at(&v.Time), blob(&v.Note))
		return v, err
	}, `SELECT realm, size, signed_at, note FROM audit_checkpoints WHERE realm=$1 AND size>0 AND size<=$2
		AND size>COALESCE((SELECT r.size FROM audit_removals r WHERE r.realm=$1),0) ORDER BY size DESC LIMIT 1`, realm, stop)
	if err != nil {
		return c, 0, err
	}
	position, err = index(`SELECT position FROM audit_batches WHERE realm=$1 AND first_index>=0 AND first_index<$2 ORDER BY first_index DESC LIMIT 1`, realm, c.Size)
	if err == nil && position < 0 {
		err = gatehouse.ErrNotFound
	}
	return c, position, err
}

// PutAuditRemoval stores what is to be removed; [Tx.RemoveAudit] removes it. It is
// Conflict unless the log has a checkpoint of that size and events beyond it, and its
// batches up to that position, and no others, are the events before that size.
func (t *Tx) PutAuditRemoval(ctx context.Context, v audit.Removal) error {
	fits, err := one(ctx, t.c, func(r row) (n int64, err error) { return n, r.Scan(&n) }, `SELECT COUNT(*) FROM audit_checkpoints c
		WHERE c.realm=$1 AND c.size=$2
			AND EXISTS (SELECT 1 FROM audit_batches b WHERE b.realm=$1 AND b.first_index>=$2)
			AND EXISTS (SELECT 1 FROM audit_batches b WHERE b.realm=$1 AND b.position=$3 AND b.first_index>=0 AND b.first_index+b.event_count=$2)`,
		v.Realm, v.Size, v.Position)
	if err != nil {
		return err
	}
	if fits == 0 {
		return gatehouse.ErrVersionConflict
	}
	n, err := exec(ctx, t.c, `INSERT INTO audit_removals (realm, size, position, removed_at, before, note) VALUES ($1,$2,$3,$4,$5,$6)
		ON CONFLICT (realm) DO UPDATE SET size=excluded.size, position=excluded.position, removed_at=excluded.removed_at,
			before=excluded.before, note=excluded.note
		WHERE audit_removals.size<excluded.size`, v.Realm, v.Size, v.Position, v.Time, v.Before, v.Note)
	if err == nil && n == 0 {
		err = gatehouse.ErrVersionConflict
	}
	return err
}

// maxRemovedBytes bounds the events that one transaction removes.
const maxRemovedBytes = 2 << 20

// RemoveAudit removes up to limit records of what the realm's removal covers: batches,
// then tiles, filters and checkpoints that nothing after it needs. It returns how many;
// more tells that some are left.
func (t *Tx) RemoveAudit(ctx context.Context, realm string, limit int) (n int64, more bool, err error) {
	if err := page(limit); err != nil {
		return 0, false, err
	}
	v, err := t.AuditRemoval(ctx, realm)
	if err == error(gatehouse.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	type old struct{ position, bytes int64 }
	batches, err := many(ctx, t.c, func(r row) (o old, err error) { return o, r.Scan(&o.position, &o.bytes) },
		`SELECT position, LENGTH(data) FROM audit_batches WHERE realm=$1 AND first_index>=0 AND first_index<$2 AND position<=$3
		ORDER BY first_index LIMIT $4`, realm, v.Size, v.Position, limit)
	if err != nil {
		return 0, false, err
	}
	if len(batches) > 0 {
		last, bytes := int64(0), int64(0)
		for _, b := range batches {
			if last > 0 && bytes+b.bytes > maxRemovedBytes {
				break
			}
			last, bytes = b.position, bytes+b.bytes
		}
		n, err = exec(ctx, t.c, `DELETE FROM audit_batches WHERE realm=$1 AND first_index>=0 AND first_index<$2 AND position<=$3`, realm, v.Size, last)
		return n, true, err
	}
	// A tile is needed as long as it holds something of what comes after.
	for level, size := int64(0), v.Size>>8; size > 0; level, size = level+1, size>>8 {
		n, err = exec(ctx, t.c, `DELETE FROM audit_tiles WHERE realm=$1 AND level=$2 AND n IN
			(SELECT b.n FROM audit_tiles b WHERE b.realm=$1 AND b.level=$2 AND b.n<$3 ORDER BY b.n LIMIT $4)`, realm, level, size, limit)
		if err != nil || n > 0 {
			return n, true, err
		}
	}
	n, err = exec(ctx, t.c, `DELETE FROM audit_filters WHERE realm=$1 AND first_position IN
		(SELECT b.first_position FROM audit_filters b WHERE b.realm=$1 AND b.last_position<=$2 ORDER BY b.first_position LIMIT $3)`, realm, v.Position, limit)
	if err != nil || n > 0 {
		return n, true, err
	}
	n, err = exec(ctx, t.c, `DELETE FROM audit_checkpoints WHERE realm=$1 AND size IN
		(SELECT b.size FROM audit_checkpoints b WHERE b.realm=$1 AND b.size<$2 ORDER BY b.size LIMIT $3)`, realm, v.Size, limit)
	return n, n > 0, err
}
