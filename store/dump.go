package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// tables are all tables with data, in an order in which they can be filled. What can be
// used once is left out (tickets, the table of package once): none lives long, and one that
// was used since must not be back.
var tables = [...]string{
	"realms", "users", "api_keys", "key_usage", "opaque_tokens", "roles", "policies", "policy_schemas", "entities",
	"signing_keys", "grants", "refresh_tokens", "sessions", "session_hosts", "status_bits", "cutoffs", "settings", "audit_positions", "audit_batches",
	"audit_tiles", "audit_checkpoints", "audit_filters", "audit_removals", "audit_lanes", "audit_taken", "login_failures",
	"factors", "passkeys", "personal_salts",
	"provider_links", "provider_secrets", "clients", "client_origins", "initial_tokens", "consents", "session_clients",
	"mails",
}

// The lines of a backup: a header, then for each table a line that names it and
// its columns, followed by its rows as arrays; at the end the number of rows. A
// file without the last line was cut off.
//
// Bytes are {"t":"text"} where they are UTF-8 and {"b":"base64"} elsewhere, so
// that what is inside can be searched.
type (
	dumpHeader struct {
		Format int64 `json:"gatehouse_backup"`
		Schema int64 `json:"schema"`
	}
	dumpTable struct {
		Table   string   `json:"table"`
		Columns []string `json:"columns"`
	}
	dumpEnd struct {
		Rows *int64 `json:"end"`
	}
	dumpBytes struct {
		Text   *string `json:"t,omitzero"`
		Base64 []byte  `json:"b,omitzero"`
	}
)

const dumpFormat = 1

// Backup writes everything to a file that [Restore] loads into either kind of
// database: gzipped JSON lines, one consistent state, while the server runs. The
// file is readable by its owner alone and appears at path only when complete; a
// file of that name is replaced. It holds hashes of credentials and sealed
// private keys: keep it as safe as the database, and the master key elsewhere.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".gatehouse-backup-*") // mode 0600
	if err != nil {
		return errUnavailable.With(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = public(err)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<16)
	z := gzip.NewWriter(buffered)
	if err := db.DumpAll(ctx, z); err != nil {
		return err
	}
	for _, step := range []func() error{z.Close, buffered.Flush, f.Sync, f.Close, func() error { return os.Rename(f.Name(), path) }} {
		if err := step(); err != nil {
			return errUnavailable.With(err)
		}
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable. Some systems cannot sync a directory; there
// the rename is as durable as they make it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return errUnavailable.With(err)
	}
	_ = d.Sync()
	return d.Close()
}

// DumpAll writes the lines of a backup to w.
func (db *DB) DumpAll(ctx context.Context, w io.Writer) error {
	p, err := migrator(db.base)
	if err != nil {
		return internal("migrations: %w", err)
	}
	tx, err := db.base.snapshot(ctx)
	if err != nil {
		return public(err)
	}
	defer func() { _ = tx.Rollback() }()
	out := jsontext.NewEncoder(w)
	if err := json.MarshalEncode(out, dumpHeader{Format: dumpFormat, Schema: newestVersion(p)}); err != nil {
		return err
	}
	var rows int64
	for _, table := range tables {
		n, err := dumpRows(ctx, tx, out, table)
		if err != nil {
			return public(err)
		}
		rows += n
	}
	return json.MarshalEncode(out, dumpEnd{Rows: &rows})
}

// snapshot begins to read one state of all tables.
func (b *base) snapshot(ctx context.Context) (*sql.Tx, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if b.driver == DriverPostgres {
		opts.Isolation = sql.LevelRepeatableRead // SQLite knows nothing else
	}
	return b.read.BeginTx(ctx, opts)
}

func dumpRows(ctx context.Context, tx *sql.Tx, out *jsontext.Encoder, table string) (n int64, err error) {
	begin := func(columns []string) error {
		return json.MarshalEncode(out, dumpTable{Table: table, Columns: columns})
	}
	return n, eachRow(ctx, tx, `SELECT * FROM `+table, begin, func(values []any) error {
		n++
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = packBytes(b)
			}
		}
		if err := json.MarshalEncode(out, values); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		return nil
	})
}

func packBytes(b []byte) dumpBytes {
	if text := string(b); utf8.Valid(b) {
		return dumpBytes{Text: &text}
	}
	return dumpBytes{Base64: b}
}

