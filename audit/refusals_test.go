package audit_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func refusing(t *testing.T, r *audit.Recorder, perMinute int) *audit.Refusals {
	t.Helper()
	f, err := audit.NewRefusals(audit.RefusalsConfig{Recorder: r, PerMinute: perMinute})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func refused(address, reason string) *gatehouse.Event {
	now := time.Now()
	return &gatehouse.Event{Realm: "main", Kind: audit.KindRequestDecide, Outcome: gatehouse.OutcomeFailure, Reason: reason, Time: now,
		RequestID: gatehouse.NewID("req", now), Address: address, Status: 401, Route: "r"}
}

// tally adds up what is stored: events one by one, what the counts say, and what was
// dropped.
func tally(t *testing.T, events []gatehouse.Event) (single, counted, dropped int) {
	t.Helper()
	for _, e := range events {
		n, err := strconv.Atoi(e.Detail["count"])
		switch e.Kind {
		case audit.KindAuditCounted:
			counted += n
		case audit.KindAuditDropped:
			dropped += n
		default:
			single, err = single+1, nil
		}
		if err != nil {
			t.Errorf("%s: %v", e.Kind, err)
		}
	}
	return single, counted, dropped
}

// TestRefusalsAreCounted: beyond the bound of a minute one event says how many there
// were, with the first and the last and some of their requests; the next minute has a
// bound of its own.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 10)
		var ids []string
		var first, last time.Time
		for i := range 200 {
			e := refused("203.0.113.7", "invalid_credentials")
			if e.Status = 401; i == 150 {
				e.Route = "another"
			}
			if i == 10 {
				first = e.Time
			}
			last = e.Time
			ids = append(ids, e.RequestID)
			f.Record(e)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if s, c, _ := tally(t, m.stored(t, "main")); s != 10 || c != 0 {
			t.Errorf("%d events and %d counted within the minute", s, c)
		}
		if open := f.Counting("main", first); len(open) != 1 || open[0].Detail["count"] != "190" || len(f.Counting("other", first)) != 0 ||
			len(f.Counting("main", last.Add(time.Hour))) != 0 {
			t.Errorf("what is being counted: %+v", open)
		}
		time.Sleep(time.Minute)
		events := m.stored(t, "main")
		if len(events) != 11 {
			t.Fatalf("%d events", len(events))
		}
		e := events[10]
		form := "2006-01-02T15:04:05.000000Z"
		if e.Kind != audit.KindAuditCounted || e.Reason != "invalid_credentials" || e.Outcome != gatehouse.OutcomeFailure || e.Status != 401 ||
			e.Route != "" || e.Detail["count"] != "190" || e.Detail["kind"] != audit.KindRequestDecide || e.Detail["network"] != "203.0.113.7" ||
			e.Detail["first"] != first.UTC().Format(form) || e.Detail["last"] != last.UTC().Format(form) ||
			e.Detail["requests"] != strings.Join(ids[10:15], " ") {
			t.Errorf("%+v", e)
		}
		for range 10 {
			f.Record(refused("203.0.113.7", "invalid_credentials"))
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s, c, _ := tally(t, m.stored(t, "main")); s != 20 || c != 190 {
			t.Errorf("in the next minute: %d events, %d counted", s, c)
		}

		// Whoever asks for such a request is told of the counts of its time, and who asks
		// for one with an event of its own gets that.
		log := audit.Log{Reader: m}
		found, err := log.Find(t.Context(), "main", ids[100])
		if err != nil || len(found) != 1 || found[0].Kind != audit.KindAuditCounted {
			t.Errorf("a counted request is explained by %+v, %v", found, err)
		}
		found, err = log.Find(t.Context(), "main", ids[3])
		if err != nil || len(found) != 1 || found[0].RequestID != ids[3] {
			t.Errorf("a recorded request is explained by %+v, %v", found, err)
		}
		if _, err := log.Find(t.Context(), "main", gatehouse.NewID("req", first.Add(-time.Minute))); err == nil {
			t.Error("a request of another time is among those that were counted")
		}
	})
}

