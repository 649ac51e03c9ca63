package identity

import (
	"testing"
	"time"
)

// TestRealmsHaveBucketsOfTheirOwn: however many strangers fail in one realm, at every node,
// those of another realm wait for nothing.
func TestRealmsHaveBucketsOfTheirOwn(t *testing.T) {
	f := newFleet(t, 2).plain(nil)
	try := func(node, i int, realm string) error {
		c := from(accountID{byte(i), byte(i >> 8), 9}, addr(i))
		c.realm = realm
		k, err := f.nodes[node].begin(t.Context(), c)
		if err == nil {
			k.fail()
		}
		return err
	}
	refused := 0
	for i := range 2000 {
		if try(i%2, i, "shop") != nil {
			refused++
		}
		if i%100 == 0 {
			f.flush()
		}
	}
	if refused < 1000 {
		t.Fatalf("%d of 2000 refused: the attack is not slowed", refused)
	}
	f.flush()
	for i := range 10 {
		if err := try(i%2, 5000+i, "main"); err != nil {
			t.Errorf("another realm: %v", err)
		}
		f.flush()
	}
	f.plain(nil) // new nodes, which know what the store has
	if err := try(0, 9000, "shop"); err != nil {
		t.Errorf("a node that knows of nothing yet: %v", err)
	}
	f.flush()
	if try(0, 9001, "shop") == nil {
		t.Error("what all nodes counted is not that of the realm")
	}
}

// TestBucketsOfRealmsAreBounded: the table holds as many as any other.
func TestBucketsOfRealmsAreBounded(t *testing.T) {
	c := newClock()
	th := newThrottle(t, c, func(cfg *ThrottleConfig) { cfg.Entries = 10 })
	for i := range 100 {
		who := from(accountID{1}, addr(i))
		who.realm = time.Duration(i).String()
		_, _ = th.begin(t.Context(), who)
	}
	if n := th.realms.len(); n != 10 {
		t.Errorf("%d buckets", n)
	}
}
