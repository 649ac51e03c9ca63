package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/passkey"
)

const passkeyColumns = `realm, user_id, id, name, credential, public_key, sign_count, backup_eligible, backed_up, aaguid, transports_json,
	created_at, used_at`

func scanPasskey(r row) (v passkey.Passkey, err error) {
	var count int64
	err = r.Scan(&v.Realm, &v.UserID, &v.ID, &v.Name, blob(&v.Credential.ID), blob(&v.Key), &count, &v.BackupEligible, &v.BackedUp,
		blob(&v.AAGUID), from(&v.Transports), at(&v.CreatedAt), at(&v.UsedAt))
	v.SignCount = uint32(count)
	return v, err
}

// Passkeys returns the passkeys of a user, by id. There are few.
func (q Queries) Passkeys(ctx context.Context, realm, userID string) ([]passkey.Passkey, error) {
	return many(ctx, q.c, scanPasskey, `SELECT `+passkeyColumns+` FROM passkeys WHERE realm=$1 AND user_id=$2 ORDER BY id`+q.own, realm, userID)
}

// HasPasskey reports whether a user has a passkey.
func (q Queries) HasPasskey(ctx context.Context, realm, userID string) (bool, error) {
	list, err := q.Passkeys(ctx, realm, userID)
	return len(list) > 0, err
}

// PasskeyOf returns a passkey by the id of its credential, of whatever realm it is.
func (q Queries) PasskeyOf(ctx context.Context, credentialID []byte) (passkey.Passkey, error) {
	return one(ctx, q.c, scanPasskey, `SELECT `+passkeyColumns+` FROM passkeys WHERE credential=$1`+q.own, credentialID)
}

// InsertPasskey adds a passkey; an id, or a credential in whatever realm, that is in use is Conflict.
func (t *Tx) InsertPasskey(ctx context.Context, p passkey.Passkey) error {
	return insert(ctx, t.c, `INSERT INTO passkeys (`+passkeyColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13) ON CONFLICT DO NOTHING`,
		p.Realm, p.UserID, p.ID, p.Name, p.Credential.ID, p.Key, int64(p.SignCount), p.BackupEligible, p.BackedUp, p.AAGUID, document{p.Transports},
		p.CreatedAt, p.UsedAt)
}

// UsePasskey stores what a use of a passkey tells of it. The counter never goes back.
func (t *Tx) UsePasskey(ctx context.Context, p passkey.Passkey) error {
	return remove(ctx, t.c, `UPDATE passkeys SET sign_count=CASE WHEN sign_count<$4 THEN $4 ELSE sign_count END, backed_up=$5, used_at=$6
		WHERE realm=$1 AND user_id=$2 AND id=$3`, p.Realm, p.UserID, p.ID, int64(p.SignCount), p.BackedUp, p.UsedAt)
}

// RenamePasskey gives a passkey another name.
func (t *Tx) RenamePasskey(ctx context.Context, realm, userID, id, name string) error {
	return remove(ctx, t.c, `UPDATE passkeys SET name=$4 WHERE realm=$1 AND user_id=$2 AND id=$3`, realm, userID, id, name)
}

// DeletePasskey removes a passkey of a user.
func (t *Tx) DeletePasskey(ctx context.Context, realm, userID, id string) error {
	return remove(ctx, t.c, `DELETE FROM passkeys WHERE realm=$1 AND user_id=$2 AND id=$3`, realm, userID, id)
}
