package jwks

import (
	"context"
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
	firstWait  = 3 * time.Second
	fetchTime  = 10 * time.Second
	accept     = "application/jwk-set+json, application/json"
)

var (
	errUnavailable = gatehouse.E(gatehouse.Unavailable, "issuer_keys_unavailable", "The keys of the token's issuer cannot be had at the moment.")
	errUnknown     = gatehouse.E(gatehouse.Unauthenticated, "token_key_unknown", "The token was signed with a key that is not known.")
)

// Fetcher gets the body and header of an address; internal/egress has one.
type Fetcher interface {
	Fetch(ctx context.Context, address, accept string) (body []byte, header http.Header, err error)
}

// Config of a [Source]. Either Static or URL and Fetcher.
type Config struct {
	Issuer string // for logs
	Static []byte // the set itself
	URL    string
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
	cfg     Config
	options token.ParseOptions
	// current is nil until the first good answer.
	current atomic.Pointer[snapshot]

	// stop ends a fetch in the background.
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	tried   time.Time     // when the last fetch began
	pending chan struct{} // closed when the fetch that runs has ended
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
	if (cfg.Static == nil) == (cfg.URL == "") {
		return nil, errors.New("jwks: exactly one of a set and an address is needed")
	}
	if cfg.URL != "" && cfg.Fetcher == nil {
		return nil, errors.New("jwks: no fetcher")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, options: token.ParseOptions{Algorithms: slices.Clone(cfg.Algorithms)}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.Static != nil {
		set, err := token.ParseJWKSet(cfg.Static, s.options)
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

// Key implements token.KeySource.
func (s *Source) Key(kid string, alg token.Algorithm) (*token.Key, error) {
	snap := s.current.Load()
	if s.cfg.URL == "" {
		return snap.set.Key(kid, alg)
	}
	now := s.cfg.Now()
	if snap == nil {
		if snap = s.first(now); snap == nil {
			return nil, errUnavailable
		}
	}
	if now.Sub(snap.fetched) >= staleAfter {
		s.start(now)
		return nil, errUnavailable.With(errors.New("the key set could not be renewed for a day"))
	}
	if !now.Before(snap.refresh) {
		s.start(now)
	}
	k, err := snap.set.Key(kid, alg)
	if err != nil {
		s.start(now) // the issuer may have a new key
		return nil, errUnknown.With(err)
	}
	return k, nil
}

// first fetches for the first time and waits for the answer, but not long.
func (s *Source) first(now time.Time) *snapshot {
	done := s.start(now)
	if done == nil {
		return s.current.Load()
	}
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return s.current.Load()
}

// start begins a fetch unless one runs or the cool-down lasts. It returns the
// channel that is closed when the running fetch ends, or nil when none runs.
func (s *Source) start(now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return s.pending
	}
	if s.closed || (!s.tried.IsZero() && now.Sub(s.tried) < cooldown) {
		return nil
	}
	s.tried = now
	done := make(chan struct{})
	s.pending = done
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, fetchTime)
		defer cancel()
		if err := s.fetch(ctx); err != nil {
			s.cfg.Logger.Warn("fetching the key set of an issuer failed", "issuer", s.cfg.Issuer, "error", err)
		}
		s.mu.Lock()
		s.pending = nil
		s.mu.Unlock()
		close(done)
	})
	return done
}

// Refresh fetches now, whatever the cool-down, for a command of an operator.
func (s *Source) Refresh(ctx context.Context) error {
	if s.cfg.URL == "" {
		return nil
	}
	return s.fetch(ctx)
}

func (s *Source) fetch(ctx context.Context) error {
	body, header, err := s.cfg.Fetcher.Fetch(ctx, s.cfg.URL, accept)
	if err != nil {
		return err
	}
	set, err := token.ParseJWKSet(body, s.options)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	s.current.Store(&snapshot{set: set, fetched: now, refresh: now.Add(age(header))})
	return nil
}

// age reads max-age (RFC 9111 §5.2.2.1), bounded to between a minute and a day.
// no-store and the like do not make it shorter: the bound protects the issuer.
func age(h http.Header) time.Duration {
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
