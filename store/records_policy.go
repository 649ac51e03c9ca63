package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

// ---- roles ----

const roleColumns = `realm, name, description, parents_json, permissions_json, updated_at`

func scanRole(r row) (v policy.Role, err error) {
	err = r.Scan(&v.Realm, &v.Name, &v.Description, from(&v.Parents), from(&v.Permissions), at(&v.UpdatedAt))
	return v, err
}

// Roles returns all roles of a realm, by name.
func (q Queries) Roles(ctx context.Context, realm string) ([]policy.Role, error) {
	return many(ctx, q.c, scanRole, `SELECT `+roleColumns+` FROM roles WHERE realm=$1 ORDER BY name`+q.share, realm)
}

// Role returns one role.
func (q Queries) Role(ctx context.Context, realm, name string) (policy.Role, error) {
	return one(ctx, q.c, scanRole, `SELECT `+roleColumns+` FROM roles WHERE realm=$1 AND name=$2`+q.own, realm, name)
}

// PutRole adds or replaces a role.
func (t *Tx) PutRole(ctx context.Context, r policy.Role) error {
	_, err := exec(ctx, t.c, `INSERT INTO roles (`+roleColumns+`) VALUES ($1,$2,$3,$4,$5,$6)
		ON CONFLICT (realm, name) DO UPDATE SET description=excluded.description, parents_json=excluded.parents_json,
		permissions_json=excluded.permissions_json, updated_at=excluded.updated_at`,
		r.Realm, r.Name, r.Description, document{r.Parents}, document{r.Permissions}, r.UpdatedAt)
	return t.changed(err, gatehouse.TopicRole, r.Realm, r.Name, r)
}

// DeleteRole removes a role.
func (t *Tx) DeleteRole(ctx context.Context, realm, name string) error {
	err := remove(ctx, t.c, `DELETE FROM roles WHERE realm=$1 AND name=$2`, realm, name)
	return t.changed(err, gatehouse.TopicRole, realm, name, nil)
}

// ---- policies and schema ----

const policyColumns = `realm, id, body, disabled, updated_at`

func scanPolicy(r row) (v policy.Document, err error) {
	err = r.Scan(&v.Realm, &v.ID, &v.Text, &v.Disabled, at(&v.UpdatedAt))
	return v, err
}

// Policies returns all policy documents of a realm, by id.
func (q Queries) Policies(ctx context.Context, realm string) ([]policy.Document, error) {
	return many(ctx, q.c, scanPolicy, `SELECT `+policyColumns+` FROM policies WHERE realm=$1 ORDER BY id`+q.share, realm)
}

// Policy returns one policy document.
func (q Queries) Policy(ctx context.Context, realm, id string) (policy.Document, error) {
	return one(ctx, q.c, scanPolicy, `SELECT `+policyColumns+` FROM policies WHERE realm=$1 AND id=$2`+q.own, realm, id)
}

// PutPolicy adds or replaces a policy document.
func (t *Tx) PutPolicy(ctx context.Context, d policy.Document) error {
	_, err := exec(ctx, t.c, `INSERT INTO policies (`+policyColumns+`) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (realm, id) DO UPDATE SET body=excluded.body, disabled=excluded.disabled, updated_at=excluded.updated_at`,
		d.Realm, d.ID, d.Text, d.Disabled, d.UpdatedAt)
	return t.changed(err, gatehouse.TopicPolicy, d.Realm, d.ID, d)
}

// DeletePolicy removes a policy document.
func (t *Tx) DeletePolicy(ctx context.Context, realm, id string) error {
	err := remove(ctx, t.c, `DELETE FROM policies WHERE realm=$1 AND id=$2`, realm, id)
	return t.changed(err, gatehouse.TopicPolicy, realm, id, nil)
}

// Schema returns the realm's Cedar schema.
func (q Queries) Schema(ctx context.Context, realm string) (policy.Schema, error) {
	return one(ctx, q.c, func(r row) (v policy.Schema, err error) {
		err = r.Scan(&v.Realm, &v.Text, at(&v.UpdatedAt))
		return v, err
	}, `SELECT realm, body, updated_at FROM policy_schemas WHERE realm=$1`+q.own, realm)
}

// PutSchema sets the realm's schema. Its change has the topic policy and no id.
func (t *Tx) PutSchema(ctx context.Context, s policy.Schema) error {
	_, err := exec(ctx, t.c, `INSERT INTO policy_schemas (realm, body, updated_at) VALUES ($1,$2,$3)
		ON CONFLICT (realm) DO UPDATE SET body=excluded.body, updated_at=excluded.updated_at`, s.Realm, s.Text, s.UpdatedAt)
	return t.changed(err, gatehouse.TopicPolicy, s.Realm, "", s)
}

// ---- entities ----

const entityColumns = `realm, type, id, attributes_json, parents_json, updated_at`

func scanEntity(r row) (v policy.EntityRecord, err error) {
	err = r.Scan(&v.Realm, &v.Type, &v.ID, from(&v.Attributes), from(&v.Parents), at(&v.UpdatedAt))
	return v, err
}

