package providers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestLinksOfOthers: who may change an account sees which accounts elsewhere open it, and removes one, also the last; it is in the
// record as theirs. Everybody lists the own, and removes none here.
func TestLinksOfOthers(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := h.Person(root, "main", "bob")
	otto := h.Person(root, "main", "otto", "gatehouse-operator")
	h.Want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"providers": []any{map[string]any{"id": "acme", "issuer": "https://acme.example", "client_id": "c"}}}})
	at := time.Now().Add(-time.Hour)
	good := provider.Link{Realm: "main", Provider: "acme", Issuer: "https://acme.example", Subject: "b-1", UserID: bob, CreatedAt: at}
	dead := provider.Link{Realm: "main", Provider: "gone", Issuer: "https://gone.example", Subject: "b-2", UserID: bob, CreatedAt: at.Add(time.Minute)}
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertProviderLink(ctx, good); err != nil {
			return err
		}
		return tx.InsertProviderLink(ctx, dead)
	}); err != nil {
		t.Fatal(err)
	}
	const all, own = "/realms/main/users/bob/links", "/realms/main/users/me/links"
	for who, path := range map[string]string{root: all, "otto:" + testadmin.Password: all, "bob:" + testadmin.Password: own} {
		items, _ := h.Want(200, who, "GET", path, nil).JSON["items"].([]any)
		if len(items) != 2 {
			t.Fatalf("%s sees %v", who, items)
		}
		for i, want := range []map[string]any{{"id": good.ID(), "provider": "acme", "subject": "b-1", "opens": true}, {"id": dead.ID(), "provider": "gone", "subject": "b-2", "opens": false}} {
			m, _ := items[i].(map[string]any)
			for member, value := range want {
				if m[member] != value {
					t.Errorf("%s sees %v, want %v", who, m, want)
				}
			}
		}
	}
	for _, path := range []string{own, all} {
		if r := h.Call("bob:"+testadmin.Password, "DELETE", path+"/"+good.ID(), nil); r.Status != 403 || r.Str("code") != "sign_in_again" {
			t.Errorf("one's own: %d %s", r.Status, r.Body)
		}
	}
	h.Person(root, "main", "carol")
	if r := h.Call("carol:"+testadmin.Password, "GET", all, nil); r.Status != 403 {
		t.Errorf("carol reads those of others: %d %s", r.Status, r.Body)
	}
	if r := h.Call("carol:"+testadmin.Password, "DELETE", all+"/"+good.ID(), nil); r.Status != 403 {
		t.Errorf("carol removes those of others: %d %s", r.Status, r.Body)
	}
	if r := h.Call(root, "DELETE", "/realms/main/users/carol/links/"+good.ID(), nil); r.Status != 404 || r.Str("code") != "provider_link_not_found" {
		t.Errorf("of another account: %d %s", r.Status, r.Body)
	}
	h.Want(204, "otto:"+testadmin.Password, "DELETE", all+"/"+good.ID(), nil)
	if r := h.Call(root, "DELETE", all+"/"+good.ID(), nil); r.Status != 404 {
		t.Errorf("again: %d %s", r.Status, r.Body)
	}
	if items := h.Want(200, root, "GET", all, nil).JSON["items"].([]any); len(items) != 1 {
		t.Errorf("left: %v", items)
	}
	if r := h.Want(200, root, "GET", "/realms/main/audit/events?kind=provider.unlink", nil); !strings.Contains(r.Body, otto) || !strings.Contains(r.Body, bob) || !strings.Contains(r.Body, `"provider":"acme"`) {
		t.Errorf("recorded as %s", r.Body)
	}
}
