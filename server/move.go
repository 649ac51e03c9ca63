package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/store"
)

// MoveOptions are for [Move].
type MoveOptions struct {
	// To is the configuration of the store to move to. Data is its data directory;
	// "" is that of the source.
	To   StoreConfig
	Data string
	// Copied is told of each table that has arrived; may be nil.
	Copied func(store.Copied)
}

// Move moves the installation of a configuration into another, empty database, which
// takes its place: the old one is never opened again. Nothing goes back in time, so
// nothing has to be ended, as it has after a restore: keys, tokens, logins and what was
// revoked are as they were, and each audit log goes on behind the same checkpoint.
//
// The server must not run. The master key must be the installation's; it is not copied,
// whereas the file of the heads of the logs goes along to another data directory. A copy
// whose log does not verify does not take the place. See [store.Move] for what happens
// when it is killed.
func Move(ctx context.Context, cfg Config, o MoveOptions) (store.Moved, error) {
	box, err := openBox(cfg.MasterKeyFile, os.Getenv("GATEHOUSE_MASTER_KEY"))
	if err != nil {
		return store.Moved{}, err
	}
	next := cfg
	next.Store = o.To
	if o.Data != "" {
		next.Data = o.Data
	}
	from, free, err := exclusive(ctx, cfg)
	if err != nil {
		return store.Moved{}, err
	}
	defer free()
	to := storeConfig(next, slog.Default())
	to.About.Host, to.Home = from.About.Host, from.Home
	heads, err := audit.OpenHeadFile(headsPath(cfg))
	if err != nil {
		return store.Moved{}, err
	}
	check := func(ctx context.Context, copied *store.DB) error {
		sealed, err := store.Run[secrets.Tx](copied)
		if err != nil {
			return err
		}
		seed, err := (secrets.Keeper{Run: sealed, Box: box}).Get(ctx, settingAuditKey, ed25519.SeedSize)
		if err != nil {
			return fmt.Errorf("the master key is not the one of this database: %w", err)
		}
		kept, err := verifyCopy(ctx, copied, ed25519.NewKeyFromSeed(seed), heads)
		if err != nil || headsPath(next) == headsPath(cfg) {
			return err
		}
		if err := os.MkdirAll(next.Data, 0o700); err != nil {
			return err
		}
		return audit.NewHeadFile(headsPath(next)).Reset(kept)
	}
	event := func(ctx context.Context, copied *store.Tx) (gatehouse.Event, error) {
		return moveEvent(ctx, copied, from.Driver, to.Driver)
	}
	return store.Move(ctx, from, to, store.MoveOptions{Event: event, Check: check, Copied: o.Copied})
}

// moveEvent is recorded in the log of realm main, to which the checkpoint belongs that
// the log arrived with.
func moveEvent(ctx context.Context, copied audit.Reader, from, to string) (gatehouse.Event, error) {
	e := gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindStoreMove, Outcome: gatehouse.OutcomeSuccess,
		Target: gatehouse.Target{Type: "database", ID: to}, Detail: map[string]string{"from": from, "to": to}}
	point, err := audit.LatestCheckpoint(ctx, copied, gatehouse.MainRealm)
	if errors.Is(err, gatehouse.NotFound) {
		return e, nil
	}
	e.Detail["checkpoint"] = string(point)
	return e, err
}

// verifyCopy verifies the log of every realm in a copy against the last heads that the
// server signed, and returns these.
func verifyCopy(ctx context.Context, copied *store.DB, key ed25519.PrivateKey, heads *audit.HeadFile) (map[string][]byte, error) {
	realms, err := copied.Realms(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[string][]byte{}
	for _, r := range realms {
		verifier, err := audit.NewKey(r.Name, key.Public().(ed25519.PublicKey))
		if err != nil {
			return nil, err
		}
		head := heads.Head(r.Name)
		if head != nil {
			kept[r.Name] = head
		}
		// At no time at all, so that events which wait because no server runs are no problem.
		report, err := audit.VerifyLog(ctx, copied, verifier, audit.VerifyOptions{Head: head, Now: func() time.Time { return time.Time{} }})
		if err != nil {
			return nil, err
		}
		if !report.OK() {
			p := report.Problems[0]
			return nil, fmt.Errorf("the audit log of realm %s does not verify, and did not before the move: %s (%s); nothing was moved", r.Name, p.Text, p.Code)
		}
	}
	return kept, nil
}
