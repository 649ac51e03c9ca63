package authz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var discard = slog.New(slog.DiscardHandler)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// tally is a Metrics that writes down what it is told.
type tally struct {
	mu    sync.Mutex
	lines []string
}

func (m *tally) Decided(realm, code string, allowed bool, took time.Duration) {
	m.add(fmt.Sprintf("decided %s %s %t %s", realm, code, allowed, took))
}

func (m *tally) Rebuilt(realm string, ok bool, policies int) {
	m.add(fmt.Sprintf("rebuilt %s %t %d", realm, ok, policies))
}

func (m *tally) add(line string) { m.mu.Lock(); defer m.mu.Unlock(); m.lines = append(m.lines, line) }

func (m *tally) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.lines
	m.lines = nil
	return out
}

// bounded is a store that tells how long a rebuild may take.
type bounded struct {
	*world
	took time.Duration // between now and the deadline; 0 when there is none
}

func (b *bounded) Roles(ctx context.Context, realm string) ([]policy.Role, error) {
	b.took = 0
	if at, ok := ctx.Deadline(); ok {
		b.took = time.Until(at)
	}
	return b.world.Roles(ctx, realm)
}

// TestRebuildsAreBounded: a store that hangs holds up a change for 15 seconds, or
// for what is configured, and no longer.
func TestRebuildsAreBounded(t *testing.T) {
	for _, c := range []struct{ configured, want time.Duration }{{0, 15 * time.Second}, {-1, 15 * time.Second}, {time.Hour, time.Hour}} {
		b := &bounded{world: newWorld()}
		must(New(t.Context(), Config{Store: b, Directory: b, Logger: discard, LoadTimeout: c.configured}))
		if b.took <= c.want-10*time.Second || b.took > c.want {
			t.Errorf("%s is configured, and a rebuild may take %s", c.configured, b.took)
		}
	}
}

// TestStoreAwayAtStart: who cannot read which realms there are does not start.
func TestStoreAwayAtStart(t *testing.T) {
	if _, err := New(t.Context(), Config{Store: noRealms{newWorld()}, Directory: newWorld(), Logger: discard}); err == nil {
		t.Error("started without knowing the realms")
	}
}

type noRealms struct{ *world }

func (noRealms) Realms(context.Context) ([]gatehouse.Realm, error) { return nil, errors.New("down") }

// TestCaches: how many loads two equal questions take, about a caller and about an
// entity, with each size of the caches.
func TestCaches(t *testing.T) {
	for size, want := range map[int]int64{0: 0, 1: 0, -1: 2} {
		w := newWorld()
		w.entities["main|Document|d"] = policy.EntityRecord{Realm: "main", Type: "Document", ID: "d",
			Attributes: map[string]any{"owner": map[string]any{"__entity": map[string]any{"type": "User", "id": "bob"}}, "team": "red", "visibility": "public"}}
		d := must(New(t.Context(), Config{Store: w, Directory: w, Logger: discard, CacheSize: size}))
		var before int64
		for range 2 {
			before = w.loads.Load()
			if got := ask(d, who("main", "bob"), "list", gatehouse.Resource{Type: "Document", ID: "d"}); len(got.Errors) > 0 {
				t.Fatalf("%+v", got)
			}
		}
		if n := w.loads.Load() - before; n != want {
			t.Errorf("size %d: %d loads for what was asked before, want %d", size, n, want)
		}
	}
}

