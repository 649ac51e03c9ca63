package store

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

const clientColumns = `realm, id, metadata_json, secret_hash, secret_at, secret_until, former_hash, former_at, former_until, disabled, created_at, updated_at, version, registration_hash`

func scanClient(r row) (v client.Client, err error) {
	err = r.Scan(&v.Realm, &v.ID, from(&v.Metadata), blob(&v.Secret.Hash), at(&v.Secret.SetAt), at(&v.Secret.ExpiresAt), blob(&v.Former.Hash), at(&v.Former.SetAt),
		at(&v.Former.ExpiresAt), &v.Disabled, at(&v.CreatedAt), at(&v.UpdatedAt), &v.Version, blob(&v.Registration))
	return v, err
}

// hashOf is what is stored of a secret: no octets, and not NULL, for a client that has none.
func hashOf(s client.Secret) []byte { return append([]byte{}, s.Hash...) }

// Client returns a registered client.
func (q Queries) Client(ctx context.Context, realm, id string) (client.Client, error) {
	return one(ctx, q.c, scanClient, `SELECT `+clientColumns+` FROM clients WHERE realm=$1 AND id=$2`+q.own, realm, id)
}

// ClientBySecret returns the client whose secret, or the one before it, has a hash.
func (q Queries) ClientBySecret(ctx context.Context, hash []byte) (client.Client, error) {
	return one(ctx, q.c, scanClient, `SELECT `+clientColumns+` FROM clients WHERE secret_hash=$1 OR former_hash=$1 LIMIT 1`+q.own, hash)
}

// Clients lists the clients of a realm, by id.
func (q Queries) Clients(ctx context.Context, realm, after string, limit int) ([]client.Client, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanClient, `SELECT `+clientColumns+` FROM clients WHERE realm=$1 AND id>$2 ORDER BY id LIMIT $3`+q.own, realm, after, limit)
}

// HasClientOrigin reports whether a client of the realm that is not disabled has pages of an origin.
func (q Queries) HasClientOrigin(ctx context.Context, realm, origin string) (bool, error) {
	_, err := one(ctx, q.c, func(r row) (v string, err error) { return v, r.Scan(&v) }, `SELECT c.id FROM client_origins o JOIN clients c ON c.realm=o.realm AND c.id=o.client
		WHERE o.realm=$1 AND o.origin=$2 AND c.disabled=FALSE LIMIT 1`, realm, origin)
	if errors.Is(err, gatehouse.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// putOrigins replaces what HasClientOrigin knows of a client.
func (t *Tx) putOrigins(ctx context.Context, realm, id string, origins []string) error {
	if _, err := exec(ctx, t.c, `DELETE FROM client_origins WHERE realm=$1 AND client=$2`, realm, id); err != nil {
		return err
	}
	for _, origin := range origins {
		if err := insert(ctx, t.c, `INSERT INTO client_origins (realm, origin, client) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING`, realm, origin, id); err != nil {
			return err
		}
	}
	return nil
}

// InsertClient adds a client; an id in use is Conflict.
func (t *Tx) InsertClient(ctx context.Context, c client.Client) error {
	err := insert(ctx, t.c, `INSERT INTO clients (`+clientColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14) ON CONFLICT DO NOTHING`,
		c.Realm, c.ID, document{c.Metadata}, hashOf(c.Secret), c.Secret.SetAt, c.Secret.ExpiresAt, c.Former.Hash, c.Former.SetAt, c.Former.ExpiresAt, c.Disabled,
		c.CreatedAt, c.UpdatedAt, c.Version, c.Registration)
	if err == nil {
		err = t.putOrigins(ctx, c.Realm, c.ID, c.Metadata.PageOrigins())
	}
	return t.changed(err, gatehouse.TopicClient, c.Realm, c.ID, nil)
}

// UpdateClient replaces what may change of a client whose stored version is c.Version, and stores
// c.Version+1; otherwise it is Conflict.
func (t *Tx) UpdateClient(ctx context.Context, c client.Client) error {
	_, err := update(ctx, t.c, gatehouse.ErrVersionConflict, scanClient, `UPDATE clients SET metadata_json=$4, secret_hash=$5, secret_at=$6,
		secret_until=$7, former_hash=$8, former_at=$9, former_until=$10, disabled=$11, updated_at=$12, registration_hash=$13, version=version+1
		WHERE realm=$1 AND id=$2 AND version=$3 RETURNING `+clientColumns,
		c.Realm, c.ID, c.Version, document{c.Metadata}, hashOf(c.Secret), c.Secret.SetAt, c.Secret.ExpiresAt, c.Former.Hash, c.Former.SetAt, c.Former.ExpiresAt,
		c.Disabled, c.UpdatedAt, c.Registration)
	if err == nil {
		err = t.putOrigins(ctx, c.Realm, c.ID, c.Metadata.PageOrigins())
	}
	return t.changed(err, gatehouse.TopicClient, c.Realm, c.ID, nil)
}

// DisableClient disables a client, if one with that id is registered and may have tokens; done tells whether.
func (t *Tx) DisableClient(ctx context.Context, realm, id string, now time.Time) (done bool, err error) {
	n, err := exec(ctx, t.c, `UPDATE clients SET disabled=TRUE, updated_at=$3, version=version+1 WHERE realm=$1 AND id=$2 AND disabled=FALSE`, realm, id, now)
	return n > 0, t.changed(err, gatehouse.TopicClient, realm, id, nil)
}

// DeleteClient removes a client, and what people let it have.
func (t *Tx) DeleteClient(ctx context.Context, realm, id string) error {
	err := remove(ctx, t.c, `DELETE FROM clients WHERE realm=$1 AND id=$2`, realm, id)
	if err == nil {
		err = t.putOrigins(ctx, realm, id, nil)
	}
	if err == nil {
		_, err = exec(ctx, t.c, `DELETE FROM consents WHERE realm=$1 AND client_id=$2`, realm, id)
	}
	if err == nil {
		_, err = exec(ctx, t.c, `DELETE FROM session_clients WHERE realm=$1 AND client_id=$2`, realm, id)
	}
	return t.changed(err, gatehouse.TopicClient, realm, id, nil)
}
