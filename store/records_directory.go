package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// ---- realms ----

const realmColumns = `name, title, disabled, created_at, updated_at, settings_json, cut_off_at`

func scanRealm(r row) (v gatehouse.Realm, err error) {
	err = r.Scan(intoRealm(&v)...)
	return v, err
}

func intoRealm(v *gatehouse.Realm) []any {
	return []any{&v.Name, &v.Title, &v.Disabled, at(&v.CreatedAt), at(&v.UpdatedAt), from(&v.Settings), at(&v.CutOffAt)}
}

// Realm returns the realm of that name.
func (q Queries) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return one(ctx, q.c, scanRealm, `SELECT `+realmColumns+` FROM realms WHERE name=$1`+q.share, name)
}

// HoldRealm returns the realm of that name to a transaction that goes on to change what
// is in it as a whole: another one that asks so waits until this one has ended.
func (t *Tx) HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return one(ctx, t.c, scanRealm, `SELECT `+realmColumns+` FROM realms WHERE name=$1`+t.own, name)
}

// Realms returns all realms, by name.
func (q Queries) Realms(ctx context.Context) ([]gatehouse.Realm, error) {
	return many(ctx, q.c, scanRealm, `SELECT `+realmColumns+` FROM realms ORDER BY name`+q.share)
}

// InsertRealm adds a realm; a name in use is Conflict.
func (t *Tx) InsertRealm(ctx context.Context, r gatehouse.Realm) error {
	err := insert(ctx, t.c, `INSERT INTO realms (`+realmColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING`,
		r.Name, r.Title, r.Disabled, r.CreatedAt, r.UpdatedAt, document{r.Settings}, r.CutOffAt)
	return t.changed(err, gatehouse.TopicRealm, r.Name, r.Name, r)
}

// UpdateRealm replaces a realm's title, settings and state. The creation time
// stays, and so does a cut-off that is later than the new one: it is never moved back.
func (t *Tx) UpdateRealm(ctx context.Context, r gatehouse.Realm) error {
	stored, err := update(ctx, t.c, gatehouse.ErrNotFound, scanRealm, `UPDATE realms SET title=$2, disabled=$3, updated_at=$4,
		settings_json=$5, cut_off_at=CASE WHEN realms.cut_off_at>=$6 OR $6 IS NULL THEN realms.cut_off_at ELSE $6 END
		WHERE name=$1 RETURNING `+realmColumns, r.Name, r.Title, r.Disabled, r.UpdatedAt, document{r.Settings}, r.CutOffAt)
	return t.changed(err, gatehouse.TopicRealm, r.Name, r.Name, stored)
}

// ---- settings ----

// Setting returns a value of the installation, such as the hash of the one-time
// bootstrap secret.
func (q Queries) Setting(ctx context.Context, key string) (string, error) {
	return one(ctx, q.c, func(r row) (v string, err error) { return v, r.Scan(&v) },
		`SELECT value FROM settings WHERE name=$1`+q.own, key)
}

// PutSetting sets a value.
func (t *Tx) PutSetting(ctx context.Context, key, value string) error {
	_, err := exec(ctx, t.c, `INSERT INTO settings (name, value) VALUES ($1,$2)
		ON CONFLICT (name) DO UPDATE SET value=excluded.value`, key, value)
	return err
}

// InsertSetting adds a value; a name in use is Conflict.
func (t *Tx) InsertSetting(ctx context.Context, name, value string) error {
	return insert(ctx, t.c, `INSERT INTO settings (name, value) VALUES ($1,$2) ON CONFLICT DO NOTHING`, name, value)
}

// SwapSetting replaces a value if it is the given one, and tells whether it was.
func (t *Tx) SwapSetting(ctx context.Context, name, old, value string) (swapped bool, err error) {
	n, err := exec(ctx, t.c, `UPDATE settings SET value=$3 WHERE name=$1 AND value=$2`, name, old, value)
	return n > 0, err
}

// TakeSetting removes a value if it is the given one, and tells whether it was:
// of all that try with the right value, exactly one wins.
func (t *Tx) TakeSetting(ctx context.Context, key, value string) (taken bool, err error) {
	n, err := exec(ctx, t.c, `DELETE FROM settings WHERE name=$1 AND value=$2`, key, value)
	return n > 0, err
}

// ---- users ----

const userColumns = `realm, id, kind, username, username_key, display_name, email, roles_json, groups_json,
	attributes_json, password_hash, password_at, disabled, created_at, updated_at, version, second_factor, verified_email, new_email, directory_id, directory_out, terms_version, devices_since, signed_in, initial_at`

func scanUser(r row) (v identity.User, err error) {
	err = r.Scan(intoUser(&v)...)
	return v, err
}

func intoUser(v *identity.User) []any {
	return []any{&v.Realm, &v.ID, enum(&v.Kind), &v.Username, &v.UsernameKey, &v.DisplayName, &v.Email, from(&v.Roles),
		from(&v.Groups), from(&v.Attributes), &v.PasswordHash, at(&v.PasswordAt), &v.Disabled, at(&v.CreatedAt),
		at(&v.UpdatedAt), &v.Version, &v.SecondFactor, &v.VerifiedEmail, &v.NewEmail, &v.DirectoryID, &v.DirectoryOut, &v.TermsVersion, at(&v.DevicesSince), &v.SignedIn, at(&v.InitialAt)}
}

// Party returns the realm of that name and one of its users, as they are at one moment: nil
// when user is "" or not there. A login reads both, and waits for one answer.
func (q Queries) Party(ctx context.Context, name, user string) (gatehouse.Realm, *identity.User, error) {
	type party struct {
		realm gatehouse.Realm
		user  identity.User
	}
	if user != "" {
		locks := ""
		if q.share != "" { // in this order, as those who read the one and then the other
			locks = q.share + " OF r" + q.own + " OF u"
		}
		p, err := one(ctx, q.c, func(r row) (p party, err error) {
			err = r.Scan(append(intoRealm(&p.realm), intoUser(&p.user)...)...)
			return p, err
		}, `SELECT `+columnsOf("r", realmColumns)+`, `+columnsOf("u", userColumns)+` FROM realms AS r JOIN users AS u ON u.realm=r.name
			WHERE r.name=$1 AND u.realm=$1 AND u.id=$2`+locks, name, user)
		if err != error(gatehouse.ErrNotFound) {
			return p.realm, &p.user, err
		}
	}
	realm, err := q.Realm(ctx, name)
	return realm, nil, err
}

// columnsOf are columns of the table that a join calls so.
func columnsOf(table, columns string) string {
	return table + "." + strings.Join(strings.Fields(strings.ReplaceAll(columns, ",", " ")), ", "+table+".")
}

// User returns a user by id.
func (q Queries) User(ctx context.Context, realm, id string) (identity.User, error) {
	return one(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND id=$2`+q.own, realm, id)
}

