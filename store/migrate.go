package store

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// latest as a target version means all migrations.
const latest = 0

// migrate brings the schema to a version. There is no way back: an older
// program refuses a newer database instead of guessing.
func migrate(ctx context.Context, b *base, version int64) error {
	p, err := migrator(b)
	if err != nil {
		return internal("migrations: %w", err)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return errUnavailable.With(err)
	}
	newest := newestVersion(p)
	if err := tooNew(have, newest); err != nil {
		return err
	}
	if version == latest {
		version = newest
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return errUnavailable.With(err)
	}
	return nil
}

func newestVersion(p *goose.Provider) (v int64) {
	for _, s := range p.ListSources() {
		v = max(v, s.Version)
	}
	return v
}

func migrator(b *base) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if b.driver == DriverSQLite {
		return goose.NewProvider(goose.DialectSQLite3, b.write, sqliteView{files}, goose.WithDisableGlobalRegistry(true))
	}
	// Our own lock already keeps other nodes away; goose's covers a tool that runs
	// migrations by hand. The default poll of 5 s would only make users wait.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 30), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, b.write, files, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
}

// sqliteView shows the migrations in SQLite's types: STRICT tables know INTEGER,
// TEXT and BLOB only, and text compares by its bytes without being asked to.
type sqliteView struct{ files fs.FS }

func sqliteDialect(sql string) string {
	return strings.NewReplacer("BIGINT", "INTEGER", "BYTEA", "BLOB", "BOOLEAN", "INTEGER", ` COLLATE "C"`, "",
		"\n);\n", "\n) STRICT;\n").Replace(sql)
}

// Open implements fs.FS.
func (v sqliteView) Open(name string) (fs.File, error) {
	f, err := v.files.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return &viewed{info: info, Reader: bytes.NewReader([]byte(sqliteDialect(string(text))))}, nil
}

type viewed struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *viewed) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *viewed) Close() error               { return nil }
