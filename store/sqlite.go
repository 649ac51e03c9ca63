package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"

	_ "modernc.org/sqlite" // the driver "sqlite"; mattn's binds $N wrongly, see the conformance suite
)

const (
	sqliteReaders = 3
	// checkpointEvery keeps the write-ahead log short without making a writer wait
	// for it; wal_autocheckpoint(8000) bounds it at some 32 MB when readers or the
	// load keep this from getting through, and journal_size_limit gives back what a
	// long read made it grow to.
	checkpointEvery = 250 * time.Millisecond
)

const (
	sqliteCommon = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(8000)&_pragma=journal_size_limit(67108864)&_defensive=1"
	// What requests need is in the caches of the packages, and behind SQLite's own
	// stands the system's; each connection keeps what one transaction works on.
	sqliteWriter = sqliteCommon + "&_pragma=cache_size(-2048)&_txlock=immediate"
	sqliteReader = sqliteCommon + "&_pragma=cache_size(-512)&_pragma=query_only(1)"
)

func connectSQLite(ctx context.Context, cfg Config, db *DB) (_ *base, _ starter, err error) {
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, nil, errSettings.With(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, errUnavailable.With(err)
	}
	held, err := waitForLock(ctx, cfg.LockWait, func() (*os.File, error) { return lockFile(path + ".lock") })
	if err != nil {
		return nil, nil, err
	}
	b := &base{driver: DriverSQLite, locked: func() bool { return true }, release: held.Close}
	// SQLite would make the file with the umask's mode; its log and index files
	// take the mode of the database.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, errors.Join(errUnavailable.With(err), held.Close())
	}
	if err := f.Close(); err != nil {
		return nil, nil, errors.Join(errUnavailable.With(err), held.Close())
	}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	b.write, err = sql.Open("sqlite", name+sqliteWriter)
	if err != nil {
		return nil, nil, errors.Join(errSettings.With(err), held.Close())
	}
	b.read, err = sql.Open("sqlite", name+sqliteReader)
	if err != nil {
		return nil, nil, errors.Join(errSettings.With(err), b.write.Close(), held.Close())
	}
	b.write.SetMaxOpenConns(1)
	b.read.SetMaxOpenConns(sqliteReaders)
	b.read.SetMaxIdleConns(sqliteReaders)
	if err := checkPragmas(ctx, b.write); err != nil {
		return nil, nil, errors.Join(err, b.close())
	}
	start := func(ctx context.Context) (engine, Queries, error) {
		e := &sqliteEngine{
			write: b.write, read: b.read, queue: make(chan *call), closing: make(chan struct{}), db: db,
			now: cfg.Now, logger: cfg.Logger, wait: writerWait,
		}
		if err := e.reopen(ctx); err != nil {
			return nil, Queries{}, public(err)
		}
		e.running.Add(2)
		go e.loop()
		go e.checkpoints()
		return e, Queries{c: &preparedPool{db: b.read}, dialect: dialectOf(DriverSQLite)}, nil
	}
	return b, start, nil
}

// age: nobody else can have changed anything.
func (e *sqliteEngine) age() time.Duration { return 0 }

func (e *sqliteEngine) catchUp(context.Context) (time.Time, error) { return e.now(), nil }
func (e *sqliteEngine) follower() *feed.Follower                   { return nil }

func (e *sqliteEngine) alone(context.Context) (bool, error) { return true, nil }

func (e *sqliteEngine) register() staleness.Register { return nil }

// Lock takes the lock that [Open] holds on the database at path, for whoever must be
// sure that nobody uses it; store_locked when somebody does for longer than wait. Closing
// lets it go, and so does the end of the process, however it ends.
func Lock(ctx context.Context, path string, wait time.Duration) (io.Closer, error) {
	return waitForLock(ctx, wait, func() (io.Closer, error) {
		f, err := lockFile(path + ".lock")
		if err != nil {
			return nil, err // no *os.File in it
		}
		return f, nil
	})
}

