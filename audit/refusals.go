package audit

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// EveryRefusal for [RefusalsConfig].PerMinute records each refusal by itself.
const EveryRefusal = -1

const (
	// countWindow is how long refusals are counted before the count is recorded.
	countWindow = time.Minute
	// maxNetworks is how many networks are told apart in one window; all others count
	// together. Who has many addresses must not fill memory, nor the disk with counts.
	maxNetworks = 256
	// overallShare: all networks together have this many times what one may have
	// recorded one by one.
	overallShare = 10
	// maxExamples is how many request ids a count names.
	maxExamples = 5
	// defaultPerMinute are recorded one by one where nothing is said.
	defaultPerMinute = 30
)

// RefusalsConfig configures [Refusals]. Recorder is required.
type RefusalsConfig struct {
	Recorder *Recorder
	// PerMinute is how many refusals of one kind, for one reason and from one network
	// are recorded one by one in a minute: 30 when 0, all of them with [EveryRefusal].
	// All networks together have ten times as many.
	PerMinute int
	Now       func() time.Time
}

// RefusalsStats are counters since the start.
type RefusalsStats struct {
	Counted int64 // refusals that were counted and not recorded one by one
	Waiting int64 // those of them whose count is not recorded yet
}

// Refusals stands before a [Recorder], so that nobody who has no credential can fill
// the disk: of the refusals of callers who never authenticated it records a bounded
// number one by one, and from there on only how many there were, in one event for each
// realm, kind, reason and network ("audit.counted"). What counts as one network is
// nothing that a caller can choose: one IPv4 address, one IPv6 /64.
//
// Every refusal is either an event or part of a count, also when the recorder has no
// room: then the count is kept and grows. What is counted and not yet recorded, at
// most a minute's, is lost by a crash. Safe for concurrent use.
type Refusals struct {
	next      *Recorder
	perMinute atomic.Int64 // below 0: each is recorded
	now       func() time.Time

	stop, done chan struct{}
	closing    sync.Once

	mu      sync.Mutex
	closed  bool
	singles int // recorded one by one in this window
	rows    map[refusal]*refusals
	told    int // rows with a network of their own
	stats   RefusalsStats
}

// refusal is what equal refusals have in common.
type refusal struct {
	realm, kind, reason string
	network             netip.Prefix // the zero one: all that have no row of their own
}

// refusals are those of one window that are alike.
type refusals struct {
	singles     int // recorded one by one
	count       int64
	first, last time.Time
	examples    []string
	outcome     gatehouse.Outcome
	status      int    // 0 when they differ
	route       string // "" when they differ
}

