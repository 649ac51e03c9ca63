package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// postgresLockClass is the first half of the advisory lock; the second is made
// from the schema, so that two installations can share a database.
const postgresLockClass = 0x67617465 // "gate"

// holdsLock is true of the rows of pg_locks of those who hold the lock; $1 is its class.
const holdsLock = `locktype='advisory' AND database=(SELECT oid FROM pg_database WHERE datname=current_database()) AND classid=$1
	AND CAST(objid AS BIGINT)=CAST(hashtext(coalesce(current_schema(), '')) AS BIGINT)&4294967295 AND objsubid=2`

// postgresLock keeps other Gatehouse processes from the database as long as its
// connection lives. When the connection is lost, the next transaction takes the
// lock again first; what is remembered is then no longer sure (lost is called),
// because another process may have been there in between.
type postgresLock struct {
	config *pgx.ConnConfig
	logger *slog.Logger
	// shared takes the lock together with others who share: it then only keeps away
	// those who need the database for themselves.
	shared bool
	lost   func()
	held   atomic.Bool
	taken  atomic.Int64 // how often it was taken
	// backend is the server's process that holds it for us.
	backend atomic.Int64

	mu      sync.Mutex
	ever    bool // it was held before
	closed  bool
	cancel  context.CancelFunc
	watched sync.WaitGroup
}

// hold returns at once when the lock is held.
func (l *postgresLock) hold(ctx context.Context) error {
	if l.held.Load() {
		return nil
	}
	return l.take(ctx)
}

func (l *postgresLock) take(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held.Load() {
		return nil
	}
	if l.closed {
		return errClosed
	}
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return errUnavailable.With(err)
	}
	var got bool
	var backend int64
	try := `SELECT pg_try_advisory_lock($1::int, hashtext(coalesce(current_schema(), ''))), pg_backend_pid()`
	if l.shared {
		try = `SELECT pg_try_advisory_lock_shared($1::int, hashtext(coalesce(current_schema(), ''))), pg_backend_pid()`
	}
	err = conn.QueryRow(ctx, try, postgresLockClass).Scan(&got, &backend)
	if err != nil {
		return errUnavailable.With(errors.Join(err, closeQuietly(conn)))
	}
	if !got {
		return errLocked.With(errors.Join(errors.New("another session holds the advisory lock; stop that process first"), closeQuietly(conn)))
	}
	watching, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.backend.Store(backend)
	l.taken.Add(1)
	l.held.Store(true)
	l.watched.Add(1)
	go l.watch(watching, conn)
	if l.ever && l.lost != nil {
		l.lost()
	}
	l.ever = true
	return nil
}

// watch notices the end of the connection: nothing is ever sent to it.
func (l *postgresLock) watch(ctx context.Context, conn *pgx.Conn) {
	defer l.watched.Done()
	var err error
	for err == nil {
		_, err = conn.WaitForNotification(ctx)
	}
	l.held.Store(false)
	if ctx.Err() == nil {
		l.logger.Warn("the connection with the database's lock was lost", "error", err)
	}
	_ = closeQuietly(conn)
}

func (l *postgresLock) close() {
	l.mu.Lock()
	l.closed = true
	if l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	l.watched.Wait()
}

func closeQuietly(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	return conn.Close(ctx)
}
