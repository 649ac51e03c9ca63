package admin

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Appender writes the events of a change in the change's own transaction.
type Appender interface {
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// RealmTx is the transaction of the realm use cases.
type RealmTx interface {
	Appender
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	// HoldRealm reads a realm that is going to be changed: another HoldRealm of it waits.
	HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error)
	InsertRealm(ctx context.Context, r gatehouse.Realm) error
	UpdateRealm(ctx context.Context, r gatehouse.Realm) error
}

// UserTx is the transaction of the user use cases. Changes that end logins put
// their cut-off in it; those that end keys write the keys in it.
type UserTx interface {
	Appender
	UserReader
	UserWriter
	holders
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	Roles(ctx context.Context, realm string) ([]policy.Role, error)
	Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error)
	InsertKey(ctx context.Context, k credential.Key) error
	UpdateKey(ctx context.Context, k credential.Key) error
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
	EndGrantsOf(ctx context.Context, realm, subject string, when time.Time, reason string) (int, error)
}

// UserWriter changes users.
type UserWriter interface {
	InsertUser(ctx context.Context, u identity.User) error
	UpdateUser(ctx context.Context, u identity.User) error
	DeleteUser(ctx context.Context, realm, id string) error
}

// KeyTx is the transaction of the API key use cases.
type KeyTx interface {
	Appender
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	User(ctx context.Context, realm, id string) (identity.User, error)
	Key(ctx context.Context, id string) (credential.Key, error)
	ImportedKeys(ctx context.Context, hash []byte) ([]credential.Key, error)
	InsertKey(ctx context.Context, k credential.Key) error
	UpdateKey(ctx context.Context, k credential.Key) error
}

// PolicyTx is the transaction of the role, policy, schema and entity use cases.
type PolicyTx interface {
	Appender
	PolicyReader
	EntityWriter
	holders
	PutRole(ctx context.Context, r policy.Role) error
	DeleteRole(ctx context.Context, realm, name string) error
	PutPolicy(ctx context.Context, d policy.Document) error
	DeletePolicy(ctx context.Context, realm, id string) error
	PutSchema(ctx context.Context, s policy.Schema) error
}

// fileTx is the transaction in which a realm's file is applied, as the use cases of
// each kind see it.
type fileTx struct {
	store    Store
	realms   RealmTx
	users    UserTx
	policies PolicyTx
}

// oneTx is tx for all of them. The runners are of one store, which shows each that
// it has these methods before it starts.
func oneTx(tx RealmTx) (fileTx, error) {
	store, reads := tx.(Store)
	users, changesUsers := tx.(UserTx)
	policies, changesPolicies := tx.(PolicyTx)
	if !reads || !changesUsers || !changesPolicies {
		return fileTx{}, errors.New("admin: the transaction of realms does not do for a file")
	}
	return fileTx{store, tx, users, policies}, nil
}

// EntityWriter changes pushed entities.
type EntityWriter interface {
	Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error)
	PutEntity(ctx context.Context, e policy.EntityRecord) error
	DeleteEntity(ctx context.Context, realm, typ, id string) error
}

// RevokeTx is the transaction of the cut-off use cases.
type RevokeTx interface {
	Appender
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
}

// BootstrapTx is the transaction that makes the first administrator.
type BootstrapTx interface {
	Appender
	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
	TakeSetting(ctx context.Context, key, value string) (taken bool, err error)
	holders
	InsertUser(ctx context.Context, u identity.User) error
	InsertKey(ctx context.Context, k credential.Key) error
}

// cutoff ends everything that was issued to a subject until now. It lives as
// long as the longest grant of the realm may.
func cutoff(rl gatehouse.Realm, kind revocation.CutoffKind, id string, now time.Time) revocation.Cutoff {
	return revocation.Cutoff{Realm: rl.Name, Kind: kind, ID: id, Before: now,
		ExpiresAt: now.Add(rl.Settings.Defaults().GrantTTL + time.Hour)}
}
