package server

import (
	"context"
	"log/slog"

	"github.com/gatehouse-auth/gatehouse/internal/lease"
)

// job is background work; it runs from Start until the server closes. docs/jobs.md says
// of each why it runs where it does.
type job struct {
	name string
	// lease names what a process must hold to do this work; "" when each process does it.
	lease string
	run   func(ctx context.Context) error
}

// work does j for as long as ctx lasts, where it has a lease whenever this process holds it.
func (s *Server) work(ctx context.Context, j job) error {
	if j.lease == "" {
		return j.run(ctx)
	}
	return s.leases.Hold(ctx, j.lease, j.run)
}

// newLeases keeps the leases of this process. One that has the database to itself takes
// them once and renews nothing.
func newLeases(store lease.Store, node string, shared bool, log *slog.Logger) *lease.Keeper {
	cfg := lease.Config{Store: store, Holder: node, Logger: log}
	if shared {
		cfg.Term = lease.Term
	}
	return lease.NewKeeper(cfg)
}