// UserByKey returns a user by the folded username.
func (q Queries) UserByKey(ctx context.Context, realm, usernameKey string) (identity.User, error) {
	return one(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND username_key=$2`+q.own, realm, usernameKey)
}

// UserByAddress returns a user whose e-mail address is one of two spellings, in lower case, or whose folded username
// is usernameKey; of several the first one.
func (q Queries) UserByAddress(ctx context.Context, realm, ascii, letters, usernameKey string) (identity.User, error) {
	// By ids: a database that looks for one row in the order of ids goes through all users for an address of nobody.
	return one(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND id IN (
		SELECT id FROM users WHERE realm=$1 AND lower(email) IN ($2,$3) AND email<>'' UNION SELECT id FROM users WHERE realm=$1 AND username_key=$4)
		ORDER BY id LIMIT 1`, realm, ascii, letters, usernameKey)
}

// UserByDirectoryID returns the user that belongs to an entry of the realm's directory.
func (q Queries) UserByDirectoryID(ctx context.Context, realm, directoryID string) (identity.User, error) {
	return one(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND directory_id=$2 AND directory_id<>''`+q.own, realm, directoryID)
}

// DirectoryUsers lists the users that belong to entries of the realm's directory, by id.
func (q Queries) DirectoryUsers(ctx context.Context, realm, after string, limit int) ([]identity.User, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND id>$2 AND directory_id<>'' ORDER BY id LIMIT $3`+q.share,
		realm, after, limit)
}

// Users lists users by id.
func (q Queries) Users(ctx context.Context, realm, after string, limit int) ([]identity.User, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanUser, `SELECT `+userColumns+` FROM users WHERE realm=$1 AND id>$2 ORDER BY id LIMIT $3`+q.share,
		realm, after, limit)
}

