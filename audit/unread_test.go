package audit_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// unreadable is a store that fails from some question of one kind on.
type unreadable struct {
	*memory
	call string
	good int // how many such questions are answered before
	err  error
}

func (u *unreadable) answer(call string) error {
	if call != u.call {
		return nil
	}
	if u.good--; u.good >= 0 {
		return nil
	}
	return u.err
}

func (u *unreadable) AuditHead(ctx context.Context, realm string) (int64, error) {
	n, err := u.memory.AuditHead(ctx, realm)
	return n, errors.Join(err, u.answer("AuditHead"))
}

func (u *unreadable) Batches(ctx context.Context, realm string, q audit.BatchQuery) ([]audit.Batch, error) {
	b, err := u.memory.Batches(ctx, realm, q)
	return b, errors.Join(err, u.answer("Batches"))
}

func (u *unreadable) AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	if err := u.answer("AuditTiles"); err != nil {
		return audit.Tile{}, err
	}
	return u.memory.AuditTiles(ctx, realm, level, n, width)
}

func (u *unreadable) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	p, err := u.memory.Checkpoints(ctx, realm, limit)
	return p, errors.Join(err, u.answer("Checkpoints"))
}

func (u *unreadable) SearchFilters(ctx context.Context, realm string, q audit.FilterQuery) ([]audit.SearchFilter, error) {
	f, err := u.memory.SearchFilters(ctx, realm, q)
	return f, errors.Join(err, u.answer("SearchFilters"))
}

func (u *unreadable) AuditWaiting(ctx context.Context, realm string) (audit.Waiting, error) {
	w, err := u.memory.AuditWaiting(ctx, realm)
	return w, errors.Join(err, u.answer("AuditWaiting"))
}

func (u *unreadable) AuditRemoval(ctx context.Context, realm string) (audit.Removal, error) {
	if err := u.answer("AuditRemoval"); err != nil {
		return audit.Removal{}, err
	}
	return u.memory.AuditRemoval(ctx, realm)
}

// unreadableTx is the same in a transaction.
type unreadableTx struct {
	audit.SequencerTx
	u *unreadable
}

func (x unreadableTx) AuditHead(ctx context.Context, realm string) (int64, error) {
	n, err := x.SequencerTx.AuditHead(ctx, realm)
	return n, errors.Join(err, x.u.answer("tx AuditHead"))
}

func (x unreadableTx) AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	if err := x.u.answer("tx AuditTiles"); err != nil {
		return audit.Tile{}, err
	}
	return x.SequencerTx.AuditTiles(ctx, realm, level, n, width)
}

func (x unreadableTx) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	p, err := x.SequencerTx.Checkpoints(ctx, realm, limit)
	return p, errors.Join(err, x.u.answer("tx Checkpoints"))
}

func (x unreadableTx) LastSearchFilter(ctx context.Context, realm string) (audit.SearchFilter, error) {
	if err := x.u.answer("tx LastSearchFilter"); err != nil {
		return audit.SearchFilter{}, err
	}
	return x.SequencerTx.LastSearchFilter(ctx, realm)
}

func (u *unreadable) transactions() gatehouse.Runner[audit.SequencerTx] {
	inner := run[audit.SequencerTx](u.memory)
	return func(ctx context.Context, fn func(context.Context, audit.SequencerTx) error) error {
		return inner(ctx, func(ctx context.Context, tx audit.SequencerTx) error { return fn(ctx, unreadableTx{tx, u}) })
	}
}

// TestUnreadIsNoTampering: a database that is away for a moment says nothing of the log. Verification ends with its
// error and reports nothing as altered, whichever question it was, and at which place; a proof is not refuted.
func TestUnreadIsNoTampering(t *testing.T) {
	m, _ := retired(t, 13) // 40 batches of 13 events, of which 20 are removed
	away := gatehouse.Unavailable
	for call, questions := range map[string]int{"AuditRemoval": 1, "AuditWaiting": 1, "AuditHead": 1, "Checkpoints": 1, "Batches": 2, "SearchFilters": 1,
		"AuditTiles": 5} { // the edge at both levels, the tiles there and behind it
		for good := range questions {
			u := &unreadable{memory: m, call: call, good: good, err: away}
			r, err := audit.VerifyLog(t.Context(), u, publicKey(t, "main"), audit.VerifyOptions{Now: func() time.Time { return epoch }})
			if !errors.Is(err, away) || r != nil {
				t.Errorf("verification without answer %d to %s: %t, %v", good, call, r != nil, err)
			}
		}
	}
	for call, questions := range map[string]int{"AuditRemoval": 1, "Checkpoints": 1, "Batches": 1, "AuditTiles": 1} {
		for good := range questions {
			u := &unreadable{memory: m, call: call, good: good, err: away}
			if _, err := audit.ProveInclusion(t.Context(), u, publicKey(t, "main"), 300); gatehouse.KindOf(err) != away {
				t.Errorf("proof without answer %d to %s: %v", good, call, err)
			}
		}
	}
	u := &unreadable{memory: m, call: "Checkpoints", err: away}
	if _, err := audit.LatestCheckpoint(t.Context(), u, "main"); gatehouse.KindOf(err) != away {
		t.Errorf("the latest checkpoint: %v", err)
	}
}