// TestMetrics: every decision and every rebuild is counted once, as what it was.
func TestMetrics(t *testing.T) {
	w, m, clk := newWorld(), &tally{}, &clock{}
	d := must(New(t.Context(), Config{Store: w, Directory: w, Logger: discard, Metrics: m, Now: clk.now}))
	w.set(func() { w.realms["off"] = gatehouse.Realm{Name: "off", Disabled: true} })
	n := (*d.realms.Load())["main"].set.Len()
	started := m.take()
	slices.Sort(started)
	expect := func(what string, want ...string) {
		t.Helper()
		if got := m.take(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if want := []string{fmt.Sprint("rebuilt main true ", n), "rebuilt shop true 1"}; !slices.Equal(started, want) {
		t.Errorf("start: %q, want %q", started, want)
	}
	ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "T", ID: "x"})
	ask(d, who("shop", "ghost"), "a", gatehouse.Resource{Type: "T", ID: "x"})
	ask(d, nil, "a", gatehouse.Resource{Type: "T", ID: "x"})
	d.DecideAdmin(t.Context(), who("main", "root"), policy.AdminRead, policy.AdminRealm, "shop", "")
	expect("decisions", "decided shop permitted true 0s", "decided shop subject_disabled false 0s",
		"decided  unauthenticated false 0s", "decided main permitted true 0s")

	w.set(func() {
		w.docs["shop"] = append(w.docs["shop"], policy.Document{ID: "more", Text: `forbid(principal is Client, action, resource);`})
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop", ID: "more"})
	expect("one document", "rebuilt shop true 2")
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop", ID: "clerk"})
	expect("a role", "rebuilt shop true 2")
	w.set(func() { w.rules = errors.New("disk") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop", ID: "clerk"})
	expect("a failure", "rebuilt shop false 0")
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "off", ID: "off"})
	expect("a realm switched off", "rebuilt off true 0")
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "gone", ID: "gone"})
	expect("a realm that is gone")
}

// TestMetricsTellHowLong: what is counted is how long a decision took, on a clock
// that moves on by a second at each look.
func TestMetricsTellHowLong(t *testing.T) {
	w, m := newWorld(), &tally{}
	at := time.Unix(1_800_000_000, 0)
	d := must(New(t.Context(), Config{Store: w, Directory: w, Logger: discard, Metrics: m, Now: func() time.Time {
		at = at.Add(time.Second)
		return at
	}}))
	m.take()
	ask(d, who("shop", "ghost"), "a", gatehouse.Resource{Type: "T", ID: "x"})
	if got := m.take(); len(got) != 1 || got[0] != "decided shop subject_disabled false 1s" {
		t.Errorf("%q", got)
	}
}

