package kernel

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
)

// assured is nil when actor has signed in as well as the actor's realm asks of who administers
// ([gatehouse.RealmSettings.AdminMFA]). An API key is no sign-in, and nothing is asked of it; nor of
// services. Else it is the challenge of RFC 9470: a password that was stolen, or a token of a sign-in by the
// password alone, administers nothing.
func (k *Kernel) assured(ctx context.Context, actor *gatehouse.Principal) error {
	refusal, err := k.unassured(ctx, actor)
	if err == nil && refusal != nil {
		err = refusal
	}
	return err
}

func (k *Kernel) unassured(ctx context.Context, actor *gatehouse.Principal) (*gatehouse.Error, error) {
	if actor.Kind != gatehouse.KindUser || actor.Scheme == gatehouse.SchemeAPIKey {
		return nil, nil
	}
	rl, err := k.Realm(ctx, actor.Realm)
	if err != nil || !rl.Settings.DemandsOfAdministrators() {
		return nil, err
	}
	asked := enforce.Assurance{ACR: gatehouse.AAL2, MaxAge: rl.Settings.AdminMaxAuthAge}
	if asked.Met(actor, k.Now()) {
		return nil, nil
	}
	return authn.StepUp(asked.ACR, asked.MaxAge), nil
}
