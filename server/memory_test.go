package server

import "testing"

// TestTrim: memory is returned once after each burst of work, when that is over, and
// never while it lasts nor for the little that a quiet server does.
func TestTrim(t *testing.T) {
	var m trim
	const mib = 1 << 20
	total := uint64(0)
	for i, c := range []struct {
		allocates uint64
		want      bool
	}{
		{20 * mib, false}, {1000, true}, {1000, false}, // the start
		{100 * mib, false}, {100 * mib, false}, {1000, true}, {0, false}, {1000, false},
		{5 * mib, false}, {1000, false}, {2 * mib, false}, {mib, false}, {1000, true}, // a little, until it is worth it
	} {
		total += c.allocates
		if got := m.look(total); got != c.want {
			t.Errorf("look %d after %d bytes: %v", i, c.allocates, got)
		}
	}
	before := allocated()
	kept := make([]byte, 4*mib)
	if after := allocated(); after < before+uint64(len(kept)) {
		t.Errorf("%d bytes allocated, then %d", before, after)
	}
}
