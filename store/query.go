package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// maxPage is the most rows of one listing.
const maxPage = 10000

// Queries are the reads. [DB] and [Tx] both have them: outside of a transaction
// each sees what is committed, inside it sees the transaction's own writes too.
//
// A single record that is not there is an error of kind gatehouse.NotFound; an
// empty listing is an empty slice. Listings are ordered by the bytes of the id
// and continue after the id given as after ("" starts), which need not exist.
type Queries struct {
	c conn
	dialect
}

// dialect is what the two databases, and their transactions and other reads, write differently.
type dialect struct {
	// share and own end the reads of a PostgreSQL transaction, so that what was
	// read holds until the commit; "" elsewhere.
	share, own string
	// clock is the database's own time, in microseconds since 1970.
	clock string
	// lanes says that several transactions at once append to the audit log.
	lanes bool
}

// dialectOf is how a database is read outside of transactions.
func dialectOf(driver string) dialect {
	if driver == DriverPostgres {
		return dialect{clock: `CAST(EXTRACT(EPOCH FROM clock_timestamp())*1000000 AS BIGINT)`, lanes: true}
	}
	return dialect{clock: `CAST(unixepoch('subsec')*1000000 AS INTEGER)`}
}

// writing is the dialect of a transaction.
func writing(driver string) dialect {
	d := dialectOf(driver)
	if driver == DriverPostgres {
		d.share, d.own = " FOR SHARE", " FOR NO KEY UPDATE"
	}
	return d
}

// conn runs one statement. Arguments have been through bind.
type conn interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (rows, error)
	// broken is told of an error that came while rows were read.
	broken(err error)
}

type row interface{ Scan(dest ...any) error }

// rows are what a query returned, by either driver.
type rows interface {
	row
	Next() bool
	Err() error
	Close() error
}

// one returns the only row of query.
func one[T any](ctx context.Context, c conn, scan func(row) (T, error), query string, args ...any) (T, error) {
	var zero T
	found, err := many(ctx, c, scan, query, args...)
	if err != nil {
		return zero, err
	}
	if len(found) == 0 {
		return zero, gatehouse.ErrNotFound
	}
	return found[0], nil
}

