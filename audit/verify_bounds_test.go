package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// verified is [verify] with options; its clock stands where the events are.
func verified(t testing.TB, r audit.Reader, opts audit.VerifyOptions) *audit.Report {
	t.Helper()
	if opts.Now == nil {
		opts.Now = func() time.Time { return epoch }
	}
	report, err := audit.VerifyLog(t.Context(), r, publicKey(t, "main"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// found is what a report says is wrong, as CODE@INDEX.
func found(r *audit.Report) (out []string) {
	for _, p := range r.Problems {
		out = append(out, fmt.Sprintf("%s@%d", p.Code, p.Index))
	}
	return out
}

// TestVerifyReadsCheckpoints: as many as asked for, the newest first, and it says whether there are older ones.
func TestVerifyReadsCheckpoints(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{2}, 10)...)
	m.points["main"][9].Note = []byte("the oldest one is spoiled")
	for most, want := range map[int]struct {
		read  int
		older bool
		ok    bool
	}{
		-1: {9, false, false}, 0: {9, false, false}, 1: {1, true, true}, 9: {9, true, true}, 10: {9, false, false}, 11: {9, false, false},
	} {
		r := verified(t, m, audit.VerifyOptions{MaxCheckpoints: most})
		if r.Checkpoints != want.read || r.Older != want.older || r.OK() != want.ok {
			t.Errorf("of at most %d: %+v", most, r)
		}
	}
}

// behind is a store whose checkpoints are behind its head for some questions, as beside a sequencer at work.
type behind struct {
	*memory
	times, asked int
}

func (b *behind) Checkpoints(ctx context.Context, realm string, limit int) ([]audit.SignedCheckpoint, error) {
	all, err := b.memory.Checkpoints(ctx, realm, 100)
	if b.asked++; b.asked <= b.times {
		all = all[1:]
	}
	return all[:min(limit, len(all))], err
}

// TestVerifyBesideASequencer: a head that is ahead of the checkpoints is looked at again, up to five times. Then it is
// what somebody left there, and reported.
func TestVerifyBesideASequencer(t *testing.T) {
	for times, want := range map[int]struct {
		asked    int
		problems []string
	}{0: {1, nil}, 1: {2, nil}, 5: {6, nil}, 6: {6, []string{audit.ProblemHead + "@2"}}, 100: {6, []string{audit.ProblemHead + "@2"}}} {
		for _, sizes := range [][]int{{2, 3}, {5}} { // with a checkpoint before it and without
			m := newMemory()
			grow(t, m, "main", sizes...)
			b := &behind{memory: m, times: times}
			r := verified(t, b, audit.VerifyOptions{})
			problems := want.problems
			if len(sizes) == 1 && problems != nil {
				problems = []string{audit.ProblemHead + "@0"}
			}
			if b.asked != want.asked || !slices.Equal(found(r), problems) || r.Size != 5 {
				t.Errorf("%d times behind, of %v: asked %d times, %+v", times, sizes, b.asked, r)
			}
			if len(problems) > 0 && !strings.HasSuffix(r.Problems[0].Text, "to 4 are covered by no valid checkpoint") {
				t.Error(r.Problems[0].Text)
			}
		}
	}
	// The log of another realm is no reason to look again.
	b := &behind{memory: newMemory()}
	if r := verified(t, b, audit.VerifyOptions{}); !r.OK() || b.asked != 1 {
		t.Errorf("an empty log: asked %d times, %+v", b.asked, r)
	}
}

// TestVerifyUpToTheHead: what the sequencer takes while verification runs is beyond the head that it began with, and
// is no part of what it says.
func TestVerifyUpToTheHead(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", 2, 3)
	b := m.append(t, event("main", "k", 5))
	last := &m.batches[len(m.batches)-1]
	if last.ID != b.ID {
		t.Fatal("another batch")
	}
	last.FirstIndex, last.Kind = 5, "of no event"
	var told []string
	r := verified(t, m, audit.VerifyOptions{Progress: func(done, total int64) { told = append(told, fmt.Sprintf("%d/%d", done, total)) }})
	if !r.OK() || r.Size != 5 || !slices.Equal(told, []string{"0/5"}) {
		t.Errorf("%+v, told %q", r, told)
	}
	m = newMemory()
	grow(t, m, "main", slices.Repeat([]int{1}, 33)...)
	told = nil
	verified(t, m, audit.VerifyOptions{Progress: func(done, total int64) { told = append(told, fmt.Sprintf("%d/%d", done, total)) }})
	if !slices.Equal(told, []string{"0/33", "16/33", "32/33"}) {
		t.Errorf("told %q", told)
	}
}

// TestVerifyIsPatient: an event may be out of the log for a minute. An older one has five seconds to be taken; then it
// is reported. A sequencer that is at work, be it behind, is left alone, and nobody waits longer than they must.
func TestVerifyIsPatient(t *testing.T) {
	for name, tc := range map[string]struct {
		age   time.Duration            // of what waits
		later func(m *memory)          // what happens after a second; may be nil
		cut   bool                     // the caller goes then
		took  func(time.Duration) bool // how long it may take
		want  []string
	}{
		"a minute old":              {time.Minute, nil, false, func(d time.Duration) bool { return d == 0 }, nil},
		"older":                     {time.Minute + time.Nanosecond, nil, false, func(d time.Duration) bool { return d >= 5*time.Second && d <= 5200*ms }, []string{audit.ProblemUnsequenced + "@-1"}},
		"taken in time":             {time.Hour, func(m *memory) { m.batches = m.batches[:1] }, false, func(d time.Duration) bool { return d >= time.Second && d <= 1100*ms }, nil},
		"the first is taken":        {time.Hour, func(m *memory) { m.batches = slices.Delete(m.batches, 1, 2) }, false, func(d time.Duration) bool { return d >= time.Second && d <= 1100*ms }, nil},
		"another one comes":         {time.Hour, func(m *memory) { m.batches = append(m.batches, m.batches[2]) }, false, func(d time.Duration) bool { return d >= 5*time.Second && d <= 5200*ms }, []string{audit.ProblemUnsequenced + "@-1"}},
		"the caller does not wait":  {time.Hour, nil, true, func(d time.Duration) bool { return d == time.Second }, nil},
		"the store stops answering": {time.Hour, func(m *memory) { m.fail = down }, false, func(d time.Duration) bool { return d <= 1100*ms }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			grow(t, m, "main", 2)
			m.append(t, event("main", "k", 0))
			m.append(t, event("main", "k", 0))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := time.Now()
			go func() {
				time.Sleep(time.Second)
				m.mu.Lock()
				defer m.mu.Unlock()
				if tc.later != nil {
					tc.later(m)
				}
				if tc.cut {
					cancel()
				}
			}()
			r, err := audit.VerifyLog(ctx, waitingFails{m}, publicKey(t, "main"), audit.VerifyOptions{Now: func() time.Time { return epoch.Add(tc.age) }})
			if took := time.Since(began); !tc.took(took) {
				t.Errorf("%s: it took %v", name, took)
			}
			switch {
			case tc.cut:
				if !errors.Is(err, context.Canceled) || r != nil {
					t.Errorf("%s: %v, %v", name, r, err)
				}
			case m.fail != nil:
				if !errors.Is(err, errDown) || r != nil {
					t.Errorf("%s: %v, %v", name, r, err)
				}
			default:
				if err != nil || !slices.Equal(found(r), tc.want) {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
			}
			time.Sleep(2 * time.Second) // let the other one end
		})
	}
}

// waitingFails is a store whose answer to what waits may fail.
type waitingFails struct{ *memory }

func (w waitingFails) AuditWaiting(ctx context.Context, realm string) (audit.Waiting, error) {
	out, err := w.memory.AuditWaiting(ctx, realm)
	w.mu.Lock()
	defer w.mu.Unlock()
	return out, errors.Join(err, w.failing("AuditWaiting"))
}

// rows gives out batches that are not as they were stored.
type rows struct {
	*memory
	change func(*audit.Batch)
}

func (r rows) Batches(ctx context.Context, realm string, q audit.BatchQuery) ([]audit.Batch, error) {
	all, err := r.memory.Batches(ctx, realm, q)
	for i := range all {
		if all[i].FirstIndex == 20 {
			r.change(&all[i])
		}
	}
	return all, err
}

// TestVerifyComparesColumns: each of what a batch says about its events is compared, because searches believe it.
func TestVerifyComparesColumns(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*audit.Batch)
		want   []string
	}{
		"nothing":    {func(b *audit.Batch) {}, nil},
		"realm":      {func(b *audit.Batch) { b.Realm = "other" }, []string{audit.ProblemBatchColumns + "@20"}},
		"kind":       {func(b *audit.Batch) { b.Kind = "k.other" }, []string{audit.ProblemBatchColumns + "@20"}},
		"actor":      {func(b *audit.Batch) { b.ActorID = "usr_1" }, []string{audit.ProblemBatchColumns + "@20"}},
		"target":     {func(b *audit.Batch) { b.TargetID = "20" }, []string{audit.ProblemBatchColumns + "@20"}},
		"first time": {func(b *audit.Batch) { b.MinTime = b.MinTime.Add(time.Microsecond) }, []string{audit.ProblemBatchColumns + "@20"}},
		"last time":  {func(b *audit.Batch) { b.MaxTime = b.MaxTime.Add(-time.Microsecond) }, []string{audit.ProblemBatchColumns + "@20"}},
		"zone":       {func(b *audit.Batch) { b.MinTime = b.MinTime.In(time.FixedZone("x", 60)) }, nil},
		"more places": {func(b *audit.Batch) { b.Count++ }, // the next one is in the eleventh of them
			[]string{audit.ProblemLinesRemoved + "@30", audit.ProblemBatchMisplaced + "@30"}},
		"fewer places": {func(b *audit.Batch) { b.Count-- }, // its last time is that of the tenth
			[]string{audit.ProblemLinesInserted + "@29", audit.ProblemBatchColumns + "@20", audit.ProblemLinesRemoved + "@29"}},
		"two lines more": {func(b *audit.Batch) {
			b.Data = append(bytes.Clone(b.Data), b.Data[:2*(bytes.IndexByte(b.Data, '\n')+1)]...)
		},
			[]string{audit.ProblemLinesInserted + "@30"}},
		"two lines less": {func(b *audit.Batch) { // of ten equally long ones
			b.Data = b.Data[:8*(bytes.IndexByte(b.Data, '\n')+1)]
		}, []string{audit.ProblemLinesRemoved + "@28"}},
	} {
		m := newMemory()
		grow(t, m, "main", slices.Repeat([]int{10}, 4)...)
		if r := verified(t, rows{m, tc.change}, audit.VerifyOptions{}); !slices.Equal(found(r), tc.want) || r.Size != 40 {
			t.Errorf("%s: %q, want %q; %+v", name, found(r), tc.want, r)
		}
	}
}

