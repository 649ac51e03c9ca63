package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// counts are the events about counted refusals, by their network.
func counts(t *testing.T, m *memory) map[string]gatehouse.Event {
	t.Helper()
	out := map[string]gatehouse.Event{}
	for _, e := range m.stored(t, "main") {
		if e.Kind == audit.KindAuditCounted {
			if _, twice := out[e.Detail["network"]]; twice {
				t.Errorf("two counts of %s", e.Detail["network"])
			}
			out[e.Detail["network"]] = e
		}
	}
	return out
}

// TestRefusalsByDefault: 30 of one network in a minute are recorded one by one, and 300 of all; what was recorded so
// and nothing beyond it is no count.
func TestRefusalsByDefault(t *testing.T) {
	for name, tc := range map[string]struct {
		networks, each int
		single, counts int
	}{
		"as many as one may": {1, 30, 30, 0},
		"one more":           {1, 31, 30, 1},
		"as many as all may": {10, 30, 300, 0},
		"and one more":       {11, 30, 300, 1},
	} {
		for _, closes := range []bool{false, true} { // the counts are told by the end of the minute, or by Close
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				r := recorder(t, m, nil)
				f := refusing(t, r, 0)
				for n := range tc.networks {
					for range tc.each {
						f.Record(refused(fmt.Sprintf("192.0.2.%d", n), "credential_missing"))
					}
				}
				if !closes {
					time.Sleep(61 * time.Second)
				}
				f.Close()
				if s := f.Stats(); s.Waiting != 0 || s.Counted != int64(tc.networks*tc.each-tc.single) {
					t.Errorf("%s: %+v", name, s)
				}
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if n := len(m.stored(t, "main")); n != tc.single+tc.counts || len(counts(t, m)) != tc.counts {
					t.Errorf("%s: %d events, %d counts, want %d events and %d counts", name, n, len(counts(t, m)), tc.single, tc.counts)
				}
			})
		}
	}
}

// TestRefusalsOf256Networks: as many networks are told apart in one minute, and no more; in the next one as many again.
func TestRefusalsOf256Networks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 1) // of all networks together 10
		for minute := range 3 {
			before := len(m.stored(t, "main"))
			for n := range 258 {
				for range 2 {
					f.Record(refused(fmt.Sprintf("198.51.%d.%d", n>>8, n&255), "credential_missing"))
				}
			}
			time.Sleep(time.Minute + time.Second)
			events := m.stored(t, "main")[before:]
			byNetwork := map[string]string{}
			for _, e := range events {
				if e.Kind == audit.KindAuditCounted {
					byNetwork[e.Detail["network"]] = e.Detail["count"]
				}
			}
			if len(events) != 10+257 || len(byNetwork) != 257 || byNetwork["others"] != "4" || byNetwork["198.51.0.255"] != "2" || byNetwork["198.51.0.0"] != "1" {
				t.Errorf("minute %d: %d events, %d networks, others: %s", minute, len(events), len(byNetwork), byNetwork["others"])
			}
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusalsAlike: a count says what all of its refusals have in common, leaves out what differs, and names the
// first and the last by their time, in whichever order they came.
func TestRefusalsAlike(t *testing.T) {
	type change = func(i int, e *gatehouse.Event)
	for name, tc := range map[string]struct {
		change   change
		status   int
		route    string
		requests int
		network  string
	}{
		"alike":              {func(int, *gatehouse.Event) {}, 401, "r", 5, "203.0.113.7"},
		"statuses":           {func(i int, e *gatehouse.Event) { e.Status += i }, 0, "r", 5, "203.0.113.7"},
		"routes":             {func(i int, e *gatehouse.Event) { e.Route += fmt.Sprint(i) }, 401, "", 5, "203.0.113.7"},
		"one other status":   {func(i int, e *gatehouse.Event) { e.Status += i / 19 }, 0, "r", 5, "203.0.113.7"},
		"few request ids":    {func(i int, e *gatehouse.Event) { e.RequestID = e.RequestID[:len(e.RequestID)*(i/16)] }, 401, "r", 4, "203.0.113.7"},
		"no request ids":     {func(i int, e *gatehouse.Event) { e.RequestID = "" }, 401, "r", 0, "203.0.113.7"},
		"a network":          {func(i int, e *gatehouse.Event) { e.Address = "2001:db8::7" }, 401, "r", 5, "2001:db8::/64"},
		"links of one host":  {func(i int, e *gatehouse.Event) { e.Address = fmt.Sprintf("fe80::1%%eth%d", i) }, 401, "r", 5, "fe80::/64"},
		"not an address":     {func(i int, e *gatehouse.Event) { e.Address = fmt.Sprint(i) }, 401, "r", 5, "others"},
		"the last one first": {func(i int, e *gatehouse.Event) { e.Time = e.Time.Add(-time.Duration(2*i) * time.Second) }, 401, "r", 5, "203.0.113.7"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			r := recorder(t, m, nil)
			f := refusing(t, r, 1)
			var first, last time.Time
			for i := range 20 {
				e := refused("203.0.113.7", "credential_missing")
				tc.change(i, e)
				if i > 0 && (first.IsZero() || e.Time.Before(first)) {
					first = e.Time
				}
				if i > 0 && e.Time.After(last) {
					last = e.Time
				}
				f.Record(e)
				time.Sleep(time.Second)
			}
			f.Close()
			if err := r.Close(t.Context()); err != nil {
				t.Error(err)
			}
			e, ok := counts(t, m)[tc.network]
			requests, named := e.Detail["requests"]
			form := "2006-01-02T15:04:05.000000Z"
			if !ok || e.Status != tc.status || e.Route != tc.route || len(strings.Fields(requests)) != tc.requests || named != (tc.requests > 0) || e.Detail["count"] != "19" ||
				e.Detail["first"] != first.UTC().Format(form) || e.Detail["last"] != last.UTC().Format(form) || !e.Time.Equal(last) {
				t.Errorf("%s, from %v to %v: %+v", name, first, last, e)
			}
		})
	}
}

