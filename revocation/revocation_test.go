package revocation_test

import (
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

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

type store struct {
	mu   sync.Mutex // a job may read while a test changes what there is
	bits []revocation.StatusBit
	cuts []revocation.Cutoff
	err  error
}

func (s *store) EachStatusBit(_ context.Context, take func(revocation.StatusBit) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return each(s.err, s.bits, take)
}

func (s *store) EachCutoff(_ context.Context, take func(revocation.Cutoff) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return each(s.err, s.cuts, take)
}

func each[T any](err error, list []T, take func(T) error) error {
	for i := 0; err == nil && i < len(list); i++ {
		err = take(list[i])
	}
	return err
}

func (s *store) set(err error, bits ...revocation.StatusBit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.bits = err, bits
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func loaded(t testing.TB, s *store) *revocation.View {
	t.Helper()
	v := revocation.NewView()
	if err := v.Load(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return v
}

func change(value any) gatehouse.Change {
	return gatehouse.Change{Topic: gatehouse.TopicRevocation, Value: value}
}

func want(t testing.TB, v *revocation.View, r revocation.Ref, reason string) {
	t.Helper()
	if got, why := v.Revoked(r); got != (reason != "") || why != reason {
		t.Errorf("Revoked(%+v) = %v %q, want reason %q", r, got, why, reason)
	}
}

func TestUnknownIsRevoked(t *testing.T) {
	ref := revocation.Ref{Realm: "main", Subject: "usr_1", IssuedAt: epoch}
	var none *revocation.View
	want(t, none, ref, revocation.ReasonUnknown)
	want(t, new(revocation.View), ref, revocation.ReasonUnknown)
	v := revocation.NewView()
	want(t, v, ref, revocation.ReasonUnknown)
	if err := v.Load(t.Context(), &store{err: errors.New("down")}); err == nil {
		t.Error("no error")
	}
	want(t, v, ref, revocation.ReasonUnknown)
	if err := v.Load(t.Context(), &store{cuts: []revocation.Cutoff{{Realm: "main", Kind: "planet", ID: "x", Before: epoch}}}); err == nil {
		t.Error("a cut-off of an unknown kind was loaded")
	}
	want(t, v, ref, revocation.ReasonUnknown)
	v = loaded(t, &store{})
	want(t, v, ref, "")
	if err := v.Load(t.Context(), &store{err: errors.New("down")}); err == nil || !v.Loaded() {
		t.Error("a failing second load must not forget the first")
	}
	for _, odd := range []any{"what is this", revocation.StatusBit{Realm: "main", Index: -1},
		&revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, Before: epoch}, // of nobody
		revocation.Cutoff{Kind: revocation.CutoffSubject, ID: "usr_1", Before: epoch},    // of no realm
		revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: "usr_1"},    // of no time, and so of nothing
		revocation.Cutoff{Realm: "main", Kind: revocation.CutoffRealm, ID: "usr_1", Before: epoch}} {
		v = loaded(t, &store{})
		v.Apply(change(odd))
		want(t, v, ref, revocation.ReasonUnknown)
	}
	v = loaded(t, &store{})
	v.Apply(change(nil))
	v.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Value: 7})
	want(t, v, ref, "")
}