// TestVerifySaysWhich: the texts name the events by the numbers of the first and the last.
func TestVerifySaysWhich(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{10}, 4)...)
	m.batches = slices.Delete(m.batches, 1, 3)
	r := verified(t, m, audit.VerifyOptions{})
	if len(r.Problems) != 1 || r.Problems[0].Text != "events 10 to 29 are missing" || r.Problems[0].Batch != m.batches[1].ID {
		t.Errorf("%+v", r.Problems)
	}
	m.batches = m.batches[:1]
	if r := verified(t, m, audit.VerifyOptions{}); len(r.Problems) != 1 || r.Problems[0].Text != "events 10 to 39 are missing" || r.Problems[0].Batch != "" {
		t.Errorf("%+v", r.Problems)
	}
	// A missing end is no reason to look at nothing else.
	m = newMemory()
	grow(t, m, "main", 290, 10)
	m.batches = m.batches[:1]
	m.tiles[tileKey{"main", 1, 0}].Data[0]++
	m.gaps = []audit.Gap{{First: 2, Last: 7}}
	r = verified(t, m, audit.VerifyOptions{})
	if !slices.Equal(found(r), []string{"batches_removed@-1", "lines_removed@290", "tile_altered@0"}) || r.Problems[0].Text != "the batches at positions 2 to 7 are missing" {
		t.Errorf("%+v", r.Problems)
	}
	// The log ends where its head says, also within a batch.
	m = newMemory()
	grow(t, m, "main", slices.Repeat([]int{10}, 4)...)
	m.heads["main"], m.points["main"] = 35, nil
	if r := verified(t, m, audit.VerifyOptions{}); !slices.Equal(found(r), []string{"head_unsigned@0"}) || r.Size != 35 {
		t.Errorf("%+v", r)
	}
}

