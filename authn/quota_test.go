package authn

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// A key with a quota is refused once it is used up, whatever was counted before the
// server started or before it had one, and works again the next day and month.
func TestQuotas(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 1, 30, 23, 0, 0, 0, time.UTC)
	p := w.addKey(func(k *credential.Key) { k.QuotaDay, k.QuotaMonth, k.CreatedAt = 3, 7, w.now })
	other := w.addKey(nil)
	w.used = []credential.KeyUsage{{KeyID: p.ID, Day: "2026-01-30", Count: 1}, {KeyID: p.ID, Day: "2026-01-02", Count: 2},
		{KeyID: p.ID, Day: "2025-12-31", Count: 1000}, {KeyID: other.ID, Day: "2026-01-30", Count: 1000}}
	use := func(wait time.Duration) {
		t.Helper()
		_, err := w.a.Authenticate(t.Context(), "main", p, secure)
		var e *gatehouse.Error
		switch {
		case wait == 0 && err != nil:
			t.Fatal(err)
		case wait > 0 && (!errors.As(err, &e) || e.Kind != gatehouse.RateLimited || e.Code != "key_quota_used_up" || e.RetryAfter != wait):
			t.Fatalf("%v, want a wait of %s", err, wait)
		}
	}
	use(0)
	use(0)
	use(time.Hour) // 3 today, 5 this month
	use(time.Hour)
	w.check(t, p, Rule{Environment: "test"}, "invalid_token", "key_environment_mismatch") // is not a use
	w.check(t, other, secure, "", "")
	// A stream that was let in is judged again although nothing is left.
	again := secure
	again.Uncounted = true
	w.check(t, p, again, "", "")
	// A change of the key does not begin anew.
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: p.ID})
	use(time.Hour)
	w.advance(time.Hour) // 31 January
	use(0)
	for range 5 { // takes nothing from what is left
		w.check(t, p, again, "", "")
	}
	use(0)
	use(24 * time.Hour) // 7 this month, though 2 today
	w.advance(-2 * time.Hour)
	use(26 * time.Hour) // a clock that is set back gives nothing
	w.advance(26 * time.Hour)
	for range 3 {
		use(0)
	}
	use(24 * time.Hour)
	// Whoever lets it be stored and starts anew finds the same.
	w.used = nil
	if err := w.a.FlushUsage(t.Context(), func(ctx context.Context, fn func(context.Context, UsageTx) error) error {
		tx := &usageTx{}
		err := fn(ctx, tx)
		w.used = append(w.used, tx.got...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.a, err = New(w.config()); err != nil {
		t.Fatal(err)
	}
	use(24 * time.Hour)
	// A key that gets a quota while it is used: what is not stored yet counts.
	w.check(t, other, secure, "", "")
	w.check(t, other, secure, "", "")
	k := w.keys[other.ID]
	k.QuotaDay = 3
	w.keys[other.ID] = k
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: other.ID})
	w.check(t, other, secure, "", "")
	w.check(t, other, secure, "key_quota_used_up", "key_quota_used_up")
	// And nothing is kept of keys that nobody uses.
	w.advance(72 * time.Hour)
	_ = w.a.FlushUsage(t.Context(), func(ctx context.Context, fn func(context.Context, UsageTx) error) error { return fn(ctx, &usageTx{}) })
	if n := w.a.quotas.m.Size(); n != 0 {
		t.Errorf("%d tallies kept", n)
	}
}

