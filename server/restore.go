package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// settingRestored marks a database that a backup was loaded into and whose old
// tokens are not ended yet.
const settingRestored = "restore.unfinished"

// Restored says what a restore did and what it could not know.
type Restored struct {
	// AsOf is when the last event of the backup was: passwords, API keys, roles and
	// policies are as they were then. What was changed, or revoked, later is not.
	AsOf time.Time `json:"as_of"`
	// Grants is how many logins were ended.
	Grants int64 `json:"grants_ended"`
	// Keys is how many API keys can be used again, or still.
	Keys int64 `json:"active_keys"`
}

// restoreTx is what ends everything that was issued before a restore, in its parts.
type restoreTx struct {
	Ends restoreEnds
	Mark restoreMark
}

type restoreEnds interface {
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
	EndGrants(ctx context.Context, realm string, when time.Time, reason string) (int64, error)
	EndSessions(ctx context.Context, realm, user, except string, when time.Time, reason string) ([]gatehouse.Session, error)
	ForgetOnce(ctx context.Context) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// restoreMark tells that the end is still to come, and takes that back.
type restoreMark interface {
	Setting(ctx context.Context, name string) (string, error)
	TakeSetting(ctx context.Context, key, value string) (bool, error)
	TellLate()
}

// Restore loads a backup into the empty store of a configuration and ends every
// token and login that was issued until now: what was revoked since the backup was
// made is not known any more, and must not come back to life. A server that is
// started after a crash in between does the second half first.
func Restore(ctx context.Context, cfg Config, file string) (_ Restored, err error) {
	f, err := os.Open(file)
	if err != nil {
		return Restored{}, err
	}
	defer f.Close()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return Restored{}, err
	}
	at, free, err := exclusive(ctx, cfg)
	if err != nil {
		return Restored{}, err
	}
	defer free()
	if err := store.Restore(ctx, at, f, settingRestored); err != nil {
		return Restored{}, err
	}
	db, err := store.Open(ctx, at)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return endRestore(ctx, cfg, db, filepath.Base(file))
}

// RestoreInPlace does what must follow when somebody set the database back by other
// means: PostgreSQL's own tools, a copy of the file, a snapshot of the disk. What was
// issued until now is ended as by [Restore], and the logs begin where they end.
func RestoreInPlace(ctx context.Context, cfg Config) (_ Restored, err error) {
	at, free, err := exclusive(ctx, cfg)
	if err != nil {
		return Restored{}, err
	}
	defer free()
	db, err := openExisting(ctx, at)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	mark, err := store.Run[audit.SettingWriter](db)
	if err != nil {
		return Restored{}, err
	}
	err = mark(ctx, func(ctx context.Context, tx audit.SettingWriter) error {
		return tx.PutSetting(ctx, settingRestored, "1")
	})
	if err != nil {
		return Restored{}, err
	}
	return endRestore(ctx, cfg, db, "in place")
}

// endRestore does the second half of a restore, under the name of what was loaded.
func endRestore(ctx context.Context, cfg Config, db *store.DB, name string) (Restored, error) {
	heads, err := audit.OpenHeadFile(headsPath(cfg))
	if err != nil { // what it said of the log before is lost, and the restore is not
		slog.Default().Warn("the heads of the audit logs cannot be read and are replaced", "error", err)
		heads = audit.NewHeadFile(headsPath(cfg))
	}
	return finishRestore(ctx, db, heads, name, clockOf(cfg)())
}

// errRestoreDone says that another node has ended what was issued before.
var errRestoreDone = errors.New("the restore was finished by somebody else")

