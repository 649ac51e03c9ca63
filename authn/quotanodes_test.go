package authn

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// keyNodes are authenticators that share a store, and so the quotas of keys.
type keyNodes struct {
	*world
	t     *testing.T
	key   Presented
	nodes []*Authenticator
	live  int
	lost  error // of the database, for counts alone
}

func newKeyNodes(t *testing.T, n int, quotaDay, quotaMonth int64) *keyNodes {
	t.Helper()
	k := &keyNodes{world: newWorld(t), t: t, live: n}
	k.now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	k.key = k.addKey(func(key *credential.Key) { key.QuotaDay, key.QuotaMonth, key.CreatedAt = quotaDay, quotaMonth, k.now })
	cfg := k.config()
	cfg.Store, cfg.Nodes = k, func() int { return k.live }
	for range n {
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		k.nodes = append(k.nodes, a)
	}
	return k
}

// KeyUsage implements Store.
func (k *keyNodes) KeyUsage(ctx context.Context, id, fromDay string) ([]credential.KeyUsage, error) {
	out, err := k.world.KeyUsage(ctx, id, fromDay)
	return out, errors.Join(err, k.lost)
}

// AddKeyUsage stores uses as the database does.
func (k *keyNodes) AddKeyUsage(_ context.Context, usage []credential.KeyUsage) error {
	for _, u := range usage {
		found := false
		for i := range k.used {
			if k.used[i].KeyID == u.KeyID && k.used[i].Day == u.Day {
				k.used[i].Count += u.Count
				found = true
			}
		}
		if !found {
			k.used = append(k.used, u)
		}
	}
	return nil
}

func (k *keyNodes) run(ctx context.Context, fn func(context.Context, UsageTx) error) error {
	return fn(ctx, k)
}

// sync is what a node does each second.
func (k *keyNodes) sync(node int) {
	if err := k.nodes[node].syncQuotas(k.t.Context(), k.run); err != nil {
		k.t.Fatal(err)
	}
}

// use uses the key and tells how long a node has it wait; 0 when it was let in.
func (k *keyNodes) use(node int) time.Duration {
	k.t.Helper()
	_, err := k.nodes[node].Authenticate(k.t.Context(), "main", k.key, secure)
	var e *gatehouse.Error
	if err != nil && (!errors.As(err, &e) || e.Code != "key_quota_used_up") {
		k.t.Fatal(err)
	}
	if err == nil {
		return 0
	}
	return e.RetryAfter
}

// uses uses the key until a node refuses it.
func (k *keyNodes) uses(node int) (n int) {
	for k.use(node) == 0 {
		n++
	}
	return n
}

// TestQuotaOverNodes: however a key is used on several nodes, they let pass all of its quota,
// and of the last uses at most one for each other node beyond it; once it is used up, all
// refuse until the next day.
func TestQuotaOverNodes(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		n, quota := 1+rnd.IntN(5), int64(1+rnd.IntN(200))
		perDay, perMonth := quota, int64(0)
		if rnd.IntN(2) == 0 {
			perDay, perMonth = 0, quota
		}
		k := newKeyNodes(t, n, perDay, perMonth)
		busy := 1 + rnd.IntN(n) // the others are used seldom
		var total, refused int64
		for step := 0; refused < 5*int64(n); step++ {
			k.advance(100 * time.Millisecond)
			for i := range k.nodes {
				if (step+3*i)%10 == 0 { // each at a time of its own
					k.sync(i)
				}
			}
			for range rnd.IntN(20) {
				node := rnd.IntN(busy)
				if rnd.IntN(30) == 0 {
					node = rnd.IntN(n)
				}
				switch wait := k.use(node); {
				case wait == 0:
					total, refused = total+1, 0
				case wait > time.Minute:
					refused++
				}
			}
			if step > 10_000 {
				t.Fatalf("seed %d: %d of %d were let pass, and then none", seed, total, quota)
			}
		}
		if total < quota || total > quota+int64(n)-1 {
			t.Errorf("seed %d: %d nodes let pass %d of %d", seed, n, total, quota)
		}
	}
}

