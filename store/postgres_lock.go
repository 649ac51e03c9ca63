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
	config  *pgx.ConnConfig
	servers *servers
	logger  *slog.Logger
	// shared takes the lock together with others who share: it then only keeps away
	// those who need the database for themselves.
	shared bool
	lost   func()
	held   atomic.Pointer[pgx.Conn]
	taken  atomic.Int64 // how often it was taken
	// backend is the server's process that holds it for us, and began is when that server
	// started, in microseconds since 1970.
	backend, began atomic.Int64

	mu      sync.Mutex
	ever    bool // it was held before
	closed  bool
	cancel  context.CancelFunc
	watched sync.WaitGroup
}

func (l *postgresLock) isHeld() bool {
	conn := l.held.Load()
	return conn != nil && l.servers.current(conn.PgConn())
}

// hold returns at once when the lock is held.
func (l *postgresLock) hold(ctx context.Context) error {
	if l.isHeld() {
		return nil
	}
	return l.take(ctx)
}

func (l *postgresLock) take(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isHeld() {
		return nil
	}
	if l.closed {
		return errClosed
	}
	if l.held.Swap(nil) != nil { // by a server that is the primary no more
		l.cancel()
	}
	conn, err := l.servers.connect(ctx, l.config)
	if err != nil {
		return errUnavailable.With(err)
	}
	var got bool
	var backend, began int64
	try := `SELECT pg_try_advisory_lock($1::int, hashtext(coalesce(current_schema(), ''))), pg_backend_pid(), ` + serverBegan
	if l.shared {
		try = `SELECT pg_try_advisory_lock_shared($1::int, hashtext(coalesce(current_schema(), ''))), pg_backend_pid(), ` + serverBegan
	}
	err = conn.QueryRow(ctx, try, postgresLockClass).Scan(&got, &backend, &began)
	if err != nil {
		return errUnavailable.With(errors.Join(err, closeQuietly(conn)))
	}
	if !got {
		return errLocked.With(errors.Join(errors.New("another session holds the advisory lock; stop that process first"), closeQuietly(conn)))
	}
	watching, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.backend.Store(backend)
	l.began.Store(began)
	l.taken.Add(1)
	l.held.Store(conn)
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
	l.held.CompareAndSwap(conn, nil) // it may have been dropped, and taken again, before
	if ctx.Err() == nil {
		l.logger.Warn("the connection with the database's lock was lost", "error", err)
	}
	_ = closeQuietly(conn)
}

// serverBegan is when the server started, in microseconds since 1970.
const serverBegan = `(extract(epoch FROM pg_postmaster_start_time())*1000000)::bigint`

// elsewhere reports whether the server that conn leads to does not hold our lock: it is
// another one, or has started anew. The one that does may be gone without a word.
func (l *postgresLock) elsewhere(ctx context.Context, conn *pgx.Conn) (yes bool, err error) {
	err = conn.QueryRow(ctx, `SELECT `+serverBegan+`<>$3 OR NOT EXISTS (SELECT 1 FROM pg_locks WHERE `+holdsLock+` AND pid=$2)`,
		postgresLockClass, l.backend.Load(), l.began.Load()).Scan(&yes)
	return yes, err
}

// drop gives the lock up where it is, so that it is taken where it counts.
func (l *postgresLock) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held.Swap(nil) != nil {
		l.logger.Warn("the database's lock is not held by the server that answers; it is taken again")
		l.cancel()
	}
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
