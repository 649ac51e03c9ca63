package guard

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// maxStatusLists bounds the lists that are kept. An issuer has 64 for each day on
	// which grants end, and grants live for 30 days unless it says otherwise.
	maxStatusLists = 4096
	// statusCooldown is the least time between two fetches of one list.
	statusCooldown = 5 * time.Second
	// statusWait bounds how long a token waits for a list that is not there yet.
	statusWait = 3 * time.Second
	// statusFetch bounds a fetch, with its wait for a turn.
	statusFetch = 10 * time.Second
	// statusFetches is how many lists are fetched at a time: fewer than the
	// connections to the issuer, so that its keys can be had meanwhile.
	statusFetches = 3
	// statusLogEvery keeps an issuer that is out of reach from filling the log.
	statusLogEvery = 30 * time.Second
	acceptStatus   = "application/statuslist+jwt"
)

// place is a token's place in the status lists of its issuer.
type place struct{ list, index int64 }

// fetcher gets the body of an address; *egress.Client is one.
type fetcher interface {
	Fetch(ctx context.Context, address, accept string) (body []byte, header http.Header, err error)
}

// statusLists answers from memory whether tokens were revoked, by the lists that
// their issuer publishes.
//
// A list is fetched when the first token with a place in it was verified, which
// waits for it. Past its ttl it still answers until it expires, while it is
// fetched again in the background. Without a list that counts, nobody is let in.
// Only verified tokens get here, so nobody but the issuer decides what is fetched.
type statusLists struct {
	issuer   string // before "/status/" in the name of a list
	base     string // before the number in its address
	verifier *token.StatusListVerifier
	fetch    fetcher
	log      *slog.Logger
	now      func() time.Time

	ctx   context.Context // ends the fetches
	stop  context.CancelFunc
	wg    sync.WaitGroup
	turns chan struct{}

	mu     sync.RWMutex
	lists  map[int64]*statusList
	closed bool
	logged time.Time
}

type statusList struct {
	number  int64
	used    atomic.Int64 // Unix seconds of the last question
	current atomic.Pointer[statusBits]

	// Of statusLists.mu:
	tried   time.Time     // when the last fetch began
	pending chan struct{} // closed when the fetch that runs has ended
}

