package factor

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Reader reads factors; in a transaction it holds them against others.
type Reader interface {
	// Factors are those of a user, by id; of one who has none, none.
	Factors(ctx context.Context, realm, userID string) ([]Factor, error)
}

// Tx is the transaction in which a code is used.
type Tx interface {
	Reader
	// UpdateFactor is gatehouse.Conflict unless what is stored has f.Version.
	UpdateFactor(ctx context.Context, f Factor) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Attempts counts tries at codes, and bounds them (identity.Service).
type Attempts interface {
	AttemptCode(ctx context.Context, realm, userID string, check func(context.Context) (right bool, err error)) (right bool, err error)
}

// Config configures a [Service]. Every field is required.
type Config struct {
	Run      gatehouse.Runner[Tx]
	Vault    Vault
	Attempts Attempts
	// Record takes the events of refused attempts; it must not block for long.
	Record func(*gatehouse.Event)
	Now    func() time.Time
}

// Service proves codes. It is safe for concurrent use.
type Service struct{ c Config }

// New returns a Service, or an error when something is missing.
func New(c Config) (*Service, error) {
	if c.Run == nil || c.Vault.Box == nil || c.Attempts == nil || c.Record == nil || c.Now == nil {
		return nil, errors.New("factor: runner, vault, attempts, recorder and clock are required")
	}
	return &Service{c}, nil
}

var (
	// ErrCode is the answer to every code that is not good, whatever the reason.
	ErrCode = gatehouse.E(gatehouse.Unauthenticated, "second_factor_invalid", "The code of the second factor is not right, or was used before.")
	errOpen = gatehouse.E(gatehouse.Unavailable, "second_factor_unavailable", "Codes cannot be checked at the moment.")
)

// maxCode bounds a code before it is looked at: a recovery code with blanks and hyphens.
const maxCode = 96

// Prove uses up a code of a user, of an app or for recovery, and returns the factor as it is
// afterwards. It works once, whoever else uses the same code at the same time, on any node. The
// address of the attempt is that in ctx. Each attempt leaves an event.
//
// Errors: second_factor_invalid, too_many_attempts (with RetryAfter), attempts_unavailable,
// second_factor_unavailable. The factor is zero then.
func (s *Service) Prove(ctx context.Context, realm string, who gatehouse.Subject, code gatehouse.Secret) (Factor, error) {
	if realm == "" || who.ID == "" || code == "" || len(code) > maxCode {
		return Factor{}, ErrCode
	}
	var used Factor
	right, err := s.c.Attempts.AttemptCode(ctx, realm, who.ID, func(ctx context.Context) (right bool, err error) {
		err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
			used, right, err = s.use(ctx, tx, realm, who, code)
			return err
		})
		return right && err == nil, err
	})
	switch {
	case err != nil && errors.Is(err, gatehouse.RateLimited):
		s.refused(ctx, realm, who, audit.KindFactorThrottled, gatehouse.OutcomeFailure, gatehouse.CodeOf(err))
	case err != nil:
		if code := gatehouse.CodeOf(err); gatehouse.KindOf(err) != gatehouse.Unavailable || code == "" {
			err = errOpen.With(err)
		}
		s.refused(ctx, realm, who, audit.KindFactorFailure, gatehouse.OutcomeError, gatehouse.CodeOf(err))
	case !right:
		err = ErrCode
		s.refused(ctx, realm, who, audit.KindFactorFailure, gatehouse.OutcomeFailure, ErrCode.Code)
	}
	if err != nil {
		return Factor{}, err
	}
	return used, nil
}

// Complete returns p, who has proved a password, as the account asks for: itself where there is no
// second factor, and with a code of one, two methods and the level aal2 (NIST SP 800-63B-4) else.
// A code that nobody asked for is not looked at.
//
// Errors: second_factor_required without a code, those of [Service.Prove].
func (s *Service) Complete(ctx context.Context, p *gatehouse.Principal, who gatehouse.Subject, code gatehouse.Secret) (*gatehouse.Principal, error) {
	switch {
	case who.ID == "" || who.ID != p.ID:
		return nil, ErrCode
	case !who.SecondFactor:
		return p, nil
	case code == "":
		return nil, gatehouse.ErrSecondFactor
	}
	if _, err := s.Prove(ctx, p.Realm, who, code); err != nil {
		return nil, err
	}
	next := *p
	next.AMR, next.ACR, next.AuthTime = []string{"pwd", "otp", gatehouse.AMRMultiFactor}, gatehouse.AAL2, s.c.Now()
	if p.Scheme == gatehouse.SchemeProvider {
		next.AMR[0] = gatehouse.AMRProvider
	}
	return &next, nil
}

// use finds the factor that a code is of, and stores that it was used.
func (s *Service) use(ctx context.Context, tx Tx, realm string, who gatehouse.Subject, code gatehouse.Secret) (Factor, bool, error) {
	list, err := tx.Factors(ctx, realm, who.ID)
	if err != nil {
		return Factor{}, false, err
	}
	now := s.c.Now()
	next, ok, err := s.match(list, code.Reveal(), now)
	if err != nil || !ok {
		return Factor{}, false, err
	}
	if err := tx.UpdateFactor(ctx, next); err != nil {
		return Factor{}, false, err
	}
	e := s.event(ctx, realm, who, audit.KindFactorUse)
	e.Actor = gatehouse.Actor{Kind: who.Kind, ID: who.ID, Name: who.Name}
	e.Detail = map[string]string{"factor": next.ID, "kind": string(next.Kind)}
	if next.Kind == Recovery {
		e.Detail["left"] = strconv.Itoa(len(next.Hashes))
	}
	return next, true, tx.AppendEvents(ctx, e)
}

// match finds the factor that code is of. All apps are looked at, whichever it is.
func (s *Service) match(list []Factor, code string, now time.Time) (found Factor, ok bool, err error) {
	digits := strings.ReplaceAll(strings.TrimSpace(code), " ", "") // apps show them in two groups
	hash, recovery := credential.HashRecoveryCode(code)
	for _, f := range list {
		var next Factor
		var right bool
		switch {
		case !f.Confirmed():
			continue
		case f.Kind == TOTP && !recovery:
			if next, right, err = s.c.Vault.MatchApp(f, digits, now); err != nil {
				return Factor{}, false, err
			}
		case f.Kind == Recovery && recovery:
			next, right = matchRecovery(f, hash, now)
		}
		if right && !ok {
			found, ok = next, true
		}
	}
	return found, ok, nil
}

func (s *Service) event(ctx context.Context, realm string, who gatehouse.Subject, kind string) gatehouse.Event {
	return gatehouse.Event{Time: s.c.Now(), Realm: realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		Target:    gatehouse.Target{Type: "user", ID: who.ID},
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx)}
}

// refused records an attempt that was not let through. The actor is nobody: who knows neither
// password nor code may be anybody.
func (s *Service) refused(ctx context.Context, realm string, who gatehouse.Subject, kind string, outcome gatehouse.Outcome, reason string) {
	e := s.event(ctx, realm, who, kind)
	e.Outcome, e.Reason = outcome, reason
	e.Detail = map[string]string{"username": who.Name}
	s.c.Record(&e)
}
