package audit_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// TestRemovedBeyondTwoLevels: a log of three levels of tiles is cut where the tiles of two levels end, where that of
// one does, and where none does.
func TestRemovedBeyondTwoLevels(t *testing.T) {
	m := newMemory()
	s := sequencer(t, m)
	at := 0
	grow := func(n int) {
		var events []gatehouse.Event
		for range n {
			events = append(events, gatehouse.Event{ID: "evt_x", Realm: "main", Kind: "k", Time: epoch.Add(time.Duration(at) * time.Second)})
			at++
		}
		m.append(t, events...)
	}
	sequence := func() {
		if err := s.Sequence(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
	}
	for range 16 {
		grow(4096)
	}
	sequence()
	grow(100)
	sequence()
	early := newMemory() // with nothing yet in the tile of level 1 that grows
	early.batches, early.tiles, early.heads, early.points = slices.Clone(m.batches), maps.Clone(m.tiles), maps.Clone(m.heads), maps.Clone(m.points)
	if err := retire(t, early, sequencer(t, early), 65536); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, early); !r.OK() || r.Removed == nil || r.Removed.Events != 65536 {
		t.Errorf("early: %+v", r)
	}
	for _, n := range []int{300, 10} {
		grow(n)
		sequence()
	}
	for _, cut := range []int{65536, 65636, 65936} {
		if err := retire(t, m, s, cut); err != nil {
			t.Fatalf("%d: %v", cut, err)
		}
		r := verify(t, m)
		if !r.OK() || r.Removed == nil || r.Removed.Events != int64(cut) {
			t.Errorf("%d: %+v", cut, r)
		}
		for _, index := range []int{cut, at - 1} {
			if _, err := audit.ProveInclusion(t.Context(), m, publicKey(t, "main"), int64(index)); err != nil {
				t.Errorf("%d: event %d: %v", cut, index, err)
			}
		}
	}
}

// TestRemovalIsRead: what a removal says is only taken in the form in which it is signed. Each of these has a good
// signature, as one of another version of the program might.
func TestRemovalIsRead(t *testing.T) {
	text, err := audit.VerifierKey(origin("main"), testKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := retired(t, 13)
	stored := m.removal["main"]
	signed, _, _ := strings.Cut(string(stored.Note), "\n\n")
	signed += "\n"
	lines := strings.SplitAfter(signed, "\n")
	if len(lines) != 5 || lines[1] != "260\n" || !strings.HasSuffix(lines[3], " position 20\n") {
		t.Fatalf("%q", signed)
	}
	words := strings.Fields(lines[3]) // removed TIME before TIME position N
	line := func(change func(w []string) []string) string {
		return strings.Join(lines[:3], "") + strings.Join(change(slices.Clone(words)), " ") + "\n"
	}
	word := func(i int, to string) string { return line(func(w []string) []string { w[i] = to; return w }) }
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"as it is":             {signed, true},
		"another word":         {word(2, "after"), false},
		"another last word":    {word(4, "positions"), false},
		"a word more":          {line(func(w []string) []string { return append(w, "x") }), false},
		"a word less":          {line(func(w []string) []string { return w[:5] }), false},
		"two words less":       {line(func(w []string) []string { return w[:4] }), false},
		"a line more":          {signed + "x\n", false},
		"no time":              {word(1, "now"), false},
		"no time before":       {word(3, "then"), false},
		"no position":          {word(5, "all"), false},
		"position 0":           {word(5, "0"), false},
		"a position below 0":   {word(5, "-20"), false},
		"a size of 0":          {strings.Replace(signed, "\n260\n", "\n0\n", 1), false},
		"a size that is none":  {strings.Replace(signed, "\n260\n", "\nall\n", 1), false},
		"no removal":           {strings.Join(lines[:3], ""), false},
		"not on its own line":  {strings.Replace(signed, "\nremoved ", " removed ", 1), false},
		"another realm's":      {strings.Replace(signed, "/main\n", "/other\n", 1), false},
		"with another's host":  {strings.Replace(signed, "auth.example", "auth2.example", 1), false}, // signed in the name of ours
		"time with an offset":  {word(1, "2026-03-01T12:00:00.000000+01:00"), false},
		"time without a month": {word(1, "2026-00-01T12:00:00.000000Z"), false},
	} {
		n, err := note.Sign(&note.Note{Text: tc.text}, noteSigner{v})
		if err != nil {
			t.Fatal(err)
		}
		r := stored
		r.Note = n
		m.removal["main"] = r
		report := verify(t, m)
		invalid := slices.ContainsFunc(report.Problems, func(p audit.Problem) bool { return p.Code == audit.ProblemRemovalInvalid && p.Index == 260 })
		if tc.ok != report.OK() || tc.ok == invalid || tc.ok != (report.Removed != nil) {
			t.Errorf("%s: %+v", name, report.Problems)
		}
	}
}

// noteSigner signs any text with the key of the log.
type noteSigner struct{ note.Verifier }

func (noteSigner) Sign(message []byte) ([]byte, error) { return ed25519.Sign(testKey, message), nil }

