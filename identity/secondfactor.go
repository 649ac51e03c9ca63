package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
)

// AttemptCode counts one try at a code of a user's second factors and calls check, which tells
// whether the code is right; the address is that in ctx, the device that of [WithDevice]. The throttle is that of passwords, with
// counters of their own: a code is asked for after a right password, which would forgive
// every wrong code before it if they were counted together. The try ends, and counts, even when
// the caller has left.
//
// Errors: too_many_attempts, and check was not called; attempts_unavailable; those of check.
// right is false then.
func (s *Service) AttemptCode(ctx context.Context, realm, userID string, check func(context.Context) (right bool, err error)) (right bool, err error) {
	account := s.codeAccount(realm, userID)
	from := caller{realm: realm, account: account, network: network(gatehouse.AddressFrom(ctx)), device: s.cfg.Throttle.device(account, deviceFrom(ctx))}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
	defer cancel()
	if s.cfg.Subjects != nil {
		// Who cannot be looked up has no device and no network that count: nothing is known since now.
		from.since = s.cfg.Now()
		if u, err := s.cfg.Subjects.User(ctx, realm, userID); err == nil {
			from.since = u.knownSince()
		}
	}
	ticket, err := s.cfg.Throttle.begin(ctx, from)
	if err != nil {
		if errors.Is(err, gatehouse.RateLimited) {
			s.signals.codeFailed(ctx, realm, userID)
		}
		return false, err
	}
	// As failed as it counts by now, unless the code was right or nobody knows.
	defer func() {
		switch {
		case err != nil:
			right = false
			ticket.abort()
		case right:
			ticket.success(ctx)
		default:
			ticket.fail()
			s.signals.codeFailed(ctx, realm, userID)
		}
	}()
	defer caught(&err)
	return check(ctx)
}

// codeAccount is what the throttle counts tries at codes of a user under.
func (s *Service) codeAccount(realm, userID string) (id accountID) {
	mac := hmac.New(sha256.New, s.cfg.AccountKey)
	mac.Write(frame("gatehouse second factor", realm, userID))
	copy(id[:], mac.Sum(nil))
	return id
}
