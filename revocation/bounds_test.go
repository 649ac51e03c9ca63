package revocation_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestDaysOfLists: a list ends with the day in which its last token ends, and a day that
// begins at that instant is not waited for.
func TestDaysOfLists(t *testing.T) {
	midnight := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	today := midnight.Unix() / 86400
	for at, want := range map[time.Time]int64{
		midnight: today, midnight.Add(time.Nanosecond): today + 1, midnight.Add(time.Second): today + 1, midnight.Add(-time.Nanosecond): today,
		midnight.Add(-time.Second): today, midnight.AddDate(0, 0, 1): today + 1, midnight.AddDate(0, 0, -1): today - 1,
		midnight.AddDate(0, 0, 1).Add(-1): today + 1, time.Unix(0, 0): 0, time.Unix(-1, 0): 0, {}: 0,
	} {
		shards := map[int64]bool{}
		lowest, highest, alike := int64(revocation.ListSize), int64(0), 0
		for range 1000 {
			list, index := revocation.NewStatus(at)
			lowest, highest = min(lowest, index), max(highest, index)
			if index%64 == list%64 {
				alike++
			}
			if list/64 != want || !revocation.ValidPlace(list, index) {
				t.Fatalf("%v: list %d of day %d, want %d", at, list, list/64, want)
			}
			shards[list%64] = true
		}
		// A thousand draws go everywhere: to miss one list in 64 takes 100,000 tries, to miss
		// a twentieth of the places more than there will be, and list and place have nothing
		// to do with each other.
		if len(shards) < 62 || lowest > revocation.ListSize/20 || highest < revocation.ListSize/20*19 || alike > 200 {
			t.Errorf("%v: %d lists of a day, places from %d to %d, %d as their list", at, len(shards), lowest, highest, alike)
		}
	}
	for list, want := range map[int64]time.Time{0: time.Unix(600, 0), 63: time.Unix(600, 0), 64: time.Unix(86400+600, 0), today * 64: midnight.Add(10 * time.Minute)} {
		if got := revocation.ListExpires(list); !got.Equal(want) {
			t.Errorf("list %d expires at %v, want %v", list, got, want)
		}
		bit := revocation.NewStatusBit("r", list, 5)
		if bit != (revocation.StatusBit{Realm: "r", List: list, Index: 5, ExpiresAt: revocation.ListExpires(list)}) {
			t.Errorf("%+v", bit)
		}
	}
}

// TestValidPlaces: the places that a list has, and no other.
func TestValidPlaces(t *testing.T) {
	for place, want := range map[[2]int64]bool{
		{0, 0}: true, {0, revocation.ListSize - 1}: true, {1<<40 - 1, 0}: true, {1<<40 - 1, revocation.ListSize - 1}: true,
		{-1, 0}: false, {0, -1}: false, {1 << 40, 0}: false, {0, revocation.ListSize}: false, {-1, -1}: false, {1 << 40, revocation.ListSize}: false,
	} {
		if got := revocation.ValidPlace(place[0], place[1]); got != want {
			t.Errorf("place %v: %v", place, got)
		}
		v, reason := loaded(t, &store{}), revocation.ReasonStatus
		if want {
			v.Apply(change(revocation.StatusBit{Realm: "main", List: place[0], Index: place[1], ExpiresAt: epoch}))
			reason = revocation.ReasonToken
		}
		if revoked, why := v.Revoked(revocation.Ref{Realm: "main", HasStatus: true, List: place[0], Index: place[1], IssuedAt: epoch}); !revoked || why != reason {
			t.Errorf("place %v: %v %q, want %q", place, revoked, why, reason)
		}
	}
}

// TestCutoffNow ends what was issued until now, for as long as any login can live.
func TestCutoffNow(t *testing.T) {
	got := revocation.CutoffNow("main", revocation.CutoffSession, "ses_1", epoch)
	if got != (revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSession, ID: "ses_1", Before: epoch, ExpiresAt: epoch.Add(401 * 24 * time.Hour).Add(-23 * time.Hour)}) {
		t.Errorf("%+v", got)
	}
}

// packed is the text of a list of the given bits, with what is written behind it.
func packed(t *testing.T, list []byte, level int, behind string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(list)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(b.Bytes(), behind...))
}

