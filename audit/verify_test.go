package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// grow appends batches of the given sizes and sequences after each.
func grow(t testing.TB, m *memory, realm string, sizes ...int) {
	t.Helper()
	s := sequencer(t, m)
	n := int(m.heads[realm])
	for _, size := range sizes {
		var events []gatehouse.Event
		for range size {
			events = append(events, event(realm, "user.create", n))
			n++
		}
		m.append(t, events...)
		if err := s.Sequence(t.Context(), realm); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t testing.TB, m *memory, saved ...[]byte) *audit.Report {
	t.Helper()
	r, err := audit.VerifyLog(t.Context(), m, publicKey(t, "main"), audit.VerifyOptions{Saved: saved, Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLogGrowsAndVerifies(t *testing.T) {
	m := newMemory()
	if r := verify(t, m); !r.OK() || r.Size != 0 {
		t.Errorf("empty log: %+v", r)
	}
	grow(t, m, "main", 1, 2, 5, 247, 1, 1, 255, 256, 700, 1)
	grow(t, m, "other", 300)
	r := verify(t, m)
	if !r.OK() || r.Size != 1469 || r.Checkpoints != 10 {
		t.Fatalf("%+v", r)
	}
	signed, err := audit.LatestCheckpoint(t.Context(), m, "main")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(signed), "\n"); lines[0] != "auth.example/main" || lines[1] != "1469" || lines[2] != r.Root ||
		!strings.HasPrefix(lines[4], "— auth.example/main ") {
		t.Errorf("checkpoint %s", signed)
	}
	// Any implementation of signed notes can check it.
	text, _ := audit.VerifierKey(origin("main"), testKey.Public().(ed25519.PublicKey))
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(v)); err != nil {
		t.Error(err)
	}
	if _, err := audit.LatestCheckpoint(t.Context(), m, "nowhere"); !errors.Is(err, gatehouse.NotFound) {
		t.Error(err)
	}
}

// Three levels of tiles.
func TestLargeLogVerifies(t *testing.T) {
	inOrder(t)
	m := newMemory()
	s := sequencer(t, m)
	for range 33 {
		var events []gatehouse.Event
		for i := range 2048 {
			events = append(events, gatehouse.Event{ID: "evt_x", Realm: "main", Kind: "k", Time: epoch, Bytes: int64(i)})
		}
		m.append(t, events...)
	}
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	grow(t, m, "main", 3)
	if m.tiles[tileKey{"main", 2, 0}].Width != 1 || s.Size("main") == 0 {
		t.Error("no tile of level 2")
	}
	if r := verify(t, m); !r.OK() || r.Size != 33*2048+3 {
		t.Errorf("%+v", r)
	}
	for _, damaged := range []tileKey{{"main", 1, 0}, {"main", 1, 1}, {"main", 2, 0}} {
		m.tiles[damaged].Data[0]++
		m.tiles[damaged].Data[len(m.tiles[damaged].Data)-1]++ // one problem a tile
	}
	if r := verify(t, m); !slices.Equal(found(r), []string{"tile_altered@0", "tile_altered@65536", "tile_altered@0"}) {
		t.Errorf("%+v", r)
	}
}

// Whatever is changed in the store is found, and where.
//
// ASVS: 16.4.2
func TestVerifyFindsTampering(t *testing.T) {
	inOrder(t)
	line := func(b audit.Batch, n int) []byte { return bytes.SplitAfter(b.Data, []byte("\n"))[n] }
	for name, c := range map[string]struct {
		damage func(m *memory)
		code   string
		index  int64
	}{
		"altered line": {func(m *memory) {
			b := &m.batches[2]
			b.Data = bytes.Replace(b.Data, []byte(`"id":"22"`), []byte(`"id":"99"`), 1)
		}, audit.ProblemLineAltered, 22},
		"altered whitespace": {func(m *memory) {
			b := &m.batches[2]
			b.Data = bytes.Replace(b.Data, line(*b, 5), append([]byte(" "), line(*b, 5)...), 1)
		}, audit.ProblemLineAltered, 25},
		"line that is no event": {func(m *memory) {
			b := &m.batches[2]
			b.Data = bytes.Replace(b.Data, line(*b, 5), []byte("nothing\n"), 1)
		}, audit.ProblemLineMalformed, 25},
		"removed line": {func(m *memory) {
			b := &m.batches[2]
			b.Data = bytes.Replace(b.Data, line(*b, 9), nil, 1)
		}, audit.ProblemLinesRemoved, 29},
		"inserted line": {func(m *memory) {
			b := &m.batches[2]
			b.Data = append(bytes.Clone(b.Data), line(*b, 9)...)
		}, audit.ProblemLinesInserted, 30},
		"two lines swapped": {func(m *memory) {
			b := &m.batches[2]
			l := bytes.SplitAfter(bytes.Clone(b.Data), []byte("\n"))
			l[3], l[4] = l[4], l[3]
			b.Data = bytes.Join(l, nil)
		}, audit.ProblemLineAltered, 23},
		"two batches swapped": {func(m *memory) {
			m.batches[2].FirstIndex, m.batches[3].FirstIndex = m.batches[3].FirstIndex, m.batches[2].FirstIndex
		}, audit.ProblemLineAltered, 20},
		"removed batch":  {func(m *memory) { m.batches = slices.Delete(m.batches, 2, 3) }, audit.ProblemLinesRemoved, 20},
		"removed tail":   {func(m *memory) { m.batches = m.batches[:38] }, audit.ProblemLinesRemoved, 380},
		"inserted batch": {func(m *memory) { b := m.batches[2]; b.ID = "bat_x"; m.batches = append(m.batches, b) }, audit.ProblemBatchMisplaced, 20},
		"columns":        {func(m *memory) { m.batches[2].Kind = "key.create" }, audit.ProblemBatchColumns, 20},
		"time of batch":  {func(m *memory) { m.batches[2].MinTime = epoch.Add(time.Hour) }, audit.ProblemBatchColumns, 20},
		"tile":           {func(m *memory) { m.tiles[tileKey{"main", 0, 0}].Data[22*32]++ }, audit.ProblemTileAltered, 22},
		"upper tile":     {func(m *memory) { m.tiles[tileKey{"main", 1, 0}].Data[0]++ }, audit.ProblemTileAltered, 0},
		"missing tile":   {func(m *memory) { delete(m.tiles, tileKey{"main", 0, 1}) }, audit.ProblemTileAltered, 256},
		"checkpoint text": {func(m *memory) {
			p := &m.points["main"][3]
			p.Note = bytes.Replace(p.Note, []byte("370"), []byte("371"), 1)
		}, audit.ProblemCheckpointInvalid, 370},
		"checkpoint column": {func(m *memory) { m.points["main"][3].Size = 5 }, audit.ProblemCheckpointInvalid, 5},
		"checkpoint of another realm": {func(m *memory) {
			m.points["main"][0].Note = m.points["other"][0].Note
		}, audit.ProblemCheckpointInvalid, 400},
		"checkpoints gone": {func(m *memory) { m.points["main"] = m.points["main"][1:] }, audit.ProblemHead, 390},
		"cut with head": {func(m *memory) { // the checkpoint is left
			m.batches, m.heads["main"] = m.batches[:39], 390
		}, audit.ProblemTruncated, 390},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			grow(t, m, "main", slices.Repeat([]int{10}, 40)...)
			grow(t, m, "other", 400)
			if r := verify(t, m); !r.OK() {
				t.Fatalf("before: %+v", r.Problems)
			}
			c.damage(m)
			r := verify(t, m)
			if r.OK() || !slices.ContainsFunc(r.Problems, func(p audit.Problem) bool { return p.Code == c.code && p.Index == c.index }) {
				t.Errorf("want %s at %d, got %+v", c.code, c.index, r.Problems)
			}
			if name == "altered line" && len(r.Problems) != 1 || name == "tile" && len(r.Problems) != 1 {
				t.Errorf("one change, %d problems: %+v", len(r.Problems), r.Problems)
			}
		})
	}
}