// TestRefusalsAndAFullQueue: refusals take no room beyond the queue, whatever happens to the store; all are counted,
// and once there is room each network has its own events again.
func TestRefusalsAndAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set(down)
		r := recorder(t, m, func(c *audit.RecorderConfig) { c.Queue = 16 })
		f := refusing(t, r, 2)
		burst := func(each int) {
			for n := range 10 {
				for range each {
					f.Record(refused(fmt.Sprintf("192.0.2.%d", n), "credential_missing"))
				}
			}
		}
		burst(2)
		if d := r.Stats().Depth; d != 16 || f.Stats().Waiting != 4 {
			t.Errorf("%d events in a queue of 16, %+v", d, f.Stats())
		}
		burst(3)
		time.Sleep(61 * time.Second) // there is no room for a count
		if d, s := r.Stats().Depth, f.Stats(); d != 16 || s.Waiting != 34 {
			t.Errorf("%d events in a queue of 16, %+v", d, s)
		}
		m.set(nil)
		time.Sleep(10 * time.Second)
		if n := len(m.stored(t, "main")); n != 16 {
			t.Errorf("%d events", n)
		}
		burst(1) // the second minute has a bound of its own, for each of them
		time.Sleep(time.Second)
		if n, s := len(m.stored(t, "main")), f.Stats(); n != 26 || s.Waiting != 34 {
			t.Errorf("%d events in the minute after, %+v", n, s)
		}
		time.Sleep(time.Minute)
		if s := f.Stats(); s.Waiting != 0 || len(counts(t, m)) != 10 {
			t.Errorf("%+v, %d counts", s, len(counts(t, m)))
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusalsAfterTheEnd: what comes after Close is the recorder's, by itself; and a recorder that has ended takes
// nothing, so the refusal is counted rather than lost without a word.
func TestRefusalsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 1)
		f.Close()
		for range 3 {
			f.Record(refused("192.0.2.1", "credential_missing"))
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(m.stored(t, "main")); n != 3 {
			t.Errorf("%d events after the end of counting", n)
		}
		late := refusing(t, r, 1)
		late.Record(refused("192.0.2.1", "credential_missing"))
		if s := late.Stats(); s.Counted != 1 || s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
		late.Close()
	})
}

// TestCountsOfARequest: a count explains the requests that began while it was counted, and within a second of it,
// because the clock of a request's id is read before that of its event. Those of other realms and of other times, and
// a stored one that says no time, explain nothing.
func TestCountsOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := recorder(t, m, nil)
		f := refusing(t, r, 1)
		burst := func() { // of five networks in two realms, each of which is recorded by itself once
			for n := range 5 {
				for _, realm := range []string{"main", "other"} {
					e := refused(fmt.Sprintf("192.0.2.%d", n), "credential_missing")
					e.Realm = realm
					f.Record(e)
				}
			}
		}
		burst()
		time.Sleep(10 * time.Second)
		first := time.Now()
		burst()
		time.Sleep(10 * time.Second)
		last := time.Now()
		burst()
		for name, tc := range map[string]struct {
			began time.Time
			want  int
		}{
			"a second before":         {first.Add(-time.Second), 5},
			"more than that":          {first.Add(-time.Second - time.Microsecond), 0},
			"the first":               {first, 5},
			"the last":                {last, 5},
			"a second after the last": {last.Add(time.Second), 5},
			"later":                   {last.Add(time.Second + time.Microsecond), 0},
		} {
			found := f.Counting("main", tc.began)
			for _, e := range found {
				if e.Realm != "main" || e.Kind != audit.KindAuditCounted || e.Detail["count"] != "2" {
					t.Errorf("%s: %+v", name, e)
				}
			}
			if len(found) != tc.want {
				t.Errorf("%s: %d counts, want %d", name, len(found), tc.want)
			}
		}
		f.Close()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	// Stored counts that say no time.
	instant := epoch.Format("2006-01-02T15:04:05.000000Z")
	for name, detail := range map[string]map[string]string{
		"no first": {"last": instant}, "no last": {"first": instant}, "neither": nil, "no times": {"first": "x", "last": "y"},
		"last without a time": {"first": instant, "last": "soon"},
	} {
		m := newMemory()
		m.append(t, gatehouse.Event{Realm: "main", Kind: audit.KindAuditCounted, Outcome: gatehouse.OutcomeFailure, Time: epoch, Detail: detail})
		if found, err := (&audit.Log{Reader: m}).Find(t.Context(), "main", gatehouse.NewID("req", epoch)); gatehouse.KindOf(err) != gatehouse.NotFound {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// TestRefusalsWithoutATime: a refusal that says no time is of the time at which it is counted.
func TestRefusalsWithoutATime(t *testing.T) {
	m := newMemory()
	r := recorder(t, m, nil)
	if _, err := audit.NewRefusals(audit.RefusalsConfig{}); err == nil {
		t.Error("refusals without a recorder")
	}
	f, err := audit.NewRefusals(audit.RefusalsConfig{Recorder: r, PerMinute: 1, Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		e := refused("192.0.2.1", "credential_missing")
		e.Time = time.Time{}
		f.Record(e)
	}
	f.Close()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.stored(t, "main") {
		if !e.Time.Equal(epoch) {
			t.Errorf("%+v", e)
		}
	}
	if c := counts(t, m); len(c) != 1 || c["192.0.2.1"].Detail["count"] != "2" {
		t.Errorf("%+v", c)
	}
}
