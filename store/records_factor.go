package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/factor"
)

const factorColumns = `realm, user_id, id, kind, name, sealed, hashes_json, step, created_at, confirmed_at, used_at, version`

func scanFactor(r row) (v factor.Factor, err error) {
	err = r.Scan(&v.Realm, &v.UserID, &v.ID, enum(&v.Kind), &v.Name, blob(&v.Sealed), from(&v.Hashes), &v.Step, at(&v.CreatedAt),
		at(&v.ConfirmedAt), at(&v.UsedAt), &v.Version)
	return v, err
}

// Factors returns the second factors of a user, by id. There are few.
func (q Queries) Factors(ctx context.Context, realm, userID string) ([]factor.Factor, error) {
	return many(ctx, q.c, scanFactor, `SELECT `+factorColumns+` FROM factors WHERE realm=$1 AND user_id=$2 ORDER BY id`+q.own, realm, userID)
}

// InsertFactor adds a factor; an id in use is Conflict.
func (t *Tx) InsertFactor(ctx context.Context, f factor.Factor) error {
	return insert(ctx, t.c, `INSERT INTO factors (`+factorColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) ON CONFLICT DO NOTHING`,
		f.Realm, f.UserID, f.ID, string(f.Kind), f.Name, append([]byte{}, f.Sealed...), document{f.Hashes}, f.Step, f.CreatedAt, f.ConfirmedAt,
		f.UsedAt, f.Version)
}

// UpdateFactor replaces what may change of a factor whose stored version is f.Version, and
// stores f.Version+1; otherwise it is Conflict. Kind, secret and creation time stay, and so does
// a step that is later: a code that was used is never new again.
func (t *Tx) UpdateFactor(ctx context.Context, f factor.Factor) error {
	n, err := exec(ctx, t.c, `UPDATE factors SET name=$5, hashes_json=$6, step=CASE WHEN step<$7 THEN $7 ELSE step END, confirmed_at=$8,
		used_at=$9, version=version+1 WHERE realm=$1 AND user_id=$2 AND id=$3 AND version=$4`,
		f.Realm, f.UserID, f.ID, f.Version, f.Name, document{f.Hashes}, f.Step, f.ConfirmedAt, f.UsedAt)
	if err == nil && n == 0 {
		err = gatehouse.ErrVersionConflict
	}
	return err
}

// DeleteFactor removes a factor of a user.
func (t *Tx) DeleteFactor(ctx context.Context, realm, userID, id string) error {
	return remove(ctx, t.c, `DELETE FROM factors WHERE realm=$1 AND user_id=$2 AND id=$3`, realm, userID, id)
}