// Entity returns one entity. Whole numbers in its attributes come back as int64.
func (q Queries) Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error) {
	return one(ctx, q.c, scanEntity, `SELECT `+entityColumns+` FROM entities WHERE realm=$1 AND type=$2 AND id=$3`+q.own, realm, typ, id)
}

// Entities lists the entities of one type by id.
func (q Queries) Entities(ctx context.Context, realm, typ, after string, limit int) ([]policy.EntityRecord, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanEntity, `SELECT `+entityColumns+` FROM entities WHERE realm=$1 AND type=$2 AND id>$3
		ORDER BY id LIMIT $4`+q.share, realm, typ, after, limit)
}

// entityChangeID is the ID of the Change of an entity: its type and id.
func entityChangeID(typ, id string) string { return typ + "::" + id }

// PutEntity adds or replaces an entity.
func (t *Tx) PutEntity(ctx context.Context, e policy.EntityRecord) error {
	_, err := exec(ctx, t.c, `INSERT INTO entities (`+entityColumns+`) VALUES ($1,$2,$3,$4,$5,$6)
		ON CONFLICT (realm, type, id) DO UPDATE SET attributes_json=excluded.attributes_json,
		parents_json=excluded.parents_json, updated_at=excluded.updated_at`,
		e.Realm, e.Type, e.ID, document{e.Attributes}, document{e.Parents}, e.UpdatedAt)
	return t.changed(err, gatehouse.TopicEntity, e.Realm, entityChangeID(e.Type, e.ID), e)
}

// DeleteEntity removes an entity.
func (t *Tx) DeleteEntity(ctx context.Context, realm, typ, id string) error {
	err := remove(ctx, t.c, `DELETE FROM entities WHERE realm=$1 AND type=$2 AND id=$3`, realm, typ, id)
	return t.changed(err, gatehouse.TopicEntity, realm, entityChangeID(typ, id), nil)
}

// ---- signing keys ----

const signingColumns = `realm, kid, algorithm, public_jwk, private, state, created_at, activated_at, retired_at, version`

func scanSigningKey(r row) (v token.StoredKey, err error) {
	err = r.Scan(&v.Realm, &v.KID, &v.Algorithm, blob(&v.PublicJWK), blob(&v.Private), keyState(&v), at(&v.CreatedAt),
		at(&v.ActivatedAt), at(&v.RetiredAt), &v.Version)
	return v, err
}

// stateText is how the state of a key is stored: with its use before it, where it does not sign all. A process of a version that knew one
// use alone leaves such a key as it is, and would else retire it.
func stateText(k token.StoredKey) string {
	if k.Use == token.UseAll {
		return string(k.State)
	}
	return string(k.Use) + ":" + string(k.State)
}

// keyState scans what stateText wrote.
func keyState(k *token.StoredKey) sql.Scanner { return (*storedKeyState)(k) }

type storedKeyState token.StoredKey

func (k *storedKeyState) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return errors.New("store: the state of a key is not text")
	}
	use, state, found := strings.Cut(text, ":")
	if !found {
		use, state = string(token.UseAll), text
	}
	k.Use, k.State = token.KeyUse(use), token.KeyState(state)
	return nil
}

// SigningKeys returns the signing keys of a realm, oldest first.
func (q Queries) SigningKeys(ctx context.Context, realm string) ([]token.StoredKey, error) {
	return many(ctx, q.c, scanSigningKey, `SELECT `+signingColumns+` FROM signing_keys WHERE realm=$1 ORDER BY created_at, kid`+q.own, realm)
}

// InsertSigningKey adds a signing key; a kid in use in the realm is Conflict.
func (t *Tx) InsertSigningKey(ctx context.Context, k token.StoredKey) error {
	err := insert(ctx, t.c, `INSERT INTO signing_keys (`+signingColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT DO NOTHING`,
		k.Realm, k.KID, k.Algorithm, k.PublicJWK, k.Private, stateText(k), k.CreatedAt, k.ActivatedAt, k.RetiredAt, k.Version)
	return t.changed(err, gatehouse.TopicSigningKey, k.Realm, k.KID, k)
}

// UpdateSigningKey replaces the sealed private half, state and times of a key
// whose stored version is k.Version, and stores k.Version+1; otherwise it is
// Conflict. The public half never changes.
func (t *Tx) UpdateSigningKey(ctx context.Context, k token.StoredKey) error {
	stored, err := update(ctx, t.c, gatehouse.ErrVersionConflict, scanSigningKey, `UPDATE signing_keys SET private=$4, state=$5,
		activated_at=$6, retired_at=$7, version=version+1 WHERE realm=$1 AND kid=$2 AND version=$3 RETURNING `+signingColumns,
		k.Realm, k.KID, k.Version, k.Private, stateText(k), k.ActivatedAt, k.RetiredAt)
	return t.changed(err, gatehouse.TopicSigningKey, k.Realm, k.KID, stored)
}

// DeleteSigningKey removes a signing key for good.
func (t *Tx) DeleteSigningKey(ctx context.Context, realm, kid string) error {
	err := remove(ctx, t.c, `DELETE FROM signing_keys WHERE realm=$1 AND kid=$2`, realm, kid)
	return t.changed(err, gatehouse.TopicSigningKey, realm, kid, nil)
}
