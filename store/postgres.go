package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

const (
	// postgresConns is the size of the pool where the DSN names none.
	postgresConns = 16
	// maxAttempts bounds how often a transaction is run.
	maxAttempts = 10
	// maxTransaction ends a transaction that hangs, such as in a dead network: others
	// wait for its row locks, and for its place in the order of changes.
	maxTransaction = 30 * time.Second
	connectTimeout = 5 * time.Second
	// maxIdle is how long a transaction may say nothing before the server ends it, where
	// others wait for its locks: its process was stopped, or is cut off.
	maxIdle = "5s"
)

func postgresConfig(dsn gatehouse.Secret) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errSettings.With(errors.New("store: the postgres dsn cannot be parsed")) // pgx's text quotes the dsn
	}
	if !strings.Contains(dsn.Reveal(), "pool_max_conns") {
		cfg.MaxConns = postgresConns
	}
	c := cfg.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "gatehouse"
	}
	// A server or role may be set to "off", which acknowledges writes that a crash
	// then loses. Stronger settings in the DSN are kept.
	switch c.RuntimeParams["synchronous_commit"] {
	case "":
		c.RuntimeParams["synchronous_commit"] = "on"
	case "off", "false", "no", "0":
		return nil, errSettings.With(errors.New("store: the postgres dsn switches synchronous_commit off"))
	}
	return cfg, nil
}

func connectPostgres(ctx context.Context, cfg Config, db *DB) (*base, starter, error) {
	poolConfig, err := postgresConfig(cfg.DSN)
	if err != nil {
		return nil, nil, err
	}
	all := newServers(cfg.Logger)
	all.check(poolConfig.ConnConfig, cfg.Shared || len(all.order(poolConfig.ConnConfig)) > 1)
	poolConfig.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return all.current(conn.PgConn()), nil }
	poolConfig.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { all.sort(c); return nil }
	l := &postgresLock{config: poolConfig.ConnConfig.Copy(), servers: all, logger: cfg.Logger, shared: cfg.Shared}
	if _, err := waitForLock(ctx, cfg.LockWait, func() (struct{}, error) { return struct{}{}, l.take(ctx) }); err != nil {
		return nil, nil, err
	}
	limited := cfg.Shared && poolConfig.ConnConfig.RuntimeParams[idleTimeout] == ""
	if limited {
		poolConfig.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, `SET `+idleTimeout+`='`+maxIdle+`'`)
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		l.close()
		return nil, nil, errUnavailable.With(err)
	}
	shared := stdlib.OpenDBFromPool(pool)
	b := &base{driver: DriverPostgres, write: shared, read: shared, locked: l.isHeld, release: func() error { pool.Close(); l.close(); return nil }}
	if err := suitable(ctx, shared); err != nil {
		return nil, nil, errors.Join(err, b.close())
	}
	start := func(ctx context.Context) (engine, Queries, error) {
		e := &postgresEngine{pool: pool, patience: maxTransaction, shared: shared, lock: l, db: db, now: cfg.Now, logger: cfg.Logger, closing: make(chan struct{})}
		l.lost = e.resync
		if cfg.Shared {
			if e.feed, err = e.follow(ctx, poolConfig.ConnConfig, pool, cfg.About, cfg.Logger); err != nil {
				return nil, Queries{}, err
			}
		}
		return e, Queries{c: postgresReads{e}, dialect: dialectOf(DriverPostgres)}, nil
	}
	return b, start, nil
}

// idleTimeout is set once connected, not on connecting: a pooler in between refuses
// settings that it was not told of.
const idleTimeout = "idle_in_transaction_session_timeout"

// postgresEngine runs each transaction on a connection of its own.
type postgresEngine struct {
	pool   *pgxpool.Pool
	shared *sql.DB // over pool
	lock   *postgresLock
	db     *DB
	now    func() time.Time
	logger *slog.Logger
	line   line
	feed   *sharedFeed // nil when no other node can be
	// patience is how long an answer of the server is waited for.
	patience time.Duration
	// joined is the taking of the lock after which it was found that nobody is going on
	// alone, see soleRegister.
	joined atomic.Int64

	mu      sync.Mutex
	stopped bool
	closing chan struct{}
	running sync.WaitGroup
}

func (e *postgresEngine) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errClosed
	}
	e.running.Add(1)
	return nil
}

func (e *postgresEngine) stop() {
	e.mu.Lock()
	if !e.stopped {
		e.stopped = true
		close(e.closing)
	}
	e.mu.Unlock()
	e.running.Wait()
	if e.feed != nil {
		e.feed.stop()
	}
}

func (e *postgresEngine) age() time.Duration {
	if e.feed == nil {
		return 0
	}
	return e.feed.follower.Age()
}

func (e *postgresEngine) catchUp(ctx context.Context) (time.Time, error) {
	if e.feed == nil {
		return e.now(), nil
	}
	at, err := e.feed.follower.Sync(ctx)
	if err != nil {
		return at, errUnavailable.With(err)
	}
	return at, nil
}

func (e *postgresEngine) follower() *feed.Follower {
	if e.feed == nil {
		return nil
	}
	return e.feed.follower
}

// alone counts who holds the lock together with us: a process that has died holds it no
// more. When ours is lost at this moment somebody else may be taken for us, who then
// loses what the question was asked for, and takes it again.
func (e *postgresEngine) alone(ctx context.Context) (alone bool, err error) {
	if e.feed == nil {
		return true, nil
	}
	err = e.shared.QueryRowContext(ctx, `SELECT count(*)<=1 FROM pg_locks
		WHERE `+holdsLock, postgresLockClass).Scan(&alone)
	return alone, public(err)
}

