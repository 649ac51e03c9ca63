package factors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/session"
)

var (
	errOwn      = gatehouse.E(gatehouse.Denied, "factor_own_only", "Second factors are added and changed by the person they belong to, and by nobody else.")
	errUnknown  = gatehouse.E(gatehouse.NotFound, "factor_not_found", "There is no such factor, or it waits no more.")
	errMany     = gatehouse.E(gatehouse.Conflict, "factor_limit", "There are as many authenticator apps as a person can have; remove one first.")
	errDemanded = gatehouse.E(gatehouse.Conflict, "factor_needed", "The realm demands a second factor of this account: add another app before you remove the last one.")
	errNoApp    = gatehouse.E(gatehouse.Conflict, "factor_missing", "Recovery codes stand in for an authenticator app; add one first.")
)

// List lists the factors of a user: everybody's own, and those of others to whoever may read them.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) ([]Factor, error) {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, id, id); err != nil {
		return nil, err
	}
	u, err := s.c.Users.Find(ctx, realm, id)
	if err != nil {
		return nil, err
	}
	list, err := s.c.Factors.Factors(ctx, realm, u.ID)
	if err != nil {
		return nil, err
	}
	now := s.k.Now()
	list = slices.DeleteFunc(list, func(f factor.Factor) bool { return !f.Confirmed() && !f.Waiting(now) })
	out := make([]Factor, len(list))
	for i, f := range list {
		out[i] = view(f)
	}
	return out, nil
}

// BeginTOTP makes the secret of a new authenticator app of the caller, which counts when it was
// confirmed. One that waits is replaced. Errors: those of [Service.prove]; factor_limit.
func (s *Service) BeginTOTP(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in NewTOTP) (BegunTOTP, error) {
	f := kernel.Faults{}
	f.Text("name", in.Name, false)
	if err := f.Err(); err != nil {
		return BegunTOTP{}, err
	}
	u, err := s.prove(ctx, actor, realm, idOrName, in.Proof)
	if err != nil {
		return BegunTOTP{}, err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return BegunTOTP{}, err
	}
	now := s.k.Now()
	app, secret, err := s.c.Vault.NewApp(realm, u.ID, in.Name, now)
	if err != nil {
		return BegunTOTP{}, err
	}
	shown, err := factor.Show(rl, u.Username, secret)
	if err != nil {
		return BegunTOTP{}, err
	}
	err = s.change(ctx, actor, u, audit.KindFactorBegin, app, func(ctx context.Context, tx Tx, list []factor.Factor, _ *identity.User) error {
		if len(factor.Apps(list)) >= factor.MaxApps {
			return errMany
		}
		for _, old := range list {
			if !old.Confirmed() {
				if err := tx.DeleteFactor(ctx, realm, u.ID, old.ID); err != nil {
					return err
				}
			}
		}
		return tx.InsertFactor(ctx, app)
	})
	if err != nil {
		return BegunTOTP{}, err
	}
	return BegunTOTP{Factor: view(app), Secret: shown.Text, URI: shown.URI, QR: shown.QR, Until: now.Add(factor.EnrolFor)}, nil
}