func TestStatusBits(t *testing.T) {
	list, idx := revocation.NewStatus(epoch.Add(time.Hour))
	ref := revocation.Ref{Realm: "main", HasStatus: true, List: list, Index: idx, IssuedAt: epoch}
	v := loaded(t, &store{})
	want(t, v, ref, "")
	v.Apply(change(revocation.NewStatusBit("main", list, idx)))
	want(t, v, ref, revocation.ReasonToken)
	elsewhere, next, without := ref, ref, ref
	elsewhere.Realm = "other"
	next.Index = (idx + 1) % revocation.ListSize
	without.HasStatus = false
	want(t, v, elsewhere, "")
	want(t, v, next, "")
	want(t, v, without, "")
	bit := revocation.NewStatusBit("main", list, idx)
	want(t, loaded(t, &store{bits: []revocation.StatusBit{bit}}), ref, revocation.ReasonToken)
	v.Apply(change(&bit))
	if s := v.Stats(); s.Bits != 1 || s.Lists != 1 {
		t.Errorf("the same bit twice: %+v", s)
	}
	for _, bad := range [][2]int64{{list, -1}, {list, revocation.ListSize}, {-1, 0}, {1 << 50, 0}} {
		r := ref
		r.List, r.Index = bad[0], bad[1]
		want(t, v, r, revocation.ReasonStatus)
	}
	v.Purge(revocation.ListExpires(list).Add(-time.Second))
	want(t, v, ref, revocation.ReasonToken)
	if n := v.Purge(revocation.ListExpires(list)); n != 1 {
		t.Errorf("purged %d", n)
	}
	// What was revoked must not become valid because it was forgotten.
	want(t, v, ref, revocation.ReasonStatus)
	v.Apply(change(bit))
	if s := v.Stats(); s.Bits != 0 || s.Lists != 0 {
		t.Errorf("a dropped list came back: %+v", s)
	}
}

func TestCutoffs(t *testing.T) {
	ref := revocation.Ref{Realm: "main", Subject: "usr_1", Client: "cli_1", Session: "ses_1", KeyID: "k1"}
	for _, c := range []struct {
		kind       revocation.CutoffKind
		id, reason string
	}{
		{revocation.CutoffSubject, "usr_1", revocation.ReasonSubject}, {revocation.CutoffClient, "cli_1", revocation.ReasonClient},
		{revocation.CutoffSession, "ses_1", revocation.ReasonSession}, {revocation.CutoffKey, "k1", revocation.ReasonKey},
		{revocation.CutoffRealm, "", revocation.ReasonRealm},
	} {
		v := loaded(t, &store{})
		cut := revocation.Cutoff{Realm: "main", Kind: c.kind, ID: c.id, Before: epoch.Add(400 * time.Microsecond), ExpiresAt: epoch.Add(time.Hour)}
		v.Apply(change(cut))
		at := func(when time.Time) revocation.Ref { r := ref; r.IssuedAt = when; return r }
		want(t, v, at(epoch), c.reason)
		want(t, v, at(epoch.Add(900*time.Microsecond)), c.reason) // the same millisecond
		want(t, v, at(epoch.Add(time.Millisecond)), "")
		want(t, v, at(time.Time{}), c.reason) // issued nobody knows when
		foreign := at(epoch)
		foreign.Realm = "other"
		want(t, v, foreign, "")
		if c.id != "" {
			other := at(epoch)
			other.Subject, other.Client, other.Session, other.KeyID = "a", "b", "c", "d"
			want(t, v, other, "")
		}
		earlier := cut
		earlier.Before, earlier.ExpiresAt = epoch.Add(-time.Hour), epoch.Add(time.Minute)
		v.Apply(change(earlier)) // neither end may move back
		v.Purge(epoch.Add(30 * time.Minute))
		want(t, v, at(epoch), c.reason)
		v.Purge(epoch.Add(time.Hour))
		want(t, v, at(epoch), "")
		cut.ExpiresAt = time.Time{}
		v.Apply(change(&cut))
		v.Purge(epoch.AddDate(50, 0, 0))
		want(t, v, at(epoch), c.reason)
	}
}

