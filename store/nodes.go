package store

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// errNodeUnknown and errNodeAlive are what the removal of a node refuses.
var (
	errNodeUnknown = gatehouse.E(gatehouse.NotFound, "node_not_found", "There is no such node.")
	errNodeAlive   = gatehouse.E(gatehouse.Conflict, "node_alive", "This node works. Stop it; then it leaves by itself.")
)

// NodeID is this process among those that share the database: unlike every other one, and
// unlike every earlier start.
func (db *DB) NodeID() string { return db.node }

// Describe changes what the other nodes are told of this one, and returns when they can
// know. What lets this node answer by an older view is described before it is done.
func (db *DB) Describe(ctx context.Context, a peers.About) error {
	db.about.Store(&a)
	if f := db.engine.follower(); f != nil {
		return public(f.Describe(ctx, selfOf(a)))
	}
	return nil
}

// LiveNodes tells how many processes share the database at this moment, this one among
// them: 1 where no other can be. It is answered from memory, a second or so late.
func (db *DB) LiveNodes() int {
	live, _ := db.countNodes()
	return live
}

// SilentNodes tells how many are listed that say nothing, likewise.
func (db *DB) SilentNodes() int {
	_, silent := db.countNodes()
	return silent
}

func (db *DB) countNodes() (live, silent int) {
	if f := db.engine.follower(); f != nil {
		return f.Live()
	}
	return 1, 0
}

// Nodes reads the processes that share the database, by id; where no other can be, this
// one alone.
func (db *DB) Nodes(ctx context.Context) ([]peers.Node, error) {
	out := []peers.Node{{ID: db.node, About: *db.about.Load(), SeenAt: db.now().UTC(), Alive: true}}
	if db.engine.follower() != nil {
		var err error
		out, err = many(ctx, db.c, scanNode, `SELECT `+db.clock+`, id, host, version, addresses, started_at, max_staleness, seen_at, position, age
			FROM nodes ORDER BY id`)
		if err != nil {
			return nil, err
		}
	}
	held, err := many(ctx, db.c, scanLease, `SELECT name, holder, epoch FROM leases
		WHERE holder<>'' AND (expires_at IS NULL OR expires_at>`+db.clock+`) ORDER BY name`)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Self = out[i].ID == db.node
		for _, l := range held {
			if l.Holder == out[i].ID {
				out[i].Leases = append(out[i].Leases, l.Name)
			}
		}
	}
	return out, nil
}

func scanNode(r row) (n peers.Node, err error) {
	var now, staleness, age int64
	var addresses string
	err = r.Scan(&now, &n.ID, &n.Host, &n.Version, &addresses, at(&n.StartedAt), &staleness, at(&n.SeenAt), &n.Position, &age)
	if err != nil {
		return n, err
	}
	n.Silent = max(time.UnixMicro(now).Sub(n.SeenAt), 0)
	n.Alive = n.Silent < feed.LiveFor
	n.MaxStaleness, n.Age = feed.Micros(staleness), feed.Micros(age)
	return n, exactjson.Unmarshal([]byte(addresses), &n.Addresses)
}

// RemoveNode takes a node from the list that says nothing any more: nobody waits for it
// then. Whoever does it must know that it has stopped; one that is only cut off from the
// database may still answer by its old view, and it loses the right to do so. Errors: node_not_found, node_alive.
func (t *Tx) RemoveNode(ctx context.Context, id string) error {
	found, err := many(ctx, t.c, scanNode, `SELECT `+t.clock+`, id, host, version, addresses, started_at, max_staleness, seen_at, position, age
		FROM nodes WHERE id=$1`+t.own, id)
	switch {
	case err != nil:
		return err
	case len(found) > 0 && found[0].Alive:
		return errNodeAlive
	}
	// It may have had the right to go on alone, also when its row is gone.
	n, err := exec(ctx, t.c, `UPDATE sole_node SET node='' WHERE node=$1`, id)
	switch {
	case err != nil:
		return err
	case len(found) > 0:
		return remove(ctx, t.c, `DELETE FROM nodes WHERE id=$1`, id)
	case n == 0:
		return errNodeUnknown
	}
	return nil
}

// selfOf is how a node tells the feed of itself.
func selfOf(a peers.About) feed.Self {
	addresses, err := json.Marshal(a.Addresses, json.Deterministic(true))
	if err != nil || a.Addresses == nil {
		addresses = []byte("{}") // text that is none
	}
	text := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?") }
	return feed.Self{Host: text(a.Host), Version: text(a.Version), Addresses: string(addresses), StartedAt: a.StartedAt, MaxStaleness: a.MaxStaleness}
}
