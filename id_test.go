package gatehouse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestIDs: 26 characters of the alphabet, ordered by time, from which the time can be read.
func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	before := ""
	for _, ms := range []int64{0, 1, 31, 32, 1 << 20, 1_800_000_000_000, 1_800_000_000_001, 1<<48 - 1} {
		now := time.UnixMilli(ms)
		id := gatehouse.NewID("usr", now)
		rest, ok := strings.CutPrefix(id, "usr_")
		if !ok || len(rest) != 26 || strings.Trim(rest, "0123456789abcdefghjkmnpqrstvwxyz") != "" || rest[0] > '7' {
			t.Errorf("%d: %s", ms, id)
		}
		if got, ok := gatehouse.IDTime(id); !ok || !got.Equal(now) {
			t.Errorf("%s: %v, not %v", id, got, now)
		}
		if id <= before || seen[id] {
			t.Errorf("%s after %s", id, before)
		}
		before, seen[id] = id, true
	}
	if a, b := gatehouse.NewID("a", time.UnixMilli(5)), gatehouse.NewID("a", time.UnixMilli(5)); a == b || a[:12] != b[:12] || a[:12] != "a_0000000005" {
		t.Error(a, b)
	}
	// The race detector, which runs with -short, allocates too.
	if n := testing.AllocsPerRun(100, func() { gatehouse.NewID("req", time.UnixMilli(5)) }); n > 1 && !testing.Short() {
		t.Errorf("%v allocations", n)
	}
	for _, bad := range []string{"", "usr_", "usr_0000000005000000000000000l", "00000000050000000000000000"} {
		if _, ok := gatehouse.IDTime(bad); ok {
			t.Errorf("%q has a time", bad)
		}
	}
}
