package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// same compares records exactly: nil and empty differ, times to the microsecond.
func same[T any](t testing.TB, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
}

// must unpacks a result that must not fail.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

type change func(ctx context.Context, tx *store.Tx) error

// lastChange subscribes and returns a function giving what came since.
func changesOf(db *store.DB) func() []gatehouse.Change {
	got := make(chan gatehouse.Change, 10000)
	db.Subscribe(func(c gatehouse.Change) { got <- c })
	return func() (list []gatehouse.Change) {
		for {
			select {
			case c := <-got:
				list = append(list, c)
			default:
				return list
			}
		}
	}
}

func one(topic gatehouse.Topic, realm, id string, value any) []gatehouse.Change {
	return []gatehouse.Change{{Topic: topic, Realm: realm, ID: id, Value: value}}
}

func exampleRealm() gatehouse.Realm {
	return gatehouse.Realm{Name: "main", Title: "Häuptrealm 🏰", Disabled: true, CreatedAt: moment(0), UpdatedAt: moment(1),
		Settings: gatehouse.RealmSettings{AccessTokenTTL: 7 * time.Minute, RefreshGrace: -1, Scopes: map[string]string{"a": "b"},
			TrustedIssuers: []gatehouse.TrustedIssuer{{Issuer: "https://a", Audience: "b", Algorithms: []string{"ES256"}}}}}
}

func exampleUser() identity.User {
	return identity.User{ID: "usr_1", Realm: "main", Kind: gatehouse.KindUser, Username: "Zoë", UsernameKey: "zoë", DisplayName: "Zoë 🦊",
		Email: "z@example.org", Roles: []string{"a", "b"}, Groups: []string{}, Attributes: map[string]any{
			"level": int64(9007199254740993), "ratio": decimal.Number("1.5"), "on": true, "none": nil, "list": []any{int64(1), "x"}, "map": map[string]any{"k": "v"}},
		PasswordHash: "$argon2id$", PasswordAt: moment(2), CreatedAt: moment(3), UpdatedAt: moment(4), Version: 1}
}

func exampleKey() credential.Key {
	return credential.Key{ID: "k1", Realm: "main", Name: "ci", Hash: []byte{0, 255, 1}, OwnerID: "usr_1", Scopes: []string{"read"},
		RoleLimit: []string{}, Environment: gatehouse.EnvironmentTest, AllowedNets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"),
			netip.MustParsePrefix("2001:db8::/32")}, CreatedAt: moment(0), ExpiresAt: moment(100), Version: 1}
}

func exampleGrant() gatehouse.Grant {
	return gatehouse.Grant{ID: "grt_1", Realm: "main", Subject: "usr_1", ClientID: "c", SessionID: "s", Scopes: []string{"*"}, Audience: []string{"x"},
		AuthTime: moment(0), AMR: []string{"pwd"}, ACR: "1", StatusList: 7, StatusIdx: 1<<40 + 1, CreatedAt: moment(1), ExpiresAt: moment(100)}
}

func TestRealms(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		_, err := db.Realm(ctx, "main")
		wantKind(t, err, gatehouse.NotFound)
		same(t, must(db.Realms(ctx))(t), []gatehouse.Realm{})
		r := exampleRealm()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, r) })
		same(t, must(db.Realm(ctx, "main"))(t), r)
		same(t, changes(), one(gatehouse.TopicRealm, "main", "main", r))
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, r) }), gatehouse.Conflict)
		same(t, changes(), nil)

		other := gatehouse.Realm{Name: "Main"}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRealm(ctx, other) })
		same(t, must(db.Realms(ctx))(t), []gatehouse.Realm{other, r})
		changes()
		r.Title, r.Disabled, r.Settings, r.UpdatedAt = "", false, gatehouse.RealmSettings{}, moment(9)
		wrong := r
		wrong.CreatedAt = moment(77) // stays as it was
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRealm(ctx, wrong) })
		same(t, must(db.Realm(ctx, "main"))(t), r)
		same(t, changes(), one(gatehouse.TopicRealm, "main", "main", r))
		// A cut-off is never moved back, whoever forgets it.
		for _, at := range []time.Time{{}, moment(3), moment(2), moment(3), {}, moment(4)} {
			next := r
			if next.CutOffAt = at; at.After(r.CutOffAt) {
				r.CutOffAt = at
			}
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRealm(ctx, next) })
			same(t, must(db.Realm(ctx, "main"))(t), r)
			same(t, changes(), one(gatehouse.TopicRealm, "main", "main", r))
		}
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.UpdateRealm(ctx, gatehouse.Realm{Name: "x"})
		}), gatehouse.NotFound)
	})
}

func TestSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		_, err := db.Setting(ctx, "a")
		wantKind(t, err, gatehouse.NotFound)
		for _, v := range []string{"1", ""} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSetting(ctx, "a", v) })
			same(t, must(db.Setting(ctx, "a"))(t), v)
		}
		for _, c := range []struct {
			value string
			taken bool
		}{{"x", false}, {"", true}, {"", false}} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				taken, err := tx.TakeSetting(ctx, "a", c.value)
				if taken != c.taken {
					t.Errorf("take %q: %v", c.value, taken)
				}
				return err
			})
		}
	})
}

func TestUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		_, err := db.User(ctx, "main", "usr_1")
		wantKind(t, err, gatehouse.NotFound)
		u := exampleUser()
		u.DirectoryID, u.DirectoryOut, u.TermsVersion, u.DevicesSince, u.InitialAt = "entry-1", true, "2026-11", time.Unix(1_800_000_000, 0).UTC(), u.PasswordAt
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, u) })
		same(t, must(db.User(ctx, "main", "usr_1"))(t), u)
		same(t, must(db.UserByKey(ctx, "main", "zoë"))(t), u)
		same(t, must(db.UserByDirectoryID(ctx, "main", "entry-1"))(t), u)
		same(t, must(db.DirectoryUsers(ctx, "main", "", 9))(t), []identity.User{u})
		same(t, len(must(db.DirectoryUsers(ctx, "main", "usr_1", 9))(t))+len(must(db.DirectoryUsers(ctx, "other", "", 9))(t)), 0)
		for _, none := range []string{"entry-2", ""} {
			_, err = db.UserByDirectoryID(ctx, "main", none)
			wantKind(t, err, gatehouse.NotFound)
		}
		same(t, changes(), one(gatehouse.TopicUser, "main", "usr_1", u))
		_, err = db.User(ctx, "other", "usr_1") // realms are apart
		wantKind(t, err, gatehouse.NotFound)

		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.FirstSession(ctx, "main", "usr_1"), tx.FirstSession(ctx, "main", "nobody"))
		})
		same(t, changes(), nil)
		plain := u
		u.SignedIn = true
		same(t, must(db.User(ctx, "main", "usr_1"))(t), u)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, plain) }) // who read before the first session
		u.Version++
		same(t, changes(), one(gatehouse.TopicUser, "main", "usr_1", u))

		twin := u
		twin.ID, twin.DirectoryID = "usr_2", ""
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, twin) }), gatehouse.Conflict)
		of := twin // the same entry twice
		of.UsernameKey, of.DirectoryID = "another", "entry-1"
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, of) }), gatehouse.Conflict)
		twin.Realm = "other"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, twin) })
		changes()

		u.Roles, u.Groups, u.Attributes, u.Disabled, u.PasswordHash, u.PasswordAt = nil, nil, nil, true, "", time.Time{}
		u.DevicesSince = time.Unix(1_800_003_600, 0).UTC()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, u) })
		stale := u
		u.Version++
		same(t, must(db.User(ctx, "main", "usr_1"))(t), u)
		same(t, changes(), one(gatehouse.TopicUser, "main", "usr_1", u))
		err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, stale) })
		wantKind(t, err, gatehouse.Conflict)
		wantCode(t, err, "version_conflict")
		same(t, changes(), nil)

		twin.Realm, twin.UsernameKey, twin.Version = "main", "other", 1
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, twin) })
		twin.UsernameKey = u.UsernameKey
		err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateUser(ctx, twin) })
		wantCode(t, err, "already_exists")

		changes()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") })
		same(t, changes(), one(gatehouse.TopicUser, "main", "usr_1", nil))
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") }), gatehouse.NotFound)
	})
}

func TestKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		k := exampleKey()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, k) })
		same(t, must(db.Key(ctx, "k1"))(t), k)
		same(t, changes(), one(gatehouse.TopicKey, "main", "k1", k))
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, k) }), gatehouse.Conflict)

		usage := []credential.KeyUsage{{KeyID: "k1", Realm: "main", Day: "2026-11-22", Count: 3, LastUsedAt: moment(5)},
			{KeyID: "k1", Realm: "main", Day: "2026-11-22", Count: 4, LastUsedAt: moment(4)}, {KeyID: "k1", Realm: "main", Day: "2026-11-21", Count: 1, LastUsedAt: moment(1)}}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddKeyUsage(ctx, usage) })
		same(t, must(db.KeyUsage(ctx, "k1", ""))(t), []credential.KeyUsage{usage[2], {KeyID: "k1", Realm: "main", Day: "2026-11-22", Count: 7, LastUsedAt: moment(5)}})
		same(t, len(must(db.KeyUsage(ctx, "k1", "2026-11-22"))(t)), 1)
		same(t, len(changes()), 0)

		// Use does not disturb a concurrent change, and a change does not undo use.
		k.RevokedAt, k.RoleLimit, k.AllowedNets, k.RotatedTo = moment(6), nil, nil, "k2"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateKey(ctx, k) })
		k.Version, k.LastUsedAt = 2, moment(5)
		same(t, must(db.Key(ctx, "k1"))(t), k)
		same(t, changes(), one(gatehouse.TopicKey, "main", "k1", k))
		k.Version = 1
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateKey(ctx, k) }), gatehouse.Conflict)

		tok := credential.OpaqueToken{Hash: []byte("h"), ID: "tok_1", Realm: "main", GrantID: "g", Subject: "s", Scopes: []string{}, IssuedAt: moment(0), ExpiresAt: moment(10)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertOpaqueToken(ctx, tok) })
		same(t, must(db.OpaqueToken(ctx, []byte("h")))(t), tok)
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertOpaqueToken(ctx, tok) }), gatehouse.Conflict)
		for _, c := range []struct{ before, n int }{{10, 0}, {11, 1}} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeOpaqueTokens(ctx, moment(c.before), 100)
				if n != int64(c.n) {
					t.Errorf("purged %d", n)
				}
				return err
			})
		}
		_, err := db.OpaqueToken(ctx, []byte("h"))
		wantKind(t, err, gatehouse.NotFound)
	})
}

func TestPolicies(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		role := policy.Role{Realm: "main", Name: "r", Description: "d", Parents: []string{"p"},
			Permissions: []policy.Permission{{Actions: []string{"*"}, ResourceType: "Doc"}}, UpdatedAt: moment(1)}
		doc := policy.Document{Realm: "main", ID: "p1", Text: "permit(principal, action, resource);\n", Disabled: true, UpdatedAt: moment(1)}
		schema := policy.Schema{Realm: "main", Text: "entity User;", UpdatedAt: moment(1)}
		entity := policy.EntityRecord{Realm: "main", Type: "Doc", ID: "1", Attributes: map[string]any{"n": int64(1)}, Parents: []policy.ParentRef{{Type: "T", ID: "x"}}}
		key := token.StoredKey{Realm: "main", KID: "k", Algorithm: "ES256", PublicJWK: []byte(`{}`), Private: []byte{0, 1}, State: token.KeyPublished, CreatedAt: moment(0), Version: 1}
		put := func(want []gatehouse.Change, fn change) {
			t.Helper()
			do(t, db, fn)
			same(t, changes(), want)
		}
		for range 2 { // adding, and replacing by something else
			put(one(gatehouse.TopicRole, "main", "r", role), func(ctx context.Context, tx *store.Tx) error { return tx.PutRole(ctx, role) })
			same(t, must(db.Role(ctx, "main", "r"))(t), role)
			same(t, must(db.Roles(ctx, "main"))(t), []policy.Role{role})
			role.Parents, role.Permissions, role.Description = nil, []policy.Permission{}, ""

			put(one(gatehouse.TopicPolicy, "main", "p1", doc), func(ctx context.Context, tx *store.Tx) error { return tx.PutPolicy(ctx, doc) })
			same(t, must(db.Policy(ctx, "main", "p1"))(t), doc)
			same(t, must(db.Policies(ctx, "main"))(t), []policy.Document{doc})
			doc.Text, doc.Disabled = "forbid(principal, action, resource);", false

			put(one(gatehouse.TopicPolicy, "main", "", schema), func(ctx context.Context, tx *store.Tx) error { return tx.PutSchema(ctx, schema) })
			same(t, must(db.Schema(ctx, "main"))(t), schema)
			schema.Text = ""

			put(one(gatehouse.TopicEntity, "main", "Doc::1", entity), func(ctx context.Context, tx *store.Tx) error { return tx.PutEntity(ctx, entity) })
			same(t, must(db.Entity(ctx, "main", "Doc", "1"))(t), entity)
			entity.Attributes, entity.Parents = map[string]any{}, nil
		}
		put(one(gatehouse.TopicRole, "main", "r", nil), func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRole(ctx, "main", "r") })
		put(one(gatehouse.TopicPolicy, "main", "p1", nil), func(ctx context.Context, tx *store.Tx) error { return tx.DeletePolicy(ctx, "main", "p1") })
		put(one(gatehouse.TopicEntity, "main", "Doc::1", nil), func(ctx context.Context, tx *store.Tx) error { return tx.DeleteEntity(ctx, "main", "Doc", "1") })
		for _, read := range []func() error{
			func() error { _, err := db.Role(ctx, "main", "r"); return err },
			func() error { _, err := db.Policy(ctx, "main", "p1"); return err },
			func() error { _, err := db.Schema(ctx, "other"); return err },
			func() error { _, err := db.Entity(ctx, "main", "Doc", "1"); return err },
		} {
			wantKind(t, read(), gatehouse.NotFound)
		}
		for _, write := range []change{
			func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRole(ctx, "main", "r") },
			func(ctx context.Context, tx *store.Tx) error { return tx.DeletePolicy(ctx, "main", "p1") },
			func(ctx context.Context, tx *store.Tx) error { return tx.DeleteEntity(ctx, "main", "Doc", "1") },
			func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSigningKey(ctx, "main", "none") },
		} {
			wantKind(t, db.Update(ctx, write), gatehouse.NotFound)
		}

		put(one(gatehouse.TopicSigningKey, "main", "k", key), func(ctx context.Context, tx *store.Tx) error { return tx.InsertSigningKey(ctx, key) })
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertSigningKey(ctx, key) }), gatehouse.Conflict)
		hmac := token.StoredKey{Realm: "main", KID: "h", Algorithm: "HS256", Private: []byte{}, State: token.KeyRetired, CreatedAt: moment(-1)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertSigningKey(ctx, hmac) })
		same(t, must(db.SigningKeys(ctx, "main"))(t), []token.StoredKey{hmac, key})
		changes()
		key.State, key.ActivatedAt = token.KeyActive, moment(3)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateSigningKey(ctx, key) })
		key.Version = 2
		same(t, changes(), one(gatehouse.TopicSigningKey, "main", "k", key))
		key.Version = 1
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateSigningKey(ctx, key) }), gatehouse.Conflict)
		put(one(gatehouse.TopicSigningKey, "main", "k", nil), func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSigningKey(ctx, "main", "k") })
	})
}

func TestGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		g := exampleGrant()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, g) })
		same(t, must(db.Grant(ctx, "main", "grt_1"))(t), g)
		same(t, changes(), nil) // a login must not have every opaque token looked up again
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, g) }), gatehouse.Conflict)
		shared := g
		shared.ID = "grt_2" // another grant in the same place of the status list
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, shared) }), gatehouse.Conflict)

		r := grant.Refresh{Hash: []byte("r0"), GrantID: "grt_1", Realm: "main", Sequence: 3, IssuedAt: moment(1), ExpiresAt: moment(50)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRefresh(ctx, r) })
		same(t, must(db.Refresh(ctx, []byte("r0")))(t), r)
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRefresh(ctx, r) }), gatehouse.Conflict)
		orphan := grant.Refresh{Hash: []byte("r1"), GrantID: "grt_1", Realm: "other"}
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRefresh(ctx, orphan) })
		wantCode(t, err, "reference_missing")
		keep := func(hash string, when time.Time) (kept bool, err error) {
			err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
				kept, err = tx.KeepRefresh(ctx, []byte(hash), when, moment(60))
				return err
			})
			return kept, err
		}
		if kept, err := keep("r0", moment(2)); err != nil || !kept {
			t.Error(kept, err)
		}
		r.IssuedAt, r.ExpiresAt = moment(2), moment(60)
		same(t, must(db.Refresh(ctx, []byte("r0")))(t), r)
		if kept, err := keep("r9", moment(2)); err != nil || kept {
			t.Error("an unknown one", kept, err)
		}
		_, err = keep("r0", time.Time{})
		wantKind(t, err, gatehouse.Internal)
		for _, want := range []bool{true, false} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				won, err := tx.UseRefresh(ctx, []byte("r0"), moment(2))
				if won != want {
					t.Errorf("won %v", won)
				}
				return err
			})
		}
		if kept, err := keep("r0", moment(3)); err != nil || kept {
			t.Error("a used one", kept, err)
		}
		r.UsedAt = moment(2)
		same(t, must(db.Refresh(ctx, []byte("r0")))(t), r)

		changes()
		for _, want := range []bool{true, false} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, ended, err := tx.EndGrant(ctx, "main", "grt_1", moment(3), "logout")
				if ended != want {
					t.Errorf("ended %v", ended)
				}
				return err
			})
		}
		g.EndedAt, g.EndReason = moment(3), "logout"
		same(t, must(db.Grant(ctx, "main", "grt_1"))(t), g)
		bit := revocation.NewStatusBit("main", g.StatusList, g.StatusIdx)
		same(t, changes(), append(one(gatehouse.TopicGrant, "main", "grt_1", g), one(gatehouse.TopicRevocation, "main", "", bit)...)) // once
		err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.EndGrant(ctx, "main", "grt_none", moment(3), "logout")
			return err
		})
		wantKind(t, err, gatehouse.NotFound)
		same(t, must(db.Family(ctx, []byte("r0")))(t), grant.Family{Refresh: r, Grant: g})
		_, err = db.Family(ctx, []byte("r9"))
		wantKind(t, err, gatehouse.NotFound)

		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.PurgeGrants(ctx, moment(100), 100)
			same(t, n, int64(0)) // ends at 100: not before 100
			return err
		})
		same(t, changes(), nil)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.PurgeGrants(ctx, moment(101), 100)
			same(t, n, int64(1))
			return err
		})
		same(t, changes(), nil) // what expired by itself is news to nobody
		_, err = db.Refresh(ctx, []byte("r0"))
		wantKind(t, err, gatehouse.NotFound)
	})
}

