package nodes

import (
	"context"
	"math"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/policy"
)

func nodeView(n peers.Node) Node {
	v := Node{ID: n.ID, State: "silent", Answering: n.Self, Host: n.Host, Version: n.Version, Addresses: n.Addresses, StartedAt: n.StartedAt.UTC(),
		SeenAt: n.SeenAt, Silent: n.Silent.Milliseconds(), Position: n.Position, MaxStaleness: n.MaxStaleness.Milliseconds(), Leases: kernel.Some(n.Leases)}
	if v.Addresses == nil {
		v.Addresses = map[string]string{}
	}
	if n.Alive {
		v.State = "live"
	}
	if n.Age != math.MaxInt64 {
		v.Age = new(n.Age.Milliseconds())
	}
	return v
}

// List lists the processes that share the database, by id, which is in the order of their
// starts.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal) ([]Node, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminNode, gatehouse.MainRealm, ""); err != nil {
		return nil, err
	}
	all, err := s.c.Nodes.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Node, len(all))
	for i, n := range all {
		out[i] = nodeView(n)
	}
	return out, nil
}

// Remove takes a node from the list that says nothing any more, so that nobody waits for
// it. Whoever does it answers for that it has stopped. Errors: node_not_found, node_alive.
func (s *Service) Remove(ctx context.Context, actor *gatehouse.Principal, id string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminNode, gatehouse.MainRealm, id); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.RemoveNode(ctx, id); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, gatehouse.MainRealm, audit.KindNodeRemove, "node", id))
	})
}
