package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// ringOn is the key ring of a node.
func ringOn(t *testing.T, db *store.DB, box *seal.Box) *keyring.Ring {
	t.Helper()
	ring := must(keyring.New(keyring.Config{Store: db, Run: must(store.Run[keyring.Tx](db))(t), Box: box, CatchUp: db.CatchUp}))(t)
	db.Subscribe(ring.Apply)
	if err := ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ring
}

// TestKeyAheadOfTheFeed: a node takes a token under the first key of a realm, and under one
// that took over at once, while what the other node wrote is still on its way here, and
// while the connection on which it comes is made anew. Its key set has both. When nothing
// comes it says so, and does not call the key wrong.
func TestKeyAheadOfTheFeed(t *testing.T) {
	cfg, dbs := nodes(t, 1)
	slow, dsn := postgres.Held(t, cfg.DSN.Reveal(), " feed")
	cfg.DSN = gatehouse.Secret(dsn)
	box := must(seal.NewBox(seal.GenerateMasterKey(time.Now())))(t)
	here, there := open(t, cfg), dbs[0]
	do(t, there, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"})
	})
	a, b := ringOn(t, there, box), ringOn(t, here, box)
	now := time.Now()
	check := func() error {
		t.Helper()
		key := must(a.Signer("main"))(t)
		compact := must(key.SignAccess(&token.Access{Issuer: "https://id.example", Subject: "usr_1", Audience: []string{"api"}, ClientID: "c",
			ID: gatehouse.NewID("tok", now), IssuedAt: now, ExpiresAt: now.Add(time.Hour)}))(t)
		v := must(token.NewVerifier(token.VerifierConfig{Issuer: "https://id.example", Audience: []string{"api"}, Algorithms: token.Algorithms(),
			Types: []string{token.TypeAccess}, Keys: b.Source("main")}))(t)
		_, err := v.Verify(compact)
		return err
	}
	soonReleased := func() {
		time.AfterFunc(300*time.Millisecond, slow.Release)
	}

	slow.Hold()
	if err := a.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	soonReleased()
	if err := check(); err != nil {
		t.Errorf("the first key: %v", err)
	}
	slow.Hold()
	kid := must(a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true}))(t)
	soonReleased()
	body, _, maxAge, err := b.JWKS(t.Context(), "main")
	if err != nil || !strings.Contains(string(body), kid) || maxAge != keyring.KeySetMaxAge {
		t.Errorf("the key set lacks a key that signs: %s for %v, %v", body, maxAge, err)
	}
	slow.Hold()
	must(a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true}))(t)
	soonReleased()
	if err := check(); err != nil {
		t.Errorf("the next key: %v", err)
	}

	admin := must(pgx.Connect(t.Context(), cfg.DSN.Reveal()))(t)
	defer func() { _ = admin.Close(t.Context()) }()
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname=current_database() AND application_name='gatehouse feed'`); err != nil {
		t.Fatal(err)
	}
	must(a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true}))(t)
	if err := check(); err != nil {
		t.Errorf("a key while the feed is connected anew: %v", err)
	}

	slow.Hold()
	must(a.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true}))(t)
	began := time.Now()
	if err := check(); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("a key of which nothing comes: %v", err)
	}
	if waited := time.Since(began); waited > 4*time.Second {
		t.Errorf("it waited for %v", waited)
	}
	if _, _, maxAge, err := b.JWKS(t.Context(), "main"); err != nil || maxAge > 10*time.Second {
		t.Errorf("a key set that may lack a key may be kept for %v: %v", maxAge, err)
	}
}