func TestRevocations(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		changes := changesOf(db)
		bit := revocation.StatusBit{Realm: "main", List: 5, Index: 9, ExpiresAt: moment(10)}
		sooner := bit
		sooner.ExpiresAt = moment(9)
		for _, b := range []revocation.StatusBit{bit, bit, sooner} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertStatusBit(ctx, b) })
			same(t, changes(), one(gatehouse.TopicRevocation, "main", "", bit)) // also when it was there: somebody relies on it
		}
		bit.ExpiresAt = time.Time{} // that of the list
		same(t, eachOf(t, db.EachStatusBit), []revocation.StatusBit{bit})

		cut := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: "usr_1", Before: moment(5), ExpiresAt: moment(20)}
		back := cut
		back.Before, back.ExpiresAt = moment(4), moment(19)
		for _, c := range []revocation.Cutoff{cut, back} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, c) })
			same(t, changes(), one(gatehouse.TopicRevocation, "main", "", cut))
		}
		cut.Before, cut.ExpiresAt = moment(6), time.Time{}
		forever := cut
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, cut) })
		cut.ExpiresAt = moment(99)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, cut) })
		whole := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffRealm, Before: moment(1), ExpiresAt: moment(10)}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, whole) })
		same(t, eachOf(t, db.EachCutoff), []revocation.Cutoff{forever, whole})
		changes()

		purge := func(at int, want int64) {
			t.Helper()
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeRevocations(ctx, moment(at), 100)
				if n != want {
					t.Errorf("purged %d, want %d", n, want)
				}
				return err
			})
		}
		purge(10, 0)
		same(t, changes(), nil)
		purge(11, 2)
		same(t, changes(), nil)
		same(t, eachOf(t, db.EachStatusBit), []revocation.StatusBit{})
		same(t, eachOf(t, db.EachCutoff), []revocation.Cutoff{forever})
	})
}

// TestPages walks every listing in small pages, with ids that collations of
// people's languages would order otherwise.
func TestPages(t *testing.T) {
	ids := []string{"", "B", "a", "Z", "z", "ä", "é", "e\u0301", "_", "-", "10", "9", "🦊", "ﬀ", "a b", "A"}
	sorted := slices.Clone(ids[1:])
	slices.Sort(sorted)
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i, id := range ids[1:] {
				u, k, g := exampleUser(), exampleKey(), exampleGrant()
				g.StatusIdx = int64(i)
				u.ID, u.UsernameKey, k.ID, g.ID = id, id, id, id
				for _, err := range []error{tx.InsertUser(ctx, u), tx.InsertKey(ctx, k), tx.InsertGrant(ctx, g),
					tx.PutEntity(ctx, policy.EntityRecord{Realm: "main", Type: "Doc", ID: id})} {
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		for name, list := range map[string]func(after string, limit int) ([]string, error){
			"users":  func(a string, n int) ([]string, error) { return idsOf(db.Users(ctx, "main", a, n)) },
			"keys":   func(a string, n int) ([]string, error) { return idsOf(db.Keys(ctx, "main", "", a, n)) },
			"owned":  func(a string, n int) ([]string, error) { return idsOf(db.Keys(ctx, "main", "usr_1", a, n)) },
			"grants": func(a string, n int) ([]string, error) { return idsOf(db.Grants(ctx, "main", "", a, n)) },
			"theirs": func(a string, n int) ([]string, error) { return idsOf(db.Grants(ctx, "main", "usr_1", a, n)) },
			"docs":   func(a string, n int) ([]string, error) { return idsOf(db.Entities(ctx, "main", "Doc", a, n)) },
		} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := list(after, 3)
				if err != nil {
					t.Fatal(name, err)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
			}
			if !slices.Equal(got, sorted) {
				t.Errorf("%s: %q, want %q", name, got, sorted)
			}
			for _, limit := range []int{0, -1, 10001} {
				if _, err := list("", limit); gatehouse.CodeOf(err) != "limit_invalid" {
					t.Errorf("%s with limit %d: %v", name, limit, err)
				}
			}
		}
		same(t, len(must(db.Keys(ctx, "main", "nobody", "", 10))(t)), 0)
		same(t, len(must(db.Grants(ctx, "main", "nobody", "", 10))(t)), 0)
		same(t, len(must(db.Entities(ctx, "main", "doc", "", 10))(t)), 0)
	})
}

