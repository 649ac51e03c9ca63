// Package records holds the use cases about what was recorded: events, their log and its proofs, and why one request
// was answered as it was.
package records

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Kernel *kernel.Kernel
	Audit  audit.Reader
	// Persons are the keys of what events tell of people.
	Persons audit.PersonKeys
	Run     gatehouse.Runner[Tx]
	// Key gives the public half of the key that signs the checkpoints of a realm.
	Key func(realm string) (audit.Key, error)
	// Head is the newest checkpoint that the server signed, as it is kept apart
	// from the store. Nil: nothing is kept.
	Head func(realm string) []byte
	// Counting returns the counts of refusals that are not recorded yet and that a
	// request which began at that time may be part of; nil when nothing is counted.
	Counting func(realm string, began time.Time) []gatehouse.Event
	// Explain answers what somebody may do, and why (authz.Decider.Explain).
	Explain func(ctx context.Context, r gatehouse.AccessRequest, documents ...policy.Document) (policy.Explanation, error)
	Logger  *slog.Logger
}

// Tx is the transaction in which a verification is recorded.
type Tx interface{ kernel.Appender }

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
