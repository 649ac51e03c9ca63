package audit_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestBoundsChange: whoever waits for room feels a change of the bounds at once: a larger
// queue has room, and with drop nobody waits. Back to block, what has no room is refused.
func TestBoundsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var down atomic.Bool
		down.Store(true)
		m.fail = func(string) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 1 })
		event := &gatehouse.Event{Realm: "main", Kind: "k"}
		r.Record(event)
		admitted := make(chan error, 1)
		ask := func() { go func() { admitted <- r.Admit(t.Context()) }(); synctest.Wait() }
		now := func(what string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-admitted:
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			default:
				t.Errorf("%s: it waits", what)
				<-admitted
			}
		}
		ask()
		r.SetBounds(audit.OverflowBlock, 2)
		now("a larger queue")
		r.RecordAdmitted(event)
		ask()
		r.SetBounds(audit.OverflowDrop, 2)
		now("dropping")
		r.Record(event)
		if s := r.Stats(); s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
		r.SetBounds(audit.OverflowBlock, 2)
		wantCode(t, r.Admit(t.Context()), "audit_unavailable")
		down.Store(false)
		time.Sleep(time.Minute)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusalsPerMinuteChange: another bound of what is recorded one by one counts from
// the next refusal on, within the minute that has begun.
func TestRefusalsPerMinuteChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 2)
		for _, step := range []struct{ perMinute, single, counted int }{{2, 2, 3}, {4, 4, 6}, {audit.EveryRefusal, 9, 6}, {1, 9, 11}} {
			f.SetPerMinute(step.perMinute)
			for range 5 {
				f.Record(refused("192.0.2.1", "r"))
			}
			time.Sleep(time.Second)
			single, _, _ := tally(t, m.stored(t, "main"))
			if n := int(f.Stats().Counted); single != step.single || n != step.counted {
				t.Errorf("with %d a minute: %d one by one and %d counted, want %d and %d", step.perMinute, single, n, step.single, step.counted)
			}
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