// The view must answer as a naive model does, whatever happens in whatever order.
func TestViewEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := revocation.NewView()
		_ = v.Load(context.Background(), &store{})
		type place struct {
			realm       string
			list, index int64
		}
		type who struct {
			realm string
			kind  revocation.CutoffKind
			id    string
		}
		bits, cuts := map[place]bool{}, map[who]int64{}
		realm := rapid.SampledFrom([]string{"main", "other"})
		kind := rapid.SampledFrom([]revocation.CutoffKind{"subject", "client", "session", "key", "realm"})
		id := rapid.SampledFrom([]string{"a", "b"})
		ms := rapid.Int64Range(0, 50)
		list := rapid.Int64Range(1_300_000, 1_300_003)
		index := rapid.OneOf(rapid.SampledFrom([]int64{0, 1, 63, 64, 4095, 4096, revocation.ListSize - 1}), rapid.Int64Range(0, 40))
		t.Repeat(map[string]func(*rapid.T){
			"bit": func(t *rapid.T) {
				p := place{realm.Draw(t, "realm"), list.Draw(t, "list"), index.Draw(t, "index")}
				v.Apply(change(revocation.NewStatusBit(p.realm, p.list, p.index)))
				bits[p] = true
			},
			"cutoff": func(t *rapid.T) {
				w := who{realm.Draw(t, "realm"), kind.Draw(t, "kind"), id.Draw(t, "id")}
				if w.kind == "realm" {
					w.id = ""
				}
				at := ms.Draw(t, "ms")
				v.Apply(change(revocation.Cutoff{Realm: w.realm, Kind: w.kind, ID: w.id, Before: time.UnixMilli(at), ExpiresAt: epoch}))
				if old, ok := cuts[w]; !ok || at > old {
					cuts[w] = at
				}
			},
			"ask": func(t *rapid.T) {
				r := revocation.Ref{Realm: realm.Draw(t, "realm"), Subject: id.Draw(t, "sub"), Client: id.Draw(t, "cli"), Session: id.Draw(t, "ses"),
					KeyID: id.Draw(t, "kid"), HasStatus: rapid.Bool().Draw(t, "status"), List: list.Draw(t, "list"), Index: index.Draw(t, "index")}
				at := ms.Draw(t, "ms")
				r.IssuedAt = time.UnixMilli(at)
				expect := r.HasStatus && bits[place{r.Realm, r.List, r.Index}]
				for _, w := range []who{{r.Realm, "subject", r.Subject}, {r.Realm, "client", r.Client}, {r.Realm, "session", r.Session},
					{r.Realm, "key", r.KeyID}, {r.Realm, "realm", ""}} {
					before, ok := cuts[w]
					expect = expect || ok && at <= before
				}
				if got, why := v.Revoked(r); got != expect || got == (why == "") {
					t.Fatalf("%+v: %v %q, want %v", r, got, why, expect)
				}
			},
		})
	})
}

func TestRevokedDoesNotAllocate(t *testing.T) {
	v, ref := crowded(t)
	if n := testing.AllocsPerRun(1000, func() { v.Revoked(ref) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// crowded has entries of every kind, so that no check is skipped.
func crowded(t testing.TB) (*revocation.View, revocation.Ref) {
	v := loaded(t, &store{})
	list, idx := revocation.NewStatus(epoch)
	for i := range int64(1000) {
		v.Apply(change(revocation.NewStatusBit("main", list, (idx+1+i*7)%revocation.ListSize)))
	}
	for _, k := range []revocation.CutoffKind{"subject", "client", "session", "key"} {
		for _, id := range []string{"a", "b", "c"} {
			v.Apply(change(revocation.Cutoff{Realm: "main", Kind: k, ID: id, Before: epoch.Add(-time.Hour), ExpiresAt: epoch.Add(time.Hour)}))
		}
	}
	v.Apply(change(revocation.Cutoff{Realm: "main", Kind: "realm", Before: epoch.Add(-time.Hour), ExpiresAt: epoch.Add(time.Hour)}))
	return v, revocation.Ref{Realm: "main", Subject: "a", Client: "b", Session: "c", KeyID: "a", IssuedAt: epoch, HasStatus: true, List: list, Index: idx}
}

func BenchmarkRevoked(b *testing.B) {
	v, ref := crowded(b)
	b.ReportAllocs()
	for b.Loop() {
		if r, _ := v.Revoked(ref); r {
			b.Fatal("revoked")
		}
	}
}

// TestListsOfAnyFill: a list holds what was put into it and nothing else, in the
// form for few places, in the one for many, and on the way between them, where
// readers go on.
func TestListsOfAnyFill(t *testing.T) {
	v := loaded(t, &store{})
	const list = int64(1_300_000)
	place := func(i int64) int64 { return i * 7919 % revocation.ListSize } // each once
	ask := func(i int64) bool {
		got, _ := v.Revoked(revocation.Ref{Realm: "main", HasStatus: true, List: list, Index: place(i), IssuedAt: epoch})
		return got
	}
	const most = int64(40_000)
	var known atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for n := int64(0); n < most; {
				if n = known.Load(); n > 0 && !ask(n-1) {
					t.Errorf("place %d was lost", n-1)
					return
				}
			}
		})
	}
	for i := range most {
		if ask(i) {
			t.Fatalf("place %d before it was revoked", i)
		}
		version := v.Version("main", list)
		v.Apply(change(revocation.NewStatusBit("main", list, place(i))))
		if got := v.Version("main", list); got != version+1 {
			t.Fatalf("version %d after %d", got, version)
		}
		known.Store(i + 1)
	}
	readers.Wait()
	v.Apply(change(revocation.NewStatusBit("main", list, place(0))))
	if n := v.Version("main", list); n != uint64(most) || v.Stats().Bits != most {
		t.Errorf("version %d, %+v", n, v.Stats())
	}
	raw, set := v.Bits("main", list), int64(0)
	for i := range int64(revocation.ListSize) {
		has := raw[place(i)/8]>>(place(i)%8)&1 == 1
		if has != (i < most) || has != ask(i) {
			t.Fatalf("place %d: %v", i, has)
		}
		if has {
			set++
		}
	}
	if set != most {
		t.Errorf("%d of %d", set, most)
	}
}