func idsOf[T identity.User | credential.Key | gatehouse.Grant | policy.EntityRecord](list []T, err error) (ids []string, _ error) {
	for _, v := range list {
		switch v := any(v).(type) {
		case identity.User:
			ids = append(ids, v.ID)
		case credential.Key:
			ids = append(ids, v.ID)
		case gatehouse.Grant:
			ids = append(ids, v.ID)
		case policy.EntityRecord:
			ids = append(ids, v.ID)
		}
	}
	return ids, err
}

func usageOf(key string) []credential.KeyUsage {
	return []credential.KeyUsage{{KeyID: key, Realm: "main", Day: "2026-11-22", Count: 3, LastUsedAt: moment(5)}}
}

func opaqueOf(realm string) credential.OpaqueToken {
	return credential.OpaqueToken{Hash: []byte("h"), ID: "tok_1", Realm: realm, IssuedAt: moment(0), ExpiresAt: moment(10)}
}

// eachOf collects what a reading gives, never nil.
func eachOf[T any](t *testing.T, read func(context.Context, func(T) error) error) []T {
	t.Helper()
	out := []T{}
	if err := read(t.Context(), func(v T) error { out = append(out, v); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryStatusBit: lists of one number in several realms, lists in a row and far
// apart, places first and last: none is left out, and none comes twice.
func TestEveryStatusBit(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		var want []revocation.StatusBit
		for _, realm := range []string{"a", "b", "ba", "main"} {
			for _, list := range []int64{1_300_000, 1_300_001, 1_400_000} {
				if realm == "b" && list == 1_300_001 {
					continue
				}
				for _, index := range []int64{0, 7, revocation.ListSize - 1} {
					want = append(want, revocation.StatusBit{Realm: realm, List: list, Index: index})
				}
			}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, b := range slices.Backward(want) {
				if err := tx.InsertStatusBit(ctx, revocation.NewStatusBit(b.Realm, b.List, b.Index)); err != nil {
					return err
				}
			}
			return nil
		})
		same(t, eachOf(t, db.EachStatusBit), want)
	})
}

// TestEachEnds: an error of whoever reads comes back as it is, and breaks no
// transaction.
func TestEachEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range int64(3) {
				if err := tx.InsertStatusBit(ctx, revocation.NewStatusBit("main", 1_300_000, i)); err != nil {
					return err
				}
			}
			enough, n := errors.New("enough"), 0
			err := tx.EachStatusBit(ctx, func(revocation.StatusBit) error { n++; return enough })
			if err != enough || n != 1 { //nolint:errorlint // it must be the very one
				t.Errorf("%v after %d", err, n)
			}
			return tx.InsertStatusBit(ctx, revocation.NewStatusBit("main", 1_300_000, 3))
		})
		same(t, len(eachOf(t, db.EachStatusBit)), 4)
	})
}

// TestEveryPlaceOfAList: places are read many at once; none may fall between two
// readings, and a list that ends where a reading ends must not be read for ever.
func TestEveryPlaceOfAList(t *testing.T) {
	inOrder(t)
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, raw := open(t, cfg), rawDB(t, cfg)
		want := map[int64]int{1_300_001: 1 << 16, 1_300_002: 1<<17 + 1, 1_300_003: 1}
		for list, n := range want {
			if _, err := raw.ExecContext(t.Context(), `WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n+1<$3)
				INSERT INTO status_bits (realm, list, position, expires_at) SELECT $1, $2, 7*n, NULL FROM c`, "main", list, n); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[revocation.StatusBit]bool{}
		have := map[int64]int{}
		for _, bit := range eachOf(t, db.EachStatusBit) {
			if seen[bit] || bit.Realm != "main" || bit.Index%7 != 0 || bit.Index/7 >= int64(want[bit.List]) {
				t.Fatalf("%+v, again: %v", bit, seen[bit])
			}
			seen[bit] = true
			have[bit.List]++
		}
		same(t, have, want)
	})
}