// TestRemoveTheFirst: the least that can be removed is one event.
func TestRemoveTheFirst(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", 1, 1, 1)
	if err := retire(t, m, sequencer(t, m), 1); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, m); !r.OK() || r.Removed == nil || r.Removed.Events != 1 || m.removal["main"].Position != 1 {
		t.Errorf("%+v, %+v", r, m.removal["main"])
	}
}

// retention removes what is older than an hour; its clock stands a little more than an hour after the event n.
func retention(m *memory, n int, log *lines) *audit.Retention {
	return &audit.Retention{Keep: time.Hour, Store: m, Run: run[audit.RetentionTx](m), Realms: m.Realms, Key: testKey, Logger: log.logger(),
		Now: func() time.Time { return epoch.Add(time.Duration(n)*time.Second + time.Hour + time.Millisecond) }}
}

// goingOn is a clock that goes on from where that of r stands, in a bubble.
func goingOn(r *audit.Retention) func() time.Time {
	began, stood := time.Now(), r.Now()
	return func() time.Time { return stood.Add(time.Since(began)) }
}

// TestRetentionWorks: the job removes at its start and once an hour, in every realm, and says what it did. A realm that
// does not verify is told and stays; it is no reason to leave the others, and is tried again.
func TestRetentionWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for _, realm := range []string{"main", "other"} {
			s := sequencer(t, m)
			for n := range 40 { // one event each 200 seconds
				e := event(realm, "k", 200*n)
				m.append(t, e)
				if err := s.Sequence(t.Context(), realm); err != nil {
					t.Fatal(err)
				}
			}
		}
		good := m.tiles[tileKey{"main", 0, 0}]
		bad := good
		bad.Data = slices.Clone(good.Data)
		bad.Data[0]++
		m.tiles[tileKey{"main", 0, 0}] = bad
		var log lines
		r := retention(m, 1999, &log)
		r.Now = goingOn(r)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Work(ctx) }()
		removed := func() [2]int64 {
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			return [2]int64{m.removal["main"].Size, m.removal["other"].Size}
		}
		if got := removed(); got != [2]int64{0, 10} || log.count("old audit events could not be removed") != 1 || log.count("old audit events are removed") != 1 {
			t.Errorf("at the start: %v, %q", got, log.all())
		}
		if !log.has("realm main does not verify at 10 events; nothing is removed") {
			t.Errorf("%q", log.all())
		}
		m.mu.Lock()
		m.tiles[tileKey{"main", 0, 0}] = good
		m.mu.Unlock()
		time.Sleep(time.Hour - time.Second)
		if got := removed(); got != [2]int64{0, 10} {
			t.Errorf("within the hour: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := removed(); got != [2]int64{28, 28} || log.count("could not be removed") != 1 {
			t.Errorf("after an hour: %v, %q", got, log.all())
		}
		cancel()
		if err := <-ended; err != nil || log.count("could not be removed") != 1 {
			t.Errorf("the end is no failure: %v, %q", err, log.all())
		}
		// What the realms' own list fails with is told as well; not so when it is the end.
		r = retention(m, 1999, &log)
		r.Now = goingOn(r)
		r.Realms, r.Interval = func(context.Context) ([]gatehouse.Realm, error) { return nil, errDown }, time.Minute
		ctx, cancel = context.WithCancel(t.Context())
		go func() { ended <- r.Work(ctx) }()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if log.count("could not be removed") != 3 {
			t.Errorf("two rounds without a list of realms: %q", log.all())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.Work(ctx); err != nil || log.count("could not be removed") != 3 {
			t.Errorf("a round that was cut off: %v, %q", err, log.all())
		}
	})
}

// TestRetentionWaitsForTheCopy: nothing is removed that the copy elsewhere has not got, or of which nobody can tell.
func TestRetentionWaitsForTheCopy(t *testing.T) {
	for name, tc := range map[string]struct {
		forwarded func(context.Context, string) (int64, error)
		size      int64
		err       error
	}{
		"no copy":          {nil, 30, nil},
		"all of it":        {func(context.Context, string) (int64, error) { return 40, nil }, 30, nil},
		"a part":           {func(context.Context, string) (int64, error) { return 17, nil }, 17, nil},
		"nothing so far":   {func(context.Context, string) (int64, error) { return 0, nil }, 0, nil},
		"nobody can tell":  {func(context.Context, string) (int64, error) { return 40, errDown }, 0, errDown},
		"of another realm": {func(_ context.Context, realm string) (int64, error) { return map[string]int64{"other": 40}[realm], nil }, 0, nil},
	} {
		m := newMemory()
		grow(t, m, "main", slices.Repeat([]int{1}, 40)...)
		r := retention(m, 29, &lines{})
		r.Forwarded = tc.forwarded
		if err := r.Remove(t.Context(), "main"); !errors.Is(err, tc.err) || m.removal["main"].Size != tc.size {
			t.Errorf("%s: %d removed, %v", name, m.removal["main"].Size, err)
		}
	}
}

