// Package nodes holds the use cases about the processes that share the database.
package nodes

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Nodes  Reader
	Run    gatehouse.Runner[Tx]
}

// Reader lists the nodes.
type Reader interface {
	Nodes(ctx context.Context) ([]peers.Node, error)
}

// Tx is the transaction of the node use cases.
type Tx interface {
	kernel.Appender
	// RemoveNode takes a node from the list that says nothing any more.
	RemoveNode(ctx context.Context, id string) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
