package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestProofOfADamagedLog: nothing is given out as a proof that would not hold. What is damaged is said to be so, and is
// neither an unknown event nor a removed one.
func TestProofOfADamagedLog(t *testing.T) {
	for name, damage := range map[string]func(m *memory){
		"an altered line": func(m *memory) {
			m.batches[2].Data = bytes.Replace(m.batches[2].Data, []byte("success"), []byte("failure"), 1)
		},
		"a line that is no event": func(m *memory) {
			_, rest, _ := bytes.Cut(m.batches[2].Data, []byte("\n"))
			m.batches[2].Data = append([]byte("nothing\n"), rest...)
		},
		"a missing batch":       func(m *memory) { m.batches = slices.Delete(m.batches, 2, 3) },
		"a batch without lines": func(m *memory) { m.batches[2].Data = nil },
		"two lines swapped": func(m *memory) {
			l := bytes.SplitAfter(bytes.Clone(m.batches[2].Data), []byte("\n"))
			l[0], l[1] = l[1], l[0]
			m.batches[2].Data = bytes.Join(l, nil)
		},
		"an altered tile":         func(m *memory) { m.tiles[tileKey{"main", 0, 0}].Data[21*32]++ },
		"a missing tile":          func(m *memory) { delete(m.tiles, tileKey{"main", 0, 0}) },
		"a checkpoint of another": func(m *memory) { m.points["main"][0].Note = m.points["other"][0].Note },
		"an altered checkpoint": func(m *memory) {
			m.points["main"][0].Note = bytes.Replace(m.points["main"][0].Note, []byte("\n40\n"), []byte("\n41\n"), 1)
		},
	} {
		m := newMemory()
		grow(t, m, "main", slices.Repeat([]int{10}, 4)...)
		grow(t, m, "other", 40)
		if _, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), 20); err != nil {
			t.Fatal(err)
		}
		damage(m)
		_, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), 20)
		if wantCode(t, err, "audit_proof_invalid"); errors.Is(err, gatehouse.NotFound) || errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := newMemory() // a line that was signed as it is, and is no event of the realm
	m.append(t, event("main", "k", 1))
	m.raw(300)
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	_, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), 0)
	wantCode(t, err, "audit_proof_invalid")
}