// TestRetentionRecordsWhatItRemoves: with the events that are gone there is one that says so, with the checkpoint that
// covered them and the time before which they were.
func TestRetentionRecordsWhatItRemoves(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{1}, 40)...)
	covered := string(m.points["main"][10].Note) // of 30 events
	r := retention(m, 29, &lines{})
	at := epoch.Add(29*time.Second + time.Hour + 123456789*time.Nanosecond)
	r.Now = func() time.Time { return at.In(time.FixedZone("elsewhere", 3600)) }
	if err := r.Remove(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	all := m.stored(t, "main")
	e := all[len(all)-1]
	at = at.Truncate(time.Microsecond)
	if len(all) != 11 || e.Kind != audit.KindAuditRemove || e.Outcome != gatehouse.OutcomeSuccess || e.Reason != "retention" || e.Target != (gatehouse.Target{Type: "audit", ID: "main"}) ||
		!e.Time.Equal(at) || e.Detail["size"] != "30" || e.Detail["checkpoint"] != covered || e.Detail["before"] != "2026-03-01T12:00:29.123456Z" {
		t.Errorf("%d events, %+v", len(all), e)
	}
	if g := m.removal["main"]; g.Size != 30 || g.Position != 30 || !g.Time.Equal(at) || !g.Before.Equal(at.Add(-time.Hour)) || g.Realm != "main" {
		t.Errorf("%+v", g)
	}
}

// TestRetentionFailsAsAWhole: when one step fails, its error comes back and what is not signed for is not removed; what
// was signed and not removed yet is removed the next time, also when nothing new is old enough.
func TestRetentionFailsAsAWhole(t *testing.T) {
	for _, at := range []string{"PutAuditRemoval", "AppendBatch main", "RemoveAudit", "AuditRemovable", "tiles"} {
		m := newMemory()
		grow(t, m, "main", slices.Repeat([]int{1}, 40)...)
		m.fail = func(call string) error {
			if call == at {
				return errDown
			}
			return nil
		}
		var log lines
		r := retention(m, 29, &log)
		if at == "tiles" {
			r.Store = withoutTiles{m}
		}
		if at == "RemoveAudit" { // what an earlier run left comes first
			m.removal["main"] = audit.Removal{Realm: "main", Size: 5}
		}
		if err := r.Remove(t.Context(), "main"); !errors.Is(err, errDown) {
			t.Errorf("%s: %v", at, err)
		}
		if len(m.batches) != 40 || m.removal["main"].Size > 5 || len(log.all()) > 0 {
			t.Errorf("%s: %d batches are left, removal %+v, logged %q", at, len(m.batches), m.removal["main"], log.all())
		}
	}
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{1}, 40)...)
	asked := 0
	m.fail = func(call string) error {
		if call == "RemoveAudit" {
			if asked++; asked == 2 { // the one after the signature
				return errDown
			}
		}
		return nil
	}
	r := retention(m, 29, &lines{})
	if err := r.Remove(t.Context(), "main"); !errors.Is(err, errDown) || m.removal["main"].Size != 30 || len(m.batches) != 41 {
		t.Fatalf("%v, removal %+v, %d batches", err, m.removal["main"], len(m.batches))
	}
	if err := r.Remove(t.Context(), "main"); err != nil || len(m.batches) != 11 {
		t.Errorf("the next time: %v, %d batches are left", err, len(m.batches))
	}
}

// withoutTiles is a store whose tiles cannot be read.
type withoutTiles struct{ *memory }

func (withoutTiles) AuditTiles(context.Context, string, int, int64, int) (audit.Tile, error) {
	return audit.Tile{}, errDown
}

// TestRetentionRemovesInPieces: a removal of many records takes many transactions, and goes on until nothing is left.
func TestRetentionRemovesInPieces(t *testing.T) {
	m := newMemory()
	grow(t, m, "main", slices.Repeat([]int{1}, 40)...)
	pieces := 0
	whole := run[audit.RetentionTx](m)
	r := retention(m, 29, &lines{})
	r.Logger = slog.New(slog.DiscardHandler)
	r.Run = func(ctx context.Context, fn func(context.Context, audit.RetentionTx) error) error {
		return whole(ctx, func(ctx context.Context, tx audit.RetentionTx) error { return fn(ctx, slowly{tx, m, &pieces}) })
	}
	if err := r.Remove(t.Context(), "main"); err != nil || len(m.batches) != 11 || pieces != 30 {
		t.Errorf("%v: %d batches are left after %d pieces", err, len(m.batches), pieces)
	}
}

// slowly removes one batch at a time, whatever it may.
type slowly struct {
	audit.RetentionTx
	m      *memory
	pieces *int
}

func (x slowly) RemoveAudit(_ context.Context, realm string, limit int) (int64, bool, error) {
	if limit < 1 {
		return 0, false, fmt.Errorf("a piece of %d", limit)
	}
	i := slices.IndexFunc(x.m.batches, func(b audit.Batch) bool {
		return b.Realm == realm && b.FirstIndex >= 0 && b.FirstIndex < x.m.removal[realm].Size
	})
	if i < 0 {
		return 0, false, nil
	}
	*x.pieces++
	x.m.batches = slices.Delete(slices.Clone(x.m.batches), i, i+1)
	return 1, true, nil
}
