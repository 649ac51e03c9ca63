package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse"
)

// The marks of a move, settings that [Open] looks for. A copy has markArriving in it
// from its first moment and is not opened; markMoved ends the use of what it was made
// from; only then is markArriving taken away. So whenever the program is killed, one
// of the two databases can be served, or none, and never both.
const (
	markMoved    = "move.to"
	markArriving = "move.from"
)

// moveMark says which move it was.
type moveMark struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Place string    `json:"place"` // of the other database
}

// MoveOptions are for [Move].
type MoveOptions struct {
	// Event makes what is recorded with the copy, in its transaction.
	Event func(ctx context.Context, copied *Tx) (gatehouse.Event, error)
	// Check looks at the copy before it takes the place of the source. When it
	// fails, the source stays in use, and the copy is made anew the next time.
	Check func(ctx context.Context, copied *DB) error
	// Copied is told of each table that was copied and compared; may be nil.
	Copied func(Copied)
}

// Copied is a table of a move.
type Copied struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Moved says what a move did.
type Moved struct {
	// From and To are the places, without passwords.
	From   string   `json:"from"`
	To     string   `json:"to"`
	Tables []Copied `json:"tables"`
	// Finished says that everything had been copied by an earlier run, which was
	// killed before it could say so.
	Finished bool `json:"finished_earlier_move,omitzero"`
}

// Move copies every row of a database into an empty one, of either kind, and lets that
// one take its place: the source is never opened again. Nobody else may use the two;
// both are locked for as long as it takes (store_locked). The memory that it needs does
// not grow with the rows.
//
// The rows are copied in one transaction and read back in it: number and checksum of
// each table must be those of the source (store_move_differs). A move that failed or was
// killed, at whatever moment, is run again in the same way; meanwhile the source can be
// served as before, and what has arrived cannot.
//
// Errors beside those of [Open]: store_not_empty, store_schema_differs when the source
// was not brought up to date by this version.
func Move(ctx context.Context, from, to Config, o MoveOptions) (_ Moved, err error) {
	if err := errors.Join(from.defaults(), to.defaults()); err != nil {
		return Moved{}, err
	}
	if from.Driver == to.Driver && from.Path == to.Path && from.DSN == to.DSN {
		return Moved{}, errSettings.With(errors.New("store: to move from a database into itself does nothing"))
	}
	if from.Driver == DriverSQLite { // connecting would make it
		if _, err := os.Stat(from.Path); err != nil {
			return Moved{}, errSettings.With(fmt.Errorf("store: nothing to move: %w", err))
		}
	}
	m := mover{now: from.Now}
	if m.from, _, err = connect(ctx, from, &DB{logger: from.Logger}); err != nil {
		return Moved{}, concerning(err, "to move from "+placeOf(from))
	}
	defer func() { err = errors.Join(err, m.from.close()) }()
	m.copied = &DB{logger: to.Logger}
	var start starter
	if m.to, start, err = connect(ctx, to, m.copied); err != nil {
		return Moved{}, concerning(err, "to move to "+placeOf(to))
	}
	defer func() { err = errors.Join(err, m.to.close()) }()
	m.out.From, m.out.To = placeOf(from), placeOf(to)
	if err := m.prepare(ctx); err != nil {
		return Moved{}, err
	}
	if !m.out.Finished {
		if err := m.copy(ctx, o); err != nil {
			return Moved{}, public(err)
		}
		if err := m.check(ctx, start, o); err != nil {
			return Moved{}, err
		}
	}
	return m.out, m.finish(ctx)
}

// concerning says which of the two databases an error is about.
func concerning(err error, what string) error {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return e.With(fmt.Errorf("%s: %w", what, cmp.Or(e.Cause, error(e))))
}

// placeOf names a database for people, without its password.
func placeOf(cfg Config) string {
	if cfg.Driver == DriverSQLite {
		if path, err := filepath.Abs(cfg.Path); err == nil {
			return "SQLite " + path
		}
		return "SQLite " + cfg.Path
	}
	pool, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return "PostgreSQL"
	}
	return fmt.Sprintf("PostgreSQL %s on %s", pool.ConnConfig.Database, pool.ConnConfig.Host)
}

type mover struct {
	from, to *base
	now      func() time.Time
	id       string
	again    bool // what has arrived is of a move that was cut off
	copied   *DB
	out      Moved
}

// prepare refuses what cannot be moved, and finds out what an earlier run did.
func (m *mover) prepare(ctx context.Context) error {
	source, err := migrator(m.from)
	if err != nil {
		return internal("migrations: %w", err)
	}
	have, err := source.GetDBVersion(ctx)
	newest := newestVersion(source)
	switch {
	case err != nil:
		return errUnavailable.With(err)
	case have == 0:
		return errSettings.With(errors.New("store: nothing to move: no Gatehouse ever used " + m.out.From))
	case have > newest:
		return errNewer.With(fmt.Errorf("%s has schema version %d, this program knows %d", m.out.From, have, newest))
	case have < newest:
		return errSchema.With(fmt.Errorf("%s has schema version %d, and %d is needed: start this version on it once, or move with the version that ran on it last",
			m.out.From, have, newest))
	}
	if err := migrate(ctx, m.to, latest); err != nil {
		return err
	}
	moved, err := readMark(ctx, m.from, markMoved)
	if err != nil {
		return err
	}
	arriving, err := readMark(ctx, m.to, markArriving)
	if err != nil {
		return err
	}
	m.again = arriving != nil
	switch {
	case moved == nil:
		// What this database would be the copy of must be in use itself.
		return refuseMoved(ctx, m.from)
	case m.again && arriving.ID == moved.ID:
		m.id, m.out.Finished = moved.ID, true
		return nil
	}
	return moved.refusal()
}