// TestVerifyTellsAHundred: the first hundred problems are told one by one, and that there are more.
func TestVerifyTellsAHundred(t *testing.T) {
	for altered, more := range map[int]bool{99: false, 100: false, 101: true, 200: true, 300: true} {
		m := newMemory()
		grow(t, m, "main", 400)
		lines := bytes.SplitAfter(m.batches[0].Data, []byte("\n"))
		for i := range altered {
			lines[50+i] = bytes.Replace(lines[50+i], []byte("success"), []byte("failure"), 1)
		}
		m.batches[0].Data = bytes.Join(lines, nil)
		r := verified(t, m, audit.VerifyOptions{})
		if len(r.Problems) != min(altered, 100) || r.Suppressed > 0 != more || r.Problems[0].Code != audit.ProblemLineAltered || r.Problems[0].Index != 50 {
			t.Errorf("%d altered: %d problems and %d more, %+v", altered, len(r.Problems), r.Suppressed, r.Problems[0])
		}
	}
}

// TestVerifyRepairsAsItGoes: what one checkpoint decides is told once, in the tile that grows as in one that is full,
// and neither the checkpoints after it nor the tiles above it are wrong because of it.
func TestVerifyRepairsAsItGoes(t *testing.T) {
	inOrder(t)
	for name, tc := range map[string]struct {
		damage func(m *memory)
		want   []string
	}{
		"a hash of the first tile": {func(m *memory) { m.tiles[tileKey{"main", 0, 0}].Data[22*32]++ }, []string{"tile_altered@22"}},
		"the next one":             {func(m *memory) { m.tiles[tileKey{"main", 0, 1}].Data[0]++ }, []string{"tile_altered@256"}},
		"hashes of the second tile": {func(m *memory) {
			m.tiles[tileKey{"main", 0, 1}].Data[31*32]++
			m.tiles[tileKey{"main", 0, 1}].Data[50*32]++
		}, []string{"tile_altered@287"}},
		"the last of all":  {func(m *memory) { m.tiles[tileKey{"main", 0, 2}].Data[88*32-1]++ }, []string{"tile_altered@599"}},
		"two hashes above": {func(m *memory) { m.tiles[tileKey{"main", 1, 0}].Data[0]++; m.tiles[tileKey{"main", 1, 0}].Data[32]++ }, []string{"tile_altered@0"}},
		"a line and another's hash": {func(m *memory) {
			m.batches[29].Data = bytes.Replace(m.batches[29].Data, []byte("success"), []byte("failure"), 1) // of event 290
			m.tiles[tileKey{"main", 0, 1}].Data[(309-256)*32]++
		}, []string{"line_altered@290", "tile_altered@309"}},
	} {
		m := newMemory()
		grow(t, m, "main", slices.Repeat([]int{10}, 60)...)
		tc.damage(m)
		if r := verified(t, m, audit.VerifyOptions{}); !slices.Equal(found(r), tc.want) {
			t.Errorf("%s: %q, want %q", name, found(r), tc.want)
		}
	}
	// A tile that was written anew hides no other one under the same checkpoint, and those above them are true.
	m := newMemory()
	grow(t, m, "main", 600)
	for _, n := range []int64{0, 2} {
		for i := range m.tiles[tileKey{"main", 0, n}].Data {
			m.tiles[tileKey{"main", 0, n}].Data[i]++
		}
	}
	m.tiles[tileKey{"main", 0, 1}].Data[(300-256)*32]++
	r := verified(t, m, audit.VerifyOptions{})
	if !slices.Equal(found(r), []string{"tile_altered@0", "tile_altered@300", "tile_altered@512"}) || r.Suppressed != 0 || r.Problems[1].Text != "tile 1 of level 0 is wrong from hash 44 on" {
		t.Errorf("%+v, %d more", r.Problems, r.Suppressed)
	}
	// Line and hash both, under one checkpoint: nobody can tell which.
	m = newMemory()
	grow(t, m, "main", 20)
	m.tiles[tileKey{"main", 0, 0}].Data[3*32]++
	m.batches[0].Data = bytes.Replace(m.batches[0].Data, []byte("success"), []byte("failure"), 1)
	if r := verified(t, m, audit.VerifyOptions{}); !slices.Equal(found(r), []string{"checkpoint_root@20", "leaf_mismatch@0", "leaf_mismatch@3"}) {
		t.Errorf("%q", found(r))
	}
}

