package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/store"
)

var removalKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

// aged is a log that grows by some events a day.
type aged struct {
	db        *store.DB
	sequencer *audit.Sequencer
	retention *audit.Retention
	key       audit.Key
	now       time.Time
	upTo      int64 // of the copy elsewhere
}

func newAged(t *testing.T, db *store.DB) *aged {
	t.Helper()
	a := &aged{db: db, now: moment(0), upTo: 1 << 40}
	clock := func() time.Time { return a.now }
	var err error
	a.sequencer, err = audit.NewSequencer(audit.SequencerConfig{Run: must(store.Run[audit.SequencerTx](db))(t), Pending: db,
		Origin: func(realm string) string { return audit.Origin("auth.example", realm) }, Key: removalKey, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	a.retention = &audit.Retention{Keep: 30 * 24 * time.Hour, Store: db, Run: must(store.Run[audit.RetentionTx](db))(t), Realms: db.Realms, Key: removalKey,
		Forwarded: func(context.Context, string) (int64, error) { return a.upTo, nil }, Now: clock, Logger: slog.New(slog.DiscardHandler)}
	a.key = must(audit.NewKey("main", removalKey.Public().(ed25519.PublicKey)))(t)
	return a
}

// days lets days pass, each with some batches of some events and one checkpoint.
func (a *aged) days(t *testing.T, n, batches, events int) {
	t.Helper()
	for range n {
		for range batches {
			do(t, a.db, func(ctx context.Context, tx *store.Tx) error {
				list := make([]gatehouse.Event, events)
				for i := range list {
					list[i] = gatehouse.Event{Realm: "main", Kind: "request.decide", Time: a.now, Outcome: gatehouse.OutcomeFailure,
						RequestID: gatehouse.NewID("req", a.now), Path: fmt.Sprint(i)}
				}
				return tx.AppendEvents(ctx, list...)
			})
		}
		if err := a.sequencer.Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		a.now = a.now.Add(24 * time.Hour)
	}
}

func (a *aged) remove(t *testing.T) {
	t.Helper()
	if err := a.retention.Remove(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if err := a.sequencer.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
}

func (a *aged) verify(t *testing.T, saved ...[]byte) *audit.Report {
	t.Helper()
	return must(audit.VerifyLog(t.Context(), a.db, a.key, audit.VerifyOptions{Saved: saved, Now: func() time.Time { return a.now }}))(t)
}

func (a *aged) count(t *testing.T) (batches, tiles, filters, checkpoints int) {
	t.Helper()
	ctx := t.Context()
	for after := int64(0); ; {
		list := must(a.db.Batches(ctx, "main", audit.BatchQuery{After: after, Limit: 1000}))(t)
		if len(list) == 0 {
			break
		}
		batches, after = batches+len(list), list[len(list)-1].Position
	}
	for n := range int64(1000) {
		if _, err := a.db.AuditTiles(ctx, "main", 0, n, 1); err == nil {
			tiles++
		}
	}
	return batches, tiles, len(must(a.db.SearchFilters(ctx, "main", audit.FilterQuery{Limit: 1000}))(t)),
		len(must(a.db.Checkpoints(ctx, "main", 100_000))(t))
}

// TestRetention removes what is too old, day after day: what is left verifies, grows,
// can be proven, and nothing of what was removed stays behind.
func TestRetention(t *testing.T) {
	inOrder(t)
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		a := newAged(t, db)
		a.days(t, 1, 3, 17)
		earliest := must(audit.LatestCheckpoint(ctx, db, "main"))(t)
		a.days(t, 9, 3, 17) // 51 events a day: the edge lies within a tile
		early := must(audit.LatestCheckpoint(ctx, db, "main"))(t)
		a.days(t, 30, 3, 17)
		late := must(audit.LatestCheckpoint(ctx, db, "main"))(t)
		first := must(db.Batches(ctx, "main", audit.BatchQuery{Limit: 1}))(t)[0]
		id := must(audit.Decode(first))(t)[0].RequestID
		if r := a.verify(t, early, late); !r.OK() || r.Removed != nil {
			t.Fatalf("before: %+v", r)
		}

		a.upTo = 200 // the copy elsewhere is behind
		a.remove(t)
		if r := a.verify(t, late); !r.OK() || r.Removed == nil || r.Removed.Events != 153 {
			t.Errorf("with a copy of 200 events: %+v", r)
		}
		a.upTo = 1 << 40
		a.remove(t)
		r := a.verify(t, late)
		if !r.OK() || r.Removed == nil || r.Removed.Events != 510 || r.Size != 40*51+2 || !r.Removed.Before.Equal(a.now.Add(-30*24*time.Hour)) ||
			!r.Removed.Time.Equal(a.now) {
			t.Errorf("after the removal: %+v %+v", r, r.Removed)
		}
		if batches, tiles, _, checkpoints := a.count(t); batches != 30*3+2 || tiles != 8-1 || checkpoints != 31+2 {
			t.Errorf("%d batches, %d tiles, %d checkpoints stay", batches, tiles, checkpoints)
		}
		if r := a.verify(t, early); !r.OK() || r.Saved != 1 { // of the very size that is removed: the last that can be compared
			t.Errorf("a checkpoint of what was removed: %+v", r.Problems)
		}
		if r := a.verify(t, earliest); len(r.Problems) != 1 || r.Problems[0].Code != audit.ProblemSavedRemoved {
			t.Errorf("a checkpoint from before: %+v", r.Problems)
		}
		if w := must(db.AuditWaiting(ctx, "main"))(t); len(w.Gaps) != 1 || w.Gaps[0].First != 1 {
			t.Errorf("%+v", w)
		}
		if _, err := audit.ProveInclusion(ctx, db, a.key, 509); gatehouse.CodeOf(err) != "audit_event_removed" {
			t.Errorf("a removed event: %v", err)
		}
		for _, index := range []int64{510, 511, 600, 767, 768, 1500, 2041} {
			if _, err := audit.ProveInclusion(ctx, db, a.key, index); err != nil {
				t.Errorf("event %d: %v", index, err)
			}
		}
		log := audit.Log{Reader: db}
		if _, err := log.Find(ctx, "main", id); gatehouse.CodeOf(err) != "audit_event_removed" {
			t.Errorf("a removed request: %v", err)
		}
		page := must(log.List(ctx, "main", audit.Query{Kind: audit.KindAuditRemove}))(t)
		if len(page.Entries) != 2 || page.Entries[0].Detail["size"] != "510" {
			t.Errorf("%+v", page.Entries)
		}

		// It goes on, over several tiles and a restart.
		a.days(t, 100, 2, 100)
		a.remove(t)
		b := newAged(t, db)
		b.now = a.now
		b.days(t, 3, 1, 5)
		if r := b.verify(t); !r.OK() || r.Removed.Events <= 510 || r.Removed.Events%256 == 0 {
			t.Errorf("later: %+v %+v", r, r.Removed)
		}
		if batches, tiles, filters, checkpoints := b.count(t); batches > 70 || tiles > 30 || filters > 10 || checkpoints > 40 {
			t.Errorf("%d batches, %d tiles, %d filters, %d checkpoints", batches, tiles, filters, checkpoints)
		}
		// Everything is old, and the newest events stay all the same.
		b.now = b.now.Add(1000 * 24 * time.Hour)
		b.remove(t)
		b.remove(t)
		if r := b.verify(t); !r.OK() || must(db.AuditHead(ctx, "main"))(t) != r.Size || r.Size <= r.Removed.Events {
			t.Errorf("a log that rests: %+v %+v", r, r.Removed)
		}
		// A backup has what is left, and it verifies where it is restored.
		var backup bytes.Buffer
		if err := db.DumpAll(ctx, &backup); err != nil {
			t.Fatal(err)
		}
		to := sqliteConfig(t)
		if err := store.Restore(ctx, to, &backup, ""); err != nil {
			t.Fatal(err)
		}
		if r, want := newAged(t, open(t, to)).verify(t, late), b.verify(t, late); r.Size != want.Size || r.Root != want.Root || r.Removed == nil || *r.Removed != *want.Removed {
			t.Errorf("restored: %+v, want %+v", r, want)
		}
	})
}

// TestRetentionRemovesOnlyWhatIsSigned: whatever somebody asks for, events that are not
// in the log, or not under a checkpoint, or the newest, are not removed.
func TestRetentionRemovesOnlyWhatIsSigned(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		a := newAged(t, db)
		a.days(t, 3, 2, 5)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { // waits
			return tx.AppendEvents(ctx, gatehouse.Event{Realm: "main", Kind: "k", Time: moment(0)})
		})
		for name, r := range map[string]audit.Removal{
			"all of the log":    {Size: 30, Position: 6},
			"more than the log": {Size: 31, Position: 7},
			"no checkpoint":     {Size: 15, Position: 3},
			"another position":  {Size: 20, Position: 5},
			"one that waits":    {Size: 20, Position: 7},
			"nothing":           {Size: 0, Position: 0},
			"another realm's":   {Realm: "other", Size: 20, Position: 4},
		} {
			if r.Realm == "" {
				r.Realm = "main"
			}
			r.Time, r.Before, r.Note = moment(0), moment(0), []byte("x")
			err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutAuditRemoval(ctx, r) })
			if !errors.Is(err, gatehouse.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, more, err := tx.RemoveAudit(ctx, "main", 100)
			if n != 0 || more {
				t.Errorf("without a removal: %d %v", n, more)
			}
			return err
		})
		a.now = a.now.Add(1000 * 24 * time.Hour)
		if err := a.retention.Remove(ctx, "main"); err != nil { // before it is sequenced
			t.Fatal(err)
		}
		left := must(db.Batches(ctx, "main", audit.BatchQuery{}))(t)
		if !slices.ContainsFunc(left, func(b audit.Batch) bool { return b.Position >= 7 && b.FirstIndex < 0 }) || len(left) != 2+1+1 {
			t.Errorf("%d batches are left", len(left))
		}
		if err := a.sequencer.Sequence(ctx, "main"); err != nil {
			t.Fatal(err)
		}
		if r := a.verify(t); !r.OK() || r.Removed.Events != 20 {
			t.Errorf("%+v %+v", r, r.Removed)
		}
	})
}