// TestPurgeInPieces: a purge never takes more than it was told to, of either
// table, and nothing that is still needed.
func TestPurgeInPieces(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db := open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range int64(5) {
				bit := revocation.StatusBit{Realm: "main", List: i, Index: 1, ExpiresAt: moment(int(i))}
				if err := tx.InsertStatusBit(ctx, bit); err != nil {
					return err
				}
				cut := revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: fmt.Sprint(i), Before: moment(0), ExpiresAt: moment(int(i))}
				if err := tx.PutCutoff(ctx, cut); err != nil {
					return err
				}
			}
			return nil
		})
		for _, want := range []int64{2, 2, 2, 2, 0} { // of each kind four ended before 4
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeRevocations(ctx, moment(4), 2)
				if n != want {
					t.Errorf("purged %d, want %d", n, want)
				}
				return err
			})
		}
		same(t, eachOf(t, db.EachStatusBit)[0].List, int64(4))
		same(t, eachOf(t, db.EachCutoff)[0].ID, "4")
	})
}

// TestRoleHolders: a role is held by whoever has its very name in his list.
func TestRoleHolders(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i, roles := range [][]string{nil, {}, {"boss"}, {"a", "boss", "b"}, {"BOSS"}, {"bosses"}, {`x"boss`}, {`,"boss`}, {"%"}, {"é"}, {"boss"}} {
				u := exampleUser()
				u.ID, u.Roles, u.Disabled = fmt.Sprintf("usr_%02d", i), roles, i == 10
				u.UsernameKey = u.ID
				if err := tx.InsertUser(ctx, u); err != nil {
					return err
				}
			}
			other := exampleUser()
			other.Realm, other.ID, other.Roles = "other", "usr_other", []string{"boss"}
			return tx.InsertUser(ctx, other)
		})
		for _, c := range []struct {
			role    string
			enabled bool
			want    string
		}{{"boss", true, "[usr_02 usr_03]"}, {"boss", false, "[usr_02 usr_03 usr_10]"}, {"BOSS", true, "[usr_04]"}, {"os", true, "[]"},
			{`x"boss`, true, "[usr_06]"}, {"%", true, "[usr_08]"}, {"é", true, "[usr_09]"}, {"", true, "[]"}} {
			ids := must(db.RoleHolders(ctx, "main", c.role, c.enabled, 100))(t)
			slices.Sort(ids)
			if got := fmt.Sprint(ids); got != c.want {
				t.Errorf("%q, enabled %v: %s, want %s", c.role, c.enabled, got, c.want)
			}
		}
		same(t, len(must(db.RoleHolders(ctx, "main", "boss", false, 1))(t)), 1)
	})
}

// TestFamilyCutOff: a family comes with the latest of the cut-offs that name its grant,
// and with no other.
func TestFamilyCutOff(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, g := open(t, cfg), exampleGrant()
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertIssued(ctx, grant.Issued{Grant: &g, Refresh: &grant.Refresh{Hash: []byte("r"), Realm: g.Realm, GrantID: g.ID}})
		})
		for i, c := range []struct {
			realm string
			kind  revocation.CutoffKind
			id    string
			named bool
		}{
			{"main", revocation.CutoffSubject, "usr_2", false}, {"main", revocation.CutoffClient, g.Subject, false},
			{"main", revocation.CutoffSession, g.ClientID, false}, {"main", revocation.CutoffKey, g.Subject, false},
			{"other", revocation.CutoffSubject, g.Subject, false}, {"other", revocation.CutoffRealm, "", false},
			{"main", revocation.CutoffSubject, g.Subject, true}, {"main", revocation.CutoffClient, g.ClientID, true},
			{"main", revocation.CutoffSession, g.SessionID, true}, {"main", revocation.CutoffRealm, "", true},
		} {
			cut := revocation.Cutoff{Realm: c.realm, Kind: c.kind, ID: c.id, Before: moment(i), ExpiresAt: moment(100)}
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCutoff(ctx, cut) })
			want := time.Time{}
			if c.named {
				want = cut.Before
			}
			if f := must(db.Family(t.Context(), []byte("r")))(t); !f.CutOff.Equal(want) {
				t.Errorf("after one for %s %s %q: %v", c.realm, c.kind, c.id, f.CutOff)
			}
		}
	})
}

