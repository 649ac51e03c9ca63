package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Recover makes username an administrator of realm main and returns a key for it, for
// whoever has both the database and the master key of an installation: with the two he
// could sign any token anyway. The server must not run, since it answers from memory
// and owns the database alone; store_locked says that it does.
func Recover(ctx context.Context, cfg Config, username string) (_ users.Recovered, err error) {
	box, err := openBox(cfg.MasterKeyFile, os.Getenv("GATEHOUSE_MASTER_KEY"))
	if err != nil {
		return users.Recovered{}, err
	}
	at, free, err := exclusive(ctx, cfg)
	if err != nil {
		return users.Recovered{}, err
	}
	defer free()
	db, err := openExisting(ctx, at)
	if err != nil {
		return users.Recovered{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// Only the installation's own master key opens what is sealed: somebody who was
	// given a copy of the database alone gets no further.
	sealed, err := store.Run[secrets.Tx](db)
	if err != nil {
		return users.Recovered{}, err
	}
	if _, err := (secrets.Keeper{Run: sealed, Box: box}).Get(ctx, settingAuditKey, ed25519.SeedSize); err != nil {
		return users.Recovered{}, fmt.Errorf("the master key is not the one of this database: %w", err)
	}
	if _, err := sealPersonal(ctx, db, box); err != nil {
		return users.Recovered{}, err
	}
	run, err := store.Run[users.Tx](db)
	if err != nil {
		return users.Recovered{}, err
	}
	return users.Recovery{Run: run, KeyPrefix: cfg.KeyPrefix, Now: clockOf(cfg)}.Administrator(ctx, username)
}

// exclusive is where everything is stored, for a command that needs the database for itself. Until it
// is freed it has the data directory, too, where there is one: it shows that no node runs there.
func exclusive(ctx context.Context, cfg Config) (at store.Config, free func(), err error) {
	at = storeConfig(cfg, slog.Default())
	if _, err := os.Stat(cfg.Data); at.Driver != store.DriverPostgres || err != nil {
		return at, func() {}, nil
	}
	c, held, err := takeHome(ctx, cfg.Data)
	if err != nil {
		return at, nil, err
	}
	at.About.Host, at.Home = c.Host, c.Home
	return at, func() { _ = held.Close() }, nil
}

// openExisting opens a database that a server has used: a wrong path must not become a
// second, empty installation.
func openExisting(ctx context.Context, at store.Config) (*store.DB, error) {
	if at.Driver == store.DriverSQLite {
		if _, err := os.Stat(at.Path); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is not there; is `data` right?", at.Path)
		}
	}
	db, err := store.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	if _, err = db.Realm(ctx, gatehouse.MainRealm); errors.Is(err, gatehouse.NotFound) {
		err = errors.New("no server ever started on this database: start one, it prints how to make the first administrator")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