// finishRestore does what must follow after a backup was loaded, once.
func finishRestore(ctx context.Context, db *store.DB, heads *audit.HeadFile, file string, now time.Time) (Restored, error) {
	run, err := store.Run[restoreTx](db)
	if err != nil {
		return Restored{}, err
	}
	realms, err := db.Realms(ctx)
	if err != nil {
		return Restored{}, err
	}
	var out Restored
	kept, events := map[string][]byte{}, []gatehouse.Event{}
	for _, r := range realms {
		point, last, err := lastKnown(ctx, db, r.Name)
		if err != nil {
			return Restored{}, err
		}
		if last.After(out.AsOf) {
			out.AsOf = last
		}
		e := gatehouse.Event{Realm: r.Name, Kind: audit.KindBackupRestore, Outcome: gatehouse.OutcomeSuccess, Time: now,
			Target: gatehouse.Target{Type: "backup", ID: file}, Detail: map[string]string{"checkpoint": string(point)}}
		if point != nil {
			kept[r.Name] = point
		}
		if !last.IsZero() {
			e.Detail["as_of"] = last.UTC().Format(time.RFC3339)
		}
		if before := heads.Head(r.Name); before != nil {
			e.Detail["replaced_head"] = string(before)
		}
		events = append(events, e)
	}
	err = run(ctx, func(ctx context.Context, tx restoreTx) error {
		// A start may have to wait for a node that goes on without the database, and can be asked which one
		// that is, and told that it is gone. What was restored must be ended before anybody is asked anything.
		tx.Mark.TellLate()
		out.Grants = 0
		for i, r := range realms {
			if err := tx.Ends.PutCutoff(ctx, revocation.CutoffNow(r.Name, revocation.CutoffRealm, "", now)); err != nil {
				return err
			}
			n, err := tx.Ends.EndGrants(ctx, r.Name, now, "restored")
			if err != nil {
				return err
			}
			if _, err := tx.Ends.EndSessions(ctx, r.Name, "", "", now, "restored"); err != nil {
				return err
			}
			events[i].Detail["grants_ended"] = strconv.FormatInt(n, 10)
			out.Grants += n
		}
		if err := endOnce(ctx, tx); err != nil {
			return err
		}
		taken, err := tx.Mark.TakeSetting(ctx, settingRestored, "1")
		if err == nil && !taken {
			err = errRestoreDone
		}
		if err != nil {
			return err
		}
		return tx.Ends.AppendEvents(ctx, events...)
	})
	done := errors.Is(err, errRestoreDone)
	if err != nil && !done {
		return Restored{}, fmt.Errorf("what was issued before the restore could not be ended: %w", err)
	}
	// Each node keeps heads of its own, and all of them are of what was replaced.
	if err := heads.Reset(kept); err != nil {
		return Restored{}, err
	}
	if done {
		return Restored{}, errRestoreDone
	}
	out.Keys, err = db.ActiveKeys(ctx, now)
	return out, err
}

// endOnce ends whatever can be used once: what was used since the backup is there again,
// and nobody knows what that is.
func endOnce(ctx context.Context, tx restoreTx) error {
	value, err := tx.Mark.Setting(ctx, users.SettingBootstrap)
	if err == nil {
		_, err = tx.Mark.TakeSetting(ctx, users.SettingBootstrap, value)
	}
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return err
	}
	return tx.Ends.ForgetOnce(ctx)
}

// lastKnown returns the newest checkpoint of a realm, nil for none, and when its last
// event was.
func lastKnown(ctx context.Context, db *store.DB, realm string) (note []byte, last time.Time, err error) {
	note, err = audit.LatestCheckpoint(ctx, db, realm)
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return nil, last, err
	}
	batches, err := db.Batches(ctx, realm, audit.BatchQuery{Descending: true, Limit: 1})
	if err == nil && len(batches) > 0 {
		last = batches[0].MaxTime
	}
	return note, last, err
}

// finishRestoreAtStart does the second half of a restore that was cut off.
func (s *Server) finishRestoreAtStart(ctx context.Context) error {
	_, err := s.db.Setting(ctx, settingRestored)
	if errors.Is(err, gatehouse.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	done, err := finishRestore(ctx, s.db, s.heads, "", s.now())
	if errors.Is(err, errRestoreDone) {
		return nil
	}
	if err == nil {
		s.log.Warn("a restore was cut off and is finished now", "as_of", done.AsOf, "grants_ended", done.Grants)
	}
	return err
}