// Somebody with the key writes the whole log anew: only a saved checkpoint tells.
//
// ASVS: 16.4.2
func TestRewrittenLogIsFoundBySavedCheckpoint(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", 10, 10, 10)
	saved := m.points["main"][1].Note
	if r := verify(t, m, saved); !r.OK() || r.Saved != 1 {
		t.Fatalf("%+v", r)
	}
	forged := newMemory()
	e := event("main", "user.create", 0)
	e.Actor.ID = "usr_innocent"
	forged.append(t, e)
	grow(t, forged, "main", 9, 10, 10, 10)
	if r := verify(t, forged); !r.OK() {
		t.Fatalf("a log that is good in itself: %+v", r)
	}
	if r := verify(t, forged, saved); r.OK() || r.Problems[0].Code != audit.ProblemSavedRoot {
		t.Errorf("%+v", r)
	}
	short := newMemory()
	grow(t, short, "main", 10)
	if r := verify(t, short, saved); r.OK() || r.Problems[0].Code != audit.ProblemTruncated {
		t.Errorf("%+v", r)
	}
	if r := verify(t, m, []byte("hello")); r.OK() || r.Problems[0].Code != audit.ProblemSavedInvalid {
		t.Errorf("%+v", r)
	}
}

func TestInclusion(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", 300, 1, 99)
	key := publicKey(t, "main")
	for _, i := range []int64{0, 255, 256, 299, 300, 399} {
		in, err := audit.ProveInclusion(t.Context(), m, key, i)
		if err != nil {
			t.Fatal(err)
		}
		e, err := audit.CheckInclusion(key, in)
		if err != nil || e.Target.ID != fmt.Sprint(i) {
			t.Errorf("%d: %v %+v", i, err, e)
		}
		for name, damage := range map[string]func(*audit.Inclusion){
			"line":       func(p *audit.Inclusion) { p.Line = strings.Replace(p.Line, "success", "failure", 1) },
			"index":      func(p *audit.Inclusion) { p.Index ^= 1 },
			"negative":   func(p *audit.Inclusion) { p.Index = -1 },
			"too large":  func(p *audit.Inclusion) { p.Index = 1 << 40 },
			"hash":       func(p *audit.Inclusion) { p.Hashes = slices.Clone(p.Hashes); p.Hashes[0][3]++ },
			"no hashes":  func(p *audit.Inclusion) { p.Hashes = nil },
			"checkpoint": func(p *audit.Inclusion) { p.Checkpoint = string(m.points["main"][1].Note) },
			"unsigned":   func(p *audit.Inclusion) { p.Checkpoint, _, _ = strings.Cut(p.Checkpoint, "—") },
		} {
			bad := in
			damage(&bad)
			if _, err := audit.CheckInclusion(key, bad); err == nil {
				t.Errorf("%d: %s", i, name)
			}
		}
	}
	for _, i := range []int64{-1, 400} {
		if _, err := audit.ProveInclusion(t.Context(), m, key, i); !errors.Is(err, gatehouse.NotFound) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "none"), 0); !errors.Is(err, gatehouse.NotFound) {
		t.Error(err)
	}
}

