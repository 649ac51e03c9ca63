package server

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestStatusListsAreKept: the same list is signed once in a while, and a change
// of its bits, of the key or of the time makes a new one at once.
func TestStatusListsAreKept(t *testing.T) {
	newKey := func() *token.Key {
		k, err := token.GenerateKey(token.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	now, key, bits, read := time.Now(), newKey(), make([]byte, revocation.ListSize/8), 0
	s := newStatusLists(func(string, int64) []byte { read++; return bits }, func(string) (*token.Key, error) { return key, nil },
		func(realm string) string { return "https://id.example/" + realm }, func() time.Time { return now })
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	get := func(realm string) string {
		t.Helper()
		text, ttl, err := s.get(t.Context(), realm, list)
		if err != nil || ttl <= 0 || ttl > statusTTL {
			t.Fatalf("%v %v", ttl, err)
		}
		return text
	}
	first := get("main")
	if get("main") != first || read != 2 {
		t.Error("an unchanged list was signed again")
	}
	for name, change := range map[string]func(){
		"a revocation": func() { bits[7] ^= 4 },
		"another key":  func() { key = newKey() },
		"time":         func() { now = now.Add(statusReuse) },
		"time, back":   func() { now = now.Add(-time.Second) },
	} {
		before := get("main")
		if change(); get("main") == before {
			t.Errorf("%s did not make a new list", name)
		}
	}
	if get("main") == get("shop") {
		t.Error("two realms share a list")
	}
	// Whoever names many lists fills no memory, and holds up nobody with lists
	// that cannot be.
	_, _ = rand.Read(bits)
	for i := range int64(120) {
		if _, _, err := s.get(t.Context(), "main", list+i); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for _, l := range s.made {
		kept += len(l.text)
	}
	if kept != s.size || kept > maxStatusBytes {
		t.Errorf("%d bytes of lists are kept, %d are counted", kept, s.size)
	}
	far, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL + 72*time.Hour))
	if _, _, err := s.get(t.Context(), "main", far); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("a list of tokens that cannot be: %v", err)
	}
	last, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL))
	if _, _, err := s.get(t.Context(), "main", last); err != nil {
		t.Errorf("the list of the longest grant: %v", err)
	}
	// A caller that has left waits for nobody.
	s.making <- struct{}{}
	bits[0]++
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.get(gone, "main", list); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
