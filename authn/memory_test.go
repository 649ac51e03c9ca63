package authn

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

// TestMemory: what is in use is read once, and again after a change; what does not exist, and a proof that is wrong, is
// counted with keys that do not exist, and limited without holding up what does exist.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	var reads atomic.Int64
	there := map[string]int{"a": 1, "b": 2}
	m := NewMemory(w.a, func(_ context.Context, id string) (int, error) {
		reads.Add(1)
		v, ok := there[id]
		if !ok {
			return 0, gatehouse.ErrNotFound
		}
		return v, nil
	})
	ctx := gatehouse.WithRequest(t.Context(), gatehouse.RequestFacts{Address: "192.0.2.9"})
	want := func(id string, v int, n int64) {
		t.Helper()
		if got, err := m.Get(ctx, id); err != nil || got != v || reads.Load() != n {
			t.Errorf("%s: %d %v, read %d times; want %d, %d", id, got, err, reads.Load(), v, n)
		}
	}
	for range 100 {
		want("a", 1, 1)
	}
	there["a"] = 3
	want("a", 1, 1)
	m.Drop("a")
	want("a", 3, 2)
	want("b", 2, 3)
	m.Drop("")
	want("a", 3, 4)
	want("b", 2, 5)
	if _, err := m.Get(ctx, "c"); gatehouse.KindOf(err) != gatehouse.NotFound || w.misses.Load() != 1 {
		t.Errorf("%v, %d misses", err, w.misses.Load())
	}
	there["c"] = 4
	m.Drop("c")
	want("c", 4, 7)
	refused := gatehouse.E(gatehouse.Unauthenticated, "invalid_client", "")
	if err := m.Missed(ctx, refused); err != error(refused) || w.misses.Load() != 2 {
		t.Errorf("%v, %d misses", err, w.misses.Load())
	}
	if err := m.Missed(ctx, gatehouse.ErrNotFound); err != error(gatehouse.ErrNotFound) || w.misses.Load() != 2 {
		t.Errorf("what is no wrong proof counts: %v, %d misses", err, w.misses.Load())
	}
	w.spent = true
	for i := range 3 {
		if _, err := m.Get(ctx, fmt.Sprint("none", i)); gatehouse.KindOf(err) != gatehouse.RateLimited {
			t.Errorf("what does not exist: %v", err)
		}
	}
	if err := m.Missed(ctx, refused); gatehouse.KindOf(err) != gatehouse.RateLimited {
		t.Errorf("a wrong proof is told from what does not exist: %v", err)
	}
	if v, err := m.Get(ctx, "a"); err != nil || v != 3 {
		t.Errorf("what exists: %d %v", v, err)
	}
}