// copy fills the target in one transaction: all of it, or nothing.
func (m *mover) copy(ctx context.Context, o MoveOptions) error {
	now := m.now()
	m.id, m.out.Tables = gatehouse.NewID("mov", now), nil
	src, err := m.from.snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = src.Rollback() }()
	dst, err := m.to.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = dst.Rollback() }()
	if m.again {
		// Nobody was ever served from it, and the source may have gone on meanwhile.
		for _, table := range slices.Backward(allTables()) {
			if _, err := dst.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
	}
	if err := refuseFilled(ctx, dst, m.to.driver); err != nil {
		return err
	}
	for _, table := range allTables() {
		done, err := copyTable(ctx, src, dst, table)
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		m.out.Tables = append(m.out.Tables, done)
		if o.Copied != nil {
			o.Copied(done)
		}
	}
	tx := newTx(plainTx{dst}, m.now, writing(m.to.driver))
	err = tx.run(ctx, func(ctx context.Context, tx *Tx) error {
		text, err := json.Marshal(moveMark{ID: m.id, Time: now, Place: m.out.From})
		if err != nil {
			return err
		}
		if err := tx.PutSetting(ctx, markArriving, string(text)); err != nil {
			return err
		}
		e, err := o.Event(ctx, tx)
		if err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return err
	}
	return dst.Commit()
}

func copyTable(ctx context.Context, src, dst *sql.Tx, table string) (Copied, error) {
	var into *filler
	var sent, arrived digest
	var columns []string
	begin := func(names []string) (err error) {
		columns = names
		into, err = newFiller(ctx, dst, table, names)
		return err
	}
	err := eachRow(ctx, src, `SELECT * FROM `+table, begin, func(values []any) error {
		if err := sent.add(values); err != nil {
			return err
		}
		return into.put(ctx, values)
	})
	if err != nil {
		return Copied{}, err
	}
	if err := into.finish(ctx); err != nil {
		return Copied{}, err
	}
	err = eachRow(ctx, dst, selectOf(table, columns), func([]string) error { return nil }, arrived.add)
	if err == nil && arrived != sent {
		err = errDiffers.With(fmt.Errorf("table %s: %d rows were sent and %d arrived, with another checksum", table, sent.rows, arrived.rows))
	}
	return Copied{Table: table, Rows: sent.rows}, err
}

// check has the copy looked at while it is out of use.
func (m *mover) check(ctx context.Context, start starter, o MoveOptions) (err error) {
	if o.Check == nil {
		return nil
	}
	m.copied.base = m.to
	if m.copied.engine, m.copied.Queries, err = start(ctx); err != nil {
		return err
	}
	defer m.copied.engine.stop()
	return o.Check(ctx, m.copied)
}

// finish ends the use of the source, then begins that of the copy.
func (m *mover) finish(ctx context.Context) error {
	if !m.from.locked() || !m.to.locked() {
		return errLocked.With(errors.New("the lock was lost on the way, so that others may have written; run the move again"))
	}
	if !m.out.Finished {
		text, err := json.Marshal(moveMark{ID: m.id, Time: m.now(), Place: m.out.To})
		if err != nil {
			return internal("%w", err)
		}
		if _, err := m.from.write.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1,$2)`, markMoved, string(text)); err != nil {
			return public(err)
		}
	}
	_, err := m.to.write.ExecContext(ctx, `DELETE FROM settings WHERE name=$1`, markArriving)
	return public(err)
}

// readMark returns the mark of that name, nil when there is none.
func readMark(ctx context.Context, b *base, name string) (*moveMark, error) {
	var text string
	err := b.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name=$1`, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, public(err)
	}
	// A mark that cannot be read is a mark all the same.
	mark := &moveMark{}
	_ = json.Unmarshal([]byte(text), mark)
	return mark, nil
}

// refuseMoved fails for a database that a move has left, or has not finished with.
func refuseMoved(ctx context.Context, b *base) error {
	moved, err := readMark(ctx, b, markMoved)
	if err != nil {
		return err
	}
	if moved != nil {
		return moved.refusal()
	}
	arriving, err := readMark(ctx, b, markArriving)
	if err == nil && arriving != nil {
		err = errUnfinished.With(fmt.Errorf("it was to come from %s", arriving.Place))
	}
	return err
}

func (m *moveMark) refusal() error {
	return errMoved.With(fmt.Errorf("to %s, on %s", m.Place, m.Time.UTC().Format(time.DateTime+" UTC")))
}
