package staleness

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A node that is alone may go on while its database is away: nobody is there who could
// change anything. The database holds who that is, in one row, so that whoever comes later
// knows that somebody may be answering who cannot hear him:
//
//   - A node takes the row when nobody else is connected, and none was lately who did not
//     say that he stops.
//   - It gives the row up as soon as it sees another one.
//   - Whoever comes answers nothing, and stores no change that others must know of,
//     while the row is another's. He waits until that one has given it up, or can no longer
//     be going on: his process has ended, his time is over, or an operator says that he is gone.
const (
	// Forever is the bound of a node that goes on for as long as its database is away.
	Forever time.Duration = 1<<63 - 1

	// soleEvery is how often the database is asked, soleWait how long one question may take.
	soleEvery = time.Second
	soleWait  = 2 * time.Second
	// joinEvery is how often a node asks that waits for another one.
	joinEvery = 200 * time.Millisecond
	// awayFor is how long a failed attempt says that the database is away. A process that
	// was stopped for longer knows nothing of it until it has tried again.
	awayFor = 5 * time.Second
	// catchUp is how long a node goes on after its database is there again and has confirmed
	// that nobody else came: its view is whole, and becomes young once it was read anew.
	catchUp = 3 * time.Second
	// tellEvery is how often the log is told of a node that waits.
	tellEvery = time.Minute
)

// Claim is what a node says of itself when it asks for the row.
type Claim struct {
	Node string // this process, unlike every other one and every earlier start
	// Host is the machine, and Home names the data directory that the process has there to
	// itself for as long as it runs: whoever has both has taken the place of one that is dead.
	Host, Home string
	// Bound is how long the node goes on without its database. 0: not at all, and it does
	// not ask to.
	Bound time.Duration
}

// Standing is what the database answers.
type Standing struct {
	// Sole: the row is this node's. Asked: and somebody else has come.
	Sole, Asked bool
	// Holder has the row, who is another one, on Host; he can be going on for Left more.
	Holder, Host string
	Left         time.Duration
	// Database is the database's clock at a moment of the question; zero when it was not told.
	Database time.Time
	// Ended is the holder of before who no longer is, and Why.
	Ended, Why string
}

// Register keeps the row.
type Register interface {
	// Sole asks how things stand, confirms the row that this node has, or takes one that is
	// free. It never gives it up.
	Sole(ctx context.Context, c Claim) (Standing, error)
	// YieldSole gives up the row of a node, which no longer counts on it.
	YieldSole(ctx context.Context, node string) error
}

// SoleConfig is what a [Sole] needs. Every field is required.
type SoleConfig struct {
	Register Register
	Claim    Claim
	Clock    *Clock
	Logger   *slog.Logger
}

// Sole keeps the right of a node to go on while its database is away. Safe for concurrent
// use.
type Sole struct {
	cfg    SoleConfig
	rights atomic.Pointer[rights]

	mu      sync.Mutex // of what follows
	joined  bool
	sole    bool
	contact time.Time // when the database was asked that confirmed last
	failed  time.Time // when an attempt failed last, of those since then; zero when none did
	back    time.Time // when it confirmed again after attempts had failed; zero when that is not known
	before  time.Time // the contact before those attempts
	told    time.Time // when the log was told last that this node waits
}

// rights are what is worked out from the above, for those who ask at each request.
type rights struct {
	barred bool // another node may be going on
	alone  span // until when this node goes on without the database
	// contact is when the database confirmed last: a view that was old then already is
	// older than the right to go on by it.
	contact time.Time
}

// span ends at a moment, by both clocks of the machine.
type span struct{ end, wall time.Time }

func (s span) has(at time.Time) bool { return at.Before(s.end) && at.Round(0).Before(s.wall) }

// NewSole returns the right of a node that has not asked yet.
func NewSole(cfg SoleConfig) *Sole {
	s := &Sole{cfg: cfg}
	s.rights.Store(&rights{barred: true})
	return s
}

// Join asks until no other node can be going on alone, or wait is over, or ctx.
func (s *Sole) Join(ctx context.Context, wait time.Duration) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		s.attempt(ctx)
		if !s.rights.Load().barred {
			return
		}
		pause := time.NewTimer(joinEvery)
		select {
		case <-pause.C:
		case <-late.C:
			pause.Stop()
			return
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// Run keeps the right until ctx ends.
func (s *Sole) Run(ctx context.Context) error {
	for s != nil {
		pause := soleEvery
		if s.rights.Load().barred {
			pause = joinEvery
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
			s.attempt(ctx)
			continue
		case <-ctx.Done():
			next.Stop()
			return nil
		}
	}
	return nil
}

// Leave gives the right up, once this node answers nobody any more and [Sole.Run] has ended.
func (s *Sole) Leave(ctx context.Context) {
	if s == nil {
		return
	}
	s.set(func() { s.joined, s.sole = false, false })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), soleWait)
	defer cancel()
	if err := s.cfg.Register.YieldSole(ctx, s.cfg.Claim.Node); err != nil {
		s.cfg.Logger.Warn("the database does not know that this node stops; another one may have to wait for it", "error", err)
	}
}