// Restore loads a backup into an empty database, which it makes if need be: all
// of it or nothing. The schema is then brought up to date. A backup of a newer
// Gatehouse is refused. mark, when it is not empty, is the name of a setting that is
// stored with the rest: who opens the database then knows that a backup was loaded
// and that what must follow is still to be done.
func Restore(ctx context.Context, cfg Config, r io.Reader, mark string) (err error) {
	if err := cfg.defaults(); err != nil {
		return err
	}
	in, err := openDump(r)
	if err != nil {
		return err
	}
	var head dumpHeader
	if err := json.UnmarshalDecode(in, &head, json.RejectUnknownMembers(true)); err != nil || head.Format != dumpFormat || head.Schema < 1 {
		return errBackup.With(fmt.Errorf("header: %w", err))
	}
	b, _, err := connect(ctx, cfg, &DB{logger: cfg.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	p, err := migrator(b)
	if err != nil {
		return internal("migrations: %w", err)
	}
	if newest := newestVersion(p); head.Schema > newest {
		return errNewer.With(fmt.Errorf("the backup has schema version %d, this program knows %d", head.Schema, newest))
	}
	if err := migrate(ctx, b, head.Schema); err != nil {
		return err
	}
	if err := load(ctx, b, in, mark); err != nil {
		return public(err)
	}
	return migrate(ctx, b, latest)
}

// openDump reads plain or gzipped lines.
func openDump(r io.Reader) (*jsontext.Decoder, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	magic, err := buffered.Peek(2)
	if err != nil {
		return nil, errBackup.With(err)
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return jsontext.NewDecoder(buffered), nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, errBackup.With(err)
	}
	return jsontext.NewDecoder(z), nil
}

func load(ctx context.Context, b *base, in *jsontext.Decoder, mark string) error {
	tx, err := b.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := refuseFilled(ctx, tx, b.driver); err != nil {
		return err
	}
	var to *filler
	var rows int64
	for {
		switch in.PeekKind() {
		case '[':
			if to == nil {
				return errBackup.With(errors.New("a row before the first table"))
			}
			if err := readRow(ctx, in, to); err != nil {
				return err
			}
			rows++
		case '{':
			raw, err := in.ReadValue()
			if err != nil {
				return errBackup.With(err)
			}
			if to != nil {
				if err := to.finish(ctx); err != nil {
					return err
				}
			}
			var end dumpEnd
			if json.Unmarshal(raw, &end, json.RejectUnknownMembers(true)) == nil && end.Rows != nil {
				if *end.Rows != rows {
					return errBackup.With(fmt.Errorf("it holds %d rows and says %d", rows, *end.Rows))
				}
				if mark != "" {
					if _, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1,'1')`, mark); err != nil {
						return err
					}
				}
				return tx.Commit()
			}
			if to, err = newTableLine(ctx, tx, raw); err != nil {
				return err
			}
		default:
			return errBackup.With(errors.New("it ends too early"))
		}
	}
}

// newTableLine reads a table's line and begins to fill that table.
func newTableLine(ctx context.Context, tx *sql.Tx, raw jsontext.Value) (*filler, error) {
	var line dumpTable
	if err := json.Unmarshal(raw, &line, json.RejectUnknownMembers(true)); err != nil {
		return nil, errBackup.With(err)
	}
	if !slices.Contains(tables[:], line.Table) || len(line.Columns) == 0 {
		return nil, errBackup.With(fmt.Errorf("table %q", line.Table))
	}
	f, err := newFiller(ctx, tx, line.Table, line.Columns)
	var unknown unknownColumn
	if errors.As(err, &unknown) {
		return nil, errBackup.With(unknown)
	}
	return f, err
}

// readRow reads a row of a backup into f.
func readRow(ctx context.Context, in *jsontext.Decoder, f *filler) error {
	var values []any
	if err := exactjson.UnmarshalDecode(in, &values); err != nil {
		return errBackup.With(err)
	}
	if len(values) != f.width {
		return errBackup.With(fmt.Errorf("a row of %d values for %d columns", len(values), f.width))
	}
	for i, v := range values {
		switch v := v.(type) {
		case map[string]any:
			b, err := unpackBytes(v)
			if err != nil {
				return errBackup.With(err)
			}
			values[i] = b
		case nil, string, bool, int64:
		default:
			return errBackup.With(fmt.Errorf("a value of type %T", v))
		}
	}
	return f.put(ctx, values)
}

func unpackBytes(m map[string]any) ([]byte, error) {
	if text, ok := m["t"].(string); ok {
		return []byte(text), nil
	}
	if text, ok := m["b"].(string); ok {
		return base64.StdEncoding.DecodeString(text)
	}
	return nil, errors.New("bytes in an unknown form")
}
