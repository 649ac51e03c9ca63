package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
)

// The drivers.
const (
	DriverSQLite   = "sqlite"
	DriverPostgres = "postgres"
)

// Config says where the data are.
type Config struct {
	Driver string // DriverSQLite or DriverPostgres
	// Path is the database file (SQLite). Its directory is made when missing; both
	// are readable by their owner alone.
	Path string
	// DSN is a PostgreSQL connection string or URL. It must lead to the server
	// itself or a session pooler: a transaction pooler loses the advisory lock.
	DSN gatehouse.Secret
	// LockWait is how long Open waits for another process to let the database go:
	// 5 seconds when zero, not at all when negative.
	LockWait time.Duration
	// Shared has other processes use the database at the same time (PostgreSQL only):
	// each follows what the others change. Without it, a second process is refused.
	Shared bool
	// Home names the data directory that this process has to itself, on the machine About.Host.
	// Who needs a database for himself is refused while a node may be going on without it, save in
	// that node's own directory, where its process must have ended. "": it proves nothing.
	Home string
	// About is what the other processes are told of this one.
	About  peers.About
	Logger *slog.Logger
	// Now is the clock for events that come without a time; time.Now when nil.
	Now func() time.Time
}

func (c *Config) defaults() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.LockWait == 0 {
		c.LockWait = 5 * time.Second
	}
	switch {
	case c.Driver == DriverSQLite && c.Path != "" && c.DSN == "" && !c.Shared:
	case c.Driver == DriverPostgres && c.DSN != "" && c.Path == "":
	default:
		return errSettings.With(errors.New("store: sqlite needs a path, postgres a dsn, and nothing else is known"))
	}
	return nil
}

// DB is an open database. Its reads may be used by any number of goroutines;
// writes go through the runners that [Run] makes.
type DB struct {
	Queries
	base   *base
	engine engine
	node   string // this process, for the others and for its leases
	about  atomic.Pointer[peers.About]
	judges atomic.Pointer[func(context.Context, []peers.Question) []peers.Verdict]
	now    func() time.Time
	// persons seal what events tell of people; nil until [DB.SealPersonal].
	persons atomic.Pointer[personal.Keeper]

	telling     sync.Mutex // one change at a time
	mu          sync.RWMutex
	subscribers []func(gatehouse.Change)
	reloads     []func(context.Context) error
	logger      *slog.Logger
}

// base is what both databases have when they are connected and locked, before
// the schema is known to be right.
type base struct {
	driver string
	write  *sql.DB
	read   *sql.DB // the same as write on PostgreSQL
	// locked tells whether the lock is still held; a lost connection ends PostgreSQL's.
	locked func() bool
	// release gives up the lock and everything that is not write or read.
	release func() error
}

func (b *base) close() error {
	err := b.write.Close()
	if b.read != b.write {
		err = errors.Join(err, b.read.Close())
	}
	return errors.Join(err, b.release())
}

// engine runs transactions.
type engine interface {
	run(ctx context.Context, fn func(context.Context, *Tx) error) error
	age() time.Duration
	catchUp(ctx context.Context) (time.Time, error)
	// follower is this node's end of the feed; nil when no other node can be.
	follower() *feed.Follower
	// alone tells that no other process is connected that uses the database.
	alone(ctx context.Context) (bool, error)
	// register keeps who may go on alone; nil where no other process can be.
	register() staleness.Register
	stop()
}

// Open connects to the database, refuses to go on when another process uses it
// (code store_locked), a newer Gatehouse wrote it (store_newer), or [Move] has taken
// its place (store_moved) or did not finish with it (store_move_unfinished), brings the
// schema up to date, and starts the writer. Nothing else may be using the
// database while migrations run.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	db := &DB{logger: cfg.Logger, node: gatehouse.NewID("node", cfg.Now()), now: cfg.Now}
	db.about.Store(&cfg.About)
	b, start, err := connect(ctx, cfg, db)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, b, latest); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := refuseMoved(ctx, b); err != nil {
		return nil, errors.Join(err, b.close())
	}
	db.base = b
	if db.engine, db.Queries, err = start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return db, nil
}

// starter starts what runs on a connected database with the right schema.
type starter func(ctx context.Context) (engine, Queries, error)

func connect(ctx context.Context, cfg Config, db *DB) (*base, starter, error) {
	if cfg.Driver == DriverPostgres {
		b, start, err := connectPostgres(ctx, cfg, db)
		if err != nil || cfg.Shared {
			return b, start, err
		}
		if err := refuseSole(ctx, b.read, staleness.Claim{Host: cfg.About.Host, Home: cfg.Home}); err != nil {
			return nil, nil, errors.Join(err, b.close())
		}
		return b, start, nil
	}
	return connectSQLite(ctx, cfg, db)
}