// RoleHolders returns the ids of up to limit users who hold a role themselves, in
// no order; with enabled, of those only who are not disabled. The database looks
// through the users and hands out whom it found.
func (q Queries) RoleHolders(ctx context.Context, realm, role string, enabled bool, limit int) ([]string, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	quoted, err := document{role}.encode()
	if err != nil {
		return nil, err
	}
	name, ok := quoted.(string)
	if !ok {
		return nil, internal("a role is no text")
	}
	// In the stored list a name stands behind a bracket or a comma; inside of a name
	// no quote does. Both databases have replace, and it minds letter case, which
	// SQLite's LIKE does not.
	return many(ctx, q.c, func(r row) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, `SELECT id FROM users WHERE realm=$1 AND replace(replace(roles_json, $2, ''), $3, '')<>roles_json AND NOT (disabled AND $4)
		LIMIT $5`+q.share, realm, "["+name, ","+name, enabled, limit)
}

// InsertUser adds a user; an id or username key in use is Conflict.
func (t *Tx) InsertUser(ctx context.Context, u identity.User) error {
	err := insert(ctx, t.c, `INSERT INTO users (`+userColumns+`)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25) ON CONFLICT DO NOTHING`,
		u.Realm, u.ID, string(u.Kind), u.Username, u.UsernameKey, u.DisplayName, u.Email, document{u.Roles},
		document{u.Groups}, document{u.Attributes}, u.PasswordHash, u.PasswordAt, u.Disabled, u.CreatedAt, u.UpdatedAt, u.Version, u.SecondFactor,
		u.VerifiedEmail, u.NewEmail, u.DirectoryID, u.DirectoryOut, u.TermsVersion, u.DevicesSince, u.SignedIn, u.InitialAt)
	return t.changed(err, gatehouse.TopicUser, u.Realm, u.ID, u)
}

// UpdateUser replaces a user whose stored version is u.Version and stores
// u.Version+1; otherwise it is Conflict. SignedIn stays, too ([Tx.FirstSession]). Kind, creation time, DirectoryID and InitialAt stay. A username
// key that another user has is Conflict and ends the transaction.
func (t *Tx) UpdateUser(ctx context.Context, u identity.User) error {
	stored, err := update(ctx, t.c, gatehouse.ErrVersionConflict, scanUser, `UPDATE users SET username=$4, username_key=$5, display_name=$6, email=$7, roles_json=$8,
		groups_json=$9, attributes_json=$10, password_hash=$11, password_at=$12, disabled=$13, updated_at=$14, second_factor=$15,
		verified_email=$16, new_email=$17, directory_out=$18, terms_version=$19, devices_since=$20, version=version+1
		WHERE realm=$1 AND id=$2 AND version=$3 RETURNING `+userColumns,
		u.Realm, u.ID, u.Version, u.Username, u.UsernameKey, u.DisplayName, u.Email, document{u.Roles}, document{u.Groups},
		document{u.Attributes}, u.PasswordHash, u.PasswordAt, u.Disabled, u.UpdatedAt, u.SecondFactor, u.VerifiedEmail, u.NewEmail, u.DirectoryOut, u.TermsVersion, u.DevicesSince)
	return t.changed(err, gatehouse.TopicUser, u.Realm, u.ID, stored)
}

// FirstSession notes that an account has had a session in a browser. Nobody is told and the version stays: nothing of it may be
// remembered, and it takes nothing back that somebody changes meanwhile.
func (t *Tx) FirstSession(ctx context.Context, realm, id string) error {
	_, err := exec(ctx, t.c, `UPDATE users SET signed_in=TRUE WHERE realm=$1 AND id=$2 AND NOT signed_in`, realm, id)
	return err
}

// DeleteUser removes a user, and with the salt the key under which the record's personal data of the user are sealed.
// What stays of the user for a while or for good (sessions and keys that are over) tells nothing personal afterwards.
// Keys, grants and sessions are not ended here: end them before, in the same transaction.
func (t *Tx) DeleteUser(ctx context.Context, realm, id string) error {
	for _, forget := range [...]string{
		`UPDATE sessions SET address='', user_agent='' WHERE realm=$1 AND user_id=$2`,
		`UPDATE api_keys SET name='', allowed_nets_json=NULL, metadata_json=NULL
			WHERE realm=$1 AND owner_id=$2 AND (revoked_at IS NOT NULL OR leaked_at IS NOT NULL)`,
	} {
		if _, err := exec(ctx, t.c, forget, realm, id); err != nil {
			return err
		}
	}
	err := remove(ctx, t.c, `DELETE FROM users WHERE realm=$1 AND id=$2`, realm, id)
	return t.changed(err, gatehouse.TopicUser, realm, id, nil)
}

// ---- API keys ----

const keyColumns = `id, realm, name, hash, owner_id, scopes_json, role_limit_json, environment, allowed_nets_json,
	created_at, expires_at, revoked_at, leaked_at, rotated_to, last_used_at, version,
	disabled_at, metadata_json, quota_day, quota_month, imported, prefix`

