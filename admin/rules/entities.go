package rules

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var errEntityMissing = gatehouse.E(gatehouse.NotFound, "entity_not_found", "There is no such entity in this realm.")

// Entities lists pushed entities of one type.
func (s *Service) Entities(ctx context.Context, actor *gatehouse.Principal, realm, typ, after string, limit int) (kernel.Page[policy.EntityRecord], error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminEntity, realm, typ); err != nil {
		return kernel.Page[policy.EntityRecord]{}, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return kernel.Page[policy.EntityRecord]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Entities.Entities(ctx, realm, typ, after, limit+1)
	if err != nil {
		return kernel.Page[policy.EntityRecord]{}, err
	}
	same := func(e policy.EntityRecord) policy.EntityRecord { return e }
	return kernel.Paged(list, limit, func(e policy.EntityRecord) string { return e.ID }, same), nil
}

// Entity reads one pushed entity.
func (s *Service) Entity(ctx context.Context, actor *gatehouse.Principal, realm, typ, id string) (policy.EntityRecord, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminEntity, realm, typ+"/"+id); err != nil {
		return policy.EntityRecord{}, err
	}
	e, err := s.c.Entities.Entity(ctx, realm, typ, id)
	return e, kernel.OrMissing(err, errEntityMissing)
}

// PutEntity makes or replaces an entity.
func (s *Service) PutEntity(ctx context.Context, actor *gatehouse.Principal, realm string, e policy.EntityRecord) (policy.EntityRecord, error) {
	name := e.Type + "/" + e.ID
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminEntity, realm, name); err != nil {
		return e, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return e, err
	}
	f := kernel.Faults{}
	f.Text("type", e.Type, true)
	f.Text("id", e.ID, true)
	if len(e.Parents) > kernel.MaxList {
		f.Add("parents", "has more than %d entries", kernel.MaxList)
	}
	for _, p := range e.Parents {
		f.Text("parents", p.Type, true)
		f.Text("parents", p.ID, true)
	}
	if err := f.Err(); err != nil {
		return e, err
	}
	attributes, err := identity.NormalizeAttributes(e.Attributes)
	if err != nil {
		return e, err
	}
	e.Realm, e.Attributes, e.UpdatedAt = realm, attributes, s.k.Now()
	if isPrincipalType(e.Type) { // a pushed one must not shadow the directory
		f.Add("type", "is kept by Gatehouse itself")
		return e, f.Err()
	}
	return e, s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.PutEntity(ctx, e); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, realm, audit.KindEntityPut, "entity", name))
	})
}

// isPrincipalType tells the entity types whose truth is the directory.
func isPrincipalType(typ string) bool {
	return slices.Contains([]string{"User", "Service", "Client", "Anonymous", "Role", "Action"}, typ)
}

// DeleteEntity removes a pushed entity.
func (s *Service) DeleteEntity(ctx context.Context, actor *gatehouse.Principal, realm, typ, id string) error {
	name := typ + "/" + id
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminEntity, realm, name); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Entity(ctx, realm, typ, id); err != nil {
			return kernel.OrMissing(err, errEntityMissing)
		}
		if err := tx.DeleteEntity(ctx, realm, typ, id); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, realm, audit.KindEntityDelete, "entity", name))
	})
}
