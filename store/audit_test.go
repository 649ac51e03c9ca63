package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/store"
)

type foundUser = identity.User

func batch(id string, n int) audit.Batch {
	return audit.Batch{ID: id, Realm: "main", Count: int64(n), MinTime: moment(0), MaxTime: moment(1), Data: []byte("{}\n")}
}

func batchIDs(list []audit.Batch, err error) func(testing.TB) []string {
	return func(t testing.TB) (ids []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range list {
			ids = append(ids, b.ID)
		}
		return ids
	}
}

func TestEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		cfg.Now = func() time.Time { return moment(42) }
		ctx, db := t.Context(), open(t, cfg)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.AppendEvents(ctx, gatehouse.Event{Realm: "b", Kind: "x.one", Actor: gatehouse.Actor{ID: "usr_1"}}, gatehouse.Event{Realm: "a", Kind: "x.two"},
				gatehouse.Event{Realm: "b", Kind: "x.one", Actor: gatehouse.Actor{ID: "usr_1"}, Time: moment(50), ID: "evt_given"})
		})
		a, b := must(db.Batches(ctx, "a", audit.BatchQuery{}))(t), must(db.Batches(ctx, "b", audit.BatchQuery{}))(t)
		if len(a) != 1 || len(b) != 1 {
			t.Fatalf("%d and %d batches", len(a), len(b))
		}
		events := must(audit.Decode(b[0]))(t)
		if len(events) != 2 || events[0].ID == "" || !events[0].Time.Equal(moment(42)) || events[1].ID != "evt_given" {
			t.Errorf("%+v", events)
		}
		if b[0].Kind != "x.one" || b[0].ActorID != "usr_1" || b[0].Position < 1 || b[0].FirstIndex != -1 || !b[0].MaxTime.Equal(moment(50)) || b[0].Count != 2 {
			t.Errorf("%+v", b[0])
		}
		for _, bad := range []audit.Batch{{}, batch("", 1), batch("x", 0)} {
			if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, bad) }); err == nil {
				t.Errorf("%+v was stored", bad)
			}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, batch("bat_1", 1)) })
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, batch("bat_1", 1)) }), gatehouse.Conflict)
	})
}

// these are batches as far as sequencing looks at them.
func these(ids []string, counts []int64) (out []audit.Batch) {
	for i := range ids {
		out = append(out, audit.Batch{ID: ids[i], Count: counts[i]})
	}
	return out
}

func TestSequence(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		head := func() int64 { return must(db.AuditHead(ctx, "main"))(t) }
		same(t, head(), int64(0))
		for i, n := range []int{3, 1, 5, 2} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.AppendBatch(ctx, batch(fmt.Sprintf("bat_%d", i), n))
			})
		}
		same(t, batchIDs(db.UnsequencedBatches(ctx, "main", 3))(t), []string{"bat_0", "bat_1", "bat_2"})
		sequence := func(first int64, ids []string, counts []int64) error {
			return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
				_ = tx.SequenceBatches(ctx, "main", first, these(ids, counts))
				return nil // also swallowed it must not half happen
			})
		}
		if err := sequence(0, []string{"bat_0", "bat_1"}, []int64{3, 1}); err != nil {
			t.Fatal(err)
		}
		same(t, head(), int64(4))
		_ = sequence(0, []string{"bat_2"}, []int64{5}) // not the head
		for name, c := range map[string]struct {
			ids    []string
			counts []int64
		}{
			"indexed already": {[]string{"bat_2", "bat_1"}, []int64{5, 1}}, "unknown": {[]string{"bat_2", "bat_9"}, []int64{5, 1}},
			"another count": {[]string{"bat_2", "bat_3"}, []int64{5, 3}},
		} {
			if err := sequence(4, c.ids, c.counts); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.SequenceBatches(ctx, "main", 3, these([]string{"bat_2"}, []int64{5}))
		})
		wantKind(t, err, gatehouse.Conflict)
		same(t, head(), int64(4))
		if err := sequence(4, []string{"bat_2", "bat_3"}, []int64{5, 2}); err != nil {
			t.Fatal(err)
		}
		same(t, head(), int64(11))
		same(t, batchIDs(db.UnsequencedBatches(ctx, "main", 3))(t), nil)
		for _, c := range []struct {
			first, last int64
			want        []string
		}{
			{0, -1, []string{"bat_0", "bat_1", "bat_2", "bat_3"}}, {0, 0, []string{"bat_0"}}, {2, 3, []string{"bat_0", "bat_1"}},
			{3, 3, []string{"bat_1"}}, {4, 4, []string{"bat_2"}}, {8, 9, []string{"bat_2", "bat_3"}}, {10, -1, []string{"bat_3"}}, {11, -1, nil},
		} {
			if got := batchIDs(db.Batches(ctx, "main", audit.BatchQuery{Sequenced: true, FirstIndex: c.first, LastIndex: c.last}))(t); !slices.Equal(got, c.want) {
				t.Errorf("%d to %d: %v", c.first, c.last, got)
			}
		}
		same(t, batchIDs(db.Batches(ctx, "main", audit.BatchQuery{Sequenced: true, LastIndex: -1, Descending: true, Limit: 2}))(t), []string{"bat_3", "bat_2"})
	})
}

