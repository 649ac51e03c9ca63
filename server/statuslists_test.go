package server

import (
	"testing"
	"time"

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
	s := &statusLists{
		bits:   func(string, int64) []byte { read++; return bits },
		signer: func(string) (*token.Key, error) { return key, nil },
		issuer: func(realm string) string { return "https://id.example/" + realm },
		now:    func() time.Time { return now },
	}
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
	for i := range int64(3 * maxStatusLists) {
		if _, _, err := s.get(t.Context(), "main", list+i); err != nil {
			break
		}
	}
	if len(s.made) > maxStatusLists {
		t.Errorf("%d lists are kept", len(s.made))
	}
}
