package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

const initialTokenColumns = `realm, id, note, hash, uses_left, created_at, expires_at`

func scanInitialToken(r row) (v client.InitialToken, err error) {
	err = r.Scan(&v.Realm, &v.ID, &v.Note, blob(&v.Hash), &v.Left, at(&v.CreatedAt), at(&v.ExpiresAt))
	return v, err
}

// InitialTokens lists the tokens of a realm by which clients register themselves, by id.
func (q Queries) InitialTokens(ctx context.Context, realm, after string, limit int) ([]client.InitialToken, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanInitialToken, `SELECT `+initialTokenColumns+` FROM initial_tokens WHERE realm=$1 AND id>$2 ORDER BY id LIMIT $3`, realm, after, limit)
}

// InsertInitialToken adds such a token.
func (t *Tx) InsertInitialToken(ctx context.Context, v client.InitialToken) error {
	return insert(ctx, t.c, `INSERT INTO initial_tokens (`+initialTokenColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING`,
		v.Realm, v.ID, v.Note, v.Hash, v.Left, v.CreatedAt, v.ExpiresAt)
}

// UseInitialToken takes one use of the token with a hash, and returns it as it is then; [gatehouse.NotFound] where none of the realm counts at now.
func (t *Tx) UseInitialToken(ctx context.Context, realm string, hash []byte, now time.Time) (client.InitialToken, error) {
	return update(ctx, t.c, gatehouse.ErrNotFound, scanInitialToken, `UPDATE initial_tokens SET uses_left=uses_left-1
		WHERE realm=$1 AND hash=$2 AND uses_left>0 AND expires_at>$3 RETURNING `+initialTokenColumns, realm, hash, now)
}

// DeleteInitialToken removes such a token.
func (t *Tx) DeleteInitialToken(ctx context.Context, realm, id string) error {
	return remove(ctx, t.c, `DELETE FROM initial_tokens WHERE realm=$1 AND id=$2`, realm, id)
}

// PurgeInitialTokens removes those that count no more since a time.
func (t *Tx) PurgeInitialTokens(ctx context.Context, before time.Time) error {
	_, err := exec(ctx, t.c, `DELETE FROM initial_tokens WHERE expires_at<$1`, before)
	return err
}

// unverified is what a row says of a client that nobody looked at: it registered itself, or its id is the address of a document.
const unverified = `(registration_hash IS NOT NULL OR substr(id, 1, 8)='https://')`

// UnverifiedClients counts the clients of a realm of which all that is known is what they say of themselves.
func (q Queries) UnverifiedClients(ctx context.Context, realm string) (int64, error) {
	return one(ctx, q.c, func(r row) (n int64, err error) { return n, r.Scan(&n) },
		`SELECT COUNT(*) FROM clients WHERE realm=$1 AND `+unverified, realm)
}

// UnusedClients are some of those that were not changed since a time, and to which nothing is granted. One with a document that is disabled stays: without
// its row it would be back.
func (q Queries) UnusedClients(ctx context.Context, before time.Time, limit int) ([]client.Client, error) {
	return many(ctx, q.c, scanClient, `SELECT `+clientColumns+` FROM clients WHERE `+unverified+` AND NOT (disabled AND registration_hash IS NULL)
		AND updated_at<$1 AND id NOT IN (SELECT client_id FROM grants) ORDER BY id LIMIT $2`, before, limit)
}