// newStatusLists makes an empty cache. base is where lists are fetched, without
// the number.
func newStatusLists(cfg RemoteConfig, base string, keys token.KeySource, fetch fetcher) (*statusLists, error) {
	v, err := token.NewStatusListVerifier(token.StatusListVerifierConfig{Issuer: cfg.Issuer, Algorithms: cfg.Algorithms,
		Keys: keys, Leeway: leeway, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	s := &statusLists{issuer: cfg.Issuer, base: base, verifier: v, fetch: fetch, log: cfg.Logger, now: cfg.Now,
		turns: make(chan struct{}, statusFetches), lists: map[int64]*statusList{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// close ends the fetches that run and waits for them.
func (s *statusLists) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
}

// check returns nil for a token that is not revoked.
func (s *statusLists) check(ctx context.Context, p place) error {
	now := s.clock()
	if !revocation.ValidPlace(p.list, p.index) || !now.Before(revocation.ListExpires(p.list)) {
		return authn.ErrInvalidToken.With(errors.New("the token names a status that cannot exist, or no longer"))
	}
	l := s.list(p.list, now)
	if l == nil {
		return authn.ErrUnavailable.With(errors.New("too many status lists are being fetched"))
	}
	known := l.current.Load()
	if !known.counts(now) {
		s.wait(ctx, s.start(l, now))
		if known = l.current.Load(); !known.counts(s.clock()) {
			return authn.ErrUnavailable.With(errors.New("the status list cannot be had"))
		}
	} else if !now.Before(known.refresh) {
		s.start(l, now)
	}
	if known.revoked(p.index) {
		return authn.ErrInvalidToken.With(errors.New("the token was revoked"))
	}
	return nil
}

// clock returns the time of day alone: while a machine sleeps, the time that
// passes for others counts.
func (s *statusLists) clock() time.Time { return s.now().Round(0) }

// list finds or makes the entry of a list and marks it used. It returns nil when
// there is no room.
func (s *statusLists) list(number int64, now time.Time) *statusList {
	s.mu.RLock()
	l := s.lists[number]
	s.mu.RUnlock()
	if l == nil {
		s.mu.Lock()
		if l = s.lists[number]; l == nil {
			if len(s.lists) >= maxStatusLists && !s.evict() {
				s.mu.Unlock()
				return nil
			}
			l = &statusList{number: number}
			s.lists[number] = l
		}
		s.mu.Unlock()
	}
	if sec := now.Unix(); l.used.Load() < sec {
		l.used.Store(sec)
	}
	return l
}

// evict forgets the eighth of the lists that nobody asked for the longest, and
// none for which somebody waits. It reports whether there is room now.
func (s *statusLists) evict() bool {
	var idle []*statusList
	for _, l := range s.lists {
		if l.pending == nil {
			idle = append(idle, l)
		}
	}
	sorted.Slice(idle, func(a, b *statusList) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, l := range idle[:min(len(idle), maxStatusLists/8)] {
		delete(s.lists, l.number)
	}
	return len(s.lists) < maxStatusLists
}

// wait waits for a fetch, but not long. No fetch is over at once.
func (s *statusLists) wait(ctx context.Context, done <-chan struct{}) {
	if done == nil {
		return
	}
	timer := time.NewTimer(statusWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// start begins a fetch of l unless one runs or the cool-down lasts. It returns the
// channel that is closed when the running fetch ends, or nil when none runs.
func (s *statusLists) start(l *statusList, now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.pending != nil {
		return l.pending
	}
	// A clock that was set back does not prolong the cool-down.
	if since := now.Sub(l.tried); s.closed || !l.tried.IsZero() && since >= 0 && since < statusCooldown {
		return nil
	}
	l.tried = now
	done := make(chan struct{})
	l.pending = done
	s.wg.Go(func() {
		err := s.renew(l)
		s.mu.Lock()
		l.pending = nil
		loud := err != nil && s.ctx.Err() == nil && now.Sub(s.logged).Abs() >= statusLogEvery
		if loud {
			s.logged = now
		}
		s.mu.Unlock()
		close(done)
		if loud {
			s.log.Warn("fetching a status list failed; its tokens are refused when the last one has expired",
				slog.String("issuer", s.issuer), slog.Int64("list", l.number), slog.Any("error", err))
		}
	})
	return done
}

// renew fetches l and puts it in place of the one there is.
func (s *statusLists) renew(l *statusList) error {
	ctx, cancel := context.WithTimeout(s.ctx, statusFetch)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	number := strconv.FormatInt(l.number, 10)
	body, _, err := s.fetch.Fetch(ctx, s.base+number, acceptStatus)
	if err != nil {
		return err
	}
	signed, err := s.verifier.Verify(string(body), s.issuer+statusPath+number)
	if err != nil {
		return err
	}
	raw, err := revocation.Decode(signed.Compressed)
	if err != nil {
		return err
	}
	now := s.clock()
	// An older list than the one that counts may lack what was revoked since.
	if old := l.current.Load(); old.counts(now) && signed.IssuedAt.Before(old.issued) {
		return errors.New("the list is older than the one before")
	}
	l.current.Store(newStatusBits(raw, signed, now))
	return nil
}

// statusPath comes between the issuer and the number in the name of a list.
const statusPath = "/status/"

// statusBits is a status list that was verified. It does not change.
type statusBits struct {
	// Either the places whose bit is set, in order, or all bits; whichever is less.
	// Places are random, so that even a list with few of them is long.
	set []uint32
	all []byte

	issued  time.Time
	fetched time.Time
	refresh time.Time // from then on it is fetched again
	until   time.Time // from then on it does not count
}

func newStatusBits(raw []byte, signed token.StatusList, now time.Time) *statusBits {
	// From its issue on, however long a cache on the way had kept it.
	age := signed.IssuedAt
	if age.After(now) {
		age = now
	}
	b := &statusBits{issued: signed.IssuedAt, fetched: now, refresh: age.Add(signed.TTL), until: signed.ExpiresAt}
	n := 0
	for _, octet := range raw {
		n += bits.OnesCount8(octet)
	}
	if n*4 >= len(raw) {
		b.all = slices.Clone(raw)
		return b
	}
	b.set = make([]uint32, 0, n)
	for i, octet := range raw {
		for ; octet != 0; octet &= octet - 1 {
			b.set = append(b.set, uint32(i*8+bits.TrailingZeros8(octet)))
		}
	}
	return b
}

// counts reports whether there is a list and it has not expired. One that was
// fetched later than now does not count: the clock was set back, and nobody knows
// how old the list is.
func (b *statusBits) counts(now time.Time) bool {
	return b != nil && now.Before(b.until) && !now.Before(b.fetched.Add(-leeway))
}

// revoked reports whether the bit of a place is set. Bits after the end of the
// list are not.
func (b *statusBits) revoked(index int64) bool {
	if b.all != nil {
		return index/8 < int64(len(b.all)) && b.all[index/8]>>(index%8)&1 == 1
	}
	_, found := slices.BinarySearch(b.set, uint32(index))
	return found
}
