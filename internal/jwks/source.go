package jwks

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	minAge     = time.Minute
	maxAge     = 24 * time.Hour
	defaultAge = 10 * time.Minute
	// staleAfter ends the use of a set that could not be renewed.
	staleAfter = 24 * time.Hour
	cooldown   = 30 * time.Second
	// quickFetches may follow a good fetch within the cool-down, for an issuer
	// that changes its keys twice in a short time.
	quickFetches = 2
	maxWait      = 3 * time.Second
	fetchTime    = 10 * time.Second
	accept       = "application/jwk-set+json, application/json"
)

var (
	errUnavailable = gatehouse.E(gatehouse.Unavailable, "issuer_keys_unavailable", "The keys of the token's issuer cannot be had at the moment.")
)

// Fetcher gets the body and header of an address; internal/egress has one.
type Fetcher interface {
	Fetch(ctx context.Context, address, accept string) (body []byte, header http.Header, err error)
}

// Config of a [Source]: Static, or a Fetcher with either URL or Discover.
type Config struct {
	Issuer string
	Static []byte // the set itself
	URL    string
	// Discover finds the address of the set in the metadata of Issuer (OpenID
	// Connect Discovery §4, RFC 8414 §3), which must name Issuer exactly.
	Discover bool
	// Fetcher must refuse addresses that may not be reached.
	Fetcher Fetcher
	// Algorithms are those allowed for the issuer; asymmetric only. They also bind
	// keys that carry no alg. Required.
	Algorithms []token.Algorithm
	Logger     *slog.Logger     // nil: none
	Now        func() time.Time // nil: time.Now
}

// Source answers for the keys of one issuer. It is safe for concurrent use.
type Source struct {
	cfg Config
	// current is nil until the first good answer.
	current atomic.Pointer[snapshot]

	// stop ends a fetch in the background.
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	// The address that was discovered, and when. Only fetch uses them.
	found   string
	foundAt time.Time

	mu      sync.Mutex
	tried   time.Time     // when the last fetch began
	failed  bool          // whether the last fetch that ended had failed
	spare   int           // quick fetches that are left
	pending chan struct{} // closed when the fetch that runs has ended
	renew   int           // 1: Renew works; 2: and has to once more
	closed  bool
}

type snapshot struct {
	set     *token.KeySet
	fetched time.Time
	refresh time.Time // from then on aged
}

// New makes a source. A static set is read at once and its errors are returned;
// an address is not contacted before the first question.
func New(cfg Config) (*Source, error) {
	if len(cfg.Algorithms) == 0 {
		return nil, errors.New("jwks: no algorithms")
	}
	if slices.ContainsFunc(cfg.Algorithms, func(a token.Algorithm) bool { return !a.Valid() || a.Symmetric() }) {
		return nil, errors.New("jwks: only asymmetric algorithms can be trusted with a foreign issuer")
	}
	sources := 0
	for _, given := range [...]bool{cfg.Static != nil, cfg.URL != "", cfg.Discover} {
		if given {
			sources++
		}
	}
	if sources != 1 || cfg.Discover && cfg.Issuer == "" {
		return nil, errors.New("jwks: exactly one of a set, an address and an issuer to ask is needed")
	}
	if cfg.Static == nil && cfg.Fetcher == nil {
		return nil, errors.New("jwks: no fetcher")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	s := &Source{cfg: cfg}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.Static != nil {
		set, err := token.ParseJWKSet(cfg.Static, token.ParseOptions{Algorithms: cfg.Algorithms})
		if err != nil {
			return nil, err
		}
		s.current.Store(&snapshot{set: set})
	}
	return s, nil
}

// Close ends a fetch that runs and waits for it. Questions afterwards are
// answered from what is in memory.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
}

