package authn

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Named is a credential of a realm without its secret.
type Named struct {
	Realm string
	Key   string         // the id of an API key; "": a token
	Ref   revocation.Ref // of a token: what revocation knows of it
}

// Judge returns why a request with the credential would be refused at this moment, whatever
// else is right about it; nil: it may be let in. It goes by the same records and in the same
// memory as [Authenticator.Authenticate], and uses nothing up. [Reason] tells the code.
func (a *Authenticator) Judge(ctx context.Context, n Named) error {
	t, err := a.trust(ctx, n.Realm)
	if err != nil {
		return err
	}
	owner, made := n.Ref.Subject, n.Ref.IssuedAt
	if n.Key != "" {
		k, err := a.named(ctx, n.Key)
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return errKeyUnknown
		case err != nil:
			return err
		}
		if err := k.ends(t, a.cfg.Now()); err != nil {
			return err
		}
		owner, made = k.owner, fromMicro(k.created)
	} else if revoked, reason := a.cfg.Revocations.Revoked(n.Ref); revoked {
		return revokedBy(reason, "")
	}
	if err := t.cutOff(made); err != nil {
		return err
	}
	if owner == "" { // whoever it is
		return nil
	}
	_, err = a.subject(ctx, n.Realm, owner)
	return err
}

// named returns a key by its id, from where a request with it would have it.
func (a *Authenticator) named(ctx context.Context, id string) (*keyEntry, error) {
	k, err := a.keys.get(ctx, id, a.loadKey)
	if !errors.Is(err, gatehouse.NotFound) {
		return k, err
	}
	stored, err := a.cfg.Store.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	if !stored.Imported {
		return nil, gatehouse.NotFound
	}
	return a.keys.get(ctx, importedID(stored.Realm, stored.Hash), func(ctx context.Context, _ string) (*keyEntry, error) {
		k, err := a.cfg.Store.ImportedKey(ctx, stored.Realm, stored.Hash)
		if err != nil {
			return nil, err
		}
		return a.entryOf(ctx, k)
	})
}

// cutOff refuses what was made before everything of the realm was ended, also when the
// realm is used again.
func (t *trust) cutOff(made time.Time) error {
	if !t.realm.CutOff(made) {
		return nil
	}
	return errCutOff.With(errors.New("it is of " + instant(made) + "; everything of realm " + t.realm.Name + " until " + instant(t.realm.CutOffAt) + " was ended"))
}
