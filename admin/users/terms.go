package users

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// AcceptTerms notes that who, a person, accepts the terms of the own realm in a version. It must be the one that counts now
// ([gatehouse.ErrVersionConflict]): nobody accepts what was not shown.
func (s *Service) AcceptTerms(ctx context.Context, who *gatehouse.Principal, version string) error {
	if !kernel.IsSelf(who, who.Realm, who.ID) || who.Kind != gatehouse.KindUser || who.Scheme != gatehouse.SchemeSession || kernel.SelfMay(who, policy.AdminWrite) != nil {
		return errStale
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		realm, err := tx.Realm(ctx, who.Realm)
		if err != nil {
			return err
		}
		if version == "" || realm.Settings.TermsVersion != version {
			return gatehouse.ErrVersionConflict
		}
		u, err := findUser(ctx, tx, who.Realm, who.ID)
		if err != nil || u.TermsVersion == version {
			return err
		}
		e := s.k.Event(ctx, who, who.Realm, audit.KindUserTerms, "user", u.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["version"] = version
		u.TermsVersion, u.UpdatedAt = version, e.Time
		if err := tx.UpdateUser(ctx, u); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		return tx.AppendEvents(ctx, e)
	})
}