// Key implements token.KeySource. When no key in memory fits, it asks the issuer
// and waits for the answer a bounded time: the first token under a new key is as
// good as the second. The error is of kind Unavailable when the issuer could not
// be asked, so that nobody knows whether the key exists.
func (s *Source) Key(kid string, alg token.Algorithm) (k *token.Key, err error) {
	if s.cfg.Static != nil {
		return s.current.Load().set.Key(kid, alg)
	}
	var none error
	err = s.find(func(set *token.KeySet) bool {
		k, none = set.Key(kid, alg)
		return none == nil
	})
	if errors.Is(err, errNoKey) {
		return nil, token.ErrKeyUnknown.With(none)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Holds implements token.KeyHolder, as Key does its interface.
func (s *Source) Holds(pub crypto.PublicKey) (bool, error) {
	if s.cfg.Static != nil {
		return s.current.Load().set.Holds(pub)
	}
	err := s.find(func(set *token.KeySet) bool {
		held, _ := set.Holds(pub) // a set knows what it holds
		return held
	})
	if errors.Is(err, errNoKey) {
		return false, nil
	}
	return err == nil, err
}

// errNoKey: the set is known, and nothing in it fits.
var errNoKey = errors.New("no key fits")

// find has fits look at the set in memory and, where that is of no use, at the one of now.
func (s *Source) find(fits func(*token.KeySet) bool) error {
	snap, now := s.current.Load(), s.cfg.Now()
	if snap.good(now) {
		if !now.Before(snap.refresh) {
			s.start(now)
		}
		if fits(snap.set) {
			return nil
		}
	}
	s.wait(s.start(now))
	snap = s.current.Load()
	switch {
	case !snap.good(now):
		return errUnavailable.With(errors.New("the key set could not be fetched"))
	case fits(snap.set):
		return nil
	case s.inDoubt():
		return errUnavailable.With(errors.New("the key is not known, and the key set could not be fetched again"))
	}
	return errNoKey
}

// good reports whether the set still counts.
func (s *snapshot) good(now time.Time) bool { return s != nil && now.Sub(s.fetched) < staleAfter }

// wait waits for a fetch, but not long.
func (s *Source) wait(done <-chan struct{}) {
	if done == nil {
		return
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// inDoubt reports whether the issuer's last word is unknown: the last fetch
// failed, or one still runs.
func (s *Source) inDoubt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed || s.pending != nil
}

// start begins a fetch unless one runs or the cool-down lasts, which spares
// issuers from invented key ids. It returns the
// channel that is closed when the running fetch ends, or nil when none runs.
func (s *Source) start(now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return s.pending
	}
	switch {
	case s.closed:
		return nil
	case s.tried.IsZero() || now.Sub(s.tried) >= cooldown:
		s.spare = quickFetches
	case s.failed || s.spare == 0:
		return nil
	default:
		s.spare--
	}
	s.tried = now
	done := make(chan struct{})
	s.pending = done
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, fetchTime)
		defer cancel()
		err := s.fetch(ctx)
		if err != nil {
			s.cfg.Logger.Warn("fetching the key set of an issuer failed", "issuer", s.cfg.Issuer, "error", err)
		}
		s.mu.Lock()
		s.pending, s.failed = nil, err != nil
		s.mu.Unlock()
		close(done)
	})
	return done
}

// Renew fetches the set whatever was said of its age, and calls done when that is over:
// for issuers that tell by another way that their keys have changed. It does not wait. The
// set that is there counts meanwhile, and when the fetch fails until the next one that
// somebody needs. Many calls at once are two fetches. The caller is trusted not to make it
// hammer the issuer.
func (s *Source) Renew(done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.cfg.Static != nil {
		return
	}
	if s.renew++; s.renew > 1 {
		s.renew = 2
		return
	}
	s.wg.Go(func() {
		for again := true; again; {
			s.mu.Lock()
			running := s.pending
			s.mu.Unlock()
			if running != nil {
				<-running // it may have asked before the change
			}
			s.mu.Lock()
			s.tried, s.renew = time.Time{}, 1
			s.mu.Unlock()
			now := s.cfg.Now()
			if fetched := s.start(now); fetched != nil {
				<-fetched
			}
			if old := s.current.Load(); old != nil && s.inDoubt() {
				s.current.CompareAndSwap(old, &snapshot{set: old.set, fetched: old.fetched, refresh: now})
			}
			done()
			s.mu.Lock()
			if again = s.renew > 1 && !s.closed; !again {
				s.renew = 0
			}
			s.mu.Unlock()
		}
	})
}

// fetch gets the set. Only one runs at a time.
func (s *Source) fetch(ctx context.Context) error {
	address, err := s.address(ctx)
	if err != nil {
		return err
	}
	body, header, err := s.cfg.Fetcher.Fetch(ctx, address, accept)
	if err != nil {
		s.found = "" // the issuer may have moved it
		return err
	}
	set, skipped, err := token.ParsePublishedJWKSet(body, s.cfg.Algorithms)
	for _, reason := range skipped {
		s.cfg.Logger.Info("a key of an issuer is left out", "issuer", s.cfg.Issuer, "reason", reason)
	}
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	s.current.Store(&snapshot{set: set, fetched: now, refresh: now.Add(Age(header))})
	return nil
}

// Age is for how long an answer may be kept: max-age (RFC 9111 §5.2.2.1), from a minute to a day.
// no-store and the like do not make it shorter: the bound protects the issuer.
func Age(h http.Header) time.Duration {
	for _, line := range h.Values("Cache-Control") {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			sec, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err != nil || sec < 0 {
				return minAge
			}
			return min(max(time.Duration(sec)*time.Second, minAge), maxAge)
		}
	}
	return defaultAge
}
