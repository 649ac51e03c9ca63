package factors_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestAppAfterAPasskey: an app that somebody began by the password counts no more once the owner has added a passkey; one that is begun
// after that does.
//
// ASVS: 6.3.3
func TestAppAfterAPasskey(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "bob")
	bob := login(t, h, id)
	begun := h.Want(201, bob, "POST", own+"/totp", proof(""))
	p := passkey.Passkey{Realm: "main", UserID: id, ID: "psk_1", Name: "telephone", Credential: webauthn.Credential{ID: []byte{7}, Key: []byte("k"), AAGUID: make([]byte, 16)},
		CreatedAt: time.Now()}
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertPasskey(ctx, p) }); err != nil {
		t.Fatal(err)
	}
	code := map[string]any{"code": testtotp.Code(begun.Str("secret"), time.Now())}
	if r := h.Want(404, bob, "POST", own+"/"+begun.Str("factor", "id")+"/confirm", code); r.Str("code") != "factor_not_found" {
		t.Errorf("%s", r.Body)
	}
	if got := kinds(h, root); len(got) != 1 || got[0] == "recovery" {
		t.Errorf("%q", got)
	}
	add(t, h, bob, "")
}
