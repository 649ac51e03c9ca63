package gateway

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// supervisor ends an exchange that stands still, takes longer than it may, or would
// not be let in any more. One timer does all of that.
//
// Standing still is measured from the last byte that moved in either direction, so
// that a large upload or download that flows has all the time it needs. Who is
// waited for at the end decides who is blamed: a caller who does not send its body
// is told 408, an API that does not answer causes 504.
type supervisor struct {
	e     *exchange
	began time.Time

	idle, whole, check time.Duration // whole is 0 when nothing bounds the sum

	moved    atomic.Int64 // when a byte moved last, as time since began
	reading  atomic.Bool  // a read of the caller's body is waiting
	writing  atomic.Bool  // a write to the caller is waiting
	answered atomic.Bool  // the header of the answer has come

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	stream  bool          // the answer has no natural end
	ends    time.Duration // of a stream, since began
	checked time.Duration // when it was judged last, since began
}

// start begins to watch e, whose route and context are known.
func (s *supervisor) start(e *exchange) {
	cfg, route := &e.g.cfg, e.v.Route
	s.e, s.began = e, time.Now()
	s.idle, s.whole, s.check = firstPositive(route.IdleTimeout, cfg.IdleTimeout), firstPositive(route.Timeout, cfg.Timeout), cfg.StreamCheck
	s.mu.Lock() // the timer may fire before it is stored
	defer s.mu.Unlock()
	wait, _ := s.due(0)
	s.timer = time.AfterFunc(wait, s.tick)
}

func firstPositive(a, b time.Duration) time.Duration {
	if a > 0 {
		return a
	}
	return max(b, 0)
}

// stop ends the watch.
func (s *supervisor) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.timer.Stop()
}

// progress notes that bytes moved.
func (s *supervisor) progress() { s.moved.Store(int64(time.Since(s.began))) }

// answer notes that the header of the answer has come.
func (s *supervisor) answer() {
	s.answered.Store(true)
	s.progress()
}

// waitsForCaller notes that a write to the caller begins, wrote that it is done.
func (s *supervisor) waitsForCaller() { s.writing.Store(true) }

func (s *supervisor) wrote() {
	s.writing.Store(false)
	s.progress()
}

// endless replaces the bounds of time by one life: a stream may be silent for long,
// but must not outlive the credential that opened it.
func (s *supervisor) endless() {
	life := firstPositive(s.e.v.Route.StreamLifetime, s.e.g.cfg.StreamLifetime)
	if p := s.e.v.Principal; p != nil && !p.ExpiresAt.IsZero() {
		life = min(life, max(p.ExpiresAt.Sub(s.e.g.cfg.Now()), 0))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.began)
	s.stream, s.ends = true, now+life
	if wait, _ := s.due(now); !s.stopped {
		s.timer.Reset(wait)
	}
}

// tick does what is due and waits for what comes next.
func (s *supervisor) tick() {
	s.mu.Lock()
	judge := time.Since(s.began) >= s.checked+s.check
	s.mu.Unlock()
	if judge && s.judged() {
		if err := s.e.x.Recheck(s.e.in); err != nil {
			s.takeBack(err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	now := time.Since(s.began)
	if judge {
		s.checked = now
	}
	wait, err := s.due(now)
	if err != nil {
		s.e.end(err)
		return
	}
	s.timer.Reset(wait)
}

// judged reports whether the request may be judged again now. While an API works on
// a write it is not: the write may have changed what the first judgement was about,
// and a deletion that was carried out must not be answered "not allowed".
func (s *supervisor) judged() bool {
	return s.answered.Load() || safeMethod(s.e.in.Method) || s.reading.Load()
}

// safeMethod reports the methods that change nothing (RFC 9110 §9.2.1) and are
// forwarded.
func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}

// takeBack ends an exchange that would not be let in now.
func (s *supervisor) takeBack(err error) {
	e := s.e
	if e.ctx.Err() != nil {
		return
	}
	e.g.cfg.Logger.InfoContext(e.in.Context(), "an exchange was ended: it would not be allowed now", slog.String("request_id", e.id),
		slog.String("upstream", e.up.Name), slog.String("code", gatehouse.CodeOf(err)))
	e.end(errTakenBack.With(err))
}

// due returns why the exchange has to end now, or how long that need not be asked.
// s.mu is held.
func (s *supervisor) due(now time.Duration) (wait time.Duration, end error) {
	wait = s.checked + s.check - now
	if s.stream {
		if now >= s.ends {
			return 0, errEnded
		}
		return max(min(wait, s.ends-now), 0), nil
	}
	idle := time.Duration(s.moved.Load()) + s.idle
	if now >= idle && s.writing.Load() {
		idle = now + s.idle // the listener bounds how long a write may wait
	}
	if now >= idle || s.whole > 0 && now >= s.whole {
		if s.reading.Load() || s.writing.Load() {
			return 0, errCallerSlow
		}
		return 0, errTimeout
	}
	wait = min(wait, idle-now)
	if s.whole > 0 {
		wait = min(wait, s.whole-now)
	}
	return max(wait, 0), nil
}