// A revocation is seen by every reader that asks after Apply returned.
func TestRevocationRace(t *testing.T) {
	v := loaded(t, &store{})
	var wg sync.WaitGroup
	for g := range int64(4) {
		wg.Go(func() {
			for i := range int64(300) {
				list := int64(1_300_000) + i%3
				ref := revocation.Ref{Realm: "main", HasStatus: true, List: list, Index: i*4 + g, IssuedAt: epoch, Subject: "s"}
				v.Apply(change(revocation.NewStatusBit("main", list, i*4+g)))
				if got, _ := v.Revoked(ref); !got {
					t.Error("not seen")
				}
				v.Apply(change(revocation.Cutoff{Realm: "r", Kind: "subject", ID: string(rune('a' + g)), Before: epoch, ExpiresAt: epoch}))
				if i%50 == 0 {
					v.Purge(epoch)
					v.Bits("main", list)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewStatus(t *testing.T) {
	seen := map[[2]int64]bool{}
	for i := range 2000 {
		expires := epoch.Add(time.Duration(i) * 7 * time.Minute)
		list, idx := revocation.NewStatus(expires)
		if !revocation.ValidPlace(list, idx) {
			t.Fatalf("place %d %d", list, idx)
		}
		// Not dropped before its tokens end, and not kept much longer.
		if end := revocation.ListExpires(list); end.Before(expires.Add(time.Minute)) || end.After(expires.Add(25*time.Hour)) {
			t.Fatalf("list of %v expires at %v", expires, end)
		}
		seen[[2]int64{list, idx}] = true
	}
	if len(seen) < 1998 {
		t.Errorf("%d different places of 2000", len(seen))
	}
}

func TestEncode(t *testing.T) {
	// The bits and the form of the example in draft-ietf-oauth-status-list §4.1.
	v := loaded(t, &store{})
	for i, set := range []int{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1} {
		if set == 1 {
			v.Apply(change(revocation.NewStatusBit("main", 1_300_000, int64(i))))
		}
	}
	bits := v.Bits("main", 1_300_000)
	if len(bits) != revocation.ListSize/8 || bits[0] != 0xb9 || bits[1] != 0xa3 {
		t.Fatalf("%d bytes, first %x", len(bits), bits[:2])
	}
	if raw, err := revocation.Decode("eNrbuRgAAhcBXQ"); err != nil || string(raw) != "\xb9\xa3" {
		t.Errorf("example: %x %v", raw, err)
	}
	lst, err := revocation.Encode(bits)
	if err != nil || len(lst) > 1000 {
		t.Fatalf("%d characters, %v", len(lst), err)
	}
	if back, err := revocation.Decode(lst); err != nil || string(back) != string(bits) {
		t.Errorf("does not come back: %v", err)
	}
	bomb, err := revocation.Encode(make([]byte, 50<<20))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{"bomb": bomb, "not base64": "!", "not zlib": base64.RawURLEncoding.EncodeToString([]byte("abcdefgh")),
		"cut": lst[:len(lst)-8], "long": strings.Repeat("A", 1<<20)} {
		if _, err := revocation.Decode(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	// Every fill comes back, and none costs more than a bitmap.
	for n := 1; n < revocation.ListSize; n *= 4 {
		full := make([]byte, revocation.ListSize/8)
		for i := range n {
			j := i * 7919 % revocation.ListSize
			full[j/8] |= 1 << (j % 8)
		}
		lst, err := revocation.Encode(full)
		if err != nil || len(lst) > revocation.ListSize/8*4/3+200 {
			t.Errorf("%d places: %d characters, %v", n, len(lst), err)
		}
		if back, err := revocation.Decode(lst); err != nil || string(back) != string(full) {
			t.Errorf("%d places do not come back: %v", n, err)
		}
	}
	if got := v.Bits("main", 5); len(got) != revocation.ListSize/8 || strings.Trim(string(got), "\x00") != "" {
		t.Error("an unknown list is not all zero")
	}
}

type purger struct{ runs atomic.Int64 }

func (p *purger) PurgeRevocations(context.Context, time.Time, int) (int64, error) {
	p.runs.Add(1)
	return 3, nil
}

// TestOthersWrote: a change without a value says that others may have written;
// what they revoked is known at once, without refusing everybody in between.
func TestOthersWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		v := loaded(t, s)
		job := &revocation.Purge{View: v, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: s,
			Run: func(context.Context, func(context.Context, revocation.Purger) error) error { return nil }}
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- job.Work(ctx) }()
		synctest.Wait()
		list, idx := revocation.NewStatus(time.Now())
		first, second := revocation.NewStatusBit("main", list, idx), revocation.NewStatusBit("main", list, idx^1)
		s.set(errors.New("down"), first)
		v.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation})
		synctest.Wait()
		time.Sleep(3 * time.Second) // tried again each second, and in vain
		synctest.Wait()
		if !v.Loaded() || v.Stats().Bits != 0 {
			t.Errorf("with the store away: %+v, loaded %v", v.Stats(), v.Loaded())
		}
		s.set(nil, first)
		time.Sleep(time.Second)
		synctest.Wait()
		if v.Stats().Bits != 1 {
			t.Error("not tried again")
		}
		s.set(nil, first, second)
		v.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation})
		synctest.Wait()
		if v.Stats().Bits != 2 {
			t.Error("not at once")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPurgeJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		v := loaded(t, &store{})
		list, idx := revocation.NewStatus(time.Now())
		v.Apply(change(revocation.NewStatusBit("main", list, idx)))
		tx, fail, stored := &purger{}, true, &store{}
		job := &revocation.Purge{View: v, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: stored,
			Run: func(ctx context.Context, fn func(context.Context, revocation.Purger) error) error {
				if fail {
					fail = false
					return errors.New("down")
				}
				return fn(ctx, tx)
			}}
		done := make(chan error)
		go func() { done <- job.Work(ctx) }()
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if tx.runs.Load() != 0 || v.Stats().Lists != 1 {
			t.Error("the failing run purged")
		}
		time.Sleep(47 * time.Hour)
		synctest.Wait()
		if n := tx.runs.Load(); n != 47 || v.Stats().Lists != 0 {
			t.Errorf("%d runs, %+v", n, v.Stats())
		}
		stored.mu.Lock() // or the job would have loaded it before anybody looks
		v.Apply(change("odd"))
		if v.Loaded() {
			t.Error("still loaded")
		}
		stored.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !v.Loaded() {
			t.Error("not loaded anew")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
