package passkey_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestLateByThePassword: of all who add a first factor in the middle of a sign-in by the password, one does: whoever was asked before
// the owner added a passkey or an app comes too late with theirs, however close to it.
//
// ASVS: 6.3.3
func TestLateByThePassword(t *testing.T) {
	h := newHouse(t)
	who, u := h.person("main", "usr_amy")
	who.Scheme, who.AMR = gatehouse.SchemeBasic, []string{"pwd"}
	made := func() []byte {
		t.Helper()
		offer := must(h.OfferTo(t.Context(), who, u, "", tab))
		return must((&testpasskey.Browser{Origin: origin}).Create(must(json.Marshal(offer))))
	}
	early, late := made(), made()
	if _, err := h.Add(t.Context(), who, u, "owner", tab, early); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Add(t.Context(), who, u, "thief", tab, late); gatehouse.CodeOf(err) != "sign_in_again" {
		t.Errorf("after a passkey: %v", err)
	}
	session, _ := h.person("main", "usr_amy")
	if _, err := h.Add(t.Context(), session, u, "in a session", tab, late); err != nil {
		t.Errorf("who is signed in: %v", err)
	}

	who, u = h.person("main", "usr_bob")
	who.Scheme, who.AMR = gatehouse.SchemeBasic, []string{"pwd"}
	late = made()
	err := h.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		stored, err := tx.User(ctx, "main", "usr_bob")
		if err != nil {
			return err
		}
		stored.SecondFactor = true
		return tx.UpdateUser(ctx, stored)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Add(t.Context(), who, u, "thief", tab, late); gatehouse.CodeOf(err) != "sign_in_again" {
		t.Errorf("after an app: %v", err)
	}
}