func (e *postgresEngine) run(ctx context.Context, fn func(context.Context, *Tx) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.running.Done()
	for n := 1; ; n++ {
		again, err := e.attempt(ctx, fn)
		if !again || n == maxAttempts {
			return err
		}
		// Random, so that those who collided do not collide again.
		pause := time.NewTimer(rand.N(time.Duration(1<<min(n, 6)) * time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// attempt runs fn once. again says that nothing was committed and that running
// it once more may help.
func (e *postgresEngine) attempt(ctx context.Context, fn func(context.Context, *Tx) error) (again bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, errUnavailable.With(err)
	}
	if err := e.lock.hold(ctx); err != nil {
		return false, err
	}
	bounded, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	conn, err := e.pool.Acquire(bounded)
	if err != nil {
		return false, err
	}
	defer e.lock.servers.meanwhile(conn.Conn().PgConn(), cancel)()
	own := &postgresTx{conn: conn}
	defer own.close()
	tx := newTx(own, e.now, writing(DriverPostgres))
	if e.feed != nil {
		tx.announce = e.feed.announce
	}
	err = tx.run(bounded, fn)
	if !e.lock.servers.current(conn.Conn().PgConn()) { // what it commits is lost with it
		return true, errUnavailable.With(errors.Join(errOldPrimary, err))
	}
	if err != nil {
		return diagnose(tx.failed) == troubleRetry || e.stale(tx.failed), err
	}
	return e.commit(ctx, own, tx)
}

// stale reports whether err says that the connection is gone, as all are after
// the server was restarted, and then has the pool forget them.
func (e *postgresEngine) stale(err error) bool {
	if diagnose(err) != troubleConnection {
		return false
	}
	e.pool.Reset()
	return true
}

// commit commits and tells the subscribers, in the order of the commits.
//
// The order is taken by lining up before the COMMIT. Of two transactions that
// write the same row the second cannot get so far before the first has
// committed, so for everything that a subscriber could tell apart, the order in
// the line is that of the database; and many may still commit at once.
//
// Nobody stands in the line with a connection in hand: the subscriber for whom
// the others wait may need one to read.
func (e *postgresEngine) commit(ctx context.Context, own *postgresTx, tx *Tx) (again bool, err error) {
	if len(tx.changes) == 0 {
		became, err := e.finish(ctx, own, tx)
		return became == rolledBack && retryable(err), err
	}
	turn, leave := e.line.join()
	defer leave()
	became, err := e.finish(ctx, own, tx)
	<-turn
	switch became {
	case committed:
		return false, e.db.emit(tx.changes)
	case rolledBack:
		return retryable(err), err
	}
	// The caller is told that it failed, the caches to look again. Revocations keep
	// their value, since memory is all that is asked about them: one that was not
	// stored only denies.
	for i := range tx.changes {
		if tx.changes[i].Topic != gatehouse.TopicRevocation {
			tx.changes[i].Value = nil
		}
	}
	_ = e.db.emit(tx.changes) // logged there; the caller gets err anyway
	return false, err
}

// resync tells the subscribers that others may have written in the meantime.
func (e *postgresEngine) resync() {
	turn, leave := e.line.join()
	defer leave()
	<-turn
	_ = e.db.emit(everything()) // logged there
}

// line lets those who joined it have their turn one after the other.
type line struct {
	mu   sync.Mutex
	last chan struct{}
}

// join returns a channel that closes when it is one's turn, and the function
// that gives it to the next; it must be called, after the turn has come.
func (l *line) join() (turn <-chan struct{}, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, mine := l.last, make(chan struct{})
	if before == nil {
		before = make(chan struct{})
		close(before)
	}
	l.last = mine
	return before, func() { <-before; close(mine) }
}

// plainTx runs statements in a transaction of its own; pgx keeps them prepared.
type plainTx struct{ tx *sql.Tx }

func (c plainTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	res, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c plainTx) query(ctx context.Context, query string, args []any) (rows, error) {
	return c.tx.QueryContext(ctx, query, args...)
}

func (c plainTx) broken(error) {}

// postgresReads runs reads outside of transactions.
type postgresReads struct{ e *postgresEngine }

func (c postgresReads) exec(context.Context, string, []any) (int64, error) {
	return 0, internal("a write outside of a transaction")
}

func (c postgresReads) broken(error) {}

// query tries a second time on a fresh connection when the first one turned out
// to be gone, so that a restart of the server costs nobody an error. A server that
// does not answer is waited for as long as a transaction may take, and by no caller for ever.
func (c postgresReads) query(ctx context.Context, query string, args []any) (rows, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(c.e.patience, cancel)
	stop := c.e.lock.servers.meanwhile(nil, cancel)
	found, err := c.e.shared.QueryContext(ctx, query, args...)
	if err != nil && ctx.Err() == nil && c.e.stale(err) {
		found, err = c.e.shared.QueryContext(ctx, query, args...)
	}
	late.Stop()
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	return &patientRows{found, func() { stop(); cancel() }, late, c.e.patience}, nil
}

// patientRows wait so long for each row, and not for what is done with it.
type patientRows struct {
	*sql.Rows
	cancel   context.CancelFunc
	late     *time.Timer
	patience time.Duration
}

func (r *patientRows) Next() bool {
	r.late.Reset(r.patience)
	defer r.late.Stop()
	return r.Rows.Next()
}

func (r *patientRows) Close() error {
	defer r.cancel()
	return r.Rows.Close()
}
