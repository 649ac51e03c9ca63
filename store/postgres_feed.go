package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

// sharedFeed is this node's end of the feed: it writes what its transactions changed,
// and tells the subscribers what others did.
type sharedFeed struct {
	node     string
	logger   *slog.Logger
	follower *feed.Follower
	rows     ownConn
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// follow starts to read the feed and returns when it was read for the first time:
// what is loaded from now on misses nothing.
func (e *postgresEngine) follow(ctx context.Context, config *pgx.ConnConfig, pool *pgxpool.Pool, about peers.About, logger *slog.Logger) (*sharedFeed, error) {
	s := &sharedFeed{node: e.db.node, logger: logger}
	s.rows.config, s.rows.servers = config.Copy(), e.lock.servers
	s.rows.config.RuntimeParams["application_name"] += " nodes"
	config = config.Copy()
	config.RuntimeParams["application_name"] += " feed"
	config.OnNotification = func(c *pgconn.PgConn, n *pgconn.Notification) { s.follower.Notified(c, n) }
	var err error
	s.follower, err = feed.New(feed.Config{
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return e.reach(ctx, config) },
		Exec: func(ctx context.Context, statement string, args ...any) (int64, error) {
			if err := e.lock.hold(ctx); err != nil {
				return 0, err
			}
			tag, err := pool.Exec(ctx, statement, args...)
			return tag.RowsAffected(), err
		},
		Query: func(ctx context.Context, statement string, args []any, each func(func(...any) error) error) error {
			// Without the lock, somebody may be writing who does not tell: no heartbeat of ours
			// must say then that all is known.
			if err := e.lock.hold(ctx); err != nil {
				return err
			}
			return s.rows.query(ctx, statement, args, each)
		},
		Current: func(conn *pgx.Conn) bool { return e.lock.servers.current(conn.PgConn()) },
		Node:    s.node,
		Apply:   func(rows []feed.Row) { e.others(s.follower, rows) },
		Self:    selfOf(about),
		Reload:  e.reload,
		Logger:  logger,
	})
	if err != nil {
		return nil, internal("%w", err)
	}
	e.lock.lost = s.follower.Forget
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { s.follower.Run(running) })
	s.running.Go(func() { e.lock.servers.watch(running, e.lock.config, s.follower.Age) })
	select {
	case <-s.follower.Ready():
		return s, nil
	case <-ctx.Done():
		s.stop()
		return nil, errUnavailable.With(errors.Join(errors.New("the feed of changes could not be read"), ctx.Err()))
	}
}

// reach connects to the primary, for the feed. Those who lost that connection have others
// that say nothing when the machine at their end, or the network, has gone: whoever used one
// would wait for as long as a transaction may take.
func (e *postgresEngine) reach(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := e.lock.servers.connect(ctx, config)
	if err != nil {
		return nil, err
	}
	elsewhere, err := e.lock.elsewhere(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, closeQuietly(conn))
	}
	if elsewhere {
		e.lock.drop()
	}
	e.pool.Reset()
	return conn, nil
}

// stop ends the reading, and takes this node from the list of those who read.
func (s *sharedFeed) stop() {
	s.cancel()
	s.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := s.follower.Leave(ctx); err != nil {
		s.logger.Warn("this node stops and could not say so; the others list it for a while", "error", err)
	}
	s.rows.close()
}

// ownConn is a connection for what must not wait behind the requests for one of the pool:
// heartbeats, and what this node tells of itself. It is made anew after an error.
type ownConn struct {
	config  *pgx.ConnConfig
	servers *servers
	mu      sync.Mutex
	conn    *pgx.Conn
}

func (c *ownConn) query(ctx context.Context, statement string, args []any, each func(func(...any) error) error) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && !c.servers.current(c.conn.PgConn()) {
		c.drop()
	}
	if c.conn == nil {
		if c.conn, err = c.servers.connect(ctx, c.config); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			c.drop()
		}
	}()
	rows, err := c.conn.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// drop closes the connection; the lock is held.
func (c *ownConn) drop() {
	if c.conn != nil {
		_ = closeQuietly(c.conn)
		c.conn = nil
	}
}

func (c *ownConn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
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
		if len(changes) == 1 && changes[0].Topic == topicWait {
			var answer func(context.Context) string
			if asked := changes[0].ID; asked != "" {
				answer = func(ctx context.Context) string { return e.db.answer(ctx, asked) }
			}
			follower.Prompt(row, answer)
			continue
		}
		// Where a subscriber failed (which is logged there), this node must not say that it
		// has applied everything.
		behind = e.db.emit(changes) != nil || behind
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
	if tx.anyway {
		statement, args = feed.AppendAnyway(s.node, text)
	}
	return tx.finally(ctx, statement, args...)
}