// NewRefusals begins to count; end it with [Refusals.Close], before the recorder.
func NewRefusals(cfg RefusalsConfig) (*Refusals, error) {
	if cfg.Recorder == nil {
		return nil, errors.New("audit: refusals need a recorder")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Refusals{next: cfg.Recorder, now: cfg.Now, rows: map[refusal]*refusals{},
		stop: make(chan struct{}), done: make(chan struct{})}
	f.SetPerMinute(cfg.PerMinute)
	go f.tell()
	return f, nil
}

// SetPerMinute changes how many are recorded one by one, as [RefusalsConfig.PerMinute].
func (f *Refusals) SetPerMinute(n int) {
	if n == 0 {
		n = defaultPerMinute
	}
	f.perMinute.Store(int64(n))
}

// ofNobody reports whether e is about somebody who did not authenticate and for whom
// nothing was done: what anybody can cause, as often as they like.
func ofNobody(e *gatehouse.Event) bool {
	if e.Actor.ID != "" {
		return false
	}
	switch e.Kind {
	case KindRequestDecide: // one that was let through is admitted; a preflight is answered here
		return true
	case KindLoginFailure, KindLoginThrottled, KindFactorFailure, KindFactorThrottled, KindPasskeyFailure, KindProviderFailure, KindAdminBootstrap:
		return e.Outcome != gatehouse.OutcomeSuccess
	}
	return false
}

// networkOf is what one customer of a provider holds at least.
func networkOf(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// Admit is [Recorder.Admit].
func (f *Refusals) Admit(ctx context.Context) error { return f.next.Admit(ctx) }

// RecordAdmitted is [Recorder.RecordAdmitted]: what was let through is never counted.
func (f *Refusals) RecordAdmitted(e *gatehouse.Event) { f.next.RecordAdmitted(e) }

// Record is [Recorder.Record], but for refusals of callers who never authenticated:
// those beyond the bound are counted, and none of them waits for room.
func (f *Refusals) Record(e *gatehouse.Event) {
	if f.perMinute.Load() < 0 || !ofNobody(e) || !f.take(e) {
		f.next.Record(e)
	}
}

// take records e by itself or counts it; false after Close.
func (f *Refusals) take(e *gatehouse.Event) bool {
	if !validTime(e.Time) {
		e.Time = f.now()
	}
	key := refusal{realm: e.Realm, kind: e.Kind, reason: e.Reason, network: networkOf(e.Address)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	row, most := f.row(key), int(f.perMinute.Load())
	if row.singles < most && f.singles < overallShare*most && f.next.offer(e) {
		row.singles++
		f.singles++
		return true
	}
	row.add(e)
	f.stats.Counted++
	f.stats.Waiting++
	return true
}

// row returns the row of key, or that of all others; mu is held.
func (f *Refusals) row(key refusal) *refusals {
	if row := f.rows[key]; row != nil {
		return row
	}
	if key.network.IsValid() {
		if f.told < maxNetworks {
			f.told++
		} else {
			key.network = netip.Prefix{}
			if row := f.rows[key]; row != nil {
				return row
			}
		}
	}
	row := &refusals{}
	f.rows[key] = row
	return row
}

func (s *refusals) add(e *gatehouse.Event) {
	if s.count == 0 {
		s.first, s.last = e.Time, e.Time
		s.outcome, s.status, s.route = e.Outcome, e.Status, e.Route
	}
	s.count++
	if e.Time.Before(s.first) {
		s.first = e.Time
	}
	if e.Time.After(s.last) {
		s.last = e.Time
	}
	if s.status != e.Status {
		s.status = 0
	}
	if s.route != e.Route {
		s.route = ""
	}
	if e.RequestID != "" && len(s.examples) < maxExamples {
		s.examples = append(s.examples, e.RequestID)
	}
}

// tell records what was counted, window after window.
func (f *Refusals) tell() {
	defer close(f.done)
	t := time.NewTicker(countWindow)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f.flush()
		case <-f.stop:
			return
		}
	}
}

// flush records the counts and begins a new window. A count for which there is no room
// stays and grows.
func (f *Refusals) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.singles = 0
	for key, row := range f.rows {
		row.singles = 0
		if row.count > 0 {
			e := row.event(key)
			if !f.next.offer(&e) {
				continue
			}
			f.stats.Waiting -= row.count
		}
		delete(f.rows, key)
		if key.network.IsValid() {
			f.told--
		}
	}
}

// event tells of a row. Its time is that of the last refusal.
func (s *refusals) event(key refusal) gatehouse.Event {
	network := "others"
	switch {
	case key.network.IsSingleIP():
		network = key.network.Addr().String()
	case key.network.IsValid():
		network = key.network.String()
	}
	e := gatehouse.Event{Realm: key.realm, Kind: KindAuditCounted, Outcome: s.outcome, Reason: key.reason, Time: s.last,
		Status: s.status, Route: s.route, Detail: map[string]string{"kind": key.kind, "network": network,
			"count": strconv.FormatInt(s.count, 10), "first": instant(s.first), "last": instant(s.last)}}
	if len(s.examples) > 0 {
		e.Detail["requests"] = strings.Join(s.examples, " ")
	}
	return e
}

const instantForm = "2006-01-02T15:04:05.000000Z"

func instant(t time.Time) string { return t.UTC().Format(instantForm) }

// countSlack is how far the time inside a request id may be from that of its event.
const countSlack = time.Second

// countOf reports whether e is a count of refusals among which may be one of a request
// that began at that time.
func countOf(e *gatehouse.Event, began time.Time) bool {
	if e.Kind != KindAuditCounted {
		return false
	}
	first, err1 := time.Parse(instantForm, e.Detail["first"])
	last, err2 := time.Parse(instantForm, e.Detail["last"])
	return err1 == nil && err2 == nil && !began.Before(first.Add(-countSlack)) && !began.After(last.Add(countSlack))
}

// Counting returns the counts of the realm that are not recorded yet and in which a
// request that began at that time may be.
func (f *Refusals) Counting(realm string, began time.Time) (out []gatehouse.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, row := range f.rows {
		if key.realm != realm || row.count == 0 {
			continue
		}
		if e := row.event(key); countOf(&e, began) {
			out = append(out, e)
		}
	}
	return out
}

// Stats returns counters for metrics.
func (f *Refusals) Stats() RefusalsStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close records what was counted, whether there is room or not, and counts no more.
func (f *Refusals) Close() {
	f.closing.Do(func() { close(f.stop) })
	<-f.done
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for key, row := range f.rows {
		if row.count > 0 {
			e := row.event(key)
			f.next.record(&e, true)
		}
	}
	f.rows, f.told, f.stats.Waiting = map[refusal]*refusals{}, 0, 0
}
