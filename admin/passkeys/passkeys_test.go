package passkeys_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestPasskeysOfOthers: whoever administers sees the passkeys of others and removes those that are lost, also the last one; one's own
// are not removed by what may have been stolen, and nothing shows a key.
func TestPasskeysOfOthers(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := h.Person(root, "main", "bob")
	h.Person(root, "main", "otto", "gatehouse-operator")
	p := passkey.Passkey{Realm: "main", UserID: bob, ID: "psk_1", Name: "telephone", CreatedAt: time.Unix(1_800_000_000, 0),
		Credential: webauthn.Credential{ID: []byte{7}, Key: []byte("the key"), BackupEligible: true, AAGUID: make([]byte, 16)}}
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertPasskey(ctx, p) }); err != nil {
		t.Fatal(err)
	}
	const all, own = "/realms/main/users/bob/passkeys", "/realms/main/users/me/passkeys"
	for who, path := range map[string]string{root: all, "otto:" + testadmin.Password: all, "bob:" + testadmin.Password: own} {
		items, _ := h.Want(200, who, "GET", path, nil).JSON["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("%s sees %v", who, items)
		}
		if m, _ := items[0].(map[string]any); len(m) != 4 || m["id"] != "psk_1" || m["name"] != "telephone" || m["synced"] != true {
			t.Errorf("%s sees %v", who, m)
		}
	}
	if r := h.Call("bob:"+testadmin.Password, "DELETE", own+"/psk_1", nil); r.Status != 403 || r.Str("code") != "sign_in_again" {
		t.Errorf("one's own: %d %s", r.Status, r.Body)
	}
	if r := h.Call("bob:"+testadmin.Password, "GET", "/realms/main/users/otto/passkeys", nil); r.Status != 403 {
		t.Errorf("bob reads those of others: %d %s", r.Status, r.Body)
	}
	if r := h.Call(root, "DELETE", "/realms/main/users/otto/passkeys/psk_1", nil); r.Status != 404 || r.Str("code") != "passkey_not_found" {
		t.Errorf("another's: %d %s", r.Status, r.Body)
	}
	h.Want(204, "otto:"+testadmin.Password, "DELETE", all+"/psk_1", nil)
	if r := h.Call(root, "DELETE", all+"/psk_1", nil); r.Status != 404 {
		t.Errorf("again: %d %s", r.Status, r.Body)
	}
	if got := h.Events(root, "passkey.remove"); len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
}
