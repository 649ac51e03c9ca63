package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxBatch is how many transactions share one commit at most.
const maxBatch = 256

// errDiscard makes database/sql drop a connection.
var errDiscard = driver.ErrBadConn

// writerWait bounds how long a transaction waits for its turn. A disk that hangs
// holds the writer for as long as it likes: those in its hands cannot be told what
// became of them, everybody else can.
const writerWait = 10 * time.Second

var errWriterBusy = errUnavailable.With(errors.New("the writer did not take the transaction in time; does the disk hang?"))

var errClosed = errUnavailable.With(errors.New("the store is closed"))

// sqliteEngine is the group commit: one goroutine (loop) owns the only writing
// connection.
type sqliteEngine struct {
	write, read *sql.DB
	db          *DB
	now         func() time.Time
	logger      *slog.Logger
	wait        time.Duration // writerWait, or less in tests

	// queue has no buffer, so a call is either still in the hands of its caller or
	// in the hands of the writer.
	queue   chan *call
	closing chan struct{}
	once    sync.Once
	running sync.WaitGroup
	commits atomic.Int64

	// Of the loop alone:
	conn *writerConn // nil when it could not be opened
	open []*call     // taken and not yet answered
}

// call is one transaction that waits.
type call struct {
	ctx    context.Context
	fn     func(context.Context, *Tx) error
	answer chan error // holds one
	tx     *Tx
	err    error
}

func (e *sqliteEngine) run(ctx context.Context, fn func(context.Context, *Tx) error) error {
	c := &call{ctx: ctx, fn: fn, answer: make(chan error, 1)}
	select {
	case e.queue <- c:
		return <-c.answer
	default:
	}
	turn := time.NewTimer(e.wait)
	defer turn.Stop()
	select {
	case e.queue <- c:
		// From here the caller waits to the end, cancelled or not: fn may be running
		// and what it captured is not ours to leave behind.
		return <-c.answer
	case <-ctx.Done():
		return errUnavailable.With(ctx.Err())
	case <-turn.C:
		return errWriterBusy
	case <-e.closing:
		return errClosed
	}
}

func (e *sqliteEngine) stop() {
	e.once.Do(func() { close(e.closing) })
	e.running.Wait()
}

// loop takes what waits, commits it together, and again.
func (e *sqliteEngine) loop() {
	ended := false
	defer func() {
		if ended {
			e.running.Done()
			return
		}
		// A function ended this goroutine with runtime.Goexit (a test's FailNow).
		e.reset()
		e.answerAll(internal("a function ended the goroutine of its transaction"))
		go e.loop()
	}()
	for {
		select {
		case c := <-e.queue:
			e.open = e.gather(c)
			for len(e.open) > 0 {
				e.commit()
			}
		case <-e.closing:
			if e.conn != nil {
				e.conn.discard(e.logger)
			}
			ended = true
			return
		}
	}
}

// gather takes the calls that wait already, in the order of their arrival.
func (e *sqliteEngine) gather(first *call) []*call {
	calls := []*call{first}
	for len(calls) < maxBatch {
		select {
		case c := <-e.queue:
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

// commit runs the open calls in one transaction of the database, and answers
// those that took part. It leaves the others open when the database undid the
// transaction half way.
func (e *sqliteEngine) commit() {
	if err := e.begin(); err != nil {
		e.reset()
		e.answerAll(err)
		return
	}
	wrote := false
	for i, c := range e.open {
		if !e.item(c) {
			// SQLite has undone everything so far, of the others too.
			e.reset()
			e.answerFirst(i+1, c.err)
			return
		}
		wrote = wrote || c.err == nil
	}
	if !wrote {
		if err := e.conn.run(`ROLLBACK`); err != nil {
			e.reset()
		}
		e.answerFirst(len(e.open), nil)
		return
	}
	if err := e.conn.run(`COMMIT`); err != nil {
		e.logger.Error("a commit failed; nothing of it is acknowledged", "transactions", len(e.open), "error", err)
		e.reset()
		e.answerFirst(len(e.open), err)
		return
	}
	e.commits.Add(1)
	e.answerFirst(len(e.open), nil)
}

func (e *sqliteEngine) begin() error {
	if e.conn == nil {
		if err := e.reopen(context.Background()); err != nil {
			return errUnavailable.With(err)
		}
	}
	if err := e.conn.run(`BEGIN IMMEDIATE`); err != nil {
		return errUnavailable.With(err)
	}
	return nil
}

// item runs one call in a savepoint, sets its error, and reports whether the
// transaction around it still stands.
func (e *sqliteEngine) item(c *call) (stands bool) {
	if err := c.ctx.Err(); err != nil {
		c.err = errUnavailable.With(err)
		return true
	}
	if c.err = e.conn.run(`SAVEPOINT item`); c.err != nil {
		return false
	}
	c.tx = newTx(e.conn, e.now, writing(DriverSQLite))
	if c.err = c.tx.run(c.ctx, c.fn); c.err != nil {
		// With an automatic rollback the savepoint is gone, and this says so.
		if err := e.conn.run(`ROLLBACK TO item`); err != nil {
			return false
		}
	}
	if err := e.conn.run(`RELEASE item`); err != nil {
		c.err = errors.Join(c.err, err)
		return false
	}
	return true
}

// answerFirst answers the first n open calls. Those without an error of their
// own get err, or, when it is nil, are committed: their changes go out first.
func (e *sqliteEngine) answerFirst(n int, err error) {
	for len(e.open) > 0 && n > 0 {
		c := e.open[0]
		if c.err == nil && err != nil {
			c.err = errUnavailable.With(err)
		}
		if c.err == nil {
			c.err = e.db.emit(c.tx.changes)
		}
		e.open = e.open[1:]
		n--
		c.answer <- c.err
	}
}

// answerAll fails every open call.
func (e *sqliteEngine) answerAll(err error) {
	for _, c := range e.open {
		c.answer <- err
	}
	e.open = nil
}

// reset gives up the connection, which undoes what is not committed; the next
// batch opens another. After a failed COMMIT this is the state that is known.
func (e *sqliteEngine) reset() {
	if e.conn != nil {
		e.conn.discard(e.logger)
		e.conn = nil
	}
}

func (e *sqliteEngine) reopen(ctx context.Context) error {
	conn, err := e.write.Conn(ctx)
	if err != nil {
		return err
	}
	e.conn = &writerConn{conn: conn, statements: map[string]*sql.Stmt{}}
	return nil
}
