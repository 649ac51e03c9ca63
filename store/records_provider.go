package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/provider"
)

const linkColumns = `realm, provider, issuer, subject, user_id, created_at, used_at, ended_at, roles_json, groups_json`

func scanLink(r row) (v provider.Link, err error) {
	err = r.Scan(&v.Realm, &v.Provider, &v.Issuer, &v.Subject, &v.UserID, at(&v.CreatedAt), at(&v.UsedAt), at(&v.EndedAt), from(&v.Roles), from(&v.Groups))
	return v, err
}

// ProviderLink returns the link of an account at a provider.
func (q Queries) ProviderLink(ctx context.Context, realm, id, issuer, subject string) (provider.Link, error) {
	return one(ctx, q.c, scanLink, `SELECT `+linkColumns+` FROM provider_links WHERE realm=$1 AND provider=$2 AND issuer=$3 AND subject=$4`+q.own, realm, id, issuer, subject)
}

// InsertProviderLink adds a link; one of that account at the provider that is there is Conflict.
func (t *Tx) InsertProviderLink(ctx context.Context, l provider.Link) error {
	return insert(ctx, t.c, `INSERT INTO provider_links (`+linkColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT DO NOTHING`,
		l.Realm, l.Provider, l.Issuer, l.Subject, l.UserID, l.CreatedAt, l.UsedAt, l.EndedAt, document{l.Roles}, document{l.Groups})
}

// EndProviderLinks ends the links of a user, and returns how many had not ended.
func (t *Tx) EndProviderLinks(ctx context.Context, realm, userID string, when time.Time) (int, error) {
	n, err := exec(ctx, t.c, `UPDATE provider_links SET ended_at=$3 WHERE realm=$1 AND user_id=$2 AND ended_at IS NULL`, realm, userID, when)
	return int(n), err
}

// ProviderLinks returns the links of a user, by age. There are few.
func (q Queries) ProviderLinks(ctx context.Context, realm, userID string) ([]provider.Link, error) {
	return many(ctx, q.c, scanLink, `SELECT `+linkColumns+` FROM provider_links WHERE realm=$1 AND user_id=$2 ORDER BY created_at, provider, issuer, subject`+q.own, realm, userID)
}

// DeleteProviderLink removes a link.
func (t *Tx) DeleteProviderLink(ctx context.Context, l provider.Link) error {
	return remove(ctx, t.c, `DELETE FROM provider_links WHERE realm=$1 AND provider=$2 AND issuer=$3 AND subject=$4`, l.Realm, l.Provider, l.Issuer, l.Subject)
}

// UseProviderLink stores when a link was used, and what it gives.
func (t *Tx) UseProviderLink(ctx context.Context, l provider.Link) error {
	return remove(ctx, t.c, `UPDATE provider_links SET used_at=$5, roles_json=$6, groups_json=$7 WHERE realm=$1 AND provider=$2 AND issuer=$3 AND subject=$4`,
		l.Realm, l.Provider, l.Issuer, l.Subject, l.UsedAt, document{l.Roles}, document{l.Groups})
}

// ProviderSecret returns the sealed client secret for a provider of a realm.
func (q Queries) ProviderSecret(ctx context.Context, realm, id string) ([]byte, error) {
	return one(ctx, q.c, func(r row) (sealed []byte, err error) {
		err = r.Scan(blob(&sealed))
		return sealed, err
	}, `SELECT sealed FROM provider_secrets WHERE realm=$1 AND provider=$2`+q.own, realm, id)
}

// PutProviderSecret stores the sealed client secret for a provider of a realm in the place of what was there.
func (t *Tx) PutProviderSecret(ctx context.Context, realm, id string, sealed []byte, now time.Time) error {
	_, err := exec(ctx, t.c, `INSERT INTO provider_secrets (realm, provider, sealed, set_at) VALUES ($1,$2,$3,$4)
		ON CONFLICT (realm, provider) DO UPDATE SET sealed=EXCLUDED.sealed, set_at=EXCLUDED.set_at`, realm, id, sealed, now)
	return err
}
