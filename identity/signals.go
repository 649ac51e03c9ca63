package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// The signals of attacks, as events and metrics name them. The throttle bounds what an attack achieves; a signal tells
// the operator that there is one.
const (
	signalAccount  = "one_account"    // strangers guess at one account
	signalNetwork  = "many_accounts"  // one network tries many accounts
	signalPassword = "one_password"   // one password is tried on many accounts
	signalRealm    = "realm_rate"     // more fails in a realm than is usual there
	signalCodes    = "codes"          // whoever has a password guesses at codes
	signalResets   = "reset_mails"    // somebody asks for many links to set a new password
	signalBreached = "breached_login" // a right password that is known from a breach
)

const (
	// signalEvery is what a count is of, and how often the same is told again while it goes on.
	signalEvery = 24 * time.Hour
	// signalsKept bounds each table in memory; the least recently used go first.
	signalsKept = 10_000
	// signalsTold bounds the events of one signal in one realm and hour: who attacks many
	// accounts must not fill the log with it.
	signalsTold = 60

	// rateLeast is how many failures in a minute are too few to be unusual anywhere, rateTimes how many times
	// the usual is unusual, rateMinutes what the usual is a mean of.
	rateLeast   = 60
	rateTimes   = 5
	rateMinutes = 24 * 60
	rateEvery   = time.Hour
)

// signals counts, in the memory of one process, what strangers fail at.
type signals struct {
	now    func() time.Time
	record func(*gatehouse.Event)
	notice func(signal string)
	key    []byte // of digests; it is in this process alone, and goes with it

	mu    sync.Mutex
	tries *lru[signalKey, *tried]
	told  *lru[signalKey, *tried] // events of a signal in a realm
	rates *lru[string, *rate]     // by realm
}

// signalKey stands for what is counted by itself, in a fixed size.
type signalKey [16]byte

// tried counts for a while.
type tried struct {
	since time.Time
	n     int
	of    []accountID // that were counted, where each counts once
}

// rate is how much fails in a realm.
type rate struct {
	minute int64   // since 1970
	n      int     // in that minute
	usual  float64 // in a minute
	seen   int64   // minutes of which that is the mean
	told   time.Time
}

func newSignals(cfg *Config) *signals {
	s := &signals{now: cfg.Now, record: cfg.Recorder.Record, notice: cfg.OnSignal, key: make([]byte, 32), tries: newLRU[signalKey, *tried](signalsKept),
		told: newLRU[signalKey, *tried](signalsKept), rates: newLRU[string, *rate](signalsKept)}
	_, _ = rand.Read(s.key)
	if s.notice == nil {
		s.notice = func(string) {}
	}
	return s
}

// digest is a key for what is counted. A password cannot be told from it by who reads the memory and has not the
// key too, and it is never stored.
func (s *signals) digest(parts ...string) (k signalKey) {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(frame(parts...))
	copy(k[:], mac.Sum(nil))
	return k
}

// one counts one more within a while, up to most, and returns how many that makes; more is false when nothing was counted. A
// zero account counts each time, another one once.
func one(l *lru[signalKey, *tried], key signalKey, account accountID, now time.Time, while time.Duration, most int) (n int, more bool) {
	t := l.get(key)
	if t == nil || now.Sub(t.since) >= while {
		t = &tried{since: now}
		l.put(key, t)
	}
	if t.n >= most { // told already
		return t.n, false
	}
	if account != (accountID{}) {
		if slices.Contains(t.of, account) {
			return t.n, false
		}
		t.of = append(t.of, account)
	}
	t.n++
	return t.n, true
}

// sighting is one thing that may make a signal.
type sighting struct {
	signal, realm string
	about         signalKey
	account       accountID // counted once each, if not zero
	target        gatehouse.Target
	address       string // the last of those that did it
}

// threshold is how many make a signal: accounts, where it is about many of them, else tries.
func (g *sighting) threshold() int {
	switch {
	case g.account != accountID{}:
		return 20
	case g.signal == signalCodes:
		return 10
	case g.signal == signalResets:
		return 5
	case g.signal == signalBreached:
		return 1
	}
	return 20
}

// see counts a sighting, and tells when it is the one that makes the signal.
func (s *signals) see(ctx context.Context, g sighting) {
	s.mu.Lock()
	now, most := s.now(), g.threshold()
	n, more := one(s.tries, g.about, g.account, now, signalEvery, most)
	s.mu.Unlock()
	if more && n == most {
		s.tell(ctx, g, n, now)
	}
}