// TestDecodeBounds: a list unpacks to a whole list at most, its text has a bound of its
// own, and nothing stands behind it.
func TestDecodeBounds(t *testing.T) {
	const most = revocation.ListSize / 8
	good := packed(t, []byte{1, 2, 3}, 9, "")
	for name, c := range map[string]struct {
		text string
		size int // -1: refused
	}{
		"a whole list":        {packed(t, make([]byte, most), 9, ""), most},
		"a byte more":         {packed(t, make([]byte, most+1), 9, ""), -1},
		"seven lists":         {packed(t, make([]byte, 7*most), 9, ""), -1},
		"unpacked":            {packed(t, bytes.Repeat([]byte{0xa5, 0x5a, 0x11, 0xee}, most/4), 0, ""), most},
		"nothing":             {packed(t, nil, 9, ""), 0},
		"no text":             {"", -1},
		"a byte behind":       {packed(t, []byte{1, 2, 3}, 9, "x"), -1},
		"zeros behind":        {packed(t, []byte{1, 2, 3}, 9, "\x00\x00\x00"), -1},
		"a list behind":       {packed(t, []byte{1, 2, 3}, 9, string(must(base64.RawURLEncoding.DecodeString(good)))), -1},
		"padded":              {good + "=", -1},
		"line break":          {good[:4] + "\n" + good[4:], -1},
		"return":              {good[:4] + "\r" + good[4:], -1},
		"line break in front": {"\n" + good, -1},
		"tail bits":           {"eNrbuRgAAhcBXR", -1},
		"without its sum":     {good[:len(good)-4], -1},
	} {
		list, err := revocation.Decode(c.text)
		if c.size < 0 && (err == nil || list != nil) || c.size >= 0 && (err != nil || len(list) != c.size) {
			t.Errorf("%s: %d bytes, %v", name, len(list), err)
		}
	}
	// Of a text that is too long nothing is read, not even what it is made of.
	for size, want := range map[int]bool{most * 3 / 2: false, most*3/2 + 1: true} {
		if _, err := revocation.Decode(strings.Repeat("?", size)); err == nil || strings.Contains(err.Error(), "too long") != want {
			t.Errorf("%d characters: %v", size, err)
		}
	}
}

func must[T any](v T, _ error) T { return v }

// TestPurgeCounts: what was purged is counted, lists and cut-offs alike, and what has not
// ended stays.
func TestPurgeCounts(t *testing.T) {
	v := loaded(t, &store{})
	today := epoch.Unix() / 86400 * 64
	kinds := []revocation.CutoffKind{revocation.CutoffSubject, revocation.CutoffClient, revocation.CutoffKey}
	for i := range int64(3) {
		for range 2 { // a place that is revoked twice is one
			v.Apply(change(revocation.NewStatusBit("main", today-i*64, i)))
		}
		v.Apply(change(revocation.NewStatusBit("main", today-i*64, i+1)))
		v.Apply(change(revocation.Cutoff{Realm: "main", Kind: kinds[i], ID: "x", Before: epoch, ExpiresAt: epoch.Add(time.Duration(i) * time.Hour)}))
	}
	if s := v.Stats(); s != (revocation.Stats{Loaded: true, Lists: 3, Bits: 6, Cutoffs: 3}) {
		t.Errorf("%+v", s)
	}
	if n := v.Purge(revocation.ListExpires(today - 2*64)); n != 1 { // the oldest list
		t.Errorf("purged %d", n)
	}
	if n := v.Purge(epoch.Add(time.Hour)); n != 2+2 { // the two others, and two cut-offs
		t.Errorf("purged %d", n)
	}
	if s := v.Stats(); s != (revocation.Stats{Loaded: true, Cutoffs: 1}) {
		t.Errorf("%+v", s)
	}
	if n := v.Purge(epoch.Add(time.Hour)); n != 0 {
		t.Errorf("purged %d again", n)
	}
}

// guarded is a value of a test and of a job. A bubble orders nothing between the two but
// what synctest.Wait waits for, so each access takes the lock.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

func (g *guarded[T]) do(f func(v *T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.v)
}

func (g *guarded[T]) get() (v T) {
	g.do(func(x *T) { v = *x })
	return v
}

func (g *guarded[T]) set(v T) { g.do(func(x *T) { *x = v }) }

// notes is a log that is read while it is written.
type notes struct{ text guarded[string] }

func (n *notes) Write(p []byte) (int, error) {
	n.text.do(func(s *string) { *s += string(p) })
	return len(p), nil
}

// take returns what was written, and forgets it.
func (n *notes) take() (text string) {
	n.text.do(func(s *string) { text, *s = *s, "" })
	return text
}

