package factor_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/store"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// anybody lets every attempt through, so that nothing but the store decides who wins.
type anybody struct{}

func (anybody) AttemptCode(ctx context.Context, _, _ string, check func(context.Context) (bool, error)) (bool, error) {
	return check(ctx)
}

var bob = gatehouse.Subject{ID: "usr_1", Kind: gatehouse.KindUser, Name: "bob"}

// node is a process that proves codes by a database.
type node struct {
	*factor.Service
	db       *store.DB
	vault    factor.Vault
	recorded atomic.Int64
}

func newNode(t *testing.T, cfg store.Config, box *seal.Box, attempts factor.Attempts, now func() time.Time) *node {
	t.Helper()
	n := &node{db: must(store.Open(t.Context(), cfg)), vault: factor.Vault{Box: box}}
	t.Cleanup(func() { _ = n.db.Close() })
	n.Service = must(factor.New(factor.Config{Run: must(store.Run[factor.Tx](n.db)), Vault: n.vault, Attempts: attempts, Now: now,
		Record: func(*gatehouse.Event) { n.recorded.Add(1) }}))
	return n
}

// fill makes bob with an app and a set of recovery codes.
func (n *node) fill(t *testing.T, now time.Time) (secret string, codes []gatehouse.Secret) {
	t.Helper()
	app, raw, err := n.vault.NewApp("main", bob.ID, "telephone", now)
	if err != nil {
		t.Fatal(err)
	}
	app.ConfirmedAt = now
	set, codes := factor.NewCodes("main", bob.ID, now)
	err = n.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		u := identity.User{ID: bob.ID, Realm: "main", Kind: bob.Kind, Username: bob.Name, UsernameKey: bob.Name, Version: 1}
		return errors.Join(tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"}), tx.InsertUser(ctx, u), tx.InsertFactor(ctx, app), tx.InsertFactor(ctx, set))
	})
	if err != nil {
		t.Fatal(err)
	}
	return credential.TOTPText(raw), codes
}

// TestSkew: an app whose clock is half a minute off is let in, one that is a minute off is not; and a later step ends those
// before it.
//
// ASVS: 6.5.8
func TestSkew(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "factors.db")}
	n := newNode(t, cfg, must(seal.NewBox(seal.GenerateMasterKey(now))), anybody{}, func() time.Time { return now })
	secret, _ := n.fill(t, now)
	try := func(off time.Duration, want bool) {
		t.Helper()
		if _, err := n.Prove(t.Context(), "main", bob, gatehouse.Secret(testtotp.Code(secret, now.Add(off)))); (err == nil) != want {
			t.Errorf("%v: %v", off, err)
		}
	}
	try(-time.Minute, false)
	try(time.Minute, false)
	try(-30*time.Second, true)
	try(30*time.Second, true)
	try(0, false) // it was good, but a later one was used
	now = now.Add(time.Minute)
	try(0, true)
	try(0, false)
}

// TestWhatIsNoCode: nothing that is not a code of that user is taken for one, and the database alone is worth nothing.
func TestWhatIsNoCode(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "factors.db")}
	n := newNode(t, cfg, must(seal.NewBox(seal.GenerateMasterKey(now))), anybody{}, func() time.Time { return now })
	secret, codes := n.fill(t, now)
	app, raw, _ := n.vault.NewApp("main", bob.ID, "waits", now)
	if err := n.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertFactor(ctx, app) }); err != nil {
		t.Fatal(err)
	}
	eve := gatehouse.Subject{ID: "usr_2", Kind: gatehouse.KindUser, Name: "eve"}
	code := testtotp.Code(secret, now)
	for name, c := range map[string]struct {
		who   gatehouse.Subject
		realm string
		code  string
	}{
		"nothing": {bob, "main", ""}, "long": {bob, "main", strings.Repeat(" ", 100) + code}, "another's": {eve, "main", code},
		"another realm": {bob, "acme", code}, "nobody's": {gatehouse.Subject{}, "main", code}, "an app that waits": {bob, "main", testtotp.Code(credential.TOTPText(raw), now)},
		"another set": {bob, "main", credential.NewRecoveryCode().Reveal()}, "seven digits": {bob, "main", code + "0"}, "wide digits": {bob, "main", "１２３４５６"},
	} {
		if _, err := n.Prove(t.Context(), c.realm, c.who, gatehouse.Secret(c.code)); gatehouse.CodeOf(err) != "second_factor_invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	list := must(n.db.Factors(t.Context(), "main", bob.ID))
	for _, f := range list {
		for _, text := range append([]gatehouse.Secret{gatehouse.Secret(secret)}, codes...) {
			if strings.Contains(string(f.Sealed), text.Reveal()) {
				t.Errorf("factor %s holds a secret in clear", f.ID)
			}
		}
	}
	// A secret that somebody moves to another account does not open there.
	moved := list[0]
	for _, f := range list {
		if f.Kind == factor.TOTP && f.Confirmed() {
			moved = f
		}
	}
	moved.UserID = eve.ID
	if _, ok, err := n.vault.MatchApp(moved, code, now); ok || err == nil {
		t.Error("it opens at another account")
	}
	if f, err := n.Prove(t.Context(), "main", bob, gatehouse.Secret(code[:3]+" "+code[3:])); err != nil || f.Kind != factor.TOTP {
		t.Errorf("in two groups: %v", err)
	}
}
