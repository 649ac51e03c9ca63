package authn

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
)

// verifyBasic asks the identity service. A Basic credential is the user's own,
// so it carries every scope; roles and policies still decide.
func (a *Authenticator) verifyBasic(ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error) {
	s, set, err := a.cfg.Password(ctx, PasswordAttempt{Realm: t.realm.Name, Username: p.User, Password: p.Secret, Address: rule.Address})
	if err != nil {
		return nil, err
	}
	// The zero Subject is nobody: a service that forgets an error admits no one.
	if s.ID == "" || s.Kind == "" || s.Kind == gatehouse.KindAnonymous || s.Disabled {
		return nil, errSubjectUnknown.With(errors.New("the password belongs to no usable account"))
	}
	if s.SecondFactor && !rule.FirstFactor {
		return nil, gatehouse.ErrSecondFactor.With(errors.New("a password alone; the account has an authenticator app"))
	}
	if s.Kind == gatehouse.KindUser && !s.SecondFactor && t.realm.Settings.DemandsSecondFactor(s.Roles) {
		return nil, gatehouse.ErrNoSecondFactor.With(errors.New("the realm demands a second factor of the account, which has none"))
	}
	return &gatehouse.Principal{
		Realm: t.realm.Name, Kind: s.Kind, ID: s.ID, Name: s.Name,
		Scopes: []string{gatehouse.ScopeAll}, Scheme: gatehouse.SchemeBasic, Environment: gatehouse.EnvironmentLive,
		Issuer: t.issuer, IssuedAt: set, AuthTime: a.cfg.Now(), AMR: []string{"pwd"}, ACR: gatehouse.AAL1,
	}, nil
}