// Waits reports whether this node waits for another one that may be going on alone.
func (s *Sole) Waits() bool { return s != nil && s.rights.Load().barred }

// Holds reports whether this node may go on alone when the database is away.
func (s *Sole) Holds() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sole
}

// goesOn reports whether this node may answer at a moment by a view that was whole when the
// database was last heard from, or not much before.
func (s *Sole) goesOn(at time.Time, view *sight, limit time.Duration) bool {
	if s == nil || view == nil {
		return false
	}
	r := s.rights.Load()
	return r.alone.has(at) && took(view.whole, r.contact) <= limit
}

// attempt asks the database once.
func (s *Sole) attempt(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, soleWait)
	defer cancel()
	asked := s.cfg.Clock.own()
	st, err := s.cfg.Register.Sole(asking, s.cfg.Claim)
	ended := s.cfg.Clock.own()
	if err == nil && !st.Database.IsZero() {
		s.cfg.Clock.measured(asked, ended, st.Database)
	}
	// By the clock that counts, which may just have been set.
	lasted := took(asked, ended)
	ended = s.cfg.Clock.Now()
	asked = ended.Add(-lasted)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		s.set(func() {
			// What took longer than it can was stopped in the middle of it.
			if lasted < 2*soleWait {
				s.failed = ended
			} else {
				s.failed = time.Time{}
			}
		})
		return
	}
	if st.Asked { // before the database, and so anybody else, can know
		s.set(func() { s.sole, s.failed = false, time.Time{} })
		if err := s.cfg.Register.YieldSole(asking, s.cfg.Claim.Node); err != nil {
			return // it is asked again
		}
		s.cfg.Logger.Info("another node has come; this one no longer goes on when the database is away")
		return
	}
	s.judge(asked, st)
}

// judge follows what the database answered.
func (s *Sole) judge(asked time.Time, st Standing) {
	var was, sole, tell bool
	s.set(func() {
		was, sole = s.sole, st.Sole
		if was && !s.failed.IsZero() {
			s.back, s.before = asked, s.contact
		}
		s.joined, s.sole = st.Holder == "", st.Sole
		s.contact, s.failed = asked, time.Time{}
		if tell = !s.joined && (s.told.IsZero() || took(s.told, asked) >= tellEvery); tell {
			s.told = asked
		}
		if s.joined {
			s.told = time.Time{}
		}
	})
	log := s.cfg.Logger
	switch {
	case tell:
		left := any("until an operator says that it has stopped")
		if st.Left < Forever {
			left = st.Left.Round(time.Second).String()
		}
		log.Warn("another node may be answering without the database, and this one answers nothing until it cannot any more: start that one, "+
			"or, when it has stopped for good, run 'gatehouse node remove'", "node", st.Holder, "host", st.Host, "longest", left)
	case sole && !was:
		log.Info("this node is alone; it goes on when the database is away", "for", boundText(s.cfg.Claim.Bound))
	case was && !sole:
		log.Warn("this node no longer goes on when the database is away: another one took that from it")
	}
	if st.Ended != "" {
		log.Info("a node that might have gone on without the database no longer does", "node", st.Ended, "why", st.Why)
	}
}

// set changes what is known, and works out the rights.
func (s *Sole) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	r := &rights{barred: !s.joined, contact: s.contact}
	switch {
	case !s.sole:
		s.back = time.Time{}
	case s.failed.IsZero() && !s.back.IsZero():
		r.contact, r.alone = s.before, span{s.back.Add(catchUp), s.back.Round(0).Add(catchUp)}
	case !s.failed.IsZero():
		r.alone = span{s.failed.Add(awayFor), s.failed.Round(0).Add(awayFor)}
		if b := s.cfg.Claim.Bound; b < Forever {
			r.alone = span{earlier(r.alone.end, s.contact.Add(b)), earlier(r.alone.wall, s.contact.Round(0).Add(b))}
		}
	}
	s.rights.Store(r)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// took is how long it was from a to b, by the clock that went further.
func took(a, b time.Time) time.Duration { return max(b.Sub(a), b.Round(0).Sub(a.Round(0))) }

func boundText(d time.Duration) string {
	if d == Forever {
		return "as long as it takes"
	}
	return d.String()
}
