package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Recover makes username an administrator of realm main and returns a key for it, for
// whoever has both the database and the master key of an installation: with the two he
// could sign any token anyway. The server must not run, since it answers from memory
// and owns the database alone; store_locked says that it does.
func Recover(ctx context.Context, cfg Config, username string) (_ admin.Recovered, err error) {
	box, err := openBox(cfg.MasterKeyFile, os.Getenv("GATEHOUSE_MASTER_KEY"))
	if err != nil {
		return admin.Recovered{}, err
	}
	at := storeConfig(cfg, slog.Default())
	if at.Driver == store.DriverSQLite { // a wrong path must not become a second, empty installation
		if _, err := os.Stat(at.Path); errors.Is(err, os.ErrNotExist) {
			return admin.Recovered{}, fmt.Errorf("%s is not there: nothing to recover; is `data` right?", at.Path)
		}
	}
	db, err := store.Open(ctx, at)
	if err != nil {
		return admin.Recovered{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Realm(ctx, gatehouse.MainRealm); errors.Is(err, gatehouse.NotFound) {
		return admin.Recovered{}, errors.New("no server ever started on this database: start one, it prints how to make the first administrator")
	} else if err != nil {
		return admin.Recovered{}, err
	}
	// Only the installation's own master key opens what is sealed: somebody who was
	// given a copy of the database alone gets no further.
	sealed, err := store.Run[secrets.Tx](db)
	if err != nil {
		return admin.Recovered{}, err
	}
	if _, err := (secrets.Keeper{Run: sealed, Box: box}).Get(ctx, settingAuditKey, ed25519.SeedSize); err != nil {
		return admin.Recovered{}, fmt.Errorf("the master key is not the one of this database: %w", err)
	}
	run, err := store.Run[admin.UserTx](db)
	if err != nil {
		return admin.Recovered{}, err
	}
	return admin.Recovery{Run: run, KeyPrefix: cfg.KeyPrefix, Now: clockOf(cfg)}.Administrator(ctx, username)
}