// many returns all rows of query, never nil.
func many[T any](ctx context.Context, c conn, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	out := []T{}
	err := each(ctx, c, scan, func(v T) error {
		out = append(out, v)
		return nil
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// each gives take the rows of query, one after the other. An error of take ends
// the reading and is returned as it is.
func each[T any](ctx context.Context, c conn, scan func(row) (T, error), take func(T) error, query string, args ...any) error {
	return read(ctx, c, query, args, func(r row) (taken, err error) {
		v, err := scan(r)
		if err != nil {
			return nil, err
		}
		return take(v), nil
	})
}

// read gives next the rows of query, one after the other, until it fails.
func read(ctx context.Context, c conn, query string, args []any, next func(row) (taken, err error)) error {
	if err := bind(args); err != nil {
		return err
	}
	rows, err := c.query(ctx, query, args)
	if err != nil {
		return public(err)
	}
	taken, err := walk(rows, next)
	if err != nil {
		c.broken(err)
		return public(err)
	}
	return taken
}

// walk keeps apart what was answered to a row and what the database did: only the
// latter breaks a transaction.
func walk(rows rows, next func(row) (taken, err error)) (taken, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if taken, err := next(rows); taken != nil || err != nil {
			return taken, err
		}
	}
	return nil, rows.Err()
}

// exec runs a statement and returns how many rows it touched.
func exec(ctx context.Context, c conn, query string, args ...any) (int64, error) {
	if err := bind(args); err != nil {
		return 0, err
	}
	n, err := c.exec(ctx, query, args)
	return n, public(err)
}

// insert runs an INSERT … ON CONFLICT DO NOTHING. A duplicate is Conflict, and
// the transaction can go on: an error of the database itself would end it.
func insert(ctx context.Context, c conn, query string, args ...any) error {
	n, err := exec(ctx, c, query, args...)
	if err == nil && n == 0 {
		err = errExists
	}
	return err
}

// update runs an UPDATE … RETURNING of one record and returns what is stored now.
// When no row matched, the error is missing.
func update[T any](ctx context.Context, c conn, missing error, scan func(row) (T, error), query string, args ...any) (T, error) {
	stored, err := one(ctx, c, scan, query, args...)
	if err == error(gatehouse.ErrNotFound) {
		err = missing
	}
	return stored, err
}

// remove runs a DELETE of one record that must be there.
func remove(ctx context.Context, c conn, query string, args ...any) error {
	n, err := exec(ctx, c, query, args...)
	if err == nil && n == 0 {
		err = gatehouse.ErrNotFound
	}
	return err
}

func page(limit int) error {
	if limit < 1 || limit > maxPage {
		return errLimit
	}
	return nil
}

// bind turns args into what both drivers take alike, in place: int64, bool,
// []byte, string, nil; and lists of numbers and of text, which PostgreSQL's takes. It
// is the boundary where text is checked.
func bind(args []any) error {
	for i, a := range args {
		switch v := a.(type) {
		case string:
			if !validText(v) {
				return errText
			}
		case []byte:
			if v == nil {
				args[i] = nil
			}
		case time.Time:
			args[i] = micros(v)
		case int:
			args[i] = int64(v)
		case document:
			text, err := v.encode()
			if err != nil {
				return err
			}
			args[i] = text
		case []string:
			if !slices.ContainsFunc(v, func(s string) bool { return !validText(s) }) {
				continue
			}
			return errText
		case nil, bool, int64, []int64:
		default:
			return internal("argument %d has the type %T", i+1, a)
		}
	}
	return nil
}

func validText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// micros is how a time is stored: NULL when zero.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// at scans a stored time into t, in UTC.
func at(t *time.Time) sql.Scanner { return (*storedTime)(t) }

type storedTime time.Time

func (t *storedTime) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = storedTime{}
	case int64:
		*t = storedTime(time.UnixMicro(v).UTC())
	default:
		return errors.New("store: a time is not an integer")
	}
	return nil
}

// document is a value stored as JSON text; a nil slice or map as NULL, so that
// nil and empty stay different (a nil RoleLimit means all roles, an empty one
// none).
type document struct{ v any }

func (d document) encode() (any, error) {
	if list, ok := d.v.([]string); ok {
		for _, s := range list {
			if !validText(s) {
				return nil, errText
			}
		}
	}
	switch v := reflect.ValueOf(d.v); v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			return nil, nil
		}
	}
	text, err := json.Marshal(d.v, json.Deterministic(true), jsonv1.FormatDurationAsNano(true))
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return nil, errText.With(err) // invalid UTF-8 is all that a value can get wrong here
	}
	if err != nil {
		return nil, internal("encode %T: %w", d.v, err)
	}
	return string(text), nil
}

// from scans a stored document into v.
func from(v any) sql.Scanner { return scanned{v} }

type scanned struct{ v any }

func (s scanned) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		reflect.ValueOf(s.v).Elem().SetZero()
		return nil
	case string:
		return exactjson.Unmarshal([]byte(v), s.v, jsonv1.FormatDurationAsNano(true))
	default:
		return errors.New("store: a document is not text")
	}
}

// enum scans text into a named string type.
func enum[T ~string](v *T) sql.Scanner { return enumScanner[T]{v} }

type enumScanner[T ~string] struct{ v *T }

func (e enumScanner[T]) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return errors.New("store: a word is not text")
	}
	*e.v = T(s)
	return nil
}

// blob scans bytes and keeps NULL (nil) and no bytes (empty) apart, which
// SQLite's driver does not for a plain slice.
func blob(b *[]byte) sql.Scanner { return (*storedBytes)(b) }

type storedBytes []byte

func (b *storedBytes) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*b = nil
	case []byte:
		*b = append([]byte{}, v...)
	default:
		return errors.New("store: bytes are something else")
	}
	return nil
}