func TestBatchQueries(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		for i, b := range []audit.Batch{
			{Kind: "key.create", ActorID: "a", TargetID: "x"}, {Kind: "key.revoke", ActorID: "b", TargetID: "y"},
			{Kind: "keyring.rotate", ActorID: "a", TargetID: "z"}, {}, {Kind: "KEY.create", ActorID: "A", TargetID: "X"},
		} {
			b.ID, b.Realm, b.Count, b.Data, b.MinTime, b.MaxTime = fmt.Sprint(i), "main", 1, []byte("x"), moment(10*i), moment(10*i+5)
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, b) })
		}
		takeIn(t, db)
		for name, c := range map[string]struct {
			q    audit.BatchQuery
			want []string
		}{
			"all":          {audit.BatchQuery{}, []string{"0", "1", "2", "3", "4"}},
			"newest first": {audit.BatchQuery{Descending: true, Limit: 2}, []string{"4", "3"}},
			"next page":    {audit.BatchQuery{After: 3, Limit: 1}, []string{"3"}},
			"page before":  {audit.BatchQuery{After: 3, Descending: true}, []string{"1", "0"}},
			"kind":         {audit.BatchQuery{Kind: "key.create"}, []string{"0", "3"}},
			"kinds":        {audit.BatchQuery{Kind: "key."}, []string{"0", "1", "3"}},
			"actor":        {audit.BatchQuery{ActorID: "a"}, []string{"0", "2", "3"}},
			"target":       {audit.BatchQuery{TargetID: "y", Kind: "key."}, []string{"1", "3"}},
			"time":         {audit.BatchQuery{From: moment(15), To: moment(20)}, []string{"1", "2"}},
			"no time":      {audit.BatchQuery{From: moment(6), To: moment(9)}, nil},
		} {
			if got := batchIDs(db.Batches(ctx, "main", c.q))(t); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		same(t, batchIDs(db.Batches(ctx, "other", audit.BatchQuery{}))(t), nil)
	})
}

// TestPositions has a reader watch while many append: it must never see a
// position for good appear below one that it saw before.
func TestPositions(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		const writers, each = 16, 15
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				for j := range each {
					if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
						realms := []string{"main", "other"}
						if i%2 == 0 {
							slices.Reverse(realms) // would deadlock, were they not sorted
						}
						for _, realm := range realms {
							if err := tx.AppendEvents(ctx, gatehouse.Event{Realm: realm, Kind: "x.y", Target: gatehouse.Target{ID: fmt.Sprint(i, j)}}); err != nil {
								return err
							}
						}
						if j%5 == 4 {
							return errOurs
						}
						return nil
					}); err != nil && j%5 != 4 {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		seen := map[int64]bool{}
		var highest int64
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if cfg.Driver == store.DriverPostgres {
				takeIn(t, db)
			}
			for _, b := range must(db.Batches(ctx, "main", audit.BatchQuery{Until: audit.Arriving - 1, Limit: 1000}))(t) {
				if !seen[b.Position] && b.Position <= highest {
					t.Fatalf("position %d appeared after %d", b.Position, highest)
				}
				seen[b.Position] = true
			}
			for p := range seen {
				highest = max(highest, p)
			}
		}
		same(t, len(seen), writers*each*4/5)
	})
}

