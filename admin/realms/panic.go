package realms

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Panic ends everything of a realm: logins, tokens, API keys and passwords of now and before
// are dead for good, those of trusted issuers among the tokens; and disables it. To enable
// it again brings nothing back. It is one transaction of the same few rows, however many
// accounts there are. Errors: panic_including_me.
//
// The realm main stays enabled, since nobody could turn it on again; all that is in it is
// ended like that of another, and gatehouse admin recover makes the next administrator.
func (s *Service) Panic(ctx context.Context, actor *gatehouse.Principal, name string, in kernel.PanicOrder) (Realm, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, name, name); err != nil {
		return Realm{}, err
	}
	if err := in.Refuse(name == gatehouse.MainRealm || actor.Realm == name); err != nil {
		return Realm{}, err
	}
	var out gatehouse.Realm
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.HoldRealm(ctx, name)
		if err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		// Its time is that of the cut-off, and later than whatever was made before.
		e := s.k.Event(ctx, actor, name, audit.KindRealmPanic, "realm", name)
		cut := e
		cut.Kind, cut.Target.ID = audit.KindCutoffSet, ""
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["before"] = e.Time.UTC().Format(time.RFC3339Nano)
		cut.Detail = e.Detail
		r.CutOffAt, r.Disabled = e.Time, name != gatehouse.MainRealm
		changedAt(&r, e.Time)
		if err := tx.UpdateRealm(ctx, r); err != nil {
			return err
		}
		// For those who check tokens elsewhere, and know nothing of realms.
		if err := tx.PutCutoff(ctx, revocation.CutoffNow(name, revocation.CutoffRealm, "", e.Time)); err != nil {
			return err
		}
		out = r
		return tx.AppendEvents(ctx, cut, e)
	})
	if err != nil {
		return Realm{}, err
	}
	kernel.Ask(ctx, peers.Question{Realm: name, Kind: "realm", ID: name, Issued: out.CutOffAt.UnixMilli()})
	return realmView(out), nil
}