// Nothing is signed on top of a history that was changed.
func TestSequencerRefusesChangedHistory(t *testing.T) {
	for name, damage := range map[string]func(*memory){
		"edge tile":       func(m *memory) { m.tiles[tileKey{"main", 0, 1}].Data[0]++ },
		"upper tile":      func(m *memory) { m.tiles[tileKey{"main", 1, 0}].Data[0]++ },
		"missing tile":    func(m *memory) { delete(m.tiles, tileKey{"main", 0, 1}) },
		"malformed tile":  func(m *memory) { k := tileKey{"main", 0, 1}; x := m.tiles[k]; x.Data = x.Data[:9]; m.tiles[k] = x },
		"checkpoint":      func(m *memory) { m.points["main"][0].Note[20]++ },
		"no checkpoint":   func(m *memory) { delete(m.points, "main") },
		"last checkpoint": func(m *memory) { m.points["main"] = m.points["main"][1:] },
		"head":            func(m *memory) { m.heads["main"]-- },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			grow(t, m, "main", 200, 100)
			damage(m)
			points := len(m.points["main"])
			m.append(t, event("main", "user.create", 1))
			if err := sequencer(t, m).Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
				t.Error(err)
			}
			if len(m.points["main"]) != points {
				t.Error("signed all the same")
			}
		})
	}
	// A store that was set back under a running process is good in itself.
	m := newMemory()
	s := sequencer(t, m)
	m.append(t, event("main", "user.create", 1))
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	fresh := newMemory()
	m.batches, m.heads, m.points, m.tiles = nil, fresh.heads, fresh.points, fresh.tiles
	m.append(t, event("main", "user.create", 2))
	if err := s.Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
		t.Error(err)
	}
}