// TestQuotaEnds: at which use a key is refused and for how long, with a quota of days, of
// months, and of both; over midnight, the end of a month, and the same month a year later.
func TestQuotaEnds(t *testing.T) {
	evening := time.Date(2026, 1, 30, 23, 0, 0, 0, time.UTC)
	type use struct {
		after time.Duration
		wait  time.Duration // 0: it is let in
	}
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		perDay, perMonth int64
		uses             []use
		says             string
	}{
		"one a day":        {1, 0, []use{{0, 0}, {0, time.Hour}, {59 * time.Minute, time.Minute}, {time.Minute, 0}, {0, day}, {day, 0}}, "at most 1 uses a day"},
		"one a month":      {0, 1, []use{{0, 0}, {0, 25 * time.Hour}, {25 * time.Hour, 0}, {time.Hour, 27*day + 23*time.Hour}}, "at most 1 uses a month"},
		"two, three":       {2, 3, []use{{0, 0}, {0, 0}, {0, time.Hour}, {time.Hour, 0}, {0, day}, {day, 0}, {0, 0}, {0, day}}, "at most 2 uses a day and 3 a month"},
		"a year later":     {0, 1, []use{{0, 0}, {365 * day, 0}, {0, 25 * time.Hour}}, "at most 1 uses a month"},
		"less than second": {1, 0, []use{{0, 0}, {time.Hour - time.Millisecond, time.Second}, {time.Millisecond, 0}, {0, day}}, "at most 1 uses a day"},
		"a clock set back": {1, 2, []use{{0, 0}, {2 * time.Hour, 0}, {-3 * time.Hour, 26 * time.Hour}, {3 * time.Hour, 23 * time.Hour}}, "at most 1 uses a day and 2 a month"},
	} {
		last := evening
		tally := &tally{day: evening.Unix() / secondsPerDay, year: 2026, month: time.January}
		for i, u := range tt.uses {
			last = last.Add(u.after)
			err := tally.take(last.In(time.FixedZone("elsewhere", 5*3600)), 1, tt.perDay, tt.perMonth) // days are of UTC
			var e *gatehouse.Error
			switch {
			case u.wait == 0 && err != nil:
				t.Errorf("%s: use %d: %v", name, i, err)
			case u.wait > 0 && (!errors.As(err, &e) || e.RetryAfter != u.wait || e.Cause.Error() != tt.says):
				t.Errorf("%s: use %d: %v, want a wait of %s", name, i, err, u.wait)
			}
		}
	}
}

// TestQuotaBegins: what was used before counts in its day and month, be it stored or not
// yet; and a key without a quota, or refused, costs no question.
func TestQuotaBegins(t *testing.T) {
	newKey := func(perDay, perMonth int64) (*world, Presented) {
		w := newWorld(t)
		w.now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
		p := w.addKey(func(k *credential.Key) { k.QuotaDay, k.QuotaMonth = perDay, perMonth })
		w.used = []credential.KeyUsage{{KeyID: p.ID, Day: "2026-03-17", Count: 2}, {KeyID: p.ID, Day: "2026-03-01", Count: 4}, {KeyID: p.ID, Day: "2026-02-28", Count: 100}}
		for day, n := range map[int]int{17: 1, 16: 2, 1: 3, -1: 50} { // counted and not stored
			for range n {
				w.a.usage.count(p.ID, "main", time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC))
			}
		}
		return w, p
	}
	for _, tt := range []struct {
		perDay, perMonth int64
		left             int // 3 today, 12 this month were used
	}{{3, 0, 0}, {5, 0, 2}, {0, 12, 0}, {0, 14, 2}, {4, 14, 1}, {9, 13, 1}} {
		w, p := newKey(tt.perDay, tt.perMonth)
		for range tt.left {
			w.check(t, p, secure, "", "")
		}
		w.check(t, p, secure, "key_quota_used_up", "key_quota_used_up")
		if n := w.usageReads.Load(); n != 1 {
			t.Errorf("%+v: the counts were read %d times", tt, n)
		}
	}
	w, p := newKey(0, 0)
	for range 3 {
		w.check(t, p, secure, "", "")
	}
	if n := w.usageReads.Load(); n != 0 {
		t.Errorf("the counts of a key without a quota were read %d times", n)
	}
}

// TestCountsAreForgotten: nothing is kept of a key that was not used for two days, and all
// of one that was.
func TestCountsAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	p := w.addKey(func(k *credential.Key) { k.QuotaDay = 5 })
	w.check(t, p, secure, "", "")
	for _, tt := range []struct {
		after time.Duration
		kept  int
	}{{0, 1}, {12 * time.Hour, 1}, {24*time.Hour - time.Second, 1}, {time.Second, 0}} {
		w.advance(tt.after)
		tx := &usageTx{}
		for range 2 { // stored, then found with nothing new
			if err := w.a.FlushUsage(t.Context(), func(ctx context.Context, fn func(context.Context, UsageTx) error) error { return fn(ctx, tx) }); err != nil {
				t.Fatal(err)
			}
		}
		if n, m := w.a.quotas.m.Size(), w.a.usage.m.Size(); n != tt.kept || m != tt.kept {
			t.Errorf("%s: %d tallies and %d counts are kept, want %d", w.now, n, m, tt.kept)
		}
	}
}