// checkPragmas refuses a database that cannot keep our promises, such as one on
// a file system without shared memory, where WAL silently does not happen.
func checkPragmas(ctx context.Context, write *sql.DB) error {
	var journal string
	var sync int
	err := write.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal)
	if err == nil {
		err = write.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&sync)
	}
	if err != nil {
		return errUnavailable.With(err)
	}
	if journal != "wal" || sync != 2 {
		return errUnavailable.With(fmt.Errorf("SQLite runs with journal_mode=%s synchronous=%d instead of wal and 2", journal, sync))
	}
	return nil
}

// waitForLock tries until it succeeds, fails for another reason, or wait is over.
func waitForLock[T any](ctx context.Context, wait time.Duration, try func() (T, error)) (T, error) {
	deadline := time.NewTimer(max(wait, 0))
	defer deadline.Stop()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		v, err := try()
		if err == nil || wait <= 0 || gatehouse.CodeOf(err) != errLocked.Code {
			return v, err
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return v, err
		case <-ctx.Done():
			return v, errUnavailable.With(ctx.Err())
		}
	}
}

// preparedPool runs reads on any connection of a pool, through statements that
// are prepared once: planning costs as much as running a small query.
type preparedPool struct {
	db         *sql.DB
	statements sync.Map // text → *sql.Stmt
	count      atomic.Int32
}

// maxPrepared bounds the statements kept. Texts are fixed in this package, but
// for the filters of the audit log, which combine.
const maxPrepared = 400

func (p *preparedPool) exec(context.Context, string, []any) (int64, error) {
	return 0, internal("a write outside of a transaction")
}

func (p *preparedPool) broken(error) {}

func (p *preparedPool) query(ctx context.Context, query string, args []any) (rows, error) {
	if s, ok := p.statements.Load(query); ok {
		return s.(*sql.Stmt).QueryContext(ctx, args...)
	}
	if p.count.Load() >= maxPrepared {
		return p.db.QueryContext(ctx, query, args...)
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept, loaded := p.statements.LoadOrStore(query, s); loaded {
		_ = s.Close()
		s = kept.(*sql.Stmt)
	} else {
		p.count.Add(1)
	}
	return s.QueryContext(ctx, args...)
}

// checkpoints moves what was committed from the log to the database file, in the
// background and without making anybody wait (PASSIVE).
func (e *sqliteEngine) checkpoints() {
	defer e.running.Done()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var seen int64
	for {
		select {
		case <-e.closing:
			return
		case <-tick.C:
		}
		if n := e.commits.Load(); n != seen {
			seen = n
			if _, err := e.read.ExecContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
				e.logger.Warn("the write-ahead log could not be checkpointed", "error", err)
			}
		}
	}
}

// writerConn runs statements on the writer's one connection. It ignores
// cancellation: an interrupted statement makes SQLite undo the whole
// transaction, and with it what others wrote in the same batch.
type writerConn struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func (w *writerConn) broken(error) {}

func (w *writerConn) exec(_ context.Context, query string, args []any) (int64, error) {
	s, err := w.prepared(query)
	if err != nil {
		return 0, err
	}
	var res sql.Result
	if s != nil {
		res, err = s.ExecContext(context.Background(), args...)
	} else {
		res, err = w.conn.ExecContext(context.Background(), query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (w *writerConn) query(_ context.Context, query string, args []any) (rows, error) {
	s, err := w.prepared(query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return w.conn.QueryContext(context.Background(), query, args...)
	}
	return s.QueryContext(context.Background(), args...)
}

// prepared returns the statement, or nil when there are enough of them already.
func (w *writerConn) prepared(query string) (*sql.Stmt, error) {
	if s := w.statements[query]; s != nil {
		return s, nil
	}
	if len(w.statements) >= maxPrepared {
		return nil, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.statements[query] = s
	}
	return s, err
}

func (w *writerConn) run(statement string) error {
	_, err := w.exec(context.Background(), statement, nil)
	return err
}

// discard closes the connection for good instead of giving it back to the pool.
func (w *writerConn) discard(logger *slog.Logger) {
	if err := w.conn.Raw(func(any) error { return nil }); err != nil {
		return // database/sql has closed it already; its statements must not be touched
	}
	for _, s := range w.statements {
		_ = s.Close()
	}
	_ = w.conn.Raw(func(any) error { return errDiscard })
	if err := w.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		logger.Warn("the writer's connection could not be closed", "error", err)
	}
}
