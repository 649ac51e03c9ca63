package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/gatehouse-auth/gatehouse/internal/writable"
)

// View is a database that is read and not used.
type View struct {
	// Queries can be asked when Version is Newest: older schemas lack columns.
	Queries
	// Version of the schema; 0 when there is none yet, and an Open would make it.
	Version int64
	// Newest is the version that this program knows.
	Newest int64

	db *sql.DB
}

// Close lets the database go.
func (v *View) Close() error {
	if v.db == nil {
		return nil
	}
	return v.db.Close()
}

// Look reads a database without using it: nothing is made, changed, migrated or locked,
// and a server may be running on it. It fails where [Open] would, with the same errors,
// but for the lock.
func Look(ctx context.Context, cfg Config) (*View, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	newest, err := newestMigration()
	if err != nil {
		return nil, err
	}
	v := &View{Newest: newest}
	if cfg.Driver == DriverPostgres {
		err = v.postgres(ctx, cfg)
	} else {
		err = v.sqlite(ctx, cfg.Path)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	if v.db != nil {
		v.Queries = Queries{c: &preparedPool{db: v.db}}
	}
	if err := tooNew(v.Version, v.Newest); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// newestMigration is the version of the schema that this program makes.
func newestMigration() (newest int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, internal("migrations: %w", err)
	}
	for _, name := range files {
		n, err := goose.NumericComponent(name)
		if err != nil {
			return 0, internal("migrations: %w", err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}

// tooNew refuses a schema that another program made: there is no way back.
func tooNew(have, newest int64) error {
	if have > newest {
		return errNewer.With(fmt.Errorf("the schema has version %d, this program knows %d", have, newest))
	}
	return nil
}

func (v *View) sqlite(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return errSettings.With(err)
	}
	if err := writable.Directory(filepath.Dir(path)); err != nil {
		return errUnavailable.With(err)
	}
	info, err := os.Stat(path)
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return errUnavailable.With(err)
	}
	for _, name := range []string{path, path + ".lock"} {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			continue // its directory, which may be one to be made, can be written
		}
		if err := writable.File(name); err != nil {
			return errUnavailable.With(err)
		}
	}
	if none || info.Size() == 0 {
		return nil // Open makes it
	}
	// A log beside it is read with it. Without one nobody writes, and nothing needs to
	// be made beside it either (immutable).
	how := "?mode=ro&immutable=1"
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		how = "?mode=ro&_pragma=busy_timeout(5000)"
	}
	v.db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+how+"&_pragma=query_only(1)")
	if err != nil {
		return errSettings.With(err)
	}
	v.db.SetMaxOpenConns(1)
	return v.version(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'`)
}

func (v *View) postgres(ctx context.Context, cfg Config) error {
	settings, err := postgresConfig(cfg.DSN)
	if err != nil {
		return err
	}
	v.db = stdlib.OpenDB(*settings.ConnConfig)
	v.db.SetMaxOpenConns(1)
	if err := suitable(ctx, v.db); err != nil {
		return err
	}
	return v.version(ctx, `SELECT count(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')`)
}

// version reads the version of the schema; tables counts the table that has it.
func (v *View) version(ctx context.Context, tables string) error {
	var n int
	if err := v.db.QueryRowContext(ctx, tables).Scan(&n); err != nil {
		return errUnavailable.With(err)
	}
	if n == 0 {
		return nil
	}
	err := v.db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&v.Version)
	if err != nil {
		return errUnavailable.With(err)
	}
	if v.Version == v.Newest {
		return refuseMoved(ctx, &base{read: v.db})
	}
	return nil
}

// suitable refuses a PostgreSQL database that we cannot work with.
func suitable(ctx context.Context, db *sql.DB) error {
	var encoding, readOnly string
	var schema sql.NullString
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('transaction_read_only'), current_schema()`).
		Scan(&encoding, &readOnly, &schema)
	switch {
	case err != nil:
		return errUnavailable.With(err)
	case encoding != "UTF8":
		return errSettings.With(fmt.Errorf("the database has the encoding %s instead of UTF8", encoding))
	case readOnly != "off":
		return errUnavailable.With(errors.New("the database, or this user of it, can only be read: a standby?"))
	case !schema.Valid:
		return errSettings.With(errors.New("the search_path of this user names no schema that exists"))
	}
	return nil
}
