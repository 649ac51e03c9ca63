package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// outcomeWait bounds how long the outcome of a COMMIT is looked for. A server that
	// restarts is back by then; one that waits for its standby may never know.
	outcomeWait = 10 * time.Second
	outcomePoll = 50 * time.Millisecond
)

// outcome is what became of a COMMIT. The zero value claims nothing.
type outcome uint8

const (
	unknown outcome = iota
	committed
	rolledBack
)

// finish commits, gives the connection back, and says what became of it; err is nil
// when it is committed.
func (e *postgresEngine) finish(ctx context.Context, own *postgresTx, tx *Tx) (outcome, error) {
	// Cancelling the caller's context cancels its statements, but must not cut a
	// COMMIT in two: nobody would know what became of it.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.patience)
	defer cancel()
	defer e.lock.servers.meanwhile(own.conn.Conn().PgConn(), cancel)()
	backend, direct := own.backend()
	err := own.commit(whole, tx.last)
	own.close()
	var answered *pgconn.PgError
	switch {
	case err == nil:
		return committed, nil
	case errors.As(err, &answered), errors.Is(err, errRolledBack):
		return rolledBack, err
	}
	// The connection broke while the server was at it. So it does, too, when a session is
	// ended that waits for a synchronous standby, and has committed.
	became := e.lookUp(backend, direct, tx)
	if became == committed {
		err = nil
	}
	return became, err
}

// retryable reports whether a transaction that was rolled back with err may do better
// the next time.
func retryable(err error) bool {
	t := diagnose(err)
	return t == troubleRetry || t == troubleConnection
}

// lookUp finds out what became of a transaction whose COMMIT was not answered, by what
// it wrote: a batch of events, which every change of state has, and whose id is never
// given twice. What is not there may still come as long as the backend is at it, so
// that is asked first. Of a transaction that recorded nothing, nothing is known.
func (e *postgresEngine) lookUp(backend int64, direct bool, tx *Tx) outcome {
	if len(tx.batches) == 0 || backend == 0 {
		return unknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), outcomeWait)
	defer cancel()
	again := time.NewTicker(outcomePoll)
	defer again.Stop()
	for {
		found, err := e.askOutcome(ctx, backend, direct, tx.batches[0].ID)
		if found != unknown {
			e.logger.Warn("a commit was not answered; what became of it was looked up", "committed", found == committed)
			return found
		}
		if err != nil {
			e.stale(err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			e.logger.Error("the outcome of a commit is not known", "error", errors.Join(err, ctx.Err()))
			return unknown
		}
	}
}

// askOutcome asks once. A server that has just started knows nothing of the backend,
// and has rolled back what it did not commit; so has one that was promoted. A standby
// may only not have heard of it yet. A backend that does nothing may have a whole transaction
// before it that was sent in one go, and is ended first where it is ours alone.
func (e *postgresEngine) askOutcome(ctx context.Context, backend int64, direct bool, batch string) (outcome, error) {
	var busy, alive, there bool
	err := e.shared.QueryRowContext(ctx, `SELECT pg_is_in_recovery() OR EXISTS (SELECT 1 FROM pg_stat_activity
		WHERE pid=$1 AND pid<>pg_backend_pid() AND xact_start IS NOT NULL), EXISTS (SELECT 1 FROM pg_stat_activity
		WHERE pid=$1 AND pid<>pg_backend_pid() AND usename=current_user)`, backend).Scan(&busy, &alive)
	if err == nil {
		err = e.shared.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM audit_batches WHERE id=$1)`, batch).Scan(&there)
	}
	switch {
	case err != nil:
		return unknown, err
	case there:
		return committed, nil
	case busy:
		return unknown, nil
	case alive && direct:
		_, err = e.shared.ExecContext(ctx, `SELECT pg_terminate_backend(CAST($1 AS INT))`, backend)
		return unknown, err
	}
	return rolledBack, nil
}
