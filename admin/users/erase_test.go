package users_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestDeletedPersonIsGone: once an account is deleted, nothing that is stored names the person or tells an address,
// neither a table, nor a line of the record or a backup of it; and the record is whole: not a byte of it changed, and a
// checkpoint from before is continued.
func TestDeletedPersonIsGone(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		deletedPersonIsGone(t, store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db")}, func(h *testadmin.House, _, id string) {
			who := ownPrincipal(id, "wilhelmina")
			if err := h.Admin.Users.DeleteOwn(t.Context(), &who); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		pg, err := testpg.Start()
		if errors.Is(err, testpg.ErrMissing) && os.Getenv("GATEHOUSE_TEST_STRICT") != "1" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pg.Stop)
		deletedPersonIsGone(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(pg.DSN(t))}, func(h *testadmin.House, root, id string) {
			h.Want(204, root, "DELETE", "/realms/main/users/"+id, nil)
		})
	})
}

func deletedPersonIsGone(t *testing.T, where store.Config, end func(h *testadmin.House, root, id string)) {
	h := testadmin.NewOn(t, where)
	root, ctx := h.Bootstrap(), t.Context()
	const address, agent = "203.0.113.77", "Mosaic of the tester"
	id := h.Person(root, "main", "wilhelmina")
	h.Want(200, root, "PATCH", "/realms/main/users/"+id, map[string]any{"display_name": "Wilhelmina Drais", "email": "w@drais.example",
		"attributes": map[string]any{"phone": "+43 5550100"}})
	_, keyID := h.Key(root, "main", "wilhelmina", "*")
	h.Want(204, "wilhelmina:"+testadmin.Password, "POST", "/realms/main/users/me/revoke", nil) // her own doing, with her name
	h.Want(200, root, "PATCH", "/realms/main/keys/"+keyID, map[string]any{"name": "Draisine", "allowed_nets": []string{"203.0.113.77/32"}})
	h.SignIn(id, session.Browser{Address: address, UserAgent: agent})
	queue := testadmin.Must(audit.NewRecorder(audit.RecorderConfig{Run: testadmin.Must(store.Run[audit.BatchWriter](h.DB)), MaxWait: time.Millisecond,
		Persons: func(realm, subject string) *personal.Key { return testadmin.Must(h.Persons.Make(ctx, realm, subject)) }}))
	for _, e := range []gatehouse.Event{
		{Kind: audit.KindRequestDecide, Actor: gatehouse.Actor{Kind: gatehouse.KindUser, ID: id, Name: "wilhelmina"}},
		{Kind: audit.KindLoginFailure, Target: gatehouse.Target{Type: "user", ID: id}, Detail: map[string]string{"username": "wilhelmina"}},
		{Kind: audit.KindSessionOpen, Target: gatehouse.Target{Type: "session", ID: "ses_1"}, Detail: map[string]string{"subject": id}},
		{Kind: audit.KindFactorAdd, Target: gatehouse.Target{Type: "user", ID: id}, Detail: map[string]string{"name": "Draisine", "kind": "totp"}},
	} {
		e.Realm, e.Outcome, e.Address = "main", gatehouse.OutcomeSuccess, address
		queue.Record(&e)
	}
	if err := queue.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Sequencer.Sequence(ctx, "main"); err != nil {
		t.Fatal(err)
	}
	saved := h.Want(200, root, "GET", "/realms/main/audit/checkpoint", nil).Str("note")
	before := linesOf(t, h.DB)
	literals := []string{"wilhelmina", "Wilhelmina", "drais.example", "5550100", "Draisine", address, agent}
	for _, s := range literals {
		if strings.Contains(before, s) {
			t.Errorf("the record has %q in clear", s)
		}
	}
	// Who may read it reads it in clear, and finds it by ids as before.
	read := func(query string) string {
		return h.Want(200, root, "GET", "/realms/main/audit/events?limit=200"+query, nil).Body
	}
	if all := read(""); strings.Count(all, address) < 4 || !strings.Contains(all, "wilhelmina") || !strings.Contains(all, "Draisine") || strings.Contains(all, "~1.") || strings.Contains(all, "erased") {
		t.Errorf("what the auditor reads: %s", all)
	}
	if found := read("&actor=" + id); !strings.Contains(found, "wilhelmina") || !strings.Contains(found, audit.KindUserRevoke) {
		t.Errorf("found: %s", found)
	}

	end(h, root, id)
	if err := h.Sequencer.Sequence(ctx, "main"); err != nil {
		t.Fatal(err)
	}
	after := linesOf(t, h.DB)
	if !strings.HasPrefix(after, before) || !strings.Contains(after[len(before):], audit.KindUserDelete) {
		t.Error("the record of before is not what it was")
	}
	var backup bytes.Buffer
	if err := h.DB.DumpAll(ctx, &backup); err != nil {
		t.Fatal(err)
	}
	all := read("")
	for _, s := range literals {
		for what, text := range map[string]string{"the record": after, "a table": backup.String(), "what the auditor reads": all} {
			if strings.Contains(text, s) {
				t.Errorf("%s has %q of somebody who was deleted", what, s)
			}
		}
	}
	if !strings.Contains(all, `"erased":true`) || strings.Contains(all, "~1.") || !strings.Contains(read("&target="+id), audit.KindLoginFailure) || !strings.Contains(all, "root") {
		t.Errorf("what the auditor reads of somebody who was deleted: %s", all)
	}
	r := h.Want(200, root, "POST", "/realms/main/audit/verify", map[string]any{"checkpoints": []string{saved}, "index": 0})
	if r.JSON["ok"] != true || r.JSON["inclusion"] == nil {
		t.Errorf("the record does not verify: %s", r.Body)
	}
	// What comes late, of a request that was under way, is sealed for nobody.
	if key := testadmin.Must(h.Persons.Make(ctx, "main", id)); key != nil {
		t.Error("somebody who was deleted got another key")
	}
}

// linesOf is the record of realm main as it is stored and hashed.
func linesOf(t *testing.T, db *store.DB) string {
	t.Helper()
	list, err := db.Batches(context.WithoutCancel(t.Context()), "main", audit.BatchQuery{Sequenced: true, LastIndex: -1, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, b := range list {
		out.Write(b.Data)
	}
	return out.String()
}
