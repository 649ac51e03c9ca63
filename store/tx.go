package store

import (
	"context"
	"reflect"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
)

// Tx is one transaction: the reads, and all writes. It is good only inside the
// function that received it, and not for several goroutines at once.
//
// A method that returned Conflict or NotFound changed nothing and the function
// may go on, where its comment does not say otherwise. Any other error ends the
// transaction: nothing more runs, and the runner fails whatever the function
// returns. A record given to a write must not be modified afterwards,
// because subscribers receive it.
type Tx struct {
	Queries
	raw     conn
	now     func() time.Time
	changes []gatehouse.Change
	batches []audit.Batch
	persons *personal.Keeper
	made    map[string]*personal.Key // of people whose salt is stored with this transaction
	// announce leaves the changes for other nodes; nil when there are none.
	announce func(context.Context, *Tx) error
	// last are the statements that go out together with the COMMIT; see [Tx.finally].
	last   []statement
	failed error // what ended the transaction
	done   bool
	anyway bool // see [Tx.TellLate]
}

// TellLate has the changes of this transaction stored while another node may be going on
// that does not hear of them. Nobody must be told then that they have effect everywhere.
func (t *Tx) TellLate() { t.anyway = true }

func newTx(raw conn, now func() time.Time, d dialect) *Tx {
	t := &Tx{raw: raw, now: now}
	t.Queries = Queries{c: txConn{t}, dialect: d}
	return t
}

// txConn stops a transaction at its first failed statement. Without it the two
// databases would differ: PostgreSQL refuses what follows, while SQLite, which
// on a full disk undoes the transaction by itself, would run the rest outside of
// any transaction.
type txConn struct{ t *Tx }

func (c txConn) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := c.t.usable(); err != nil {
		return 0, err
	}
	n, err := c.t.raw.exec(ctx, query, args)
	if err != nil {
		return 0, c.t.fail(err)
	}
	return n, nil
}

func (c txConn) query(ctx context.Context, query string, args []any) (rows, error) {
	if err := c.t.usable(); err != nil {
		return nil, err
	}
	rows, err := c.t.raw.query(ctx, query, args)
	if err != nil {
		return nil, c.t.fail(err)
	}
	return rows, nil
}

func (c txConn) broken(err error) { _ = c.t.fail(err) }

func (t *Tx) usable() error {
	if t.done {
		return internal("a transaction was used after its end")
	}
	return t.failed
}

// fail ends the transaction with the first error it meets.
func (t *Tx) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return t.failed
}

// changed notes what a write that succeeded changed.
func (t *Tx) changed(err error, topic gatehouse.Topic, realm, id string, value any) error {
	if err == nil {
		t.changes = append(t.changes, gatehouse.Change{Topic: topic, Realm: realm, ID: id, Value: value})
	}
	return err
}

// statement is one that nothing has to be heard of but that it failed.
type statement struct {
	query string
	args  []any
}

// finally has a statement run after all others, together with the COMMIT where the
// database can be sent both at once: one answer is waited for in place of two, and its
// locks are held for less. Nothing of the transaction is stored when it fails.
func (t *Tx) finally(ctx context.Context, query string, args ...any) error {
	if err := t.usable(); err != nil {
		return err
	}
	if err := bind(args); err != nil {
		return t.fail(err)
	}
	if t.together() {
		t.last = append(t.last, statement{query, args})
		return nil
	}
	_, err := t.c.exec(ctx, query, args)
	return public(err)
}

// together reports whether statements can go out with the COMMIT.
func (t *Tx) together() bool {
	_, can := t.raw.(*postgresTx)
	return can
}

// run executes fn and stores what it left for the end. A panic becomes an error,
// so that it cannot take others' transactions with it.
func (t *Tx) run(ctx context.Context, fn func(context.Context, *Tx) error) (err error) {
	defer func() {
		t.done = true
		if p := recover(); p != nil {
			err = internal("panic in a transaction: %v", p)
		}
	}()
	if err := fn(context.WithValue(ctx, insideKey{}, true), t); err != nil {
		return err
	}
	if t.failed != nil {
		return t.failed
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	if t.announce != nil {
		if err := t.announce(ctx, t); err != nil {
			return err
		}
	}
	return t.fence(ctx)
}

// insideKey marks the context of a transaction's function.
type insideKey struct{}

// refuseNested stops what would wait for itself for ever: the one writer of
// SQLite cannot start a transaction inside of another.
func refuseNested(ctx context.Context) error {
	if ctx.Value(insideKey{}) != nil {
		return internal("a transaction was started inside of another")
	}
	return nil
}

// Run returns the runner for transactions that need the methods of T: an interface, or a struct of such parts, so that
// a use case can hand on as much of its transaction as somebody needs. The error names what [Tx] lacks of it.
func Run[T any](db *DB) (gatehouse.Runner[T], error) {
	want, have := reflect.TypeFor[T](), reflect.TypeFor[*Tx]()
	switch {
	case want.Kind() == reflect.Struct:
		if err := hasParts(have, want); err != nil {
			return nil, err
		}
		return func(ctx context.Context, fn func(context.Context, T) error) error {
			return db.run(ctx, func(ctx context.Context, tx *Tx) error {
				var parts T
				fillParts(reflect.ValueOf(&parts).Elem(), reflect.ValueOf(tx))
				return fn(ctx, parts)
			})
		}, nil
	case want.Kind() != reflect.Interface:
		return nil, internal("%v is neither an interface nor a struct of interfaces", want)
	case !have.Implements(want):
		return nil, internal("the store's transaction does not do for %v: %v", want, lacking[T]())
	}
	return func(ctx context.Context, fn func(context.Context, T) error) error {
		return db.run(ctx, func(ctx context.Context, tx *Tx) error { return fn(ctx, any(tx).(T)) })
	}, nil
}

// hasParts checks before the first transaction that have can be every part of want.
func hasParts(have, want reflect.Type) error {
	if want.NumField() == 0 {
		return internal("%v has no parts", want)
	}
	for i := range want.NumField() {
		f := want.Field(i)
		switch {
		case !f.IsExported():
			return internal("%v.%s is no part: it is not exported", want, f.Name)
		case f.Type.Kind() == reflect.Struct:
			if err := hasParts(have, f.Type); err != nil {
				return err
			}
		case f.Type.Kind() != reflect.Interface:
			return internal("%v.%s is no part: it is not an interface", want, f.Name)
		case !have.Implements(f.Type):
			return internal("the store's transaction does not do for %v.%s, which is %v", want, f.Name, f.Type)
		}
	}
	return nil
}

// fillParts makes tx every part of v.
func fillParts(v, tx reflect.Value) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			fillParts(f, tx)
		} else {
			f.Set(tx)
		}
	}
}

// lacking says what keeps [Tx] from being a T. The text is the runtime's:
// looking through the methods by reflection would make the linker keep every
// exported method of the program, which costs several megabytes.
func lacking[T any]() (err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	_ = any((*Tx)(nil)).(T)
	return nil
}
