package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// source is what one node knows, one list for all names.
type source struct {
	mu      sync.Mutex
	version uint64
	bits    []byte
	read    int
}

func newSource() *source { return &source{bits: make([]byte, revocation.ListSize/8)} }

func (s *source) Version(string, int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *source) Bits(string, int64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	return append([]byte{}, s.bits...)
}

func (s *source) revoke(index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bits[index/8] |= 1 << (index % 8)
	s.version++
}

// table is the database of these tests, and the feed to the nodes at it.
type table struct {
	mu    sync.Mutex
	rows  map[statusListKey]revocation.SignedList
	puts  int
	lost  int // the copies that came second
	reads int
	down  error
	nodes []*StatusLists
	// before is called before a copy is put, outside of any lock; may be nil.
	before func(revocation.SignedList)
}

func newTable() *table { return &table{rows: map[statusListKey]revocation.SignedList{}} }

func (d *table) SignedList(_ context.Context, realm string, list int64) (revocation.SignedList, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	l, ok := d.rows[statusListKey{realm, list}]
	if d.down == nil && !ok {
		return l, gatehouse.ErrNotFound
	}
	return l, d.down
}

func (d *table) PutSignedList(_ context.Context, l revocation.SignedList) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch key := (statusListKey{l.Realm, l.List}); {
	case d.down != nil:
		return d.down
	case d.rows[key].Serial != l.Serial-1:
		d.lost++
		return gatehouse.ErrVersionConflict
	default:
		d.puts++
		d.rows[key] = l
	}
	for _, n := range d.nodes {
		n.Apply(gatehouse.Change{Topic: gatehouse.TopicStatusList, Realm: l.Realm, ID: strconv.FormatInt(l.List, 10)})
	}
	return nil
}

func (d *table) run(ctx context.Context, fn func(context.Context, StatusTx) error) error {
	return fn(ctx, putting{d})
}

type putting struct{ *table }

func (p putting) PutSignedList(ctx context.Context, l revocation.SignedList) error {
	if p.before != nil {
		p.before(l)
	}
	return p.table.PutSignedList(ctx, l)
}

// keys are the signing keys that all nodes have.
type keys struct{ active, other *token.Key }

func (k *keys) Key(kid string, _ token.Algorithm) (*token.Key, error) {
	for _, key := range []*token.Key{k.active, k.other} {
		if key != nil && key.KID == kid {
			return key, nil
		}
	}
	return nil, token.ErrKeyUnknown
}

func (k *keys) rotate(t *testing.T) { k.active, k.other = newKey(t), k.active }

