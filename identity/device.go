package identity

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// deviceID stands for one browser beside one account: a keyed hash of both, so that what is
// known of one account says nothing of another.
type deviceID [16]byte

// maxDevice bounds a device cookie, in bytes; a longer one is none.
const maxDevice = 512

// device is the ID of a device cookie, zero without one.
func (t *Throttle) device(account accountID, cookie gatehouse.Secret) deviceID {
	if cookie == "" || len(cookie) > maxDevice {
		return deviceID{}
	}
	return deviceID(t.hashed("gatehouse device", string(account[:]), cookie.Reveal()))
}

type deviceKey struct{}

// WithDevice tells [Service.AttemptCode] and [Service.CheckPassword] the device cookie of the browser that it works for.
func WithDevice(ctx context.Context, cookie gatehouse.Secret) context.Context {
	return context.WithValue(ctx, deviceKey{}, cookie)
}

func deviceFrom(ctx context.Context) gatehouse.Secret {
	cookie, _ := ctx.Value(deviceKey{}).(gatehouse.Secret)
	return cookie
}

// SignedIn notes that p has a session now, in the browser with this device cookie: it is known
// for the account from now on, on all nodes ([Attempt]). A password alone, where more is asked
// for, makes no device known. Should the store not take it, this node alone knows it.
func (s *Service) SignedIn(ctx context.Context, p *gatehouse.Principal, cookie gatehouse.Secret) {
	name, since := p.Name, time.Time{}
	if s.cfg.Subjects != nil { // a passkey knows no name
		u, err := s.cfg.Subjects.User(ctx, p.Realm, p.ID)
		if err != nil {
			s.cfg.Logger.WarnContext(ctx, "whose device it is cannot be looked up; it stays unknown", "realm", p.Realm, "user", p.ID, "cause", err)
			return
		}
		name, since = u.Username, u.knownSince()
	}
	_, account := s.account(p.Realm, name)
	accounts := []accountID{account}
	if slices.Contains(p.AMR, gatehouse.AMRMultiFactor) { // codes have counters of their own
		accounts = append(accounts, s.codeAccount(p.Realm, p.ID))
	}
	for _, account := range accounts {
		s.cfg.Throttle.know(ctx, pairKey{account: account, device: s.cfg.Throttle.device(account, cookie)}, since)
	}
}

// know notes a device as known for its account, whose password was set at since.
func (t *Throttle) know(ctx context.Context, pair pairKey, since time.Time) {
	t.mu.Lock()
	now := t.cfg.Now()
	tell := t.cfg.Run != nil && t.unkept(pair, since, now)
	t.remember(pair, since, now)
	t.mu.Unlock()
	if !tell {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), visitTimeout)
	defer cancel()
	err := t.change(ctx, pair.account[:], func(s *failureState, now time.Time) bool {
		s.remember(t.placeHash(pair), now, t.cfg.KnownNetworks)
		return true
	})
	if err != nil {
		t.cfg.Logger.WarnContext(ctx, "that a device is known could not be stored; other nodes do not know it", "cause", err)
	}
}

// KnowsDevice reports whether u has had a session within the last 30 days, and since the password was set, in the browser with this
// device cookie, on any node, and has not said since that a sign-in was somebody else's. Where the store cannot be asked, it is no.
func (s *Service) KnowsDevice(ctx context.Context, u *User, cookie gatehouse.Secret) bool {
	_, account := s.account(u.Realm, u.Username)
	return s.cfg.Throttle.knowsDevice(ctx, pairKey{account: account, device: s.cfg.Throttle.device(account, cookie)}, u.knownSince())
}

func (t *Throttle) knowsDevice(ctx context.Context, pair pairKey, since time.Time) (known bool) {
	if pair.device == (deviceID{}) {
		return false
	}
	ask := func(now time.Time) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.isKnown(pair, since, now)
	}
	if ask(t.cfg.Now()) || t.cfg.Run == nil {
		return ask(t.cfg.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	err := t.change(ctx, pair.account[:], func(s *failureState, now time.Time) bool {
		t.mu.Lock()
		t.homes.put(pair.account, homes{s.Known, now})
		t.mu.Unlock()
		known = ask(now)
		return false
	})
	return err == nil && known
}
