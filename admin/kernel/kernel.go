package kernel

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Kernel is what every use case needs. All fields are required.
type Kernel struct {
	// Decide is the decision point for administration itself
	// (authz.Decider.DecideAdmin): may p do action on the resource with this type
	// and id, of this realm? It checks the scope too.
	Decide func(ctx context.Context, p *gatehouse.Principal, action, resourceType, realm, id string) gatehouse.Decision
	// Record takes the events of refused attempts; it must not block for long.
	Record func(e *gatehouse.Event)
	Realms RealmReader
	Now    func() time.Time
}

// RealmReader reads one realm.
type RealmReader interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
}

// Appender writes the events of a change in the change's own transaction.
type Appender interface {
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Realm reads a realm that exists, after the actor was found to be allowed.
func (k *Kernel) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return ReadRealm(ctx, k.Realms, name)
}

// ReadRealm reads a realm that exists, in a transaction for instance.
func ReadRealm(ctx context.Context, from RealmReader, name string) (gatehouse.Realm, error) {
	r, err := from.Realm(ctx, name)
	return r, OrMissing(err, gatehouse.ErrRealmNotFound)
}

// Event describes what actor did. Its outcome is success until changed.
func (k *Kernel) Event(ctx context.Context, actor *gatehouse.Principal, realm, kind, typ, id string) gatehouse.Event {
	e := gatehouse.Event{
		Time: k.Now(), Realm: realm, Kind: kind, Outcome: gatehouse.OutcomeSuccess,
		Target:    gatehouse.Target{Type: typ, ID: id},
		RequestID: gatehouse.RequestIDFrom(ctx), Address: gatehouse.AddressFrom(ctx),
	}
	if actor.Authenticated() {
		e.Actor = gatehouse.Actor{Kind: actor.Kind, ID: actor.ID, Name: actor.Name, Credential: actor.CredentialID, Scheme: actor.Scheme}
		if actor.Realm != realm {
			e.Detail = map[string]string{"actor_realm": actor.Realm}
		}
	}
	return e
}

// Changes returns a map to note changes in, keeping what is there.
func Changes(m map[string]string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	return m
}

// OrMissing gives the store's NotFound the code of what was asked for.
func OrMissing(err error, missing *gatehouse.Error) error {
	if errors.Is(err, gatehouse.NotFound) {
		return missing
	}
	return err
}

// ConflictAs gives a duplicate its own code.
func ConflictAs(err error, as *gatehouse.Error) error {
	if errors.Is(err, gatehouse.Conflict) {
		return as.With(err)
	}
	return err
}