// TestSearchFilters: filters come by position in both directions, also from the
// middle of one on, and a new one takes the place of all that it overlaps.
func TestSearchFilters(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		_, err := db.LastSearchFilter(ctx, "main")
		wantKind(t, err, gatehouse.NotFound)
		filter := func(first, last int64) audit.SearchFilter {
			return audit.SearchFilter{Realm: "main", First: first, Last: last, Events: last, MinTime: moment(int(first)), MaxTime: moment(int(last)), Bits: []byte{byte(first), 0xff}}
		}
		put := func(f audit.SearchFilter) {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSearchFilter(ctx, f) })
		}
		list := func(q audit.FilterQuery) (out []int64) {
			if q.Limit == 0 {
				q.Limit = 10
			}
			for _, f := range must(db.SearchFilters(ctx, "main", q))(t) {
				same(t, f, filter(f.First, f.Last))
				out = append(out, f.First, f.Last)
			}
			return out
		}
		other := filter(2, 3)
		other.Realm = "other"
		for _, f := range []audit.SearchFilter{other, filter(20, 29), filter(1, 9), filter(10, 12), filter(10, 19)} {
			put(f)
		}
		same(t, must(db.LastSearchFilter(ctx, "main"))(t), filter(20, 29))
		for _, c := range []struct {
			q    audit.FilterQuery
			want []int64
		}{
			{audit.FilterQuery{}, []int64{1, 9, 10, 19, 20, 29}},
			{audit.FilterQuery{Limit: 2}, []int64{1, 9, 10, 19}},
			{audit.FilterQuery{After: 8}, []int64{1, 9, 10, 19, 20, 29}},
			{audit.FilterQuery{After: 9}, []int64{10, 19, 20, 29}},
			{audit.FilterQuery{After: 29}, nil},
			{audit.FilterQuery{Descending: true}, []int64{20, 29, 10, 19, 1, 9}},
			{audit.FilterQuery{Descending: true, After: 21}, []int64{20, 29, 10, 19, 1, 9}},
			{audit.FilterQuery{Descending: true, After: 20}, []int64{10, 19, 1, 9}},
			{audit.FilterQuery{From: moment(10), To: moment(19)}, []int64{10, 19}},
			{audit.FilterQuery{From: moment(19)}, []int64{10, 19, 20, 29}},
		} {
			if got := list(c.q); !slices.Equal(got, c.want) {
				t.Errorf("%+v: %v, not %v", c.q, got, c.want)
			}
		}
		put(filter(9, 20)) // overlaps all three, whose other positions have none now
		same(t, list(audit.FilterQuery{}), []int64{9, 20})
		same(t, len(must(db.SearchFilters(ctx, "other", audit.FilterQuery{Limit: 1}))(t)), 1)
		for _, limit := range []int{0, 1001} {
			if _, err := db.SearchFilters(ctx, "main", audit.FilterQuery{Limit: limit}); err == nil {
				t.Errorf("limit %d: no error", limit)
			}
		}
		for _, f := range []audit.SearchFilter{filter(0, 3), filter(4, 3)} {
			if db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutSearchFilter(ctx, f) }) == nil {
				t.Errorf("%d to %d: no error", f.First, f.Last)
			}
		}
	})
}

