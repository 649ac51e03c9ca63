package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestClientMemory: what is remembered of a client is what it is after each change, before the change is answered, also
// that there was none; what cannot be the id of a client is not looked up.
func TestClientMemory(t *testing.T) {
	h := newHouse(t)
	h.start()
	m := newClientMemory(h.s.auth, h.s.db)
	now := time.Now()
	c := client.Client{Realm: "main", ID: "cli_1", Metadata: client.Metadata{Name: "Robot", AuthMethod: client.AuthBasic}, Secret: client.Secret{Hash: []byte{1}, SetAt: now}, CreatedAt: now, UpdatedAt: now, Version: 1}
	change := func(fn func(ctx context.Context, tx *store.Tx) error) {
		t.Helper()
		if err := h.s.db.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(when string) {
		t.Helper()
		if _, err := m.Client(t.Context(), "main", "cli_1"); !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("%s: %v", when, err)
		}
	}
	is := func(when, name string, disabled bool) {
		t.Helper()
		if got, err := m.Client(t.Context(), "main", "cli_1"); err != nil || got.Metadata.Name != name || got.Disabled != disabled {
			t.Errorf("%s: %+v %v", when, got, err)
		}
	}
	missing("before it is there")
	change(func(ctx context.Context, tx *store.Tx) error { return tx.InsertClient(ctx, c) })
	is("registered", "Robot", false)
	c.Metadata.Name = "R"
	change(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateClient(ctx, c) })
	is("changed", "R", false)
	change(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DisableClient(ctx, "main", "cli_1", now)
		return err
	})
	is("disabled", "R", true)
	change(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteClient(ctx, "main", "cli_1") })
	missing("removed")
	for _, id := range []string{"", "cli\x001", strings.Repeat("x", 513)} {
		if _, err := m.Client(t.Context(), "main", id); !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