// A crash at any point leaves nothing half done, and the next run goes on.
func TestSequencerRecovers(t *testing.T) {
	for _, at := range []string{"SequenceBatches", "PutTiles", "PutCheckpoint"} {
		m := newMemory()
		grow(t, m, "main", 250)
		m.append(t, event("main", "a.b", 1), event("main", "a.b", 2))
		m.fail = func(call string) error {
			if call == at {
				return errDown
			}
			return nil
		}
		if err := sequencer(t, m).Sequence(t.Context(), "main"); !errors.Is(err, errDown) {
			t.Errorf("%s: %v", at, err)
		}
		m.fail = nil
		if r := verify(t, m); !r.OK() || r.Size != 250 {
			t.Errorf("%s: %+v", at, r)
		}
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Error(err)
		}
		if r := verify(t, m); !r.OK() || r.Size != 252 {
			t.Errorf("%s: %+v", at, r)
		}
	}
	// Another node was faster: look again. It never ends well: give up.
	m := newMemory()
	m.append(t, event("main", "a.b", 1))
	tries := 0
	m.fail = func(call string) error {
		if call == "PutCheckpoint" {
			if tries++; tries < 3 {
				return gatehouse.Conflict
			}
		}
		return nil
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil || m.heads["main"] != 1 {
		t.Error(err)
	}
	m.append(t, event("main", "a.b", 1))
	m.fail = func(call string) error {
		if call == "PutCheckpoint" {
			return gatehouse.Conflict
		}
		return nil
	}
	if err := sequencer(t, m).Sequence(t.Context(), "main"); !errors.Is(err, gatehouse.Conflict) {
		t.Error(err)
	}
	// A batch that lies about its count would shift everything after it.
	m = newMemory()
	m.append(t, event("main", "a.b", 1))
	m.batches[0].Count = 2
	if err := sequencer(t, m).Sequence(t.Context(), "main"); err == nil || errors.Is(err, gatehouse.Conflict) {
		t.Error("wrong count:", err)
	}
}

func TestSequencerRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, cancel := context.WithCancel(t.Context())
		s := sequencer(t, m)
		var ended atomic.Bool
		go func() { _ = s.Run(ctx); ended.Store(true) }()
		synctest.Wait()
		m.append(t, event("main", "a.b", 1))
		m.append(t, event("other", "a.b", 1))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if s.Size("main") != 1 || s.Size("other") != 1 {
			t.Error("not sequenced within a second")
		}
		m.append(t, event("main", "a.b", 2))
		cancel()
		synctest.Wait()
		if !ended.Load() || s.Size("main") != 2 {
			t.Error("the last events were not covered")
		}
	})
}