// ConfirmTOTP makes an app count that shows a right code. With the first one come recovery
// codes. Errors: factor_not_found, also when it waited too long, or another app was confirmed or a passkey added
// since; input_invalid for a wrong code.
func (s *Service) ConfirmTOTP(ctx context.Context, actor *gatehouse.Principal, realm, idOrName, factorID string, in Confirmation) (ConfirmedTOTP, error) {
	u, err := s.own(ctx, actor, realm, idOrName)
	if err != nil {
		return ConfirmedTOTP{}, err
	}
	var out ConfirmedTOTP
	err = s.change(ctx, actor, u, audit.KindFactorAdd, factor.Factor{ID: factorID, Kind: factor.TOTP}, func(ctx context.Context, tx Tx, list []factor.Factor, u *identity.User) error {
		out = ConfirmedTOTP{}
		now := s.k.Now()
		app, ok := find(list, factorID)
		if !ok || !app.Waiting(now) || slices.ContainsFunc(factor.Apps(list), func(f factor.Factor) bool { return f.ConfirmedAt.After(app.CreatedAt) }) {
			// Whoever began before there was a factor has not proved it: he begins anew.
			return errUnknown
		}
		keys, err := tx.Passkeys(ctx, realm, u.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(keys, func(p passkey.Passkey) bool { return p.CreatedAt.After(app.CreatedAt) }) {
			return errUnknown // neither has who began before there was a passkey
		}
		app, right, err := s.c.Vault.MatchApp(app, in.Code.Reveal(), now)
		if err != nil {
			return err
		}
		if !right {
			return kernel.Faults{"code": "is not what the app shows now; is the clock of the device right?"}.Err()
		}
		app.ConfirmedAt, app.UsedAt = now, time.Time{}
		if err := tx.UpdateFactor(ctx, app); err != nil {
			return err
		}
		out.Factor = view(app)
		u.SecondFactor = true
		if slices.ContainsFunc(list, func(f factor.Factor) bool { return f.Kind == factor.Recovery }) {
			return nil
		}
		codes, texts := factor.NewCodes(realm, u.ID, now)
		out.RecoveryCodes = texts
		return tx.InsertFactor(ctx, codes)
	})
	if err != nil {
		return ConfirmedTOTP{}, err
	}
	return out, nil
}

// Rename changes what the caller calls one of the own factors.
func (s *Service) Rename(ctx context.Context, actor *gatehouse.Principal, realm, idOrName, factorID string, in FactorName) (Factor, error) {
	faults := kernel.Faults{}
	faults.Text("name", in.Name, true)
	if err := faults.Err(); err != nil {
		return Factor{}, err
	}
	u, err := s.own(ctx, actor, realm, idOrName)
	if err != nil {
		return Factor{}, err
	}
	var out Factor
	err = s.change(ctx, actor, u, audit.KindFactorUpdate, factor.Factor{ID: factorID}, func(ctx context.Context, tx Tx, list []factor.Factor, _ *identity.User) error {
		f, ok := find(list, factorID)
		if !ok {
			return errUnknown
		}
		f.Name = in.Name
		out = view(f)
		return tx.UpdateFactor(ctx, f)
	})
	return out, err
}

// Remove removes a factor: the caller's own after a proof, somebody else's by the right to
// change the account. With the last app the recovery codes go. Errors: factor_not_found; factor_needed
// for one's own last app where the realm demands one; those of [Service.prove].
func (s *Service) Remove(ctx context.Context, actor *gatehouse.Principal, realm, idOrName, factorID string, in Proof) error {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	var u identity.User
	var err error
	own := kernel.IsSelf(actor, realm, id)
	if own {
		u, err = s.prove(ctx, actor, realm, id, in)
	} else if err = s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err == nil {
		u, err = s.c.Users.Find(ctx, realm, id)
	}
	if err != nil {
		return err
	}
	rl, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	return s.change(ctx, actor, u, audit.KindFactorRemove, factor.Factor{ID: factorID}, func(ctx context.Context, tx Tx, list []factor.Factor, u *identity.User) error {
		f, ok := find(list, factorID)
		if !ok {
			return errUnknown
		}
		if err := tx.DeleteFactor(ctx, realm, u.ID, f.ID); err != nil {
			return err
		}
		left := slices.DeleteFunc(list, func(g factor.Factor) bool { return g.ID == f.ID })
		if len(factor.Apps(left)) > 0 {
			return nil
		}
		if own && f.Kind == factor.TOTP && f.Confirmed() && rl.Settings.DemandsSecondFactor(u.Roles) {
			return errDemanded
		}
		u.SecondFactor = false
		for _, g := range left {
			if g.Kind == factor.Recovery {
				if err := tx.DeleteFactor(ctx, realm, u.ID, g.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// NewCodes makes new recovery codes in the place of all that there are. Errors: factor_missing,
// those of [Service.prove].
func (s *Service) NewCodes(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in Proof) (RecoveryCodes, error) {
	u, err := s.prove(ctx, actor, realm, idOrName, in)
	if err != nil {
		return RecoveryCodes{}, err
	}
	codes, texts := factor.NewCodes(realm, u.ID, s.k.Now())
	err = s.change(ctx, actor, u, audit.KindFactorCodes, codes, func(ctx context.Context, tx Tx, list []factor.Factor, _ *identity.User) error {
		if len(factor.Apps(list)) == 0 {
			return errNoApp
		}
		for _, old := range list {
			if old.Kind == factor.Recovery {
				if err := tx.DeleteFactor(ctx, realm, u.ID, old.ID); err != nil {
					return err
				}
			}
		}
		return tx.InsertFactor(ctx, codes)
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	return RecoveryCodes{Factor: view(codes), Codes: texts}, nil
}

// tell queues the notice of a change to whose factors they are: of what lets somebody in from now on, does no more, or
// has another name, under which a stranger's may hide. A beginning does none of it.
func (s *Service) tell(ctx context.Context, tx Tx, u identity.User, f factor.Factor, e gatehouse.Event) error {
	m := mail.Message{Realm: u.Realm, To: u.Email, Data: mail.Data{Account: u.Username, By: e.Actor.Name, Factor: cmp.Or(f.Name, f.ID), At: e.Time}}
	switch e.Kind {
	case audit.KindFactorAdd:
		m.Kind = mail.KindFactorAdded
	case audit.KindFactorRemove:
		m.Kind = mail.KindFactorRemoved
	case audit.KindFactorCodes:
		m.Kind = mail.KindCodesRenewed
	case audit.KindFactorUpdate:
		m.Kind = mail.KindFactorRenamed
	default:
		return nil
	}
	_, err := s.c.Mail.Put(ctx, tx, m)
	return err
}

func find(list []factor.Factor, id string) (factor.Factor, bool) {
	i := slices.IndexFunc(list, func(f factor.Factor) bool { return f.ID == id })
	if i < 0 {
		return factor.Factor{}, false
	}
	return list[i], true
}

// own finds the caller, who must be whose factors they are, with a login: nobody else adds or
// changes them, whatever the role.
func (s *Service) own(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) (identity.User, error) {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	refusal := errOwn
	if kernel.IsSelf(actor, realm, id) {
		if refusal = kernel.SelfMay(actor, policy.AdminWrite); refusal == nil {
			return s.c.Users.Find(ctx, realm, id)
		}
	}
	return identity.User{}, s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id, refusal)
}

// prove makes sure that the caller is there: by a session that was opened a moment ago
// ([session.Fresh]), or with password and, where there is one, second factor: a token that was
// stolen, or a screen that was left open, must not be able to take the account over. The password comes first, so that only who knows it can use up attempts at codes.
// Errors: factor_own_only, login_required; invalid_credentials, second_factor_required,
// second_factor_invalid, too_many_attempts.
func (s *Service) prove(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string, in Proof) (identity.User, error) {
	u, err := s.own(ctx, actor, realm, idOrName)
	if err != nil {
		return u, err
	}
	if in == (Proof{}) && session.Fresh(actor, u.SecondFactor, s.k.Now()) {
		return u, nil
	}
	if err := s.c.Passwords.CheckPassword(ctx, u, in.Password); err != nil {
		return u, err
	}
	if !u.SecondFactor {
		return u, nil
	}
	if in.Code == "" {
		return u, gatehouse.ErrSecondFactor
	}
	_, err = s.c.Codes.Prove(ctx, realm, u.Subject(), in.Code)
	return u, err
}

// change does fn on the factors of a user as they are now, and records it, in one transaction.
// What fn changes of the user is stored. about names the factor in the event.
func (s *Service) change(ctx context.Context, actor *gatehouse.Principal, u identity.User, kind string, about factor.Factor,
	fn func(ctx context.Context, tx Tx, list []factor.Factor, u *identity.User) error) error {
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		again, err := tx.User(ctx, u.Realm, u.ID)
		if err != nil {
			return err
		}
		if again.PasswordHash != u.PasswordHash || again.SecondFactor && !u.SecondFactor {
			return gatehouse.ErrVersionConflict // what was proved is not what there is now
		}
		list, err := tx.Factors(ctx, u.Realm, u.ID)
		if err != nil {
			return err
		}
		f, ok := find(list, about.ID)
		if !ok {
			f = about
		}
		next := again
		if err := fn(ctx, tx, list, &next); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, u.Realm, kind, "user", u.ID)
		if next.SecondFactor != again.SecondFactor {
			next.UpdatedAt = e.Time
			if err := tx.UpdateUser(ctx, next); err != nil {
				return err
			}
		}
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["factor"], e.Detail["kind"] = f.ID, string(f.Kind)
		if f.Name != "" {
			e.Detail["name"] = f.Name
		}
		if err := s.tell(ctx, tx, again, f, e); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if errors.Is(err, gatehouse.NotFound) && gatehouse.CodeOf(err) != errUnknown.Code {
		return errUnknown
	}
	return err
}
