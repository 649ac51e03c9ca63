package passkey_test

import (
	"context"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestFirst: a passkey that comes with its account answers an offer that was put to that account and browser for this and nothing
// else, and does once.
func TestFirst(t *testing.T) {
	h := newHouse(t)
	b := &testpasskey.Browser{Origin: origin}
	who := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_new", Name: "ada", AuthTime: h.now}
	answerTo := func(o passkey.Offer) []byte { return must(b.Create(must(json.Marshal(o)))) }
	first := func(who *gatehouse.Principal, name string, browser, answer []byte) (*passkey.First, string) {
		f, err := h.First(t.Context(), who, name, browser, answer)
		if err == nil {
			return f, ""
		}
		return f, gatehouse.CodeOf(err)
	}
	right := answerTo(must(h.OfferFirst(who, "Gatehouse", tab)))
	other := *who
	other.ID = "usr_other"
	bob, account := h.person("main", "usr_bob")
	toAdd := answerTo(must(h.OfferTo(t.Context(), bob, account, "Gatehouse", tab)))
	for what, code := range map[string]func() (*passkey.First, string){
		"another account": func() (*passkey.First, string) { return first(&other, "key", tab, right) },
		"another browser": func() (*passkey.First, string) { return first(who, "key", []byte("another"), right) },
		"another purpose": func() (*passkey.First, string) { return first(bob, "key", tab, toAdd) },
		"no answer":       func() (*passkey.First, string) { return first(who, "key", tab, nil) },
	} {
		if f, got := code(); f != nil || got != "passkey_refused" {
			t.Errorf("%s: %q", what, got)
		}
	}
	if f, got := first(who, "\x00", tab, right); f != nil || got != "passkey_name_invalid" {
		t.Errorf("a name that is none: %q", got)
	}
	if _, err := h.Add(t.Context(), who, gatehouse.Subject{ID: who.ID, Kind: who.Kind}, "key", tab, right); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("added to an account that is there: %v", err)
	}
	if _, err := h.Instead(t.Context(), who, "key", tab, right); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("in the place of lost ones: %v", err)
	}
	f, code := first(who, "key", tab, right)
	if code != "" {
		t.Fatal(code)
	}
	kept := func() (e gatehouse.Event, err error) {
		err = h.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			e, err = f.Store(ctx, tx)
			return err
		})
		return e, err
	}
	// The account is made in the same transaction; here there is one.
	err := h.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertUser(ctx, identity.User{ID: "usr_new", Realm: "main", Kind: gatehouse.KindUser, Username: "ada", UsernameKey: "ada", Version: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kept(); err != nil || e.Kind != "passkey.add" || e.Actor.Name != "ada" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := kept(); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("twice: %v", err)
	}
	if list := must(h.List(t.Context(), "main", "usr_new")); len(list) != 1 || list[0].Name != "key" {
		t.Errorf("%+v", list)
	}
}