// TestWhatAChangeReaches: a change without a name, as after a restore or another
// program's writes, reaches all that it may mean, and one with a name nothing else.
func TestWhatAChangeReaches(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	resource := gatehouse.Resource{Type: "T", ID: "x"}
	allowed := func(realm, id string) bool { return ask(d, who(realm, id), "a", resource).Allowed }
	// A realm is known by the change's id, and where that is missing by its realm.
	for i, c := range []gatehouse.Change{{Topic: gatehouse.TopicRealm, ID: "shop"}, {Topic: gatehouse.TopicRealm, Realm: "shop"},
		{Topic: gatehouse.TopicRealm, Realm: "main", ID: "shop"}} {
		off := i%2 == 0
		w.set(func() { w.realms["shop"] = gatehouse.Realm{Name: "shop", Disabled: off} })
		if d.Apply(c); allowed("shop", "chief") == off {
			t.Errorf("%+v did not reach realm shop", c)
		}
	}
	w.set(func() { w.realms["shop"] = gatehouse.Realm{Name: "shop"} })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, ID: "shop"})

	// Rules of every realm, of one, and one document.
	closed := policy.Document{ID: "closed", Text: `forbid(principal, action, resource);`}
	for _, c := range []struct {
		change     gatehouse.Change
		main, shop bool // are reached
	}{
		{gatehouse.Change{Topic: gatehouse.TopicPolicy}, true, true},
		{gatehouse.Change{Topic: gatehouse.TopicPolicy, ID: "closed"}, true, true},
		{gatehouse.Change{Topic: gatehouse.TopicRole}, true, true},
		{gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop"}, false, true},
		{gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop", ID: "closed"}, false, true},
		{gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main"}, true, false},
		{gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop", ID: "closed"}, false, true},
		{gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop", ID: "all"}, false, false}, // which did not change
		{gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop", ID: "closed"}, false, false},
	} {
		w := newWorld()
		w.docs["main"] = []policy.Document{{ID: "all", Text: `permit(principal, action, resource);`}}
		delete(w.schemas, "main")
		d, _, _ := newDecider(t, w)
		w.set(func() {
			for realm := range w.docs {
				w.docs[realm] = append(w.docs[realm], closed)
			}
		})
		d.Apply(c.change)
		main, shop := ask(d, who("main", "bob"), "a", resource), ask(d, who("shop", "chief"), "a", resource)
		if main.Allowed == c.main || shop.Allowed == c.shop {
			t.Errorf("%+v: in main %s, in shop %s", c.change, main.Code, shop.Code)
		}
	}

	// People: of every realm, or one. A subject that is kept is not read again.
	plain := gatehouse.Resource{Type: "T", ID: "x", Attributes: map[string]any{}} // is not looked up
	fresh := func(w *world, d *Decider, realm, id string) bool {
		before := w.loads.Load()
		ask(d, who(realm, id), "a", plain)
		return w.loads.Load() > before
	}
	for _, c := range []struct {
		change    gatehouse.Change
		bob, dave bool // are forgotten
	}{
		{gatehouse.Change{Topic: gatehouse.TopicUser}, true, true},
		{gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main"}, true, true},
		{gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "main", ID: "bob"}, true, false},
		{gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop", ID: "bob"}, false, false},
		{gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "main"}, false, false},
		{gatehouse.Change{Topic: gatehouse.TopicKey, Realm: "main", ID: "bob"}, false, false},
	} {
		w := newWorld()
		delete(w.schemas, "main")
		w.docs["main"] = nil
		d, _, _ := newDecider(t, w)
		for _, id := range []string{"bob", "dave"} {
			fresh(w, d, "main", id)
			if fresh(w, d, "main", id) {
				t.Fatal(id, "is not kept")
			}
		}
		d.Apply(c.change)
		if bob, dave := fresh(w, d, "main", "bob"), fresh(w, d, "main", "dave"); bob != c.bob || dave != c.dave {
			t.Errorf("%+v: bob forgotten %t, dave %t", c.change, bob, dave)
		}
	}
}

// TestWhichEntitiesAChangeReaches: a change that holds the entity forgets that one;
// any other may mean all of them.
func TestWhichEntitiesAChangeReaches(t *testing.T) {
	record := func(id string) policy.EntityRecord { return policy.EntityRecord{Realm: "shop", Type: "T", ID: id} }
	for _, c := range []struct {
		name   string
		change gatehouse.Change
		x, y   bool // are forgotten
	}{
		{"one", gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop", ID: "T/x", Value: record("x")}, true, false},
		{"unnamed", gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop"}, true, true},
		{"everything", gatehouse.Change{Topic: gatehouse.TopicEntity}, true, true},
		{"without an id", gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop", Value: record("")}, true, true},
		{"of two minds about the realm", gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "main", Value: record("x")}, true, true},
		{"with another value", gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop", ID: "T/x", Value: "x"}, true, true},
		{"another topic", gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop", ID: "x"}, false, false},
	} {
		w := newWorld()
		d, _, _ := newDecider(t, w)
		fresh := func(id string) bool {
			ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "Other", ID: "o"}) // so that the caller is known
			before := w.loads.Load()
			ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "T", ID: id})
			return w.loads.Load() > before
		}
		for _, id := range []string{"x", "y"} {
			fresh(id)
			if fresh(id) {
				t.Fatal(id, "is not kept")
			}
		}
		d.Apply(c.change)
		if x, y := fresh("x"), fresh("y"); x != c.x || y != c.y {
			t.Errorf("%s: x forgotten %t, y %t", c.name, x, y)
		}
	}
}

// TestMending: rules that did not load are tried again from a second after the
// failure on, by one caller, and by every change.
func TestMending(t *testing.T) {
	w := newWorld()
	c := &counted{world: w}
	clk := &clock{}
	d := must(New(t.Context(), Config{Store: c, Directory: c, Logger: discard, Now: clk.now}))
	chief, resource := who("shop", "chief"), gatehouse.Resource{Type: "T", ID: "x"}
	broken := func() {
		t.Helper()
		w.set(func() { w.docs["shop"] = []policy.Document{{ID: "bad", Text: "permit("}} })
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop"})
		if got := ask(d, chief, "a", resource); got.Code != CodePolicyUnavailable {
			t.Fatalf("%+v", got)
		}
	}
	broken()
	before := c.all
	clk.advance(time.Second - time.Nanosecond)
	if got := ask(d, chief, "a", resource); got.Allowed || c.all != before {
		t.Errorf("retried within the second: %+v", got)
	}
	clk.advance(time.Nanosecond)
	if got := ask(d, chief, "a", resource); got.Code != CodePolicyUnavailable || c.all != before+1 {
		t.Errorf("%d retries after a second: %+v", c.all-before, got)
	}
	// The failed retry has a second of its own.
	ask(d, chief, "a", resource)
	if c.all != before+1 {
		t.Errorf("%d retries within one second", c.all-before)
	}
	// Only one of those who find the rules broken tries; who comes meanwhile is
	// denied without waiting.
	snap := (*d.realms.Load())["shop"]
	clk.advance(time.Second)
	snap.retried.Store(true)
	if got := ask(d, chief, "a", resource); got.Code != CodePolicyUnavailable || c.all != before+1 {
		t.Errorf("two retry at once: %+v", got)
	}
	// A document that is put right is a change like any other, though nothing is in
	// force that it could be put into.
	w.set(func() { w.docs["shop"] = []policy.Document{{ID: "bad", Text: `permit(principal, action, resource);`}} })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "shop", ID: "bad"})
	if got := ask(d, chief, "a", resource); !got.Allowed {
		t.Errorf("%+v", got)
	}
	// A realm that is gone when the retry comes is unknown.
	broken()
	w.set(func() { delete(w.realms, "shop") })
	clk.advance(time.Second)
	if got := ask(d, chief, "a", resource); got.Allowed {
		t.Errorf("%+v", got)
	}
	if got := ask(d, chief, "a", resource); got.Code != codeRealmUnknown {
		t.Errorf("%+v", got)
	}
	// A realm that is switched off is not tried again by decisions.
	w.set(func() { w.realms["shop"] = gatehouse.Realm{Name: "shop", Disabled: true} })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, ID: "shop"})
	w.set(func() { w.realms["shop"] = gatehouse.Realm{Name: "shop"} })
	clk.advance(time.Hour)
	if got := ask(d, chief, "a", resource); got.Code != CodeRealmDisabled {
		t.Errorf("%+v", got)
	}
	// Rules of a realm that nobody announced are loaded with the first change of them.
	w.set(func() {
		w.realms["new"], w.docs["new"] = gatehouse.Realm{Name: "new"}, []policy.Document{{ID: "all", Text: `permit(principal, action, resource);`}}
		w.subjects["new|eve"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "eve"}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "new", ID: "all"})
	if got := ask(d, who("new", "eve"), "a", resource); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestPartOfTheRulesIsGone: a store that knows the realm and then says that its
// roles do not exist is broken; the realm is not unknown for that.
func TestPartOfTheRulesIsGone(t *testing.T) {
	for name, fail := range map[string]func(b *holes){"roles": func(b *holes) { b.roles = notFound() },
		"policies": func(b *holes) { b.policies = notFound() }, "schema": func(b *holes) { b.schema = errors.New("down") },
		"realm": func(b *holes) { b.realm = errors.New("down") }} {
		b := &holes{world: newWorld()}
		d := must(New(t.Context(), Config{Store: b, Directory: b, Logger: discard}))
		if got := ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "T", ID: "x"}); !got.Allowed {
			t.Fatalf("%+v", got)
		}
		fail(b)
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop"})
		if got := ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "T", ID: "x"}); got.Code != CodePolicyUnavailable || got.Allowed {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// holes is a store in which one kind of record cannot be read.
type holes struct {
	*world
	realm, roles, policies, schema error
	schemas                        int // reads of a schema
}

func (b *holes) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	if b.realm != nil {
		return gatehouse.Realm{}, b.realm
	}
	return b.world.Realm(ctx, name)
}

func (b *holes) Roles(ctx context.Context, realm string) ([]policy.Role, error) {
	if b.roles != nil {
		return nil, b.roles
	}
	return b.world.Roles(ctx, realm)
}

func (b *holes) Policies(ctx context.Context, realm string) ([]policy.Document, error) {
	if b.policies != nil {
		return nil, b.policies
	}
	return b.world.Policies(ctx, realm)
}

func (b *holes) Schema(ctx context.Context, realm string) (policy.Schema, error) {
	if b.schemas++; b.schema != nil {
		return policy.Schema{}, b.schema
	}
	return b.world.Schema(ctx, realm)
}
