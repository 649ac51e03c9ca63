package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// Why a proof fails. The change that it is about stands.
const (
	proofUnwritten = "the other nodes could not be asked: the database did not take the question"
	proofUnread    = "the nodes could not be read: the database does not answer, or too many wait"
	proofLost      = "the question is gone: the database is an older one than the one that was written to"
)

// Prove waits until no process that shares the database answers without what was
// committed before the call, for as long as atMost, or until ctx ends, and says what is
// known of each. Where no other process can be, it returns at once. It is no transaction,
// and undoes nothing whatever it finds.
func (db *DB) Prove(ctx context.Context, atMost time.Duration) peers.Proof {
	if e, is := db.engine.(*postgresEngine); is && e.feed != nil {
		return e.prove(ctx, atMost)
	}
	return peers.Proof{Nodes: []peers.Told{{ID: db.node, About: *db.about.Load(), Self: true, State: peers.Confirmed}}}
}

// prove appends a row to the feed that asks the others to tell how far they are. It is a
// transaction of its own, which begins after the commit that the caller waits for: who sees
// it sees that.
func (e *postgresEngine) prove(ctx context.Context, atMost time.Duration) (out peers.Proof) {
	began := time.Now()
	defer func() { out.Took = time.Since(began) }()
	if e.enter() != nil {
		return peers.Proof{Failed: proofUnwritten}
	}
	defer e.running.Done()
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	go func() { // a stop does not wait for us
		select {
		case <-e.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	row, err := e.askOthers(ctx)
	if err != nil {
		e.logger.Warn("the other nodes could not be asked whether they know of a change", "error", err)
		return peers.Proof{Failed: proofUnwritten}
	}
	p := e.feed.follower.Prove(ctx, row, time.Now())
	switch {
	case p.Lost:
		return peers.Proof{Failed: proofLost}
	case !p.Looked:
		return peers.Proof{Failed: proofUnread}
	}
	for _, s := range p.Standings {
		out.Nodes = append(out.Nodes, toldOf(e.db.node, s))
	}
	return out
}

// askOthers appends the row. Its COMMIT is waited for like any other: what a crash may
// take away proves nothing.
func (e *postgresEngine) askOthers(ctx context.Context) (feed.Row, error) {
	row := feed.Row{Node: e.feed.node}
	if err := e.lock.hold(ctx); err != nil {
		return row, err
	}
	statement, args := feed.Append(e.feed.node, `[{"topic":"`+string(topicWait)+`"}]`)
	ask := func() error {
		var xid, written int64
		var nothing string
		err := e.pool.QueryRow(ctx, statement, args...).Scan(&xid, &nothing, &written)
		row.XID, row.WrittenAt = uint64(xid), time.UnixMicro(written)
		return err
	}
	err := ask()
	if err != nil && ctx.Err() == nil && e.stale(err) { // as after a restart of the server; to ask twice does no harm
		err = ask()
	}
	return row, err
}

func toldOf(self string, s feed.Standing) peers.Told {
	state := map[feed.State]peers.State{feed.Confirmed: peers.Confirmed, feed.Refuses: peers.Silent, feed.Left: peers.Left}[s.State]
	if state == "" {
		state = peers.Pending
	}
	return peers.Told{ID: s.ID, Self: s.ID == self, State: state, After: s.After,
		About: peers.About{Host: s.Host, Version: s.Version, StartedAt: s.StartedAt, MaxStaleness: s.MaxStaleness}}
}
