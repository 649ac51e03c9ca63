package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errRolledBack is a COMMIT that the server answered with a rollback.
var errRolledBack = errors.New("store: the transaction was rolled back")

const (
	begin    = `begin isolation level read committed`
	commit   = `commit`
	rollback = `rollback`
)

// postgresTx runs one transaction on a connection of its own. It waits for the server as
// seldom as it can: BEGIN goes out with the first statement, and the last ones go out with
// the COMMIT. pgx keeps the statements prepared.
type postgresTx struct {
	conn  *pgxpool.Conn // nil once it was given back
	begun bool
}

func (c *postgresTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	if !c.begun {
		r, err := c.first(ctx, query, args)
		if err != nil {
			return 0, err
		}
		tag, err := r.Exec()
		return tag.RowsAffected(), ended(err, r)
	}
	tag, err := c.conn.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (c *postgresTx) query(ctx context.Context, query string, args []any) (rows, error) {
	if !c.begun {
		r, err := c.first(ctx, query, args)
		if err != nil {
			return nil, err
		}
		found, err := r.Query()
		if err != nil {
			return nil, ended(err, r)
		}
		return &pgxRows{found, r}, nil
	}
	found, err := c.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return &pgxRows{found, nil}, nil
}

// first begins the transaction, and asks for the answer of its first statement.
func (c *postgresTx) first(ctx context.Context, query string, args []any) (pgx.BatchResults, error) {
	var b pgx.Batch
	b.Queue(begin)
	b.Queue(query, args...)
	c.begun = true
	r := c.conn.SendBatch(ctx, &b)
	if _, err := r.Exec(); err != nil {
		return nil, ended(err, r)
	}
	return r, nil
}

// ended closes the results of a batch of which err was the last that was heard.
func ended(err error, r pgx.BatchResults) error {
	if closed := r.Close(); err == nil {
		err = closed
	}
	return err
}

func (c *postgresTx) broken(error) {}

// backend is the process of the server that serves the connection, 0 when it is not known,
// and whether it serves no other one: a pooler tells an id of its own at the start.
func (c *postgresTx) backend() (pid int64, direct bool) {
	conn := c.conn.Conn().PgConn()
	pid, _ = conn.CustomData()[backendKey].(int64)
	return pid, pid == int64(conn.PID())
}

// commit runs the last statements and commits, all in one go. The server does nothing of
// what follows a statement that failed, so it cannot commit a part.
func (c *postgresTx) commit(ctx context.Context, last []statement) error {
	if !c.begun && len(last) == 0 {
		return nil
	}
	var b pgx.Batch
	if !c.begun {
		b.Queue(begin)
	}
	for _, s := range last {
		b.Queue(s.query, s.args...)
	}
	b.Queue(commit)
	c.begun = true
	r := c.conn.SendBatch(ctx, &b)
	for range b.Len() - 1 {
		if _, err := r.Exec(); err != nil {
			return ended(err, r)
		}
	}
	tag, err := r.Exec()
	if err == nil && tag.String() == "COMMIT" {
		// It is committed, whatever comes behind that answer. A session that an administrator ends
		// in this very moment says so in an error, which is no word about the transaction.
		_ = r.Close()
		return nil
	}
	if err == nil {
		err = errRolledBack
	}
	return ended(err, r)
}

// close gives the connection back, and undoes what was not committed.
func (c *postgresTx) close() {
	if c.conn == nil {
		return
	}
	if pg := c.conn.Conn().PgConn(); c.begun && !pg.IsClosed() && pg.TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		_, _ = c.conn.Exec(ctx, rollback) // a connection that does not answer is not given back
		cancel()
	}
	c.conn.Release()
	c.conn = nil
}

// pgxRows are rows of pgx in the form of [rows]. Those of a transaction's first statement
// come with the results of the batch that it was sent in.
type pgxRows struct {
	pgx.Rows
	sent pgx.BatchResults
}

func (r *pgxRows) Close() error {
	r.Rows.Close()
	if r.sent == nil {
		return nil
	}
	return r.sent.Close()
}