func scanKey(r row) (v credential.Key, err error) {
	err = r.Scan(&v.ID, &v.Realm, &v.Name, blob(&v.Hash), &v.OwnerID, from(&v.Scopes), from(&v.RoleLimit), enum(&v.Environment),
		from(&v.AllowedNets), at(&v.CreatedAt), at(&v.ExpiresAt), at(&v.RevokedAt), at(&v.LeakedAt), &v.RotatedTo,
		at(&v.LastUsedAt), &v.Version, at(&v.DisabledAt), from(&v.Metadata), &v.QuotaDay, &v.QuotaMonth, &v.Imported, &v.Prefix)
	return v, err
}

// Key returns an API key by its public id, which is unique over all realms.
func (q Queries) Key(ctx context.Context, id string) (credential.Key, error) {
	return one(ctx, q.c, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE id=$1`+q.own, id)
}

// Keys lists API keys by id, of one owner or, with ownerID "", of the realm.
func (q Queries) Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	if ownerID == "" {
		return many(ctx, q.c, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE realm=$1 AND id>$2 ORDER BY id LIMIT $3`+q.share,
			realm, after, limit)
	}
	return many(ctx, q.c, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE realm=$1 AND owner_id=$2 AND id>$3
		ORDER BY id LIMIT $4`+q.share, realm, ownerID, after, limit)
}

// ActiveKeys counts the API keys of all realms that are neither revoked nor leaked
// nor expired.
func (q Queries) ActiveKeys(ctx context.Context, now time.Time) (int64, error) {
	return one(ctx, q.c, func(r row) (n int64, err error) { err = r.Scan(&n); return n, err },
		`SELECT COUNT(*) FROM api_keys WHERE revoked_at IS NULL AND leaked_at IS NULL AND (expires_at IS NULL OR expires_at>$1)`, now)
}

// ImportedKey returns the key of a realm that another system made, by the hash of its
// text.
func (q Queries) ImportedKey(ctx context.Context, realm string, hash []byte) (credential.Key, error) {
	return one(ctx, q.c, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE hash=$1 AND realm=$2 AND imported`, hash, realm)
}

// ImportedKeys returns the same of all realms.
func (q Queries) ImportedKeys(ctx context.Context, hash []byte) ([]credential.Key, error) {
	return many(ctx, q.c, scanKey, `SELECT `+keyColumns+` FROM api_keys WHERE hash=$1 AND imported ORDER BY realm`+q.own, hash)
}

// HasImportedKeys reports whether a realm has keys that another system made.
func (q Queries) HasImportedKeys(ctx context.Context, realm string) (bool, error) {
	return one(ctx, q.c, func(r row) (has bool, err error) { err = r.Scan(&has); return has, err },
		`SELECT EXISTS (SELECT 1 FROM api_keys WHERE realm=$1 AND imported)`, realm)
}

// InsertKey adds an API key; an id in use is Conflict, and so is the hash of an
// imported key of the realm.
func (t *Tx) InsertKey(ctx context.Context, k credential.Key) error {
	err := insert(ctx, t.c, `INSERT INTO api_keys (`+keyColumns+`)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22) ON CONFLICT DO NOTHING`,
		k.ID, k.Realm, k.Name, k.Hash, k.OwnerID, document{k.Scopes}, document{k.RoleLimit}, string(k.Environment),
		document{k.AllowedNets}, k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.LeakedAt, k.RotatedTo, k.LastUsedAt, k.Version,
		k.DisabledAt, document{k.Metadata}, k.QuotaDay, k.QuotaMonth, k.Imported, k.Prefix)
	return t.changed(err, gatehouse.TopicKey, k.Realm, k.ID, k)
}

// UpdateKey replaces what may change of a key whose stored version is k.Version,
// and stores k.Version+1; otherwise it is Conflict. Realm, hash, owner and
// creation time stay, and LastUsedAt never goes back.
func (t *Tx) UpdateKey(ctx context.Context, k credential.Key) error {
	stored, err := update(ctx, t.c, gatehouse.ErrVersionConflict, scanKey, `UPDATE api_keys SET name=$3, scopes_json=$4, role_limit_json=$5, environment=$6,
		allowed_nets_json=$7, expires_at=$8, revoked_at=$9, leaked_at=$10, rotated_to=$11,
		last_used_at=CASE WHEN last_used_at IS NULL OR last_used_at<CAST($12 AS BIGINT) THEN CAST($12 AS BIGINT) ELSE last_used_at END,
		disabled_at=$13, metadata_json=$14, quota_day=$15, quota_month=$16,
		version=version+1 WHERE id=$1 AND version=$2 RETURNING `+keyColumns,
		k.ID, k.Version, k.Name, document{k.Scopes}, document{k.RoleLimit}, string(k.Environment), document{k.AllowedNets},
		k.ExpiresAt, k.RevokedAt, k.LeakedAt, k.RotatedTo, k.LastUsedAt,
		k.DisabledAt, document{k.Metadata}, k.QuotaDay, k.QuotaMonth)
	return t.changed(err, gatehouse.TopicKey, stored.Realm, k.ID, stored)
}

