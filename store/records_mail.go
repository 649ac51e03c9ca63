package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

const mailColumns = `id, realm, kind, once_key, recipient, sealed_to, sealed, state, tries, error, created_at, due_at, ends_at, done_at, expires_at`

func scanMail(r row) (v mail.Record, err error) {
	err = r.Scan(&v.ID, &v.Realm, enum(&v.Kind), &v.Once, blob(&v.Recipient), blob(&v.SealedTo), blob(&v.Sealed), enum(&v.State), &v.Tries, &v.Error,
		at(&v.CreatedAt), at(&v.DueAt), at(&v.EndsAt), at(&v.DoneAt), at(&v.ExpiresAt))
	return v, err
}

// Mail returns a message, whatever has become of it.
func (q Queries) Mail(ctx context.Context, id string) (mail.Record, error) {
	return one(ctx, q.c, scanMail, `SELECT `+mailColumns+` FROM mails WHERE id=$1`, id)
}

// Mails lists messages by id, which is in the order of their making: those of one state or,
// with "", all.
func (q Queries) Mails(ctx context.Context, state mail.State, after string, limit int) ([]mail.Record, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanMail, `SELECT `+mailColumns+` FROM mails WHERE id>$1 AND (CAST($2 AS TEXT)='' OR state=$2) ORDER BY id LIMIT $3`,
		after, string(state), limit)
}

// DueMails returns up to limit messages that wait and are due, the longest first; see
// [mail.Store].
func (q Queries) DueMails(ctx context.Context, now time.Time, limit int) ([]mail.Record, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanMail, `SELECT `+mailColumns+` FROM mails WHERE due_at<=$1 AND state='waiting' ORDER BY due_at, id LIMIT $2`, now, limit)
}

// CountMails counts the messages to a recipient, and those of a realm, since a moment, up to
// limit of each; see [mail.Outgoing].
func (t *Tx) CountMails(ctx context.Context, recipient []byte, realm string, since time.Time, limit int) (address, all int, err error) {
	if err := page(limit); err != nil {
		return 0, 0, err
	}
	type counts struct{ address, all int }
	c, err := one(ctx, t.c, func(r row) (v counts, err error) { return v, r.Scan(&v.address, &v.all) },
		`SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE recipient=$1 AND created_at>$3 LIMIT $4) AS a),
		(SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE realm=$2 AND created_at>$3 LIMIT $4) AS b)`, recipient, realm, since, limit)
	return c.address, c.all, err
}

// InsertMail adds a message; Conflict when there is one of the same Once.
func (t *Tx) InsertMail(ctx context.Context, r mail.Record) error {
	return insert(ctx, t.c, `INSERT INTO mails (`+mailColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15) ON CONFLICT DO NOTHING`,
		r.ID, r.Realm, string(r.Kind), r.Once, r.Recipient, r.SealedTo, r.Sealed, string(r.State), r.Tries, r.Error,
		r.CreatedAt, r.DueAt, r.EndsAt, r.DoneAt, r.ExpiresAt)
}

// SettleMail notes what came of a try; see [mail.Settling]. What the message said is wiped
// when it waits no longer.
func (t *Tx) SettleMail(ctx context.Context, r mail.Record) error {
	wipe := `, sealed=NULL`
	if r.State == mail.Waiting {
		wipe = ``
	}
	n, err := exec(ctx, t.c, `UPDATE mails SET state=$3, tries=$2, error=$4, done_at=$5, due_at=$6`+wipe+` WHERE id=$1 AND state='waiting' AND tries=$2-1`,
		r.ID, r.Tries, string(r.State), r.Error, r.DoneAt, r.DueAt)
	if err == nil && n == 0 {
		err = gatehouse.ErrVersionConflict
	}
	return err
}

// PurgeMails removes up to limit messages that expired before the given time.
func (t *Tx) PurgeMails(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "mails", "id", before, limit)
}

// EndingKeys returns, by id, API keys that end; see [mail.Keys].
func (q Queries) EndingKeys(ctx context.Context, w mail.Window) ([]mail.Ending, error) {
	if err := page(w.Limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, func(r row) (v mail.Ending, err error) {
		return v, r.Scan(&v.Realm, &v.Key, &v.Name, &v.Account, &v.Email, at(&v.EndsAt))
	}, `SELECT k.realm, k.id, k.name, u.username, u.email, k.expires_at FROM api_keys AS k
		JOIN users AS u ON u.realm=k.realm AND u.id=k.owner_id JOIN realms AS r ON r.name=k.realm
		WHERE k.expires_at>$1 AND k.expires_at<=$2 AND k.created_at<=k.expires_at-$3
		AND k.revoked_at IS NULL AND k.leaked_at IS NULL AND k.disabled_at IS NULL AND k.rotated_to=''
		AND u.email<>'' AND NOT u.disabled AND NOT r.disabled AND (r.cut_off_at IS NULL OR k.created_at>r.cut_off_at)
		AND k.id>$4 AND NOT EXISTS (SELECT 1 FROM mails WHERE once_key=CAST($5 AS TEXT)||'/'||k.id||'/'||CAST(k.expires_at AS TEXT))
		ORDER BY k.id LIMIT $6`, w.From, w.To, w.Lead.Microseconds(), w.After, w.Once, w.Limit)
}