func TestKeys(t *testing.T) {
	public := testKey.Public().(ed25519.PublicKey)
	text, err := audit.VerifierKey(origin("main"), public)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	grow(t, m, "main", 1)
	if !strings.HasPrefix(text, origin("main")+"+") {
		t.Error(text)
	}
	key, err := audit.NewKey("main", public)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := key.Open(m.points["main"][0].Note); err != nil || c.Size != 1 || c.Origin != "auth.example/main" {
		t.Error(c, err)
	}
	if _, err := audit.VerifierKey("a b/main", public); err == nil {
		t.Error("a name with a space")
	}
	if _, err := (audit.Key{}).Open(m.points["main"][0].Note); err == nil {
		t.Error("the zero key opens")
	}
	if _, err := key.Open(bytes.Repeat(m.points["main"][0].Note, 1000)); err == nil {
		t.Error("too long")
	}
	cfg := audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey[:5]}
	if _, err := audit.NewSequencer(cfg); err == nil {
		t.Error("short key")
	}
	if _, err := audit.NewSequencer(audit.SequencerConfig{Key: testKey}); err == nil {
		t.Error("nothing configured")
	}
}

// TestCutTailIsFound: whoever can write to the store alone, and cuts off the end
// of a log together with its checkpoints and tiles, leaves a log that verifies. The
// head that the server kept tells that there was more: to verification, and to the
// sequencer, at once while it runs and at its next start.
func TestCutTailIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heads")
	heads := func() *audit.HeadFile {
		h, err := audit.OpenHeadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	var told []string
	start := func(m *memory) *audit.Sequencer {
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: heads(),
			Broken: func(realm string, err error) { told = append(told, realm+": "+err.Error()) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	m := newMemory()
	s := start(m)
	m.append(t, event("main", "a.b", 1), event("main", "a.b", 2))
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	short := *newMemory()
	short.batches, short.tiles, short.heads, short.points = slices.Clone(m.batches), maps.Clone(m.tiles), maps.Clone(m.heads), maps.Clone(m.points)
	m.append(t, event("main", "a.b", 3))
	if err := s.Sequence(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Broken(); n != 0 || len(told) != 0 {
		t.Fatalf("a good log is broken: %v", told)
	}
	m.batches, m.tiles, m.heads, m.points = short.batches, short.tiles, short.heads, short.points

	if r := verify(t, m); !r.OK() {
		t.Errorf("what is left should verify by itself: %+v", r.Problems)
	}
	r, err := audit.VerifyLog(t.Context(), m, publicKey(t, "main"), audit.VerifyOptions{Head: heads().Head("main"), Now: func() time.Time { return epoch }})
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Code != audit.ProblemTruncated || r.Head != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for name, s := range map[string]*audit.Sequencer{"running, idle": s, "started anew": start(m)} {
		told = nil
		for range 2 {
			if err := s.Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n, err := s.Broken(); n != 1 || err == nil || len(told) != 1 {
			t.Errorf("%s: %d, %v, told %q", name, n, err, told)
		}
	}
	// What comes afterwards covers nothing up: not one event, and not as many as were
	// cut off.
	m.append(t, event("main", "a.b", 4))
	m.append(t, event("main", "a.b", 5))
	if err := start(m).Sequence(t.Context(), "main"); !errors.Is(err, audit.ErrHistory) || len(m.points["main"]) != 1 {
		t.Errorf("%v, %d checkpoints", err, len(m.points["main"]))
	}
}

// TestForeignHead: a log of the same length, or longer, that does not begin with
// what the head covers, is another log; so is one of another key.
func TestForeignHead(t *testing.T) {
	note := func(events ...gatehouse.Event) []byte {
		m := newMemory()
		m.append(t, events...)
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		return m.points["main"][0].Note
	}
	one, two, other := event("main", "a.b", 1), event("main", "a.b", 2), event("main", "a.b", 9)
	for _, e := range []*gatehouse.Event{&one, &two, &other} {
		audit.Complete(e, epoch)
	}
	for name, c := range map[string]struct {
		head []byte
		ok   bool
	}{
		"same":        {note(one, two), true},
		"its begin":   {note(one), true},
		"other end":   {note(one, other), false},
		"other begin": {note(other), false},
		"longer":      {note(one, two, other), false},
		"no note":     {[]byte("x"), false},
	} {
		m := newMemory()
		m.append(t, one, two)
		if err := sequencer(t, m).Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		h, err := audit.OpenHeadFile(filepath.Join(t.TempDir(), "heads"))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Keep(map[string][]byte{"main": c.head}); err != nil {
			t.Fatal(err)
		}
		s, err := audit.NewSequencer(audit.SequencerConfig{Run: run[audit.SequencerTx](m), Pending: m, Origin: origin, Key: testKey, Heads: h})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Sequence(t.Context(), "main"); errors.Is(err, audit.ErrHistory) == c.ok || c.ok && err != nil {
			t.Errorf("%s: the sequencer says %v", name, err)
		}
		r, err := audit.VerifyLog(t.Context(), m, publicKey(t, "main"), audit.VerifyOptions{Head: h.Head("main"), Now: func() time.Time { return epoch }})
		if err != nil || r.OK() != c.ok {
			t.Errorf("%s: verification says %+v, %v", name, r, err)
		}
	}
}

// TestHeadFile: what was kept is there after a restart, for its owner alone, and a
// file that is spoiled is no file without heads.
func TestHeadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heads")
	h, err := audit.OpenHeadFile(path)
	if err != nil || h.Head("main") != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Keep(map[string][]byte{"main": []byte("one"), "b": []byte("x\n")}), h.Keep(map[string][]byte{"main": []byte("two")})); err != nil {
		t.Fatal(err)
	}
	if h, err = audit.OpenHeadFile(path); err != nil || string(h.Head("main")) != "two" || string(h.Head("b")) != "x\n" {
		t.Errorf("%q %q %v", h.Head("main"), h.Head("b"), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := h.Reset(map[string][]byte{"b": []byte("y")}); err != nil || h.Head("main") != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".heads-*")); len(left) > 0 {
		t.Error(left)
	}
	for _, bad := range []string{"", "{", `{"main":1}`, "[]"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenHeadFile(path); err == nil {
			t.Errorf("%q was taken for heads", bad)
		}
	}
}

// TestVerifyLooksOutsideOfTheLog: events that are held up, and places of batches
// that are gone before they were sequenced, are reported.
func TestVerifyLooksOutsideOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		grow(t, m, "main", 2)
		m.append(t, event("main", "a.b", 1), event("main", "a.b", 2))
		at := func(d time.Duration) *audit.Report {
			r, err := audit.VerifyLog(t.Context(), m, publicKey(t, "main"), audit.VerifyOptions{Now: func() time.Time { return epoch.Add(d) }})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := at(30 * time.Second); !r.OK() || r.Waiting != 2 {
			t.Errorf("events of a moment ago: %+v", r)
		}
		if r := at(2 * time.Minute); len(r.Problems) != 1 || r.Problems[0].Code != audit.ProblemUnsequenced {
			t.Errorf("events that wait for minutes: %+v", r)
		}
		go func() { // the event of a long stream is old when it comes, and taken soon
			time.Sleep(time.Second)
			_ = sequencer(t, m).Sequence(t.Context(), "main")
		}()
		if r := at(2 * time.Hour); !r.OK() {
			t.Errorf("an old event that was taken: %+v", r)
		}
		m.gaps = []audit.Gap{{First: 3, Last: 3}}
		if r := at(0); len(r.Problems) != 1 || r.Problems[0].Code != audit.ProblemBatchesRemoved {
			t.Errorf("a gap: %+v", r)
		}
		m.gaps, m.missing = nil, 2
		if r := at(0); len(r.Problems) != 1 || r.Problems[0].Code != audit.ProblemBatchesRemoved || !strings.Contains(r.Problems[0].Text, "2 batches") {
			t.Errorf("what never came into the log: %+v", r)
		}
	})
}
