package store

import (
	"context"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

const signedListColumns = `realm, list, serial, kid, signed_at, expires_at, text`

func scanSignedList(r row) (v revocation.SignedList, err error) {
	err = r.Scan(&v.Realm, &v.List, &v.Serial, &v.KeyID, at(&v.SignedAt), at(&v.ExpiresAt), &v.Text)
	return v, err
}

// SignedList returns the newest signed copy of a status list.
func (q Queries) SignedList(ctx context.Context, realm string, list int64) (revocation.SignedList, error) {
	return one(ctx, q.c, scanSignedList, `SELECT `+signedListColumns+` FROM status_lists WHERE realm=$1 AND list=$2`, realm, list)
}

// PutSignedList stores a copy in the place of the one with the serial before. Of all that
// do so for the same serial, on any node, one wins; it is Conflict for the others, and for
// who was stopped meanwhile. All nodes are told that there is another copy.
func (t *Tx) PutSignedList(ctx context.Context, l revocation.SignedList) error {
	n, err := exec(ctx, t.c, `INSERT INTO status_lists (`+signedListColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7)
		ON CONFLICT (realm, list) DO UPDATE SET serial=excluded.serial, kid=excluded.kid, signed_at=excluded.signed_at,
		expires_at=excluded.expires_at, text=excluded.text WHERE status_lists.serial=excluded.serial-1`,
		l.Realm, l.List, l.Serial, l.KeyID, l.SignedAt, l.ExpiresAt, l.Text)
	if err == nil && n == 0 {
		err = gatehouse.ErrVersionConflict
	}
	return t.changed(err, gatehouse.TopicStatusList, l.Realm, strconv.FormatInt(l.List, 10), nil)
}
