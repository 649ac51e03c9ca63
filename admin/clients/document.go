package clients

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// errDescribed refuses to change what another place says.
var errDescribed = gatehouse.E(gatehouse.Conflict, "client_described_elsewhere", "What this client is, the document at its client_id says, and nobody here; it can be disabled, and removed.")

// Described is what a realm makes of the document of a client: what it makes of a client that registers itself (RFC 7591).
func (s *Service) Described(r gatehouse.Realm, m client.Metadata) (client.Metadata, error) {
	m, err := s.narrowed(r, m)
	var e *gatehouse.Error
	if errors.As(err, &e) {
		told := *client.ErrDocument
		for _, member := range slices.Sorted(maps.Keys(e.Fields)) {
			told.Public += " Its " + member + " " + e.Fields[member] + "."
		}
		return m, &told
	}
	return m, err
}

// KeepDescribed stores a client that is known by a document, or what its document says now. What it has by what it may no longer ends at once.
func (s *Service) KeepDescribed(ctx context.Context, realm, id string, m client.Metadata) (out client.Client, err error) {
	_, err = s.change(ctx, nil, realm, id, nil, audit.KindClientDescribe, func(_ Tx, c *client.Client, now time.Time) (bool, error) {
		before := c.Metadata
		c.Metadata = m
		ends := settle(c, before, now) || lost(before, m)
		out = *c
		out.UpdatedAt, out.Version = now, c.Version+1
		return ends, nil
	})
	if gatehouse.CodeOf(err) != errUnknown.Code {
		return out, err
	}
	now := s.k.Now()
	out = client.Client{Realm: realm, ID: id, Metadata: m, Secret: client.DescribedSince(), CreatedAt: now, UpdatedAt: now, Version: 1}
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		switch n, err := tx.UnverifiedClients(ctx, realm); {
		case err != nil:
			return err
		case n >= maxDynamic:
			return errFull
		}
		if err := tx.InsertClient(ctx, out); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, nil, out, audit.KindClientDescribe))
	})
	if errors.Is(err, gatehouse.Conflict) { // another node did, at the same moment
		return s.c.Clients.Client(ctx, realm, id)
	}
	if err == nil {
		err = s.publishKey(ctx, out)
	}
	return out, err
}