// Close waits for the transactions that have begun, refuses others and lets the
// database go. The DB cannot be used afterwards.
func (db *DB) Close() error {
	db.engine.stop()
	return db.base.close()
}

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return public(db.base.read.PingContext(ctx)) }

// Primary fails when the database that answers is a standby, which may be behind.
func (db *DB) Primary(ctx context.Context) error {
	if db.base.driver != DriverPostgres {
		return nil
	}
	standby, err := one(ctx, db.c, func(r row) (v bool, err error) { return v, r.Scan(&v) }, `SELECT pg_is_in_recovery()`)
	if err == nil && standby {
		err = errUnavailable.With(errors.New("a standby answers"))
	}
	return err
}

// Driver returns the driver's name, for messages and metrics.
func (db *DB) Driver() string { return db.base.driver }

// Subscribe adds a function that is told of every change after its commit and
// before the writer is. Changes arrive one at a time, in the order of the
// commits. A subscriber must return at once: all writers wait for it. It must
// not start a transaction.
//
// A Change whose Value is nil says that the record is gone or no longer known:
// forget what was remembered of it. With ID "" that means everything of the
// topic, and with Realm "" in every realm.
//
// When a subscriber panics, the others are still told, and the writer gets an
// error (code change_not_applied) although its change is stored, because the
// promise that it has taken effect everywhere cannot be kept.
func (db *DB) Subscribe(fn func(gatehouse.Change)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.subscribers = append(db.subscribers[:len(db.subscribers):len(db.subscribers)], fn)
}

// OnReload adds a function that loads what a subscriber answers from memory alone. It
// is called, after the subscribers were told to forget everything, when it is not
// known what other nodes changed; until it succeeds, the node does not count as up to
// date ([DB.Age]).
func (db *DB) OnReload(fn func(context.Context) error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.reloads = append(db.reloads[:len(db.reloads):len(db.reloads)], fn)
}

func (db *DB) reload(ctx context.Context) error {
	db.mu.RLock()
	reloads := db.reloads
	db.mu.RUnlock()
	for _, fn := range reloads {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Age tells how long ago other nodes may have changed something that this one does
// not know of yet: always 0 where no other node can be, without end before anything
// was read.
func (db *DB) Age() time.Duration { return db.engine.age() }

// CatchUp returns once everything that was committed before the call, on any node, has
// been told here, and the time of that knowledge, by the database's clock where other nodes
// can be. It costs one reading of the feed for all who ask at the same time. It is
// Unavailable when the feed cannot be read, after two seconds at the latest.
func (db *DB) CatchUp(ctx context.Context) (time.Time, error) { return db.engine.catchUp(ctx) }

// emit tells the subscribers what one transaction changed.
func (db *DB) emit(changes []gatehouse.Change) error {
	db.telling.Lock()
	defer db.telling.Unlock()
	db.mu.RLock()
	subscribers := db.subscribers
	db.mu.RUnlock()
	var failed error
	for _, c := range changes {
		for _, fn := range subscribers {
			if err := tell(fn, c); err != nil {
				db.logger.Error("a subscriber failed to apply a change", "topic", string(c.Topic), "realm", c.Realm, "id", c.ID, "error", err)
				failed = errNotApplied.With(err)
			}
		}
	}
	return failed
}

func tell(fn func(gatehouse.Change), c gatehouse.Change) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	fn(c)
	return nil
}

// run executes one transaction.
func (db *DB) run(ctx context.Context, fn func(context.Context, *Tx) error) error {
	if err := refuseNested(ctx); err != nil {
		return err
	}
	return public(db.engine.run(ctx, func(ctx context.Context, tx *Tx) error {
		tx.persons = db.persons.Load()
		return fn(ctx, tx)
	}))
}

// Update runs fn in a transaction with all methods at hand. Flows use [Run] with
// the few methods they need instead; this is for tests and maintenance.
func (db *DB) Update(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.run(ctx, fn)
}

// everything is the change that says: nothing remembered is sure any more.
func everything() []gatehouse.Change {
	topics := []gatehouse.Topic{gatehouse.TopicRealm, gatehouse.TopicUser, gatehouse.TopicKey, gatehouse.TopicRole, gatehouse.TopicPolicy,
		gatehouse.TopicEntity, gatehouse.TopicSigningKey, gatehouse.TopicGrant, gatehouse.TopicRevocation,
		gatehouse.TopicStatusList, gatehouse.TopicClient}
	changes := make([]gatehouse.Change, len(topics))
	for i, t := range topics {
		changes[i].Topic = t
	}
	return changes
}
