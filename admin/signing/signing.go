// Package signing holds the use cases about a realm's signing keys. The key ring makes, seals and uses them, and writes
// the events of their changes itself.
package signing

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Kernel *kernel.Kernel
	Ring   Ring
}

// Ring is the key ring's side of administration; *keyring.Ring has it. It
// writes the audit events itself.
type Ring interface {
	List(ctx context.Context, realm string) ([]keyring.Info, error)
	Rotate(ctx context.Context, cmd keyring.Command) (kid string, err error)
	Retire(ctx context.Context, cmd keyring.Command) error
	Remove(ctx context.Context, cmd keyring.Command) error
}

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}

func signingKeyView(k keyring.Info) SigningKey {
	return SigningKey{KID: k.KID, Algorithm: k.Algorithm, State: string(k.State), Use: string(k.Use), CreatedAt: k.CreatedAt,
		ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt}
}

// List lists a realm's signing keys.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm string) ([]SigningKey, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminSigningKey, realm, ""); err != nil {
		return nil, err
	}
	list, err := s.c.Ring.List(ctx, realm)
	if err != nil {
		return nil, kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
	}
	out := make([]SigningKey, 0, len(list))
	for _, k := range list {
		out = append(out, signingKeyView(k))
	}
	return out, nil
}

func (s *Service) keyCommand(ctx context.Context, actor *gatehouse.Principal, realm, kid string, now bool) keyring.Command {
	e := s.k.Event(ctx, actor, realm, "", "", "")
	return keyring.Command{Realm: realm, KID: kid, Actor: e.Actor, RequestID: e.RequestID, Now: now}
}

// Rotate publishes a new key that takes over after the propagation
// time, or at once.
func (s *Service) Rotate(ctx context.Context, actor *gatehouse.Principal, realm string, now bool) (kid string, err error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSigningKey, realm, ""); err != nil {
		return "", err
	}
	kid, err = s.c.Ring.Rotate(ctx, s.keyCommand(ctx, actor, realm, "", now))
	return kid, err
}

// Retire stops signing with a key; its tokens live until they expire.
func (s *Service) Retire(ctx context.Context, actor *gatehouse.Principal, realm, kid string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminSigningKey, realm, kid); err != nil {
		return err
	}
	return s.c.Ring.Retire(ctx, s.keyCommand(ctx, actor, realm, kid, false))
}

// Remove removes a key at once: every token that it signed is refused.
func (s *Service) Remove(ctx context.Context, actor *gatehouse.Principal, realm, kid string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminSigningKey, realm, kid); err != nil {
		return err
	}
	return s.c.Ring.Remove(ctx, s.keyCommand(ctx, actor, realm, kid, true))
}
