package server

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/store"
)

// manyKeys starts the demo and makes n API keys, perOwner for each service.
func manyKeys(t *testing.T, n, perOwner int) (*Demo, []gatehouse.Secret) {
	t.Helper()
	d, err := StartDemo(t.Context(), DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })
	type tx interface {
		InsertUser(ctx context.Context, u identity.User) error
		InsertKey(ctx context.Context, k credential.Key) error
	}
	run, err := store.Run[tx](d.server.db)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]gatehouse.Secret, 0, n)
	now := time.Now()
	var u identity.User
	for len(texts) < n {
		var batch []gatehouse.Secret
		err := run(t.Context(), func(ctx context.Context, tx tx) error {
			batch = nil
			for i := range min(1000, n-len(texts)) {
				name := fmt.Sprintf("customer-%d", len(texts)+i)
				if i%perOwner == 0 {
					u = identity.User{ID: gatehouse.NewID("svc", now), Realm: "main", Kind: gatehouse.KindService, Username: name, UsernameKey: name,
						Roles: []string{"user"}, CreatedAt: now, UpdatedAt: now, Version: 1}
					if err := tx.InsertUser(ctx, u); err != nil {
						return err
					}
				}
				text, id, hash := credential.MintKey("ghk", gatehouse.EnvironmentLive)
				if err := tx.InsertKey(ctx, credential.Key{ID: id, Realm: "main", Name: "production of " + name, Hash: hash, OwnerID: u.ID,
					Scopes: []string{"*"}, Environment: gatehouse.EnvironmentLive, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Version: 1}); err != nil {
					return err
				}
				batch = append(batch, text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, batch...)
	}
	return d, texts
}

// verify presents a key as a request from addr would.
func (d *Demo) verify(ctx context.Context, text gatehouse.Secret, addr netip.Addr) error {
	parsed, err := credential.ParseKey(text.Reveal())
	if err != nil {
		return err
	}
	_, err = d.server.auth.Authenticate(ctx, "main", authn.Presented{Scheme: gatehouse.SchemeAPIKey, ID: parsed.ID, Secret: text, Key: parsed},
		authn.Rule{Secure: true, Address: addr})
	return err
}

// Ten thousand customers behind one address use their keys for the first time,
// while somebody behind the same address invents some: none of the good ones is
// refused, and the inventor soon is.
func TestGoodKeysMeetNoLookupLimit(t *testing.T) {
	d, keys := manyKeys(t, 10_000, 1000)
	addr := netip.MustParseAddr("192.0.2.1")
	limited := 0
	for i, k := range keys {
		if err := d.verify(t.Context(), k, addr); err != nil {
			t.Fatalf("good key %d: %v", i, err)
		}
		if i%20 == 0 {
			made, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive)
			switch err := d.verify(t.Context(), made, addr); {
			case gatehouse.KindOf(err) == gatehouse.RateLimited:
				limited++
			case gatehouse.KindOf(err) != gatehouse.Unauthenticated:
				t.Fatalf("an invented key: %v", err)
			}
		}
	}
	if limited < 300 {
		t.Errorf("only %d of 500 invented keys met the limit", limited)
	}
	// Another address has a limit of its own.
	made, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive)
	if err := d.verify(t.Context(), made, netip.MustParseAddr("192.0.2.2")); gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		t.Errorf("another address: %v", err)
	}
}

// Our own limits count the networks that customers have, as those of routes do.
func TestOwnLimitsCountNetworks(t *testing.T) {
	d, _ := manyKeys(t, 0, 1)
	allow, err := d.server.allow("tokens", "1/1m")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		address string
		ok      bool
	}{
		{"2001:db8:1:2::1", true}, {"2001:db8:1:2::2", false}, {"2001:db8:1:2:ffff::", false}, {"2001:db8:1:3::1", true},
		{"192.0.2.1", true}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true}, {"", true}, {"", false}, {"unknown", false},
	} {
		if _, ok := allow(t.Context(), tt.address); ok != tt.ok {
			t.Errorf("%q: %v", tt.address, ok)
		}
	}
}
