package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Rows go into a table in statements of many: a round trip for each row would take
// longer than everything else together.
const (
	fillRows  = 64
	fillBytes = 1 << 20 // of one statement, so that large rows are not held in memory
)

// filler puts rows into a table, some at a time.
type filler struct {
	tx      *sql.Tx
	table   string
	columns []string
	width   int
	flags   []bool // columns that are boolean here, whatever they were there

	full    *sql.Stmt // for fillRows rows; prepared when first needed
	waiting []any
	size    int // bytes of waiting
}

// unknownColumn is a column that the table does not have.
type unknownColumn struct{ column, table string }

func (e unknownColumn) Error() string { return fmt.Sprintf("column %q of %s", e.column, e.table) }

// newFiller begins to fill a table. The names of columns go into SQL and come from
// outside, so they must be names of this database.
func newFiller(ctx context.Context, tx *sql.Tx, table string, columns []string) (*filler, error) {
	probe, err := tx.QueryContext(ctx, `SELECT * FROM `+table+` WHERE 1=0`)
	if err != nil {
		return nil, err
	}
	types, err := probe.ColumnTypes()
	if err := errors.Join(err, probe.Close()); err != nil {
		return nil, err
	}
	f := &filler{tx: tx, table: table, columns: columns, width: len(columns), flags: make([]bool, len(columns))}
	for i, name := range columns {
		at := slices.IndexFunc(types, func(c *sql.ColumnType) bool { return c.Name() == name })
		if at < 0 {
			return nil, unknownColumn{name, table}
		}
		f.flags[i] = types[at].DatabaseTypeName() == "BOOL"
	}
	return f, nil
}

// put adds a row; values is not used afterwards.
func (f *filler) put(ctx context.Context, values []any) error {
	for i, v := range values {
		switch v := v.(type) {
		case string:
			f.size += len(v)
		case []byte:
			f.size += len(v)
		case int64:
			if f.flags[i] {
				values[i] = v != 0
			}
		}
	}
	f.waiting = append(f.waiting, values...)
	if len(f.waiting) < fillRows*f.width && f.size < fillBytes {
		return nil
	}
	return f.flush(ctx)
}

func (f *filler) flush(ctx context.Context) (err error) {
	rows := len(f.waiting) / f.width
	switch {
	case rows == 0:
		return nil
	case rows < fillRows:
		_, err = f.tx.ExecContext(ctx, f.statement(rows), f.waiting...)
	default:
		if f.full == nil {
			if f.full, err = f.tx.PrepareContext(ctx, f.statement(rows)); err != nil {
				return err
			}
		}
		_, err = f.full.ExecContext(ctx, f.waiting...)
	}
	clear(f.waiting)
	f.waiting, f.size = f.waiting[:0], 0
	return err
}

// finish stores the rows that still wait.
func (f *filler) finish(ctx context.Context) error {
	err := f.flush(ctx)
	if f.full != nil {
		err = errors.Join(err, f.full.Close())
		f.full = nil
	}
	return err
}

func (f *filler) statement(rows int) string {
	var s strings.Builder
	s.WriteString(`INSERT INTO ` + f.table + ` (` + strings.Join(f.columns, ",") + `) VALUES `)
	for i := range rows * f.width {
		switch {
		case i == 0:
			s.WriteByte('(')
		case i%f.width == 0:
			s.WriteString("),(")
		default:
			s.WriteByte(',')
		}
		s.WriteString("$" + strconv.Itoa(i+1))
	}
	s.WriteByte(')')
	return s.String()
}

// digest tells two sets of rows apart, in whatever order they are read and from
// whichever kind of database: their number, and the sum of the rows' SHA-256 modulo
// 2^256. It finds what was lost or changed on the way; nobody who could compute
// collisions stands between the two.
type digest struct {
	rows int64
	sum  [4]uint64
}

func (d *digest) add(values []any) error {
	h := sha256.New()
	part := func(kind byte, b []byte) {
		var head [9]byte
		head[0] = kind
		binary.BigEndian.PutUint64(head[1:], uint64(len(b)))
		h.Write(head[:])
		h.Write(b)
	}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			part('n', nil)
		case bool: // SQLite knows 0 and 1
			part('i', []byte(strconv.Itoa(map[bool]int{true: 1}[v])))
		case int64:
			part('i', strconv.AppendInt(nil, v, 10))
		case string:
			part('s', []byte(v))
		case []byte:
			part('b', v)
		default:
			return internal("a value of type %T", v)
		}
	}
	var carry uint64
	sum := h.Sum(nil)
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.LittleEndian.Uint64(sum[8*i:]), carry)
	}
	d.rows++
	return nil
}

// eachRow gives take the rows of a query, in slices that are its own to keep.
func eachRow(ctx context.Context, tx *sql.Tx, query string, begin func(columns []string) error, take func(values []any) error) (err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if err := begin(columns); err != nil {
		return err
	}
	into := make([]any, len(columns))
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			// SQLite's driver gives no bytes for an empty blob, and would store NULL for them.
			if b, ok := v.([]byte); ok && b == nil {
				values[i] = []byte{}
			}
		}
		if err := take(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// refuseFilled fails when any table of the database holds a row. Those that the schema
// of an older backup has not yet are empty.
func refuseFilled(ctx context.Context, tx *sql.Tx, driver string) error {
	exists := `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type='table' AND name=$1)`
	if driver == DriverPostgres {
		exists = `SELECT to_regclass($1) IS NOT NULL`
	}
	for _, table := range allTables() {
		var some bool
		if err := tx.QueryRowContext(ctx, exists, table).Scan(&some); err != nil {
			return err
		}
		if !some {
			continue
		}
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+`)`).Scan(&some); err != nil {
			return err
		}
		if some {
			return errNotEmpty.With(fmt.Errorf("the table %s has rows", table))
		}
	}
	return nil
}

// allTables are the tables of a backup, and the one that none holds.
func allTables() []string { return append(slices.Clone(tables[:]), "tickets") }

// selectOf reads columns of a table in a given order.
func selectOf(table string, columns []string) string {
	return `SELECT ` + strings.Join(columns, ",") + ` FROM ` + table
}