// TestSavedAfterRemoval: a checkpoint of what is removed, saved or kept, cannot be compared, and that is told. One of
// exactly that size can, and so can all later ones: a forged one is found.
func TestSavedAfterRemoval(t *testing.T) {
	m, _ := retired(t, 13) // 260 of 520 events are removed
	other := newMemory()
	s := sequencer(t, other)
	notes := map[int64][2][]byte{} // ours, and those of another history
	for n := range 40 {
		e := event("main", "k", 0)
		e.Actor.ID = "usr_other"
		var events []gatehouse.Event
		for range 13 {
			events = append(events, e)
		}
		other.append(t, events...)
		if err := s.Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		notes[int64(13*(n+1))] = [2][]byte{nil, other.points["main"][0].Note}
	}
	whole := newMemory()
	grow(t, whole, "main") // only to have the same shape
	for _, p := range m.points["main"] {
		pair := notes[p.Size]
		pair[0] = p.Note
		notes[p.Size] = pair
	}
	for _, size := range []int64{260, 273, 520} {
		ours, theirs := notes[size][0], notes[size][1]
		if r := verify(t, m, ours); !r.OK() || r.Saved != 1 {
			t.Errorf("saved at %d: %+v", size, r)
		}
		if r := verify(t, m, theirs); !slices.Equal(found(r), []string{fmt.Sprintf("%s@%d", audit.ProblemSavedRoot, size)}) {
			t.Errorf("saved from another history at %d: %+v", size, r)
		}
		if r := verified(t, m, audit.VerifyOptions{Head: ours}); !r.OK() || r.Head != size || r.Saved != 0 {
			t.Errorf("kept at %d: %+v", size, r)
		}
		if r := verified(t, m, audit.VerifyOptions{Head: theirs}); !slices.Equal(found(r), []string{fmt.Sprintf("%s@%d", audit.ProblemSavedRoot, size)}) {
			t.Errorf("kept from another history at %d: %+v", size, r)
		}
	}
	for _, size := range []int64{13, 247} {
		r := verify(t, m, notes[size][1])
		if !slices.Equal(found(r), []string{fmt.Sprintf("%s@%d", audit.ProblemSavedRemoved, size)}) || r.Saved != 0 || !strings.HasPrefix(r.Problems[0].Text, "the saved checkpoint covers") {
			t.Errorf("saved at %d: %+v", size, r)
		}
		r = verified(t, m, audit.VerifyOptions{Head: notes[size][1]})
		if !slices.Equal(found(r), []string{fmt.Sprintf("%s@%d", audit.ProblemSavedRemoved, size)}) || r.Head != size || !strings.HasPrefix(r.Problems[0].Text, "the head that the server kept covers") {
			t.Errorf("kept at %d: %+v", size, r)
		}
	}
	if r := verified(t, m, audit.VerifyOptions{Head: []byte("x")}); !slices.Equal(found(r), []string{audit.ProblemSavedInvalid + "@0"}) || r.Head != -1 {
		t.Errorf("%+v", r)
	}
	// A stored checkpoint of what is removed hides none behind it.
	m.points["main"] = append(slices.Clone(m.points["main"]), audit.SignedCheckpoint{Realm: "main", Size: 247, Note: notes[247][1]})
	at := slices.IndexFunc(m.points["main"], func(p audit.SignedCheckpoint) bool { return p.Size == 260 })
	m.points["main"][at].Note = notes[260][1]
	if r := verify(t, m); !slices.Equal(found(r), []string{audit.ProblemCheckpointRoot + "@260"}) {
		t.Errorf("%q", found(r))
	}
}

