package authn

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Misses counts, by client address, the keys and tokens that belong to no record.
type Misses interface {
	// Spent reports whether addr has missed as often as it may. It counts nothing.
	Spent(addr netip.Addr) bool
	// Count counts one miss.
	Count(addr netip.Addr)
}

// errTooManyMisses is for the operator: too many unknown credentials came from this address.
var errTooManyMisses = errors.New("too many unknown credentials came from this address")

// lookupLimited is the answer to an address that has spent its misses.
func lookupLimited() error {
	e := gatehouse.ErrRateLimited.With(errTooManyMisses)
	e.RetryAfter = lookupRetry
	return e
}

const (
	// lookupRetry is told to an address that tried too many unknown credentials.
	lookupRetry = 10 * time.Second
	// suspectSlots is how many look-ups run at once for addresses that have spent
	// their misses, and suspectWait how long one waits for its turn: a flood of
	// invented keys keeps that many connections to the store busy and no more.
	suspectSlots = 4
	suspectWait  = time.Second
)

// lookup returns the record of id, from memory or from the store.
//
// Many callers share an address, and nobody can tell a good key from an invented
// one before it is looked up. So an address that has spent its misses is looked
// up all the same, in its turn: what exists is served, and only what does not
// exist is answered with the limit. Whoever asks for a record in memory meets
// none of this.
func lookup[V any](ctx context.Context, a *Authenticator, c *records[V], id string, addr netip.Addr,
	load func(context.Context, string) (V, error)) (V, error) {
	v, known, err := c.recall(ctx, id, load)
	if !known {
		if a.cfg.Misses.Spent(addr) {
			if err := a.suspects.enter(ctx); err != nil {
				return v, err
			}
			defer a.suspects.leave()
		}
		if v, err = c.fill(ctx, id, load); errors.Is(err, gatehouse.NotFound) {
			return v, a.missed(addr, err)
		}
		return v, err
	}
	if err != nil && a.cfg.Misses.Spent(addr) {
		return v, lookupLimited() // the same answer, whether we had to look or not
	}
	return v, err
}

// missed counts a miss and returns what the caller gets for it: err, or the
// limit where the address had spent its misses already. A key whose secret is
// wrong counts as one, or else the answers would tell which ids exist.
func (a *Authenticator) missed(addr netip.Addr, err error) error {
	if a.cfg.Misses.Spent(addr) {
		return lookupLimited()
	}
	a.cfg.Misses.Count(addr)
	return err
}

// turnstile lets a few through at once; the others wait for a moment.
type turnstile chan struct{}

func (t turnstile) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(suspectWait)
	defer patience.Stop()
	select {
	case t <- struct{}{}:
		return nil
	case <-patience.C:
		return lookupLimited()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turnstile) leave() { <-t }
