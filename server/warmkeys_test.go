package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/server/config"
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

// warmKeyBytes is the most that a key in use and its owner may hold: record, user,
// counts, budget, assertion and decision. (20,000 of them hold less each, because
// decisions and assertions are kept for the latest ones only.)
const warmKeyBytes = 2048

// Ten thousand customers behind one address use their keys for the first time,
// while somebody behind the same address invents some: none of the good ones is
// refused, and the inventor soon is. All of them stay in memory.
func TestManyKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, for long; runs without -short")
	}
	const n = 10_000
	d, keys := manyKeys(t, n, 1)
	gw := d.server.live.Load().gate
	ask := func(key gatehouse.Secret, addr string) int {
		r := httptest.NewRequest("GET", "http://localhost/private", http.NoBody)
		r.RemoteAddr = addr + ":1234"
		r.Header.Set("X-API-Key", key.Reveal())
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, r)
		return w.Code
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	limited := 0
	for i, k := range keys {
		if status := ask(k, "192.0.2.1"); status != 200 {
			t.Fatalf("good key %d: %d", i, status)
		}
		if i%20 != 0 {
			continue
		}
		made, _, _ := credential.MintKey([]string{"ghk", "ght"}[i/20%2], gatehouse.EnvironmentLive)
		status := 0
		if i/20%2 == 0 {
			status = ask(made, "192.0.2.1")
		} else {
			r := httptest.NewRequest("GET", "http://localhost/private", http.NoBody)
			r.RemoteAddr = "192.0.2.1:1234"
			r.Header.Set("Authorization", "Bearer "+made.Reveal())
			w := httptest.NewRecorder()
			gw.ServeHTTP(w, r)
			status = w.Code
		}
		switch status {
		case 429:
			limited++
		case 401:
		default:
			t.Fatalf("an invented credential: %d", status)
		}
	}
	if limited < 300 {
		t.Errorf("only %d of 500 invented credentials met the limit", limited)
	}
	if made, _, _ := credential.MintKey("ghk", gatehouse.EnvironmentLive); ask(made, "192.0.2.2") != 401 {
		t.Error("another address pays for it")
	}
	// Other tests run beside this one: what they hold for a moment is none of ours.
	per := (heap() - before) / n
	for deadline := time.Now().Add(20 * time.Second); per > warmKeyBytes && time.Now().Before(deadline); {
		per = min(per, (heap()-before)/n)
	}
	if per > warmKeyBytes {
		t.Errorf("%d bytes for each key in use, more than %d", per, warmKeyBytes)
	} else {
		t.Logf("%d bytes for each key in use", per)
	}
	runtime.KeepAlive(keys)
}

// Our own limits count the networks that customers have, as those of routes do.
func TestOwnLimitsCountNetworks(t *testing.T) {
	d, _ := manyKeys(t, 0, 1)
	allow := d.server.allow("tokens", func(config.Limits) limit.Rate { return limit.Rate{Limit: 1, Window: time.Minute} })
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
