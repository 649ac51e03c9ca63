package realmfile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// draft is a realm's contents in memory, in which a file is tried. The use cases read
// and write it as they do a transaction, so a plan is judged by what judges the change,
// while nothing waits for the database's writer. What it does not keep (keys, grants,
// other realms) is read from the store behind it; writes of that are dropped.
type draft struct {
	stored   Stored
	realm    gatehouse.Realm
	roles    map[string]policy.Role
	policies map[string]policy.Document
	schema   *policy.Schema           // nil for none
	users    map[string]identity.User // by id; nil when there are more than a file can hold
	names    map[string]string        // username key to id
}

// newDraft reads a realm.
func newDraft(ctx context.Context, from Stored, name string) (*draft, error) {
	d := &draft{stored: from, roles: map[string]policy.Role{}, policies: map[string]policy.Document{}, users: map[string]identity.User{},
		names: map[string]string{}}
	var err error
	if d.realm, err = kernel.ReadRealm(ctx, from.Realms, name); err != nil {
		return nil, err
	}
	roles, err := from.Rules.Roles(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		d.roles[r.Name] = r
	}
	policies, err := from.Rules.Policies(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, p := range policies {
		d.policies[p.ID] = p
	}
	schema, err := from.Rules.Schema(ctx, name)
	if err == nil {
		d.schema = &schema
	} else if !errors.Is(err, gatehouse.NotFound) {
		return nil, err
	}
	users, err := from.Users.Users(ctx, name, "", maxFileUsers+1)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		d.users[u.ID], d.names[u.UsernameKey] = u, u.ID
	}
	if len(users) > maxFileUsers {
		d.users = nil
	}
	return d, nil
}

// tx is the draft as a transaction.
func (d *draft) tx() Tx {
	return Tx{
		Realms: d,
		Users:  users.Tx{Appender: d, Reader: d, Writer: d, RoleReader: d, Logins: d, KeyWriter: d},
		Rules:  rules.Tx{Appender: d, RealmHolder: d, Reader: d, Writer: d, EntityWriter: d, Holders: d},
	}
}

func (d *draft) AppendEvents(context.Context, ...gatehouse.Event) error { return nil }

func (d *draft) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	if name != d.realm.Name {
		return d.stored.Realms.Realm(ctx, name)
	}
	return d.realm, nil
}

func (d *draft) HoldRealm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return d.Realm(ctx, name)
}

func (d *draft) InsertRealm(context.Context, gatehouse.Realm) error {
	return gatehouse.ErrInternal // a file makes no realm
}

func (d *draft) UpdateRealm(_ context.Context, r gatehouse.Realm) error {
	d.realm = r
	return nil
}

func (d *draft) User(ctx context.Context, realm, id string) (identity.User, error) {
	if d.users == nil || realm != d.realm.Name {
		return d.stored.Users.User(ctx, realm, id)
	}
	return found(d.users, id)
}

func (d *draft) UserByKey(ctx context.Context, realm, key string) (identity.User, error) {
	if d.users == nil || realm != d.realm.Name {
		return d.stored.Users.UserByKey(ctx, realm, key)
	}
	return found(d.users, d.names[key])
}

func (d *draft) Users(ctx context.Context, realm, after string, limit int) ([]identity.User, error) {
	if d.users == nil || realm != d.realm.Name {
		return d.stored.Users.Users(ctx, realm, after, limit)
	}
	ids := slices.Sorted(maps.Keys(d.users))
	from, _ := slices.BinarySearchFunc(ids, after, func(id, after string) int {
		if id > after {
			return 1
		}
		return -1
	})
	var out []identity.User
	for _, id := range ids[from:] {
		if len(out) == limit {
			break
		}
		out = append(out, d.users[id])
	}
	return out, nil
}

func (d *draft) InsertUser(_ context.Context, u identity.User) error {
	if _, taken := d.names[u.UsernameKey]; taken {
		return gatehouse.Conflict
	}
	d.users[u.ID], d.names[u.UsernameKey] = u, u.ID
	return nil
}

func (d *draft) UpdateUser(_ context.Context, u identity.User) error {
	u.Version++
	d.users[u.ID] = u
	return nil
}

func (d *draft) DeleteUser(_ context.Context, _, id string) error {
	delete(d.names, d.users[id].UsernameKey)
	delete(d.users, id)
	return nil
}

func (d *draft) RoleHolders(ctx context.Context, realm, role string, enabled bool, limit int) ([]string, error) {
	if d.users == nil || realm != d.realm.Name {
		return d.stored.Holders.RoleHolders(ctx, realm, role, enabled, limit)
	}
	var out []string
	for id, u := range d.users {
		if u.Realm == realm && slices.Contains(u.Roles, role) && !(enabled && u.Disabled) && len(out) < limit {
			out = append(out, id)
		}
	}
	return out, nil
}

func (d *draft) Roles(_ context.Context, _ string) ([]policy.Role, error) {
	return sorted.Collect(maps.Values(d.roles), func(a, b policy.Role) int { return strings.Compare(a.Name, b.Name) }), nil
}

func (d *draft) Role(_ context.Context, _, name string) (policy.Role, error) {
	return found(d.roles, name)
}

func (d *draft) PutRole(_ context.Context, r policy.Role) error {
	d.roles[r.Name] = r
	return nil
}

func (d *draft) DeleteRole(_ context.Context, _, name string) error {
	delete(d.roles, name)
	return nil
}

func (d *draft) Policies(_ context.Context, _ string) ([]policy.Document, error) {
	return sorted.Collect(maps.Values(d.policies), func(a, b policy.Document) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (d *draft) Policy(_ context.Context, _, id string) (policy.Document, error) {
	return found(d.policies, id)
}

func (d *draft) PutPolicy(_ context.Context, p policy.Document) error {
	d.policies[p.ID] = p
	return nil
}

func (d *draft) DeletePolicy(_ context.Context, _, id string) error {
	delete(d.policies, id)
	return nil
}

func (d *draft) Schema(_ context.Context, _ string) (policy.Schema, error) {
	if d.schema == nil {
		return policy.Schema{}, gatehouse.ErrNotFound
	}
	return *d.schema, nil
}

func (d *draft) PutSchema(_ context.Context, s policy.Schema) error {
	d.schema = &s
	return nil
}

func (d *draft) Keys(ctx context.Context, realm, ownerID, after string, limit int) ([]credential.Key, error) {
	return d.stored.Keys.Keys(ctx, realm, ownerID, after, limit)
}

func (d *draft) Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error) {
	return d.stored.Entities.Entity(ctx, realm, typ, id)
}

// What a file changes beside the realm's contents needs no trial.

func (d *draft) PutEntity(context.Context, policy.EntityRecord) error       { return nil }
func (d *draft) DeleteEntity(context.Context, string, string, string) error { return nil }
func (d *draft) InsertKey(context.Context, credential.Key) error            { return nil }
func (d *draft) UpdateKey(context.Context, credential.Key) error            { return nil }
func (d *draft) PutCutoff(context.Context, revocation.Cutoff) error         { return nil }
func (d *draft) EndGrantsOf(context.Context, string, string, time.Time, string) ([]gatehouse.Grant, error) {
	return nil, nil
}

func (d *draft) EndSessions(context.Context, string, string, string, time.Time, string) ([]gatehouse.Session, error) {
	return nil, nil
}

func found[T any](in map[string]T, name string) (T, error) {
	v, ok := in[name]
	if !ok {
		return v, gatehouse.ErrNotFound
	}
	return v, nil
}