// TestUnreadIsNoBrokenLog: the sequencer tells nobody that a log is broken because the database did not answer. It
// signs nothing then, and goes on when the database is back.
func TestUnreadIsNoBrokenLog(t *testing.T) {
	for call, questions := range map[string]int{"tx AuditHead": 2, "tx Checkpoints": 2, "tx AuditTiles": 4, "tx LastSearchFilter": 1, "AuditHead": 1} {
		for good := range questions {
			m := newMemory()
			grow(t, m, "main", 200, 100)
			heads := audit.NewHeadFile(t.TempDir() + "/heads")
			if err := heads.Keep(map[string][]byte{"main": m.points["main"][1].Note}); err != nil { // so that it must be compared
				t.Fatal(err)
			}
			u := &unreadable{memory: m, call: call, err: errDown, good: 1 << 20}
			var told []string
			s, err := audit.NewSequencer(audit.SequencerConfig{Run: u.transactions(), Pending: u, Origin: origin, Key: testKey, Heads: heads,
				Broken: func(realm string, _ error) { told = append(told, realm) }})
			if err != nil {
				t.Fatal(err)
			}
			if call == "AuditHead" { // is asked when the log was looked at before
				if err := s.Sequence(t.Context(), "main"); err != nil {
					t.Fatal(err)
				}
			}
			u.good = good
			points := len(m.points["main"])
			m.append(t, event("main", "user.create", 1))
			if err := s.Sequence(t.Context(), "main"); !errors.Is(err, errDown) || errors.Is(err, audit.ErrHistory) {
				t.Errorf("without answer %d to %s: %v", good, call, err)
			}
			if n, err := s.Broken(); n != 0 || err != nil || len(told) > 0 || len(m.points["main"]) != points {
				t.Errorf("without answer %d to %s: %d logs are broken (%v), %q was told, %d checkpoints", good, call, n, err, told, len(m.points["main"]))
			}
			u.good = 1 << 20
			if err := s.Sequence(t.Context(), "main"); err != nil || m.heads["main"] != 301 {
				t.Errorf("after %s answers again: %v", call, err)
			}
		}
	}
}

// TestDamagedTiles: a tile that holds more, less or nothing of what it says is missing, and no reason to fail.
func TestDamagedTiles(t *testing.T) {
	for name, damage := range map[string]func(*audit.Tile){
		"half a hash":         func(x *audit.Tile) { x.Data = x.Data[:len(x.Data)-16] },
		"a hash too few":      func(x *audit.Tile) { x.Data = x.Data[:len(x.Data)-32] },
		"a hash too many":     func(x *audit.Tile) { x.Data = append(slices.Clone(x.Data), x.Data[:32]...) },
		"narrower than asked": func(x *audit.Tile) { x.Width, x.Data = x.Width-1, x.Data[:len(x.Data)-32] },
		"wider than a tile":   func(x *audit.Tile) { x.Width, x.Data = 257, slices.Repeat(x.Data[:32], 257) },
		"empty":               func(x *audit.Tile) { x.Width, x.Data = 0, nil },
	} {
		m := newMemory()
		grow(t, m, "main", 256, 44)
		r, err := audit.VerifyLog(t.Context(), damagedTiles{m, damage}, publicKey(t, "main"), audit.VerifyOptions{Now: func() time.Time { return epoch }})
		if err != nil || len(r.Problems) != 3 { // two of level 0, one of level 1
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		for i, index := range []int64{0, 256, 0} {
			if p := r.Problems[i]; p.Code != audit.ProblemTileAltered || p.Index != index {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
}

// damagedTiles gives out tiles that are not as they were stored.
type damagedTiles struct {
	*memory
	damage func(*audit.Tile)
}

func (d damagedTiles) AuditTiles(ctx context.Context, realm string, level int, n int64, width int) (audit.Tile, error) {
	x, err := d.memory.AuditTiles(ctx, realm, level, n, width)
	d.damage(&x)
	return x, err
}
