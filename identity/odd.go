package identity

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Odd is what is unusual about a sign-in, of which its person is told.
type Odd struct {
	// Unknown: the account has had no session in this browser within the last 30 days, as [Service.KnowsDevice] says it.
	Unknown bool
	// Guessed: somebody has tried many passwords or codes at the account lately.
	Guessed bool
}

// manyFailures is how many wrong passwords of strangers, on all nodes together, are many: fewer may be reserved by nodes and
// not used.
const manyFailures = 20

// Odd tells what is unusual about p's sign-in, all proofs done, in the browser with this device cookie. An account that cannot be
// looked up, and one that the store is not there to tell of, has known no browser.
func (s *Service) Odd(ctx context.Context, p *gatehouse.Principal, cookie gatehouse.Secret) Odd {
	if s.cfg.Subjects == nil {
		return Odd{Unknown: true}
	}
	u, err := s.cfg.Subjects.User(ctx, p.Realm, p.ID)
	if err != nil {
		return Odd{Unknown: true}
	}
	_, account := s.account(u.Realm, u.Username)
	known, failed := s.cfg.Throttle.before(ctx, pairKey{account: account, device: s.cfg.Throttle.device(account, cookie)}, u.knownSince())
	return Odd{Unknown: !known, Guessed: failed >= manyFailures || s.signals.guessedAt(u.Realm, u.ID, account)}
}

// before tells whether a device is known for its account, and how many tries of strangers failed there that no success of theirs
// has forgiven.
func (t *Throttle) before(ctx context.Context, pair pairKey, since time.Time) (known bool, failed int) {
	if t.cfg.Run == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		now := t.cfg.Now()
		if c := t.accounts.get(pair.account); c != nil && now.Sub(c.last) < t.cfg.Account.Forget {
			failed = c.n
		}
		return pair.device != (deviceID{}) && t.isKnown(pair, since, now), failed
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	err := t.change(ctx, pair.account[:], func(s *failureState, now time.Time) bool {
		if failed = 0; now.Sub(time.UnixMicro(s.Last)) < t.cfg.Account.Forget {
			failed = s.count()
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.homes.put(pair.account, homes{s.Known, now})
		known = pair.device != (deviceID{}) && t.isKnown(pair, since, now)
		return false
	})
	return err == nil && known, failed
}

// guessedAt reports whether this process has signalled within a day that somebody guesses at passwords or codes of an account. A right
// password does not forgive that: it may be the guesser's.
func (s *signals) guessedAt(realm, userID string, account accountID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, g := range [...]sighting{
		{signal: signalAccount, about: s.digest(signalAccount, realm, string(account[:]))},
		{signal: signalCodes, about: s.digest(signalCodes, realm, userID)},
	} {
		if t := s.tries.get(g.about); t != nil && t.n >= g.threshold() && now.Sub(t.since) < signalEvery {
			return true
		}
	}
	return false
}