func newKey(t *testing.T) *token.Key {
	t.Helper()
	k, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// node is one of those that share a table and keys.
func node(t *testing.T, d *table, k *keys, src *source, now func() time.Time, change func(*StatusListsConfig)) *StatusLists {
	t.Helper()
	c := StatusListsConfig{Source: src, Copies: d, Run: d.run, Now: now,
		CatchUp: func(context.Context) (time.Time, error) { return now(), nil }, Alone: func() bool { return false },
		Signer: func(string) (*token.Key, error) { return k.active, nil }, Keys: func(string) token.KeySource { return k },
		Issuer: func(realm string) string { return "https://id.example/" + realm }}
	if change != nil {
		change(&c)
	}
	s, err := NewStatusLists(c)
	if err != nil {
		t.Fatal(err)
	}
	d.nodes = append(d.nodes, s)
	return s
}

// bitsOf reads what a verifier would, and what it says of a place.
func bitsOf(t *testing.T, k *keys, text string, list int64, now time.Time) func(index int) bool {
	t.Helper()
	v, err := token.NewStatusListVerifier(token.StatusListVerifierConfig{Issuer: "https://id.example/main", Algorithms: token.Algorithms(), Keys: k,
		Leeway: time.Second, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	is, err := v.Verify(text, "https://id.example/main/status/"+strconv.FormatInt(list, 10))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := revocation.Decode(is.Compressed)
	if err != nil {
		t.Fatal(err)
	}
	return func(index int) bool { return raw[index/8]>>(index%8)&1 == 1 }
}

// TestStatusListsAreKept: a list is compressed once a change and signed once in a
// while; a change of its bits, of the key or of the time makes a new one at once.
func TestStatusListsAreKept(t *testing.T) {
	k, src, d := &keys{active: newKey(t)}, newSource(), newTable()
	now := time.Now()
	s := node(t, d, k, src, func() time.Time { return now }, nil)
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	get := func(realm string) string {
		t.Helper()
		text, ttl, err := s.Get(t.Context(), realm, list)
		if err != nil || ttl <= 0 || ttl > statusTTL {
			t.Fatalf("%v %v", ttl, err)
		}
		return text
	}
	first := get("main")
	if get("main") != first || src.read != 0 || d.puts != 0 || d.reads != 0 {
		t.Error("an unchanged list was signed again, or an empty one was read or stored")
	}
	for _, c := range []struct {
		name    string
		change  func()
		made    int
		reading int
	}{
		{"a revocation", func() { src.revoke(61) }, 1, 1},
		{"another key", func() { now = now.Add(2 * time.Second); k.rotate(t) }, 1, 1},
		{"time", func() { now = now.Add(statusReuse) }, 1, 1},
		{"time, back", func() { now = now.Add(-2 * time.Second) }, 1, 1},
		{"a second revocation", func() { now = now.Add(2 * time.Second); src.revoke(62) }, 1, 2},
	} {
		before := get("main")
		get("main") // reads what was stored, if it was
		src.read, d.puts = 0, 0
		if c.change(); get("main") == before {
			t.Errorf("%s did not make a new list", c.name)
		}
		if d.puts != c.made || src.read != c.reading {
			t.Errorf("%s: stored %d times, want %d; bits read %d times, want %d", c.name, d.puts, c.made, src.read, c.reading)
		}
		get("main")
		reads := d.reads
		if get("main"); d.reads != reads {
			t.Errorf("%s: the database is asked for what is known", c.name)
		}
	}
	if get("main") == get("shop") {
		t.Error("two realms share a list")
	}
	// Whoever names many lists fills no memory, and holds up nobody with lists
	// that cannot be.
	_, _ = rand.Read(src.bits)
	for i := range int64(120) {
		if _, _, err := s.Get(t.Context(), "main", list+i); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for _, l := range s.made {
		kept += statusListBytes + l.known().bytes()
	}
	if kept != s.size || kept > maxStatusBytes {
		t.Errorf("%d bytes of lists are kept, %d are counted", kept, s.size)
	}
	far, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL + 72*time.Hour))
	if _, _, err := s.Get(t.Context(), "main", far); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("a list of tokens that cannot be: %v", err)
	}
	last, _ := revocation.NewStatus(now.Add(gatehouse.MaxGrantTTL))
	if _, _, err := s.Get(t.Context(), "main", last); err != nil {
		t.Errorf("the list of the longest grant: %v", err)
	}
	// A caller that has left waits for nobody.
	s.making <- struct{}{}
	now = now.Add(time.Minute)
	src.revoke(0)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Get(gone, "main", list); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestStatusListsPace: however often a list changes and is asked for, there is one
// new copy a second, and no answer lacks what was revoked before it.
func TestStatusListsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, src, d := &keys{active: newKey(t)}, newSource(), newTable()
		nodes := []*StatusLists{node(t, d, k, src, time.Now, nil), node(t, d, k, src, time.Now, nil)}
		list, _ := revocation.NewStatus(time.Now().Add(time.Hour))
		begun := time.Now()
		for i := range 50 {
			src.revoke(i * 3)
			asked := time.Now()
			text, _, err := nodes[i%2].Get(t.Context(), "main", list)
			if err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(asked); waited > statusPace {
				t.Errorf("waited for %v", waited)
			}
			if !bitsOf(t, k, text, list, time.Now())(i * 3) {
				t.Fatalf("revocation %d is not in the list", i)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if seconds := int(time.Since(begun)/time.Second) + 1; d.puts > seconds {
			t.Errorf("%d copies in %d seconds", d.puts, seconds)
		}
	})
}

// TestStatusListsCatchUp: what was revoked on another node, and has not been heard of here, is
// in the next list; while it cannot be heard of, the list is the copy that was known last, until
// that expires, and then none.
func TestStatusListsCatchUp(t *testing.T) {
	k, src, d := &keys{active: newKey(t)}, newSource(), newTable()
	var behind error
	now, reached := time.Now(), true
	s := node(t, d, k, src, func() time.Time { return now }, func(c *StatusListsConfig) {
		c.CatchUp = func(context.Context) (time.Time, error) {
			if behind == nil && reached {
				reached = false
				src.revoke(61)
			}
			return now, behind
		}
	})
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	behind = errors.New("cut off")
	if _, _, err := s.Get(t.Context(), "main", list); gatehouse.CodeOf(err) != "status_list_unavailable" {
		t.Errorf("cut off, with nothing known: %v", err)
	}
	behind = nil
	text, _, err := s.Get(t.Context(), "main", list)
	if err != nil || !bitsOf(t, k, text, list, now)(61) {
		t.Errorf("what another node revoked is not in the list: %v", err)
	}
	behind = errors.New("cut off")
	src.revoke(62) // what is known only here makes no list that lacks what others revoked
	now = now.Add(StatusListLife - time.Second)
	if again, ttl, err := s.Get(t.Context(), "main", list); err != nil || again != text || ttl != 0 {
		t.Errorf("cut off: another list, or %v, %v", ttl, err)
	}
	now = now.Add(time.Second)
	if _, _, err := s.Get(t.Context(), "main", list); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("cut off, after the end of what was known: %v", err)
	}
	behind, d.down = nil, errors.New("no answer")
	if _, _, err := s.Get(t.Context(), "main", list); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("without the copies: %v", err)
	}
}

