package guard

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// unreachable is an issuer that nobody can fetch from.
type unreachable struct{}

func (unreachable) Fetch(context.Context, string, string) ([]byte, http.Header, error) {
	return nil, nil, errors.New("unreachable")
}

func noLists(t testing.TB) *statusLists {
	t.Helper()
	keys, err := token.NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStatusLists(RemoteConfig{Issuer: "https://auth.example", Algorithms: []token.Algorithm{"ES256"},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now}, "https://auth.example/status/", keys, unreachable{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// TestStatusBound: however many lists tokens name, so many are kept and no more,
// and those are the ones that are in use.
func TestStatusBound(t *testing.T) {
	s := noLists(t)
	now := s.clock()
	kept := s.list(1<<20, now.Add(time.Hour))
	for n := range int64(2 * maxStatusLists) {
		s.list(n, now.Add(time.Duration(n)*time.Millisecond))
		if len(s.lists) > maxStatusLists {
			t.Fatalf("%d lists are kept", len(s.lists))
		}
	}
	if s.list(1<<20, now) != kept {
		t.Error("the list that was used last was forgotten")
	}
	if s.lists[0] != nil {
		t.Error("the list that was not used for the longest was kept")
	}
	// Lists for which somebody waits stay; then there is no room for others.
	for n := int64(0); len(s.lists) < maxStatusLists; n++ {
		s.list(1<<21+n, now)
	}
	for _, l := range s.lists {
		l.pending = make(chan struct{})
	}
	list, index := revocation.NewStatus(now.Add(time.Hour))
	if err := s.check(t.Context(), place{list, index}); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("without room: %v", err)
	}
	if len(s.lists) != maxStatusLists {
		t.Errorf("%d lists are kept", len(s.lists))
	}
}

// TestStatusBits: few bits and many are kept in different forms, which say the
// same as the list itself and take no more memory than it.
func TestStatusBits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 100, 255, 256, 257, 5000, 8192} {
		raw := make([]byte, 1024)
		for range n {
			i := r.IntN(len(raw) * 8)
			raw[i/8] |= 1 << (i % 8)
		}
		b := newStatusBits(raw, token.StatusList{}, time.Now())
		if size := cap(b.set)*4 + cap(b.all); size > len(raw) {
			t.Errorf("%d bits take %d octets", n, size)
		}
		for i := range int64(len(raw)*8 + 100) {
			want := i < int64(len(raw)*8) && raw[i/8]>>(i%8)&1 == 1
			if b.revoked(i) != want {
				t.Fatalf("%d bits: place %d revoked %v, want %v", n, i, !want, want)
			}
		}
	}
}

func BenchmarkStatusCheck(b *testing.B) {
	s := noLists(b)
	now := s.clock()
	list, index := revocation.NewStatus(now.Add(time.Hour))
	raw := make([]byte, revocation.ListSize/8)
	for i := range 1000 {
		raw[i*100] = 1
	}
	s.list(list, now).current.Store(newStatusBits(raw, token.StatusList{IssuedAt: now, ExpiresAt: now.Add(time.Hour), TTL: time.Hour}, now))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.check(b.Context(), place{list, index | 1}); err != nil { // no bit is set at an odd place
			b.Fatal(err)
		}
	}
}
