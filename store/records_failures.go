package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
)

// Failures returns what is known of the failed attempts under a key.
func (q Queries) Failures(ctx context.Context, key []byte) (identity.Failures, error) {
	return one(ctx, q.c, func(r row) (v identity.Failures, err error) {
		err = r.Scan(blob(&v.Key), blob(&v.State), at(&v.ExpiresAt), &v.Version)
		return v, err
	}, `SELECT account, state, expires_at, version FROM login_failures WHERE account=$1`+q.own, key)
}

// PutFailures stores f with the version f.Version+1, in the place of what has f.Version, or
// of nothing for version 0; else it is Conflict.
func (t *Tx) PutFailures(ctx context.Context, f identity.Failures) error {
	if f.ExpiresAt.IsZero() {
		return t.fail(internal("failures without an end"))
	}
	if f.Version == 0 {
		return insert(ctx, t.c, `INSERT INTO login_failures (account, state, expires_at, version) VALUES ($1,$2,$3,1) ON CONFLICT DO NOTHING`,
			f.Key, f.State, f.ExpiresAt)
	}
	n, err := exec(ctx, t.c, `UPDATE login_failures SET state=$3, expires_at=$4, version=version+1 WHERE account=$1 AND version=$2`,
		f.Key, f.Version, f.State, f.ExpiresAt)
	if err == nil && n == 0 {
		err = gatehouse.ErrVersionConflict
	}
	return err
}

// PurgeFailures removes up to limit records that ended before the given time, and returns
// how many.
func (t *Tx) PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "login_failures", "account", before, limit)
}