// TestIssuedTwice: a place in the status lists, a refresh token and an opaque one are given
// once; of what was issued with one that is taken nothing is stored, its event neither.
func TestIssuedTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, g := open(t, cfg), exampleGrant()
		issue := func(g gatehouse.Grant, refresh, opaque string) error {
			return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if err := tx.InsertIssued(ctx, grant.Issued{Grant: &g,
					Refresh: &grant.Refresh{Hash: []byte(refresh), Realm: g.Realm, GrantID: g.ID},
					Opaque:  &credential.OpaqueToken{Hash: []byte(opaque), ID: "tok_" + opaque, Realm: g.Realm, GrantID: g.ID}}); err != nil {
					return err
				}
				return tx.AppendEvents(ctx, gatehouse.Event{Realm: g.Realm, Kind: "a.b", Actor: gatehouse.Actor{ID: g.ID}})
			})
		}
		if err := issue(g, "r1", "o1"); err != nil {
			t.Fatal(err)
		}
		other := func(id string, index int64) gatehouse.Grant {
			o := g
			o.ID, o.StatusIdx = id, index
			return o
		}
		for name, err := range map[string]error{
			"grant":   issue(other(g.ID, 7001), "r2", "o2"),
			"place":   issue(other("grt_3", g.StatusIdx), "r3", "o3"),
			"refresh": issue(other("grt_4", 7004), "r1", "o4"),
			"opaque":  issue(other("grt_5", 7005), "r5", "o1"),
		} {
			if !errors.Is(err, gatehouse.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		same(t, len(must(db.Grants(t.Context(), g.Realm, "", "", 10))(t)), 1)
		same(t, actors(must(db.UnsequencedBatches(t.Context(), g.Realm, 10))(t)), []string{g.ID})
		for _, hash := range []string{"r2", "r3", "r4", "r5"} {
			if _, err := db.Refresh(t.Context(), []byte(hash)); !errors.Is(err, gatehouse.NotFound) {
				t.Errorf("%s: %v", hash, err)
			}
		}
		if err := issue(other("grt_6", 7006), "r6", "o6"); err != nil {
			t.Error(err)
		}
	})
}

// TestParty: a realm comes with the user that is asked for, each as it is read alone, and
// without one that is not there; and what was read holds until the transaction has ended.
func TestParty(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		db, ctx := open(t, cfg), t.Context()
		u := identity.User{ID: "usr_1", Realm: "main", Kind: gatehouse.KindUser, Username: "bob", UsernameKey: "bob", Roles: []string{"a"},
			CreatedAt: moment(1), UpdatedAt: moment(2), PasswordAt: moment(3), Version: 1}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, gatehouse.Realm{Name: "main", Title: "M", CreatedAt: moment(4), CutOffAt: moment(5)}),
				tx.InsertRealm(ctx, gatehouse.Realm{Name: "other"}), tx.InsertUser(ctx, u))
		})
		for _, c := range []struct{ realm, user, want string }{{"main", "usr_1", "usr_1"}, {"main", "", ""}, {"main", "usr_2", ""}, {"other", "usr_1", ""}} {
			r, got, err := db.Party(ctx, c.realm, c.user)
			if err != nil {
				t.Fatal(err)
			}
			same(t, r, must(db.Realm(ctx, c.realm))(t))
			if (got != nil) != (c.want != "") {
				t.Errorf("%+v: %+v", c, got)
			}
			if got != nil {
				same(t, *got, must(db.User(ctx, c.realm, c.user))(t))
			}
		}
		if _, _, err := db.Party(ctx, "none", "usr_1"); !errors.Is(err, gatehouse.NotFound) {
			t.Error(err)
		}
		if cfg.Driver != store.DriverPostgres {
			return // which has one writer
		}
		raw := rawDB(t, cfg)
		for name, change := range map[string]func(context.Context, *store.Tx) error{
			"realm": func(ctx context.Context, tx *store.Tx) error {
				return tx.UpdateRealm(ctx, gatehouse.Realm{Name: "main", Disabled: true})
			},
			"user": func(ctx context.Context, tx *store.Tx) error {
				v := must(tx.User(ctx, "main", "usr_1"))(t)
				v.Disabled = true
				return tx.UpdateUser(ctx, v)
			},
		} {
			changed := make(chan error, 1)
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				if _, _, err := tx.Party(ctx, "main", "usr_1"); err != nil {
					return err
				}
				go func() { changed <- db.Update(t.Context(), change) }()
				testwait.Until(t, soon, "the change waits", func() (waits bool) {
					if len(changed) > 0 {
						t.Errorf("%s: changed under who read it", name)
						return true
					}
					err := raw.QueryRowContext(ctx, `SELECT COUNT(*)>0 FROM pg_stat_activity
						WHERE datname=current_database() AND wait_event_type='Lock'`).Scan(&waits)
					return err == nil && waits
				})
				return nil
			})
			if err := <-changed; err != nil {
				t.Error(name, err)
			}
		}
		if r, got, err := db.Party(ctx, "main", "usr_1"); err != nil || !r.Disabled || !got.Disabled {
			t.Errorf("%+v %+v %v", r, got, err)
		}
	})
}
