package users_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestPanic: everything that a user holds ends, and nothing of it comes back with the account.
func TestPanic(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "mallory", "gatehouse-auditor")
	key, keyID := h.Key(root, "main", "mallory", "*")
	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	p1 := passkey.Passkey{Realm: "main", UserID: id, ID: "psk_1", Name: "telephone", CreatedAt: time.Now(), Credential: webauthn.Credential{ID: []byte{7}, Key: []byte("k"), AAGUID: make([]byte, 16)}}
	link := provider.Link{Realm: "main", Provider: "corp", Issuer: "https://corp.example", Subject: "m", UserID: id, CreatedAt: time.Now()}
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.InsertPasskey(ctx, p1), tx.InsertProviderLink(ctx, link))
	}); err != nil {
		t.Fatal(err)
	}
	held := map[string]string{"key": key, "token": tokens.AccessToken.Reveal(), "password": "mallory:" + testadmin.Password}
	for what, credential := range held {
		if r := h.Call(credential, "GET", "/me", nil); r.Status != 200 {
			t.Fatalf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	r := h.Want(200, root, "POST", "/realms/main/users/mallory/panic?wait=nodes", map[string]any{})
	done, _ := r.JSON["answer"].(map[string]any)
	if done["id"] != id || done["grants"] != 1.0 || done["keys"] != 1.0 || done["passkeys"] != 1.0 || done["provider_links"] != 1.0 || done["password"] != true || r.Str("wait", "outcome") != "proven" {
		t.Errorf("%s", r.Body)
	}
	dead := func(when string) {
		t.Helper()
		for what, credential := range held {
			if r := h.Call(credential, "GET", "/me", nil); r.Status != 401 {
				t.Errorf("%s, %s: %d %s", when, what, r.Status, r.Body)
			}
		}
		if list, err := h.DB.Passkeys(t.Context(), "main", id); err != nil || len(list) != 0 {
			t.Errorf("%s, passkeys: %v, %v", when, list, err)
		}
		if l, err := h.DB.ProviderLink(t.Context(), "main", "corp", "https://corp.example", "m"); err != nil || l.EndedAt.IsZero() || l.UserID != id {
			t.Errorf("%s, the link: %+v, %v", when, l, err)
		}
	}
	dead("after the panic")
	for _, kind := range []string{"user.panic", "cutoff.set", "passkey.remove"} {
		if got := h.Events(root, kind); len(got) != 1 || got[0] != id {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if got := h.Events(root, "key.revoke"); len(got) != 1 || got[0] != keyID {
		t.Errorf("key.revoke: %v", got)
	}
	h.Want(200, root, "PATCH", "/realms/main/users/mallory", map[string]any{"disabled": false})
	dead("after the account was enabled")
	// Once more ends nothing, and is no error.
	r = h.Want(200, root, "POST", "/realms/main/users/mallory/panic", nil)
	if r.JSON["grants"] != 0.0 || r.JSON["keys"] != 0.0 || r.JSON["password"] != false {
		t.Errorf("%s", r.Body)
	}
}

// TestPanicIncludingMe: nobody ends his own access, or that of the last administrator, without
// saying so; and then nothing is changed.
func TestPanicIncludingMe(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	operator, _ := h.Key(root, "main", h.Person(root, "main", "otto", "gatehouse-operator"), "*")
	other, _ := h.Key(root, "main", h.Person(root, "main", "ada", "gatehouse-admin"), "*")
	for _, name := range []string{"me", "root"} {
		if r := h.Want(409, root, "POST", "/realms/main/users/"+name+"/panic", map[string]any{}); r.Str("code") != "panic_including_me" {
			t.Errorf("%s", r.Body)
		}
	}
	h.Want(403, operator, "POST", "/realms/main/users/root/panic", map[string]any{"including_me": true})
	h.Want(200, root, "GET", "/me", nil)
	h.Want(200, other, "POST", "/realms/main/users/root/panic", map[string]any{})
	h.Want(401, root, "GET", "/me", nil)
	h.Want(409, other, "POST", "/realms/main/users/ada/panic", map[string]any{"including_me": false})
	h.Want(200, other, "GET", "/me", nil)
	h.Want(200, other, "POST", "/realms/main/users/ada/panic", map[string]any{"including_me": true})
	h.Want(401, other, "GET", "/me", nil)
}