// TestRemovedBeyondTheEnd: a log whose end was cut off behind what is removed is no empty log, and nothing else is
// reported of what is not there.
func TestRemovedBeyondTheEnd(t *testing.T) {
	m, _ := retired(t, 13)
	m.batches, m.heads["main"], m.points["main"], m.gaps = nil, 0, nil, nil
	if r := verify(t, m); !slices.Equal(found(r), []string{audit.ProblemTruncated + "@0"}) || r.Removed != nil {
		t.Errorf("%+v", r)
	}
	// Retention leaves the newest events. A log that ends where it was cut has lost them, though all of it verifies.
	m, _ = retired(t, 13)
	m.batches, m.heads["main"] = nil, 260
	m.points["main"] = slices.DeleteFunc(slices.Clone(m.points["main"]), func(p audit.SignedCheckpoint) bool { return p.Size > 260 })
	if r := verify(t, m); !slices.Equal(found(r), []string{audit.ProblemTruncated + "@260"}) {
		t.Errorf("%+v", r)
	}
}

// TestVerifyFiltersByPages: each filter is compared with its events, however many there are.
func TestVerifyFiltersByPages(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 128, 130} {
		m := newMemory()
		for i := range n {
			m.append(t, event("main", "key.create", i))
			m.batches[i].Position = int64(2 * (i + 1)) // a hole before each: a filter for each
		}
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		if len(m.filters) != n {
			t.Fatalf("%d filters of %d batches", len(m.filters), n)
		}
		for _, at := range []int{0, 62, 63, 64, 127, n - 1} {
			if at >= n {
				continue
			}
			before := m.filters[at].Bits
			m.filters[at].Bits = make([]byte, len(before))
			want := []string{fmt.Sprintf("%s@%d", audit.ProblemSearchFilter, at)}
			if r := verified(t, m, audit.VerifyOptions{}); !slices.Equal(found(r), want) {
				t.Errorf("filter %d of %d: %q", at, n, found(r))
			}
			m.filters[at].Bits = before
		}
		// Without those of the middle the others are compared all the same.
		kept := m.filters
		m.filters = append(slices.Clone(kept[:n/3]), kept[n-n/3:]...)
		if len(m.filters) > 0 {
			last := &m.filters[len(m.filters)-1]
			last.Bits = make([]byte, len(last.Bits))
			if r := verified(t, m, audit.VerifyOptions{}); !slices.Equal(found(r), []string{fmt.Sprintf("%s@%d", audit.ProblemSearchFilter, n-1)}) {
				t.Errorf("with a hole in %d filters: %q", n, found(r))
			}
		}
	}
}
