package authn

import (
	"context"
	"errors"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse"
)

// Memory keeps records that prove somebody and are no credentials of an API, as API keys are kept: what is in use is
// answered from memory and read again before it is too old, and whoever tries what does not exist is counted with
// those who try keys that do not.
type Memory[V any] struct {
	a       *Authenticator
	records *records[V]
	load    func(ctx context.Context, id string) (V, error)
}

// NewMemory returns an empty memory. load reads a record; one that is absent is [gatehouse.NotFound].
func NewMemory[V any](a *Authenticator, load func(ctx context.Context, id string) (V, error)) *Memory[V] {
	return &Memory[V]{a: a, records: newRecords[V](a.cfg.CacheSize, recordAge, a.cfg.Now), load: load}
}

// Get returns the record of id. It must not be changed.
func (m *Memory[V]) Get(ctx context.Context, id string) (V, error) {
	return lookup(ctx, m.a, m.records, id, from(ctx), m.load)
}

// Drop forgets what a committed change has made stale: one record, or all for "".
func (m *Memory[V]) Drop(id string) { m.records.drop(id) }

// Missed counts that somebody did not prove to be whom he named, and returns what he gets for it: err, or the limit.
// Without it the answers of an address that has spent its misses would tell which ids exist.
func (m *Memory[V]) Missed(ctx context.Context, err error) error {
	if errors.Is(err, gatehouse.Unauthenticated) {
		return m.a.missed(from(ctx), err)
	}
	return err
}

// from is the address that a request came from.
func from(ctx context.Context) netip.Addr {
	addr, _ := netip.ParseAddr(gatehouse.AddressFrom(ctx))
	return addr
}
