package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// sharedFeed is this node's end of the feed: it writes what its transactions changed,
// and tells the subscribers what others did.
type sharedFeed struct {
	node     string
	follower *feed.Follower
	cancel   context.CancelFunc
	ended    chan struct{}
}

// follow starts to read the feed and returns when it was read for the first time:
// what is loaded from now on misses nothing.
func (e *postgresEngine) follow(ctx context.Context, config *pgx.ConnConfig, pool *pgxpool.Pool, logger *slog.Logger) (*sharedFeed, error) {
	s := &sharedFeed{node: gatehouse.NewID("node", e.now()), ended: make(chan struct{})}
	config = config.Copy()
	config.RuntimeParams["application_name"] += " feed"
	config.OnNotification = func(c *pgconn.PgConn, n *pgconn.Notification) { s.follower.Notified(c, n) }
	var err error
	s.follower, err = feed.New(feed.Config{
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, config) },
		Exec: func(ctx context.Context, statement string, args ...any) (int64, error) {
			// Without the lock, somebody may be writing who does not tell: no heartbeat of ours
			// must say then that all is known.
			if err := e.lock.hold(ctx); err != nil {
				return 0, err
			}
			tag, err := pool.Exec(ctx, statement, args...)
			return tag.RowsAffected(), err
		},
		Node:   s.node,
		Apply:  func(rows []feed.Row) { e.others(s.follower, rows) },
		Reload: e.reload,
		Logger: logger,
	})
	if err != nil {
		return nil, internal("%w", err)
	}
	e.lock.lost = s.follower.Forget
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		s.follower.Run(running)
	}()
	select {
	case <-s.follower.Ready():
		return s, nil
	case <-ctx.Done():
		s.stop()
		return nil, errUnavailable.With(errors.Join(errors.New("the feed of changes could not be read"), ctx.Err()))
	}
}

func (s *sharedFeed) stop() {
	s.cancel()
	<-s.ended
}

// others tells the subscribers what other nodes changed. It waits for none of our own
// commits, one of which may hang: what comes from the feed only has them forget, or
// adds revocations, so its place in the order of changes makes no difference.
//
// Revocations that come without a value, being many, are read from the database before
// anything counts as known.
func (e *postgresEngine) others(follower *feed.Follower, rows []feed.Row) {
	behind := false
	for _, row := range rows {
		changes := decodeChanges(row.Changes)
		_ = e.db.emit(changes) // logged there
		behind = behind || slices.ContainsFunc(changes, func(c gatehouse.Change) bool { return c.Topic == gatehouse.TopicRevocation && c.Value == nil })
	}
	if !behind {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTransaction)
	defer cancel()
	if err := e.db.reload(ctx); err != nil {
		e.logger.Warn("what others have changed could not be loaded; trying again", "error", err)
		follower.Forget()
	}
}

// reload has the subscribers forget everything, and those who answer from memory
// alone read it again.
func (e *postgresEngine) reload(ctx context.Context, _ string) error {
	_ = e.db.emit(everything()) // logged there
	return e.db.reload(ctx)
}

// announce leaves what tx changed in the feed, as the last thing that it does.
func (s *sharedFeed) announce(ctx context.Context, tx *Tx) error {
	if len(tx.changes) == 0 {
		return nil
	}
	text, err := encodeChanges(tx.changes)
	if err != nil {
		return internal("changes for the feed: %w", err)
	}
	statement, args := feed.Append(s.node, text)
	return tx.finally(ctx, statement, args...)
}