func TestTilesAndCheckpoints(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		_, err := db.AuditTiles(ctx, "main", 0, 0, 1)
		wantKind(t, err, gatehouse.NotFound)
		tile := func(w int) audit.Tile {
			return audit.Tile{Realm: "main", Level: 0, N: 1 << 40, Width: w, Data: make([]byte, 32*w)}
		}
		for i, w := range []int{3, 7, 5} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.PutHead(ctx, audit.Head{Tiles: []audit.Tile{tile(w)}, Checkpoint: audit.SignedCheckpoint{Realm: "other", Size: int64(i), Time: moment(i + 1), Note: []byte("x")}})
			})
		}
		for _, w := range []int{1, 7} {
			same(t, must(db.AuditTiles(ctx, "main", 0, 1<<40, w))(t), tile(7))
		}
		_, err = db.AuditTiles(ctx, "main", 0, 1<<40, 8)
		wantKind(t, err, gatehouse.NotFound)

		var all []audit.SignedCheckpoint
		for _, size := range []int64{5, 10, 7} {
			c := audit.SignedCheckpoint{Realm: "main", Size: size, Time: moment(int(size)), Note: []byte("note\n\n— x y\n")}
			all = append(all, c)
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutHead(ctx, audit.Head{Checkpoint: c}) })
			wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutHead(ctx, audit.Head{Checkpoint: c}) }), gatehouse.Conflict)
		}
		same(t, must(db.Checkpoints(ctx, "main", 2))(t), []audit.SignedCheckpoint{all[1], all[2]})
	})
}

// TestBatchesAreCompressed: long batches take a fraction of their size in the
// database, come back byte for byte, and what was spoiled there is an error and
// nothing else.
func TestBatchesAreCompressed(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		var long []byte
		for i := range 400 {
			long = fmt.Appendf(long, `{"id":"evt_%d","realm":"main","kind":"request.decide","outcome":"success","path":"/documents/%d"}`+"\n", i, i*7919)
		}
		noise := make([]byte, 4096) // does not get smaller
		_, _ = rand.Read(noise)
		for id, data := range map[string][]byte{"bat_long": long, "bat_short": []byte("{}\n"), "bat_noise": noise} {
			b := batch(id, 1)
			b.Data = data
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, b) })
		}
		for _, b := range must(db.Batches(ctx, "main", audit.BatchQuery{}))(t) {
			want := map[string][]byte{"bat_long": long, "bat_short": []byte("{}\n"), "bat_noise": noise}[b.ID]
			if !bytes.Equal(b.Data, want) {
				t.Errorf("%s came back as %d bytes, not %d", b.ID, len(b.Data), len(want))
			}
		}
		raw := rawDB(t, cfg)
		var stored []byte
		if err := raw.QueryRow(`SELECT data FROM audit_batches WHERE id='bat_long'`).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if len(stored) > len(long)/4 {
			t.Errorf("%d bytes are stored as %d", len(long), len(stored))
		}
		huge := binary.AppendUvarint(nil, 1<<40) // what a block says its length is
		for name, spoiled := range map[string][]byte{"cut": stored[:len(stored)/2], "huge": huge, "empty": {}} {
			if _, err := raw.Exec(`UPDATE audit_batches SET data=$1 WHERE id='bat_long'`, spoiled); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Batches(ctx, "main", audit.BatchQuery{}); err == nil {
				t.Errorf("%s: was read", name)
			}
		}
		if _, err := raw.Exec(`UPDATE audit_batches SET data=$1, coding=7 WHERE id='bat_long'`, stored); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Batches(ctx, "main", audit.BatchQuery{}); err == nil {
			t.Error("an unknown coding was read")
		}
	})
}

