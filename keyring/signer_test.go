package keyring_test

import (
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestSignerOf: a key of another algorithm is made once, when it is needed, and is published; it signs nothing that the realm's own
// key signs, and is replaced when it is taken away.
func TestSignerOf(t *testing.T) {
	r, m := newRing(t, gatehouse.RealmSettings{})
	if err := r.EnsureRealm(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	own, err := r.Signer("main")
	if err != nil {
		t.Fatal(err)
	}
	same, err := r.SignerOf(t.Context(), "main", own.Algorithm)
	if err != nil || same != own {
		t.Fatalf("%v %v", same, err)
	}
	var all sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		all.Go(func() {
			if k, err := r.SignerOf(t.Context(), "main", token.EdDSA); err == nil {
				kids[i] = k.KID
			}
		})
	}
	all.Wait()
	for _, kid := range kids {
		if kid == "" || kid != kids[0] {
			t.Fatalf("%v", kids)
		}
	}
	if again, err := r.Signer("main"); err != nil || again != own {
		t.Errorf("the realm signs by %v: %v", again, err)
	}
	body, _, _, err := r.JWKS(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	set, err := token.ParseJWKSet(body, token.ParseOptions{Algorithms: token.IDAlgorithms()})
	if err != nil {
		t.Fatal(err)
	}
	if !set.Has(token.EdDSA) || !set.Has(own.Algorithm) {
		t.Error("a key that signs is not published")
	}
	if list, err := r.List(t.Context(), "main"); err != nil || len(list) != 2 || list[0].Use != token.UseAll || list[1].Use != token.UseID {
		t.Errorf("%v %v", list, err)
	}
	if err := r.Remove(t.Context(), keyring.Command{Realm: "main", KID: kids[0]}); err != nil {
		t.Fatal(err)
	}
	if next, err := r.SignerOf(t.Context(), "main", token.EdDSA); err != nil || next.KID == kids[0] {
		t.Errorf("%v %v", next, err)
	}
	// A rotation by hand is of the key that signs all.
	kid, err := r.Rotate(t.Context(), keyring.Command{Realm: "main", Now: true})
	if err != nil {
		t.Fatal(err)
	}
	if now, err := r.Signer("main"); err != nil || now.KID != kid || now.Algorithm != own.Algorithm {
		t.Errorf("%v %v", now, err)
	}
	if _, err := r.SignerOf(t.Context(), "none", token.EdDSA); err == nil {
		t.Error("a key for a realm that is none")
	}
	if len(m.events) == 0 {
		t.Error("nothing is recorded")
	}
}
