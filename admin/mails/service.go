// Package mails holds the use cases about messages to people: what waits, what came of it, and a try whether mail arrives.
package mails

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Mails  Reader
	Queue  Queue
	Run    gatehouse.Runner[Tx]
}

// Reader reads messages.
type Reader interface {
	Mail(ctx context.Context, id string) (mail.Record, error)
	Mails(ctx context.Context, state mail.State, after string, limit int) ([]mail.Record, error)
}

// Queue takes messages, and opens whom they are to.
type Queue interface {
	On() bool
	Put(ctx context.Context, tx mail.Outgoing, m mail.Message) (id string, err error)
	To(r mail.Record) (string, error)
}

// Tx is the transaction of a message that somebody asks for.
type Tx interface {
	kernel.Appender
	mail.Outgoing
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}