// TestAuditWaiting: what is outside of the log is counted, and a position without
// a batch is a gap, at the beginning, in the middle and at the end.
func TestAuditWaiting(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db, raw := t.Context(), open(t, cfg), rawDB(t, cfg)
		same(t, must(db.AuditWaiting(ctx, "main"))(t), audit.Waiting{Gaps: []audit.Gap{}})
		add := func(realm string) {
			t.Helper()
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				e := gatehouse.Event{Realm: realm, Kind: "a.b", Time: moment(1)}
				return tx.AppendEvents(ctx, e, e)
			})
		}
		for range 6 {
			add("main")
		}
		add("other")
		waiting := must(db.UnsequencedBatches(ctx, "main", 10))(t)
		same(t, must(db.AuditWaiting(ctx, "main"))(t), audit.Waiting{Events: 12, First: waiting[0].Position, Since: moment(1), Gaps: []audit.Gap{}})
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SequenceBatches(ctx, "main", 0, slices.Clone(waiting[:1]))
		})
		same(t, must(db.AuditWaiting(ctx, "main"))(t), audit.Waiting{Events: 10, First: waiting[1].Position, Since: moment(1), Gaps: []audit.Gap{}})
		if cfg.Driver == store.DriverPostgres { // what waits has no positions there: TestRemovedBeforeTheLog
			takeIn(t, db)
		}
		for _, c := range []struct {
			gone int
			gaps []audit.Gap
		}{{3, []audit.Gap{{First: 4, Last: 4}}}, {2, []audit.Gap{{First: 3, Last: 4}}}, {0, []audit.Gap{{First: 1, Last: 1}, {First: 3, Last: 4}}},
			{5, []audit.Gap{{First: 1, Last: 1}, {First: 3, Last: 4}, {First: 6, Last: 6}}}} {
			if _, err := raw.ExecContext(ctx, `DELETE FROM audit_batches WHERE id='`+waiting[c.gone].ID+`'`); err != nil {
				t.Fatal(err)
			}
			same(t, must(db.AuditWaiting(ctx, "main"))(t).Gaps, c.gaps)
		}
	})
}

// TestLargeBatchesComeInPieces: what waits is read some megabytes at a time, and nothing is
// left out.
func TestLargeBatchesComeInPieces(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		var all []string
		for i := range 5 {
			b := batch(fmt.Sprintf("bat_%d", i), 1)
			b.Data = bytes.Repeat([]byte("x"), 2<<20)
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, b) })
			all = append(all, b.ID)
		}
		for i := 0; i < len(all); i += 2 {
			read := must(db.UnsequencedBatches(ctx, "main", 10))(t)
			same(t, batchIDs(read, nil)(t), all[i:min(i+2, len(all))])
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SequenceBatches(ctx, "main", int64(i), read) })
		}
		same(t, len(must(db.UnsequencedBatches(ctx, "main", 10))(t)), 0)
	})
}

// TestAuditLogs: one question tells of all realms what the single ones do.
func TestAuditLogs(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		batch := func(id string, first int64) audit.Batch {
			return audit.Batch{ID: id, Realm: "b", Count: 2, MinTime: moment(0), MaxTime: moment(1), Data: []byte("1\n2\n"), FirstIndex: first}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, gatehouse.Realm{Name: "b", CreatedAt: moment(0)}), tx.InsertRealm(ctx, gatehouse.Realm{Name: "a", CreatedAt: moment(0)}),
				tx.AppendBatch(ctx, batch("bat_1", -1)))
		})
		want := []audit.LogState{{Realm: "a"}, {Realm: "b", Waiting: true}}
		same(t, must(db.AuditLogs(ctx))(t), want)
		for size := int64(2); size <= 4; size += 2 {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				waiting, err := tx.UnsequencedBatches(ctx, "b", 10)
				if err != nil {
					return err
				}
				return errors.Join(tx.SequenceBatches(ctx, "b", size-2, waiting),
					tx.PutHead(ctx, audit.Head{Checkpoint: audit.SignedCheckpoint{Realm: "b", Size: size, Time: moment(2), Note: []byte{byte(size)}}}))
			})
			want[1] = audit.LogState{Realm: "b", Size: size, Signed: size, Note: []byte{byte(size)}}
			same(t, must(db.AuditLogs(ctx))(t), want)
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.AppendBatch(ctx, batch(fmt.Sprint("bat_", size), -1))
			})
			want[1].Waiting = true
			same(t, must(db.AuditLogs(ctx))(t), want)
		}
	})
}
