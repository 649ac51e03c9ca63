package audit_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestOneSizeOneRoot: two checkpoints of one size with different roots, both signed with the right key, are two
// histories. Whoever is shown both refuses: the sequencer with the head that it remembers and with the one that was
// kept over a restart, and verification with a stored, a saved and a kept one.
func TestOneSizeOneRoot(t *testing.T) {
	const size = 300 // more than a tile
	grown := func(actor string) *memory {
		m := newMemory()
		e := event("main", "user.create", 0)
		e.Actor.ID = actor
		m.append(t, e)
		grow(t, m, "main", size-1)
		return m
	}
	note := func(m *memory) []byte { return m.points["main"][0].Note }
	ours, theirs := grown("usr_a"), grown("usr_b")
	if string(note(ours)) == string(note(theirs)) {
		t.Fatal("one history")
	}
	for _, m := range []*memory{ours, theirs} {
		if r := verify(t, m, note(m), note(m)); !r.OK() {
			t.Fatalf("each is good in itself: %+v", r)
		}
	}
	problem := func(where, code string, r *audit.Report) {
		t.Helper()
		if r.OK() || r.Problems[0].Code != code {
			t.Errorf("%s: %+v", where, r.Problems)
		}
	}
	problem("saved", audit.ProblemSavedRoot, verify(t, ours, note(theirs)))
	problem("two saved", audit.ProblemSavedRoot, verify(t, ours, note(ours), note(theirs)))
	problem("two saved, the other way round", audit.ProblemSavedRoot, verify(t, ours, note(theirs), note(ours)))
	kept := func(head []byte) *audit.Report {
		r, err := audit.VerifyLog(t.Context(), ours, publicKey(t, "main"), audit.VerifyOptions{Head: head, Now: func() time.Time { return epoch }})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := kept(note(ours)); !r.OK() {
		t.Fatalf("its own head: %+v", r)
	}
	problem("kept head", audit.ProblemSavedRoot, kept(note(theirs)))

	stored := grown("usr_a")
	stored.points["main"][0].Note = note(theirs)
	problem("stored", audit.ProblemCheckpointRoot, verify(t, stored))
	stored = grown("usr_a")
	stored.points["main"] = append([]audit.SignedCheckpoint{theirs.points["main"][0]}, stored.points["main"]...)
	problem("stored beside the right one", audit.ProblemCheckpointRoot, verify(t, stored))

	// Events come, and the log would be signed on.
	for where, start := range map[string]func(m *memory) *audit.Sequencer{
		"remembered head": func(m *memory) *audit.Sequencer {
			s := sequencer(t, m) // it signed ours, and the store becomes theirs under it
			become := func(other *memory) {
				m.batches, m.tiles, m.points, m.heads = other.batches, other.tiles, other.points, other.heads
			}
			now := newMemory()
			now.batches, now.tiles, now.points, now.heads = m.batches, m.tiles, m.points, m.heads
			become(grown("usr_a"))
			m.append(t, event("main", "user.create", size))
			if err := s.Sequence(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			become(now)
			return s
		},
		"head kept over a restart": func(m *memory) *audit.Sequencer {
			heads, err := audit.OpenHeadFile(filepath.Join(t.TempDir(), "heads"))
			if err != nil {
				t.Fatal(err)
			}
			other := grown("usr_a")
			grow(t, other, "main", 1)
			if err := heads.Keep(map[string][]byte{"main": note(other)}); err != nil {
				t.Fatal(err)
			}
			s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: heads})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		m := grown("usr_b")
		grow(t, m, "main", 1) // as long as what was signed
		s := start(m)
		points := len(m.points["main"])
		m.append(t, event("main", "user.create", size+1))
		if err := s.Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) || len(m.points["main"]) != points {
			t.Errorf("%s: %v", where, err)
		}
	}
}