// tell counts a signal and leaves its event.
func (s *signals) tell(ctx context.Context, g sighting, n int, now time.Time) {
	s.notice(g.signal)
	s.mu.Lock()
	_, more := one(s.told, s.digest("told", g.signal, g.realm), accountID{}, now, time.Hour, signalsTold)
	s.mu.Unlock()
	if !more {
		return
	}
	s.record(&gatehouse.Event{Time: now, Realm: g.realm, Kind: audit.KindAttackSignal, Outcome: gatehouse.OutcomeFailure, Reason: g.signal,
		Target: g.target, Address: g.address, RequestID: gatehouse.RequestIDFrom(ctx), Detail: map[string]string{"count": strconv.Itoa(n)}})
}

// failed counts what a stranger failed at. Nobody is known by it: an account that does not exist counts as one that does.
func (s *signals) failed(ctx context.Context, a Attempt, account accountID, target gatehouse.Target) {
	s.see(ctx, sighting{signal: signalAccount, realm: a.Realm, about: s.digest(signalAccount, a.Realm, string(account[:])), target: target, address: a.Address})
	s.seeNetwork(ctx, signalNetwork, a.Realm, a.Address, account)
	s.see(ctx, sighting{signal: signalPassword, realm: a.Realm, about: s.digest(signalPassword, a.Realm, a.Password.Reveal()), account: account,
		target: gatehouse.Target{Type: "realm", ID: a.Realm}, address: a.Address})
	s.fails(ctx, a)
}

// seeNetwork counts the accounts that a network is busy with; callers without a known address are no network.
func (s *signals) seeNetwork(ctx context.Context, signal, realm, address string, account accountID) {
	if from := network(address); from.IsValid() {
		s.see(ctx, sighting{signal: signal, realm: realm, about: s.digest(signal, realm, "network", from.String()), account: account,
			target: gatehouse.Target{Type: "network", ID: from.String()}, address: address})
	}
}

// fails counts a failure in a realm, and tells when they are unusually many.
func (s *signals) fails(ctx context.Context, a Attempt) {
	s.mu.Lock()
	now := s.now()
	r := s.rates.get(a.Realm)
	if r == nil {
		r = &rate{minute: now.Unix() / 60}
		s.rates.put(a.Realm, r)
	}
	r.pass(now.Unix() / 60)
	r.n++
	n, unusual := r.n, float64(r.n) >= max(rateLeast, rateTimes*r.usual) && now.Sub(r.told) >= rateEvery
	if unusual {
		r.told = now
	}
	s.mu.Unlock()
	if unusual {
		s.tell(ctx, sighting{signal: signalRealm, realm: a.Realm, target: gatehouse.Target{Type: "realm", ID: a.Realm}}, n, now)
	}
}

// pass takes the minutes until now into the mean.
func (r *rate) pass(minute int64) {
	for r.minute < minute && r.seen < rateMinutes {
		r.seen++
		r.take()
	}
	if gone := minute - r.minute; gone > rateMinutes { // longer than it is a mean of, and nothing failed
		r.usual, r.n, r.minute = 0, 0, minute
	}
	for r.minute < minute {
		r.take()
	}
}

// take takes one minute into the mean.
func (r *rate) take() {
	r.usual += (float64(r.n) - r.usual) / float64(r.seen)
	r.n = 0
	r.minute++
}

// codeFailed counts a wrong code of a user, or one that was not looked at.
func (s *signals) codeFailed(ctx context.Context, realm, userID string) {
	s.see(ctx, sighting{signal: signalCodes, realm: realm, about: s.digest(signalCodes, realm, userID), target: gatehouse.Target{Type: "user", ID: userID},
		address: gatehouse.AddressFrom(ctx)})
}

// breachedLogin counts a login with a right password that is known from a breach.
func (s *signals) breachedLogin(ctx context.Context, a Attempt, u *User) {
	s.see(ctx, sighting{signal: signalBreached, realm: a.Realm, about: s.digest(signalBreached, a.Realm, u.ID), target: gatehouse.Target{Type: "user", ID: u.ID},
		address: a.Address})
}

// ResetAsked notes that somebody, nobody knows who, asked for a link to set a new password of the account of a name, existing
// or not. The address is that in ctx.
func (s *Service) ResetAsked(ctx context.Context, realm, username string) {
	_, account := s.account(realm, username)
	address := gatehouse.AddressFrom(ctx)
	s.signals.see(ctx, sighting{signal: signalResets, realm: realm, about: s.signals.digest(signalResets, realm, string(account[:])), target: accountTarget(account),
		address: address})
	s.signals.seeNetwork(ctx, signalResets, realm, address, account)
}

// accountTarget is the account of a name, which may be nobody's.
func accountTarget(account accountID) gatehouse.Target {
	return gatehouse.Target{Type: "account", ID: "acc_" + hex.EncodeToString(account[:])}
}