// TestQuotaShares: a node lets pass its share of what is left, and hears within some seconds
// what the others left of theirs.
func TestQuotaShares(t *testing.T) {
	k := newKeyNodes(t, 2, 100, 0)
	if n := k.uses(0); n != 50 {
		t.Errorf("%d are half of 100", n)
	}
	if wait := k.use(0); wait != time.Second {
		t.Errorf("it waits %v for what the other one may leave", wait)
	}
	if n := k.uses(1); n != 50 {
		t.Errorf("%d are the other half", n)
	}
	if wait := k.use(0); wait != time.Second {
		t.Errorf("%v before it has heard", wait)
	}
	for i := range k.nodes {
		k.sync(i)
	}
	for i := range k.nodes {
		k.sync(i)
		if wait := k.use(i); wait != 12*time.Hour {
			t.Errorf("node %d has it wait %v when all is used up", i, wait)
		}
	}
	// The other one uses none of its half.
	k = newKeyNodes(t, 2, 100, 0)
	var got []int
	for range 40 {
		got = append(got, k.uses(0))
		k.advance(quotaEvery)
		k.sync(0)
	}
	sum := 0
	for _, n := range got {
		sum += n
	}
	if sum != 100 || got[1] != 0 {
		t.Errorf("%v of 100", got)
	}
	// Of nodes that are gone nothing is kept back.
	k = newKeyNodes(t, 2, 100, 0)
	k.live = 1
	if n := k.uses(0); n != 100 {
		t.Errorf("%d of 100 by the only one", n)
	}
}

// TestQuotaAfterAPause: a node that has not used a key for some seconds asks first what others
// have used meanwhile; one that gets no answer goes on by its share, and does not ask at each
// use.
func TestQuotaAfterAPause(t *testing.T) {
	k := newKeyNodes(t, 2, 100, 1000)
	k.use(1)
	k.sync(1)
	for range 40 {
		k.uses(0)
		k.advance(quotaEvery)
		k.sync(0)
	}
	reads := k.usageReads.Load()
	if wait := k.use(1); wait < time.Hour || k.usageReads.Load() != reads+1 {
		t.Errorf("it waits %v after %d questions", wait, k.usageReads.Load()-reads)
	}
	k = newKeyNodes(t, 2, 100, 1000)
	k.use(1)
	k.advance(quotaStale)
	reads = k.usageReads.Load()
	k.use(1)
	if k.usageReads.Load() != reads {
		t.Error("asked too early")
	}
	k.advance(time.Millisecond)
	k.lost = errors.New("connection refused")
	reads = k.usageReads.Load()
	if n := k.uses(1); n != 48 || k.usageReads.Load() != reads+1 {
		t.Errorf("%d of its share of 50, after two, with %d questions", n, k.usageReads.Load()-reads)
	}
	k.advance(quotaRest)
	k.use(1)
	if k.usageReads.Load() != reads+2 {
		t.Error("not asked again")
	}
	// One that has the database to itself asks never.
	k = newKeyNodes(t, 1, 100, 0)
	k.use(0)
	k.advance(time.Minute)
	reads = k.usageReads.Load()
	k.use(0)
	if k.usageReads.Load() != reads {
		t.Error("asked for whose uses?")
	}
}

// TestQuotaOverNodesTurns: a new day and a new month begin anew on all nodes, and uses that are
// stored after midnight count on their day.
func TestQuotaOverNodesTurns(t *testing.T) {
	k := newKeyNodes(t, 2, 10, 14)
	k.now = time.Date(2026, 3, 30, 23, 59, 59, 0, time.UTC)
	for i := range k.nodes {
		if n := k.uses(i); n != 5 {
			t.Errorf("%d", n)
		}
	}
	k.advance(2 * time.Second) // 31 March
	for i := range k.nodes {
		if n := k.uses(i); n != 2 { // of four that the month leaves
			t.Errorf("%d", n)
		}
		k.sync(i)
	}
	for range 4 {
		for i := range k.nodes {
			k.sync(i)
			if wait := k.use(i); wait < 23*time.Hour {
				t.Errorf("%v", wait)
			}
		}
	}
	k.advance(24 * time.Hour) // April
	for i := range k.nodes {
		if n := k.uses(i); n != 5 {
			t.Errorf("%d", n)
		}
	}
	stored := map[string]int64{}
	for i := range k.nodes {
		k.sync(i)
	}
	for _, u := range k.used {
		stored[u.Day] = u.Count
	}
	if stored["2026-03-30"] != 10 || stored["2026-03-31"] != 4 || stored["2026-04-01"] != 10 {
		t.Errorf("%v", stored)
	}
}
