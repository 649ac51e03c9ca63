package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

const consentColumns = `realm, user_id, client_id, id, print, allowed_json, created_at`

func scanConsent(r row) (v grant.Consent, err error) {
	err = r.Scan(&v.Realm, &v.User, &v.Client, &v.ID, blob(&v.Print), from(&v.Allowed), at(&v.CreatedAt))
	return v, err
}

// Consent returns what a user lets a client have, with the latest cut-off that is set for one of them, or for the realm.
func (q Queries) Consent(ctx context.Context, realm, user, client string) (c grant.Consent, err error) {
	if c, err = one(ctx, q.c, scanConsent, `SELECT `+consentColumns+` FROM consents WHERE realm=$1 AND user_id=$2 AND client_id=$3`+q.own, realm, user, client); err != nil {
		return c, err
	}
	c.CutOff, err = q.CutOff(ctx, realm, user, client, "")
	return c, err
}

// Consents lists what a user lets clients have, by client.
func (q Queries) Consents(ctx context.Context, realm, user string) ([]grant.Consent, error) {
	list, err := many(ctx, q.c, scanConsent, `SELECT `+consentColumns+` FROM consents WHERE realm=$1 AND user_id=$2 ORDER BY client_id`, realm, user)
	for i := range list {
		if err == nil {
			list[i].CutOff, err = q.CutOff(ctx, realm, user, list[i].Client, "")
		}
	}
	return list, err
}

// DeleteConsent removes what a user lets a client have, and tells whether there was something. Codes and devices that were given
// something by it get nothing any more.
func (t *Tx) DeleteConsent(ctx context.Context, realm, user, client string) (there bool, err error) {
	n, err := exec(ctx, t.c, `DELETE FROM consents WHERE realm=$1 AND user_id=$2 AND client_id=$3`, realm, user, client)
	return n > 0, err
}

// InsertConsent adds what a user lets a client have; where there is something, it is Conflict.
func (t *Tx) InsertConsent(ctx context.Context, c grant.Consent) error {
	return insert(ctx, t.c, `INSERT INTO consents (`+consentColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING`,
		c.Realm, c.User, c.Client, c.ID, append([]byte{}, c.Print...), document{c.Allowed}, c.CreatedAt)
}

// UpdateConsent stores what the answer to another question changed of what a user lets a client have.
func (t *Tx) UpdateConsent(ctx context.Context, c grant.Consent) error {
	_, err := update(ctx, t.c, gatehouse.ErrNotFound, scanConsent, `UPDATE consents SET print=$5, allowed_json=$6
		WHERE realm=$1 AND user_id=$2 AND client_id=$3 AND id=$4 RETURNING `+consentColumns,
		c.Realm, c.User, c.Client, c.ID, append([]byte{}, c.Print...), document{c.Allowed})
	return err
}
