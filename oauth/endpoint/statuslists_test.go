package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// source is one list for all names.
type source struct {
	version uint64
	bits    []byte
	read    int
}

func (s *source) Version(string, int64) uint64 { return s.version }
func (s *source) Bits(string, int64) []byte    { s.read++; return append([]byte{}, s.bits...) }

func (s *source) revoke(index int) {
	s.bits[index/8] |= 1 << (index % 8)
	s.version++
}

func newKey(t *testing.T) *token.Key {
	t.Helper()
	k, err := token.GenerateKey(token.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestStatusListsAreKept: a list is compressed once a change and signed once in a
// while; a change of its bits, of the key or of the time makes a new one at once.
func TestStatusListsAreKept(t *testing.T) {
	key, src := newKey(t), &source{bits: make([]byte, revocation.ListSize/8)}
	now := time.Now()
	s, err := NewStatusLists(StatusListsConfig{Source: src, Signer: func(string) (*token.Key, error) { return key, nil },
		Issuer: func(realm string) string { return "https://id.example/" + realm }, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	get := func(realm string) string {
		t.Helper()
		text, ttl, err := s.Get(t.Context(), realm, list)
		if err != nil || ttl <= 0 || ttl > statusTTL {
			t.Fatalf("%v %v", ttl, err)
		}
		return text
	}
	first := get("main")
	if get("main") != first || src.read != 0 {
		t.Error("an unchanged list was signed again, or an empty one was read")
	}
	for _, c := range []struct {
		name   string
		change func()
		reads  int
	}{
		{"a revocation", func() { src.revoke(61) }, 1},
		{"another key", func() { key = newKey(t) }, 0},
		{"time", func() { now = now.Add(statusReuse) }, 0},
		{"time, back", func() { now = now.Add(-time.Second) }, 0},
		{"a second revocation", func() { now = now.Add(2 * time.Second); src.revoke(62) }, 1},
	} {
		before := get("main")
		src.read = 0
		if c.change(); get("main") == before {
			t.Errorf("%s did not make a new list", c.name)
		}
		if src.read != c.reads {
			t.Errorf("%s: compressed %d times, want %d", c.name, src.read, c.reads)
		}
	}
	if get("main") == get("shop") {
		t.Error("two realms share a list")
	}
	// Whoever names many lists fills no memory, and holds up nobody with lists
	// that cannot be.
	_, _ = rand.Read(src.bits)
	for i := range int64(120) {
		if _, _, err := s.Get(t.Context(), "main", list+i); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for _, l := range s.made {
		kept += l.bytes()
	}
	if kept != s.size || kept > maxStatusBytes {
		t.Errorf("%d bytes of lists are kept, %d are counted", kept, s.size)
	}
	far, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL + 72*time.Hour))
	if _, _, err := s.Get(t.Context(), "main", far); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("a list of tokens that cannot be: %v", err)
	}
	last, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL))
	if _, _, err := s.Get(t.Context(), "main", last); err != nil {
		t.Errorf("the list of the longest grant: %v", err)
	}
	// A caller that has left waits for nobody.
	s.making <- struct{}{}
	now = now.Add(time.Minute)
	src.revoke(0)
	src.version++
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Get(gone, "main", list); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestStatusListsPace: however often a list changes and is asked for, it is
// compressed once a second, and no answer lacks what was revoked before it.
func TestStatusListsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, src := newKey(t), &source{bits: make([]byte, revocation.ListSize/8)}
		s, err := NewStatusLists(StatusListsConfig{Source: src, Signer: func(string) (*token.Key, error) { return key, nil },
			Issuer: func(string) string { return "https://id.example" }, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := revocation.NewStatus(time.Now().Add(time.Hour))
		begun := time.Now()
		for i := range 50 {
			src.revoke(i * 3)
			asked := time.Now()
			if _, _, err := s.Get(t.Context(), "main", list); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(asked); waited > statusPace {
				t.Errorf("waited for %v", waited)
			}
			p, ok := s.current(statusListKey{"main", list})
			raw, err := revocation.Decode(p.lst)
			if !ok || err != nil || raw[i*3/8]>>(i*3%8)&1 != 1 {
				t.Fatalf("revocation %d is not in the list: %v", i, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if seconds := int(time.Since(begun)/time.Second) + 1; src.read > seconds {
			t.Errorf("compressed %d times in %d seconds", src.read, seconds)
		}
	})
}

// TestStatusListsCatchUp: what was revoked on another node, and has not been heard of here, is
// in the next list; while it cannot be heard of, the list is what this node knows.
func TestStatusListsCatchUp(t *testing.T) {
	key, src := newKey(t), &source{bits: make([]byte, revocation.ListSize/8)}
	var behind error
	s, err := NewStatusLists(StatusListsConfig{Source: src, Signer: func(string) (*token.Key, error) { return key, nil },
		Issuer: func(string) string { return "https://id.example" }, Now: time.Now,
		CatchUp: func(context.Context) (time.Time, error) {
			if behind == nil && src.version == 0 {
				src.revoke(61)
			}
			return time.Now(), behind
		}})
	if err != nil {
		t.Fatal(err)
	}
	list, _ := revocation.NewStatus(time.Now().Add(time.Hour))
	behind = errors.New("cut off")
	if _, _, err := s.Get(t.Context(), "main", list); err != nil {
		t.Errorf("cut off: %v", err)
	}
	behind = nil
	if _, _, err := s.Get(t.Context(), "main", list); err != nil {
		t.Fatal(err)
	}
	raw, err := revocation.Decode(s.kept(statusListKey{"main", list}).lst)
	if err != nil || raw[61/8]>>(61%8)&1 != 1 {
		t.Errorf("what another node revoked is not in the list: %v", err)
	}
}
