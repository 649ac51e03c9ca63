package authn

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

func (w *world) ImportedKey(_ context.Context, realm string, hash []byte) (credential.Key, error) {
	w.lookups.Add(1)
	for _, k := range w.keys {
		if k.Imported && k.Realm == realm && bytes.Equal(k.Hash, hash) {
			return k, w.fail
		}
	}
	return credential.Key{}, gatehouse.NotFound
}

func (w *world) HasImportedKeys(_ context.Context, realm string) (bool, error) {
	w.lookups.Add(1)
	for _, k := range w.keys {
		if k.Imported && k.Realm == realm {
			return true, w.fail
		}
	}
	return false, w.fail
}

// addImported adds a key of realm that another system made.
func (w *world) addImported(id, realm, text string) Presented {
	w.keys[id] = credential.Key{ID: id, Realm: realm, Hash: credential.HashKey(text), OwnerID: "usr_alice", Scopes: []string{"read"},
		Environment: gatehouse.EnvironmentLive, CreatedAt: w.now, Imported: true}
	return importedKey(text)
}

const (
	importedText  = "sk_live_51HqJ8k2eZvKYlo2C9fTbXw"
	importedText2 = "0f8fad5bd9cb469fa16570867728950e7c5a3d1e"
	importedText3 = "1|aB3$dE5:fG7*hJ9(kL1)mN3;pQ5"
	// importedParts is in the form of a JWT, and none.
	importedParts = "SG.aB3dE5fG7hJ9kL1mN3pQ5r.s7T9vW1xY3zA5bC7dE9fG1hJ3kL5mN7pQ9rS1tU3vW5"
)

// TestChangesOfKeys: a change has every key read again that it is about, be it there or
// remembered as missing, and no other. Where the store does not know whether the change
// was made, it has no record with it, and an imported key is not found by its id.
func TestChangesOfKeys(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world, mine string) gatehouse.Change
		again  []string
	}{
		{"one of ours", func(w *world, mine string) gatehouse.Change {
			return gatehouse.Change{Realm: "main", ID: mine, Value: w.keys[mine]}
		}, []string{"mine"}},
		{"one of ours, outcome unknown", func(_ *world, mine string) gatehouse.Change {
			return gatehouse.Change{Realm: "main", ID: mine}
		}, []string{"mine", "imported", "missing import", "has imports"}},
		{"an imported one", func(w *world, _ string) gatehouse.Change {
			return gatehouse.Change{Realm: "main", ID: "key_1", Value: w.keys["key_1"]}
		}, []string{"imported", "has imports"}},
		{"an imported one that was missing", func(*world, string) gatehouse.Change {
			return gatehouse.Change{Realm: "main", ID: "key_9", Value: credential.Key{ID: "key_9", Realm: "main", Imported: true, Hash: credential.HashKey(importedText3)}}
		}, []string{"missing import", "has imports"}},
		{"an imported one, outcome unknown", func(*world, string) gatehouse.Change {
			return gatehouse.Change{Realm: "main", ID: "key_1"}
		}, []string{"imported", "missing import", "has imports"}},
		{"one of any realm, outcome unknown", func(_ *world, mine string) gatehouse.Change { return gatehouse.Change{ID: mine} },
			[]string{"mine", "imported", "imported elsewhere", "missing import", "has imports", "has imports elsewhere"}},
		{"any key", func(*world, string) gatehouse.Change { return gatehouse.Change{} },
			[]string{"mine", "other", "missing", "imported", "imported elsewhere", "missing import", "has imports", "has imports elsewhere"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			mine := w.addKey(nil)
			ask := func(realm string, p Presented) func() {
				return func() { _, _ = w.a.Authenticate(t.Context(), realm, p, secure) }
			}
			has := func(realm string) func() { return func() { w.a.HasImported(t.Context(), realm) } }
			asked := map[string]func(){
				"mine": ask("main", mine), "other": ask("main", w.addKey(nil)), "missing": ask("main", invented("ghk")),
				"imported": ask("main", w.addImported("key_1", "main", importedText)), "imported elsewhere": ask("other", w.addImported("key_2", "other", importedText2)),
				"missing import": ask("main", importedKey(importedText3)), "has imports": has("main"), "has imports elsewhere": has("other"),
			}
			for name, ask := range asked {
				if ask(); w.lookups.Swap(0) != 1 {
					t.Fatalf("%s was not looked up", name)
				}
				if ask(); w.lookups.Swap(0) != 0 {
					t.Fatalf("%s was not remembered", name)
				}
			}
			c := tt.change(w, mine.ID)
			c.Topic = gatehouse.TopicKey
			w.a.Apply(c)
			for name, ask := range asked {
				if ask(); (w.lookups.Swap(0) == 1) != slices.Contains(tt.again, name) {
					t.Errorf("%s: read again: %t", name, !slices.Contains(tt.again, name))
				}
			}
		})
	}
}

// TestHasImported: a text of no form of ours may be a key where the realm has such keys, and
// where nobody can tell.
func TestHasImported(t *testing.T) {
	w := newWorld(t)
	w.addImported("key_1", "main", importedText)
	for range 2 {
		for realm, want := range map[string]bool{"main": true, "other": false} {
			if got := w.a.HasImported(t.Context(), realm); got != want {
				t.Errorf("%s: %t", realm, got)
			}
		}
	}
	w.fail = errors.New("connection refused")
	if !w.a.HasImported(t.Context(), "new") {
		t.Error("a store that fails has a key taken for a text that nobody knows")
	}
	w.fail = nil
	if w.a.HasImported(t.Context(), "new") {
		t.Error("the failure was remembered")
	}
}

// TestImportedKeysAreKeys: an imported key is good in its own realm alone, until it ends, and
// what cannot be one costs no look-up.
func TestImportedKeysAreKeys(t *testing.T) {
	w := newWorld(t)
	p := w.addImported("key_1", "main", importedText)
	if who := w.check(t, p, secure, "", ""); who.CredentialID != "key_1" || who.ID != "usr_alice" || !who.HasScope("read") {
		t.Errorf("%+v", who)
	}
	if _, err := w.a.Authenticate(t.Context(), "other", p, secure); Reason(err) != "key_unknown" {
		t.Errorf("in another realm: %v", err)
	}
	w.check(t, importedKey(importedText+"x"), secure, "invalid_token", "key_unknown")
	w.lookups.Store(0)
	for _, text := range []string{"", "short", "with a blank, and long enough", strings.Repeat("x", credential.MaxImportedKey+1)} {
		w.check(t, importedKey(text), secure, "invalid_token", "key_unknown")
	}
	if n := w.lookups.Load(); n != 0 {
		t.Errorf("%d look-ups", n)
	}
	k := w.keys["key_1"]
	k.DisabledAt = w.now
	w.keys["key_1"] = k
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: k.ID, Value: k})
	w.check(t, p, secure, "invalid_token", "key_disabled")
}