// TestPurgeLogs: what fails is told once each time, and the end of the program is no
// failure.
func TestPurgeLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text notes
		var fail guarded[error]
		s := &store{}
		v := loaded(t, s)
		job := &revocation.Purge{View: v, Store: s, Interval: time.Minute, Now: time.Now, Logger: slog.New(slog.NewTextHandler(&text, nil)),
			Run: func(ctx context.Context, fn func(context.Context, revocation.Purger) error) error {
				return errors.Join(fail.get(), fn(ctx, &purger{}))
			}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- job.Work(ctx) }()
		said := func(want ...string) {
			t.Helper()
			synctest.Wait()
			lines := strings.Split(strings.TrimSuffix(text.take(), "\n"), "\n")
			for i := range max(len(want), len(lines)) {
				if len(want) == 0 && lines[0] == "" {
					break
				}
				if i >= len(want) || i >= len(lines) || !strings.Contains(lines[i], want[i]) {
					t.Errorf("%q, want %q", lines, want)
					break
				}
			}
		}
		time.Sleep(time.Minute)
		said()
		fail.set(errors.New("down"))
		time.Sleep(time.Minute)
		said(`msg="expired revocations could not be purged" error=down`)
		fail.set(nil)
		s.set(errors.New("away"))
		v.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation})
		said("trying again\" everything_refused=false error=\"revocation: status bits: away\"")
		v.Apply(change("odd")) // tried at once: everything is refused until then
		said("trying again\" everything_refused=true error=\"revocation: status bits: away\"")
		s.set(nil)
		time.Sleep(time.Second)
		said()
		if !v.Loaded() {
			t.Error("not loaded anew")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		said()
	})
}

// carefulPurger is a transaction that knows what it is asked, and may fail.
type carefulPurger struct {
	mu     sync.Mutex
	left   int64
	err    error
	before time.Time
	most   int
}

func (p *carefulPurger) PurgeRevocations(_ context.Context, before time.Time, limit int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.left, int64(limit))
	p.left, p.before, p.most = p.left-n, before, max(p.most, limit)
	return n, p.err
}

// TestPurgeAsks: the store forgets what has ended by now, in pieces, until nothing is left;
// when it fails, the transaction does, and the view keeps what it has.
func TestPurgeAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := loaded(t, &store{})
		v.Apply(change(revocation.NewStatusBit("main", time.Now().Unix()/86400*64, 1))) // ends in ten minutes
		tx := &carefulPurger{left: 100_000, err: errors.New("down")}
		ends := make(chan error, 1)
		job := &revocation.Purge{View: v, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Run: func(ctx context.Context, fn func(context.Context, revocation.Purger) error) error {
				err := fn(ctx, tx)
				select {
				case ends <- err:
				default:
				}
				return err
			}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- job.Work(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := <-ends; err == nil || v.Stats().Lists != 1 {
			t.Errorf("the transaction ends with %v, %d lists", err, v.Stats().Lists)
		}
		tx.mu.Lock()
		tx.err = nil
		tx.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		tx.mu.Lock()
		if tx.left != 0 || tx.most > 1<<14 || !tx.before.Equal(time.Now()) || v.Stats().Lists != 0 {
			t.Errorf("%d left, at most %d, before %v at %v, %d lists", tx.left, tx.most, tx.before, time.Now(), v.Stats().Lists)
		}
		tx.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// waiting is a store that answers when the program ends.
type waiting struct{ store }

func (*waiting) EachStatusBit(ctx context.Context, _ func(revocation.StatusBit) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestPurgeEnds with the program, in the middle of whatever it does, and without a word.
func TestPurgeEnds(t *testing.T) {
	for name, s := range map[string]revocation.Store{"purging": &store{}, "loading": &waiting{}, "without a store": nil} {
		synctest.Test(t, func(t *testing.T) {
			var text bytes.Buffer
			v := loaded(t, &store{})
			var runs atomic.Int32
			job := &revocation.Purge{View: v, Store: s, Now: time.Now, Logger: slog.New(slog.NewTextHandler(&text, nil)),
				Run: func(ctx context.Context, _ func(context.Context, revocation.Purger) error) error {
					runs.Add(1)
					<-ctx.Done()
					return ctx.Err()
				}}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- job.Work(ctx) }()
			if name == "loading" || s == nil {
				v.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation})
				synctest.Wait()
			}
			time.Sleep(time.Hour - time.Second) // an hour is the interval of who names none
			synctest.Wait()
			if runs.Load() != 0 {
				t.Errorf("%s: purged before its time", name)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if want := map[bool]int32{true: 0, false: 1}[name == "loading"]; runs.Load() != want {
				t.Errorf("%s: %d runs, want %d", name, runs.Load(), want)
			}
			cancel()
			if err := <-done; err != nil || text.Len() != 0 {
				t.Errorf("%s: %v, says %s", name, err, text.String())
			}
		})
	}
}