// TestOneCopy: all nodes give out the same text of a list, with revocations and without, whoever
// of them made it, and whichever of them ends.
func TestOneCopy(t *testing.T) {
	k, d := &keys{active: newKey(t)}, newTable()
	now := time.Now()
	clock := func() time.Time { return now }
	shared := newSource()
	nodes := []*StatusLists{node(t, d, k, shared, clock, nil), node(t, d, k, shared, clock, nil), node(t, d, k, shared, clock, nil)}
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	same := func(what string, nodes ...*StatusLists) (text string) {
		t.Helper()
		for i, n := range nodes {
			got, _, err := n.Get(t.Context(), "main", list)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if i == 0 {
				text = got
			} else if got != text {
				t.Errorf("%s: node %d says something else", what, i)
			}
		}
		return text
	}
	same("without revocations", nodes...)
	shared.revoke(5)
	first := same("with one", nodes...)
	same("once more", nodes...)
	if d.puts != 1 {
		t.Errorf("%d copies were stored", d.puts)
	}
	now = now.Add(2 * time.Second)
	k.rotate(t)
	second := same("under another key", nodes[2], nodes[0], nodes[1])
	now = now.Add(statusReuse)
	if third := same("when it is old, and the one who made the one before has ended", nodes[0], nodes[1]); first == second || second == third {
		t.Error("nothing new was made")
	}
	if d.puts != 3 {
		t.Errorf("%d copies were stored", d.puts)
	}
}

// TestMakersRace: of several who make a copy at once one wins, all give out his, and nothing that
// one of them knew of is lost.
func TestMakersRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const makers = 4
		k, d := &keys{active: newKey(t)}, newTable()
		list, _ := revocation.NewStatus(time.Now().Add(time.Hour))
		var arrived sync.WaitGroup
		arrived.Add(makers)
		var second atomic.Bool
		d.before = func(l revocation.SignedList) {
			if l.Serial == 1 && !second.Load() { // all have made theirs before the first is stored
				arrived.Done()
				arrived.Wait()
			}
		}
		src := newSource()
		src.revoke(7)
		texts := make(chan string, makers)
		for range makers {
			n := node(t, d, k, src, time.Now, nil)
			go func() {
				text, _, err := n.Get(t.Context(), "main", list)
				if err != nil {
					t.Error(err)
				}
				texts <- text
			}()
		}
		first := <-texts
		for range makers - 1 {
			if <-texts != first {
				t.Error("two answers")
			}
		}
		if d.puts != 1 || d.lost != makers-1 {
			t.Errorf("%d won, %d lost", d.puts, d.lost)
		}
		second.Store(true)
		// Each knows of something that the others do not, as while the feed is on its way.
		for i := range makers {
			own := newSource()
			own.revoke(100 + i)
			time.Sleep(2 * statusPace)
			if _, _, err := node(t, d, k, own, time.Now, nil).Get(t.Context(), "main", list); err != nil {
				t.Fatal(err)
			}
		}
		is := bitsOf(t, k, d.rows[statusListKey{"main", list}].Text, list, time.Now())
		for _, i := range []int{7, 100, 101, 102, 103} {
			if !is(i) {
				t.Errorf("bit %d was lost", i)
			}
		}
	})
}

// TestBehindCannotOverwrite: who was stopped before he stored his copy does not store it over
// those that were made meanwhile, and gives out none that lacks what is in them.
func TestBehindCannotOverwrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d := &keys{active: newKey(t)}, newTable()
		list, _ := revocation.NewStatus(time.Now().Add(time.Hour))
		slow, quick := newSource(), newSource()
		slow.revoke(1)
		quick.revoke(1)
		var stopped atomic.Bool
		d.before = func(l revocation.SignedList) {
			if stopped.CompareAndSwap(false, true) {
				time.Sleep(30 * time.Second)
			}
		}
		a, b := node(t, d, k, slow, time.Now, nil), node(t, d, k, quick, time.Now, nil)
		got := make(chan string)
		go func() {
			text, _, err := a.Get(t.Context(), "main", list)
			if err != nil {
				t.Error(err)
			}
			got <- text
		}()
		synctest.Wait()
		for i := 2; i < 5; i++ {
			quick.revoke(i)
			if _, _, err := b.Get(t.Context(), "main", list); err != nil {
				t.Fatal(err)
			}
			time.Sleep(9 * time.Second)
		}
		is := bitsOf(t, k, <-got, list, time.Now())
		for i := 1; i < 5; i++ {
			if !is(i) {
				t.Errorf("bit %d is missing", i)
			}
		}
		if d.lost != 1 {
			t.Errorf("%d copies came too late", d.lost)
		}
	})
}

