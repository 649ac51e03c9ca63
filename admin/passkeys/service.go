// Package passkeys holds the use cases about the passkeys of people: who administers sees which there are and removes
// those that are lost. Adding one takes its owner, on the pages.
package passkeys

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel   *kernel.Kernel
	Passkeys passkey.Reader
	Users    Users
	Life     Life
}

// Users knows whose passkeys they are.
type Users interface {
	Resolve(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) string
	Find(ctx context.Context, realm, idOrName string) (identity.User, error)
}

// Life removes passkeys, and records it; *passkey.Service has it.
type Life interface {
	Remove(ctx context.Context, by *gatehouse.Principal, realm, userID, id string) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}

// Passkey is a passkey or security key of a user.
type Passkey struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Synced: it can be on several devices.
	Synced     bool      `json:"synced" doc:"It can be copied to other devices, as its maker says"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// List lists the passkeys of a user: everybody's own, and those of others to whoever may read them.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, idOrName string) ([]Passkey, error) {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminSubject, realm, id, id); err != nil {
		return nil, err
	}
	u, err := s.c.Users.Find(ctx, realm, id)
	if err != nil {
		return nil, err
	}
	list, err := s.c.Passkeys.Passkeys(ctx, realm, u.ID)
	if err != nil {
		return nil, err
	}
	out := make([]Passkey, len(list))
	for i, p := range list {
		out[i] = Passkey{ID: p.ID, Name: p.Name, Synced: p.BackupEligible, CreatedAt: p.CreatedAt, LastUsedAt: p.UsedAt}
	}
	return out, nil
}

// Remove removes a passkey of somebody else who has lost it. One's own go on the pages, after a
// sign-in of a moment ago: what calls this may have been stolen (sign_in_again).
func (s *Service) Remove(ctx context.Context, actor *gatehouse.Principal, realm, idOrName, passkeyID string) error {
	id := s.c.Users.Resolve(ctx, actor, realm, idOrName)
	if kernel.IsSelf(actor, realm, id) {
		return s.k.Refused(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id, gatehouse.ErrSignInAgain)
	}
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSubject, realm, id); err != nil {
		return err
	}
	u, err := s.c.Users.Find(ctx, realm, id)
	if err != nil {
		return err
	}
	return s.c.Life.Remove(ctx, actor, realm, u.ID, passkeyID)
}