// TestRetentionIsCutOff: a crash between two pieces leaves a log that verifies, and the
// next run does the rest.
func TestRetentionIsCutOff(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		a := newAged(t, db)
		a.days(t, 40, 20, 3)
		run, pieces := a.retention.Run, 0
		crash := errors.New("the end")
		a.retention.Run = func(ctx context.Context, fn func(context.Context, audit.RetentionTx) error) error {
			if pieces++; pieces == 3 {
				return crash
			}
			return run(ctx, func(ctx context.Context, tx audit.RetentionTx) error { return fn(ctx, fewer{tx}) })
		}
		if err := a.retention.Remove(ctx, "main"); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		if err := a.sequencer.Sequence(ctx, "main"); err != nil {
			t.Fatal(err)
		}
		if r := a.verify(t); !r.OK() || r.Removed == nil {
			t.Errorf("half way: %+v", r)
		}
		a.retention.Run = run
		a.remove(t)
		if r := a.verify(t); !r.OK() || r.Removed.Events != 600 {
			t.Errorf("afterwards: %+v %+v", r, r.Removed)
		}
		if batches, _, _, _ := a.count(t); batches > 30*20+2 {
			t.Errorf("%d batches are left", batches)
		}
	})
}

// fewer removes some records at a time.
type fewer struct{ audit.RetentionTx }

func (f fewer) RemoveAudit(ctx context.Context, realm string, _ int) (int64, bool, error) {
	return f.RetentionTx.RemoveAudit(ctx, realm, 7)
}

// TestRestoreOfAnOlderVersion: a backup of a version that did not have all of the
// tables yet is restored, into either database.
func TestRestoreOfAnOlderVersion(t *testing.T) {
	inOrder(t)
	for schema := 3; schema <= 7; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			onBoth(t, func(t *testing.T, cfg store.Config) {
				backup := fmt.Sprintf("{\"gatehouse_backup\":1,\"schema\":%d}\n{\"table\":\"settings\",\"columns\":[\"name\",\"value\"]}\n[\"a\",\"b\"]\n{\"end\":1}\n", schema)
				if err := store.Restore(t.Context(), cfg, strings.NewReader(backup), ""); err != nil {
					t.Fatal(err)
				}
				if v, err := open(t, cfg).Setting(t.Context(), "a"); err != nil || v != "b" {
					t.Errorf("%q %v", v, err)
				}
			})
		})
	}
}