// TestForeignCopy: a row that nobody could use is as good as none, but for its serial.
func TestForeignCopy(t *testing.T) {
	k, d, src := &keys{active: newKey(t)}, newTable(), newSource()
	now := time.Now()
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	key := statusListKey{"main", list}
	src.revoke(3)
	all := make([]byte, revocation.ListSize/8)
	all[0], all[1] = 1<<3, 1
	lst, err := revocation.Encode(all)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(signer *token.Key, issuer string, list int64, at time.Time) string {
		t.Helper()
		text, _, err := SignStatusList(signer, issuer, list, lst, at, statusTTL)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, text := range map[string]string{
		"no list":       "x",
		"another key":   foreign(newKey(t), "https://id.example/main", list, now),
		"another realm": foreign(k.active, "https://id.example/shop", list, now),
		"another list":  foreign(k.active, "https://id.example/main", list+1, now),
		"another time":  foreign(k.active, "https://id.example/main", list, now.Add(-40*time.Second)),
	} {
		d.rows[key] = revocation.SignedList{Realm: "main", List: list, Serial: 8, KeyID: k.active.KID, SignedAt: now.Add(-5 * time.Second), Text: text}
		if text[0] != 'x' && name != "another time" {
			d.rows[key] = revocation.SignedList{Realm: "main", List: list, Serial: 8, KeyID: k.active.KID, SignedAt: now, Text: text}
		}
		s := node(t, d, k, src, func() time.Time { return now.Add(2 * time.Second) }, nil)
		got, _, err := s.Get(t.Context(), "main", list)
		if err != nil || got == text || !bitsOf(t, k, got, list, now.Add(2*time.Second))(3) || bitsOf(t, k, got, list, now.Add(2*time.Second))(8) || d.rows[key].Serial != 9 {
			t.Errorf("%s: serial %d, %v", name, d.rows[key].Serial, err)
		}
	}
}

// TestAloneWithoutTheDatabase: who is alone makes lists while the database is away, and takes
// up again from what is stored once it is back.
func TestAloneWithoutTheDatabase(t *testing.T) {
	k, d, src := &keys{active: newKey(t)}, newTable(), newSource()
	now, away := time.Now(), errors.New("away")
	var behind error
	alone := true
	s := node(t, d, k, src, func() time.Time { return now }, func(c *StatusListsConfig) {
		c.CatchUp = func(context.Context) (time.Time, error) { return now, behind }
		c.Alone = func() bool { return alone }
	})
	list, _ := revocation.NewStatus(now.Add(time.Hour))
	get := func(want ...int) string {
		t.Helper()
		text, _, err := s.Get(t.Context(), "main", list)
		if err != nil {
			t.Fatal(err)
		}
		is := bitsOf(t, k, text, list, now)
		for _, i := range want {
			if !is(i) {
				t.Errorf("bit %d is missing", i)
			}
		}
		return text
	}
	src.revoke(1)
	get(1)
	behind, d.down = away, away
	now = now.Add(2 * StatusListLife)
	reads := d.reads
	first := get(1)
	if now = now.Add(statusPace); get(1) != first || d.reads != reads {
		t.Error("made anew at each question, or the database is waited for that does not answer")
	}
	src.revoke(2)
	now = now.Add(statusPace)
	get(1, 2)
	behind, d.down = nil, nil
	now = now.Add(statusReuse)
	get(1, 2)
	if d.puts != 2 || d.rows[statusListKey{"main", list}].Serial != 2 {
		t.Errorf("%d stored", d.puts)
	}
	// A disk that is full stops nobody who is alone, and others do not give out less.
	d.before = func(revocation.SignedList) { d.down = away }
	src.revoke(3)
	now = now.Add(statusPace)
	get(1, 2, 3)
	d.down, alone = nil, false
	src.revoke(4)
	now = now.Add(2 * StatusListLife)
	if _, _, err := s.Get(t.Context(), "main", list); !errors.Is(err, gatehouse.Unavailable) {
		t.Errorf("%v", err)
	}
}
