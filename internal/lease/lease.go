package lease

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Lease is one time of holding.
type Lease struct {
	Name   string // of the work
	Holder string // the process, unlike every other one and every earlier start
	Epoch  int64  // 1 for the first holder, and higher with each new one
}

var (
	// ErrHeld says that another process holds the lease.
	ErrHeld = gatehouse.E(gatehouse.Conflict, "lease_held", "Another process does this work.")
	// ErrLost says that the lease has another holder since: nothing of the transaction
	// was stored.
	ErrLost = gatehouse.E(gatehouse.Conflict, "lease_lost", "Another process does this work now.")
)

// Store keeps leases in the database, by the database's clock.
type Store interface {
	// AcquireLease takes a lease that nobody holds, for term. It is [ErrHeld] while another
	// process does, unless no other process is there any more. With a term of 0 it is
	// taken from whoever has it, and has no end.
	AcquireLease(ctx context.Context, name, holder string, term time.Duration) (Lease, error)
	// LeasesOfOthers returns the names of those that [Store.AcquireLease] would find held.
	LeasesOfOthers(ctx context.Context, holder string) ([]string, error)
	// RenewLeases makes all leases of the holder last for term from now on, and returns
	// them. What it does not return is lost.
	RenewLeases(ctx context.Context, holder string, term time.Duration) ([]Lease, error)
	// ReleaseLease lets others have the lease; one that is lost is left as it is.
	ReleaseLease(ctx context.Context, l Lease) error
}

// Held is a lease that this process holds, as far as it knows.
type Held struct {
	Lease
	lost context.CancelCauseFunc
}

// Lost ends the work that is done under the lease; who finds out that the lease has
// another holder calls it.
func (h *Held) Lost() { h.lost(ErrLost) }

type key struct{}

// From returns the lease that the work of ctx is done under; nil when there is none.
func From(ctx context.Context) *Held {
	h, _ := ctx.Value(key{}).(*Held)
	return h
}