const usageColumns = `key_id, realm, day, uses, last_used_at`

// KeyUsage returns the counts of a key from a day on ("2006-01-02", "" for all),
// oldest first.
func (q Queries) KeyUsage(ctx context.Context, keyID string, fromDay string) ([]credential.KeyUsage, error) {
	return many(ctx, q.c, func(r row) (v credential.KeyUsage, err error) {
		err = r.Scan(&v.KeyID, &v.Realm, &v.Day, &v.Count, at(&v.LastUsedAt))
		return v, err
	}, `SELECT `+usageColumns+` FROM key_usage WHERE key_id=$1 AND day>=$2 ORDER BY day`, keyID, fromDay)
}

// AddKeyUsage adds to the counts and moves the last use of the keys forward. It
// is bookkeeping: it neither changes a key's version nor tells the subscribers.
func (t *Tx) AddKeyUsage(ctx context.Context, usage []credential.KeyUsage) error {
	// All nodes lock the keys in one order, or two of them would wait for each other.
	usage = sorted.Collect(slices.Values(usage), func(a, b credential.KeyUsage) int {
		return cmp.Or(strings.Compare(a.KeyID, b.KeyID), strings.Compare(a.Day, b.Day))
	})
	for _, u := range usage {
		if _, err := exec(ctx, t.c, `INSERT INTO key_usage (`+usageColumns+`) VALUES ($1,$2,$3,$4,$5)
			ON CONFLICT (key_id, day) DO UPDATE SET uses=key_usage.uses+excluded.uses,
			last_used_at=CASE WHEN key_usage.last_used_at IS NULL OR key_usage.last_used_at<excluded.last_used_at
			THEN excluded.last_used_at ELSE key_usage.last_used_at END`,
			u.KeyID, u.Realm, u.Day, u.Count, u.LastUsedAt); err != nil {
			return err
		}
		if _, err := exec(ctx, t.c, `UPDATE api_keys SET last_used_at=$2
			WHERE id=$1 AND (last_used_at IS NULL OR last_used_at<$2)`, u.KeyID, u.LastUsedAt); err != nil {
			return err
		}
	}
	return nil
}

// ---- opaque tokens ----

const opaqueColumns = `hash, id, realm, grant_id, subject, scopes_json, audience_json, issued_at, expires_at, cnf, details_json`

// OpaqueToken returns a token by the hash of its text.
func (q Queries) OpaqueToken(ctx context.Context, hash []byte) (credential.OpaqueToken, error) {
	return one(ctx, q.c, func(r row) (v credential.OpaqueToken, err error) {
		err = r.Scan(blob(&v.Hash), &v.ID, &v.Realm, &v.GrantID, &v.Subject, from(&v.Scopes), from(&v.Audience), at(&v.IssuedAt), at(&v.ExpiresAt), bound(&v.Confirmation), from(&v.Details))
		return v, err
	}, `SELECT `+opaqueColumns+` FROM opaque_tokens WHERE hash=$1`+q.share, hash)
}

// InsertOpaqueToken adds a token; a hash in use is Conflict.
func (t *Tx) InsertOpaqueToken(ctx context.Context, v credential.OpaqueToken) error {
	return insert(ctx, t.c, insertOpaque+` ON CONFLICT DO NOTHING`, opaqueArgs(v)...)
}

const insertOpaque = `INSERT INTO opaque_tokens (` + opaqueColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`

func opaqueArgs(v credential.OpaqueToken) []any {
	return []any{v.Hash, v.ID, v.Realm, v.GrantID, v.Subject, document{v.Scopes}, document{v.Audience}, v.IssuedAt, v.ExpiresAt, confirmationText(v.Confirmation), document{v.Details}}
}

// PurgeOpaqueTokens removes up to limit tokens that expired before the given time,
// and returns how many.
func (t *Tx) PurgeOpaqueTokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "opaque_tokens", "hash", before, limit)
}