// TestRefusalsByNetwork: what counts together is what one customer of a provider holds,
// for one realm, kind and reason, and nothing that a caller can choose.
func TestRefusalsByNetwork(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(i int, e *gatehouse.Event)
		single int // of 20, with a bound of 2
	}{
		"one address":          {func(i int, e *gatehouse.Event) {}, 2},
		"IPv4 addresses":       {func(i int, e *gatehouse.Event) { e.Address = fmt.Sprintf("203.0.113.%d", i%4) }, 8},
		"IPv4 written as IPv6": {func(i int, e *gatehouse.Event) { e.Address = []string{"203.0.113.7", "::ffff:203.0.113.7"}[i%2] }, 2},
		"one IPv6 /64":         {func(i int, e *gatehouse.Event) { e.Address = fmt.Sprintf("2001:db8::%x", i) }, 2},
		"two IPv6 /64":         {func(i int, e *gatehouse.Event) { e.Address = fmt.Sprintf("2001:db8:0:%x::1", i%2) }, 4},
		"no address":           {func(i int, e *gatehouse.Event) { e.Address = "" }, 2},
		"reasons":              {func(i int, e *gatehouse.Event) { e.Reason = []string{"a", "b"}[i%2] }, 4},
		"realms":               {func(i int, e *gatehouse.Event) { e.Realm = []string{"main", "shop"}[i%2] }, 4},
		"paths, hosts, methods": {func(i int, e *gatehouse.Event) {
			e.Path, e.Host, e.Method = fmt.Sprint(i), fmt.Sprint(i), fmt.Sprint(i)
		}, 2},
		"names of credentials":           {func(i int, e *gatehouse.Event) { e.Actor.Credential = fmt.Sprint(i) }, 2},
		"a caller's own id":              {func(i int, e *gatehouse.Event) { e.Detail = map[string]string{"client_request_id": fmt.Sprint(i)} }, 2},
		"wrong passwords":                {func(i int, e *gatehouse.Event) { e.Kind, e.Target.ID = audit.KindLoginFailure, fmt.Sprint(i) }, 2},
		"too many attempts":              {func(i int, e *gatehouse.Event) { e.Kind = audit.KindLoginThrottled }, 2},
		"wrong secrets of a first start": {func(i int, e *gatehouse.Event) { e.Kind = audit.KindAdminBootstrap }, 2},
		"preflights":                     {func(i int, e *gatehouse.Event) { e.Outcome, e.Reason = gatehouse.OutcomeSuccess, "" }, 2},
		"a known caller":                 {func(i int, e *gatehouse.Event) { e.Actor.ID = "usr_1" }, 20},
		"calls of the management API":    {func(i int, e *gatehouse.Event) { e.Kind = audit.KindAdminDenied }, 20},
		"the server itself":              {func(i int, e *gatehouse.Event) { e.Kind = audit.KindConfigReload }, 20},
		"the first start": {func(i int, e *gatehouse.Event) {
			e.Kind, e.Outcome = audit.KindAdminBootstrap, gatehouse.OutcomeSuccess
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				r := recorder(t, m, nil)
				f := refusing(t, r, 2)
				for i := range 20 {
					e := refused("203.0.113.7", "invalid_credentials")
					tc.change(i, e)
					f.Record(e)
				}
				f.Close()
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
				s, c, _ := tally(t, append(m.stored(t, "main"), m.stored(t, "shop")...))
				if s != tc.single || s+c != 20 {
					t.Errorf("%d events, %d counted; want %d events of 20", s, c, tc.single)
				}
			})
		})
	}
}

// TestRefusalsOfManyNetworks: whoever has many addresses fills neither the record nor
// the memory.
func TestRefusalsOfManyNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 3)
		const all = 50_000
		for i := range all {
			f.Record(refused(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), "credential_missing"))
		}
		time.Sleep(61 * time.Second)
		events := m.stored(t, "main")
		others := 0
		for _, e := range events {
			if e.Detail["network"] == "others" {
				others++
			}
		}
		s, c, _ := tally(t, events)
		if s != 30 || s+c != all || len(events) > 30+256+1 || others != 1 {
			t.Errorf("%d events, %d of them alone, %d others, %d counted", len(events), s, others, c)
		}
		// The next minute knows nothing of it.
		f.Record(refused("192.0.2.1", "credential_missing"))
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s, _, _ := tally(t, m.stored(t, "main")); s != 31 {
			t.Errorf("%d events", s)
		}
	})
}

// TestNoRefusalIsLost: whatever happens to the store meanwhile, what is recorded one by
// one, what is counted and what is told as dropped is together what there was; nobody
// who is refused waits.
func TestNoRefusalIsLost(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			m := newMemory()
			down := false
			m.fail = func(string) error {
				if down {
					return errDown
				}
				return nil
			}
			r := recorder(t, m, func(c *audit.RecorderConfig) {
				c.Queue = 16
				c.Overflow = []audit.Overflow{audit.OverflowBlock, audit.OverflowDrop}[seed%2]
			})
			f := refusing(t, r, 1+rnd.IntN(4))
			all := 0
			for range 300 {
				switch rnd.IntN(10) {
				case 0:
					time.Sleep(time.Duration(rnd.IntN(70)) * time.Second)
				case 1:
					m.mu.Lock()
					down = rnd.IntN(2) == 0
					m.mu.Unlock()
				default:
					began := time.Now()
					f.Record(refused(fmt.Sprintf("192.0.2.%d", rnd.IntN(6)), fmt.Sprint(rnd.IntN(3))))
					all++
					if took := time.Since(began); took > 0 {
						t.Fatalf("a refusal waited %v to be recorded", took)
					}
				}
			}
			m.mu.Lock()
			down = false
			m.mu.Unlock()
			if rnd.IntN(2) == 0 {
				time.Sleep(2 * time.Minute)
				if s := f.Stats(); s.Waiting != 0 {
					t.Errorf("%d wait for ever", s.Waiting)
				}
			}
			f.Close()
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
			s, c, d := tally(t, m.stored(t, "main"))
			if s+c+d != all || int64(c) != f.Stats().Counted || d != 0 {
				t.Errorf("seed %d: %d events, %d counted, %d dropped of %d", seed, s, c, d, all)
			}
		})
	}
}

// TestEveryRefusal: the option records each by itself.
func TestEveryRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, audit.EveryRefusal)
		for range 1000 {
			f.Record(refused("192.0.2.1", "credential_missing"))
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s, c, _ := tally(t, m.stored(t, "main")); s != 1000 || c != 0 {
			t.Errorf("%d events, %d counted", s, c)
		}
	})
}
