package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRateChanges: when the rate of a scope changes while it runs, the new one counts at
// once for callers who used up the old one; it gives nobody more than itself.
func TestRateChanges(t *testing.T) {
	slow, fast := Rate{Limit: 2, Window: 2 * time.Hour}, Rate{Limit: 10, Window: 10 * time.Second}
	for _, tt := range []struct {
		name          string
		before, after Rate
		wait          time.Duration // until the first event by the new rate
	}{
		{"raised", slow, fast, time.Second},
		{"lowered", fast, slow, 0}, // ten seconds are owed of what is two hours now
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Config{})
				for range tt.before.Limit {
					if !l.AllowIn("s", "k", tt.before).OK {
						t.Fatal("refused below the rate")
					}
				}
				first := l.AllowIn("s", "k", tt.after)
				if first.OK != (tt.wait == 0) || !first.OK && first.RetryAfter != tt.wait {
					t.Fatalf("at the change: %+v, want to wait %v", first, tt.wait)
				}
				time.Sleep(tt.wait)
				allowed := 0
				for l.AllowIn("s", "k", tt.after).OK {
					if allowed++; allowed > tt.after.Limit {
						t.Fatal("more than the new rate")
					}
				}
				if tt.wait > 0 && allowed != 1 {
					t.Errorf("%d were allowed after %v, want one", allowed, tt.wait)
				}
			})
		})
	}
}
