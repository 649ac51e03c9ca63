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
