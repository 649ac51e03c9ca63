package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/store"
)

// usedKeys is how many keys are used on each of the nodes of [TestKeyUsageOfNodes].
const usedKeys = 20

// usageInNoOrder is what the n-th flush of a node brings: each key three times, on two
// days, and each node and flush in another order, as a map gives them.
func usageInNoOrder(n int) (out []credential.KeyUsage) {
	for i := range usedKeys {
		for _, day := range []string{"2026-11-22", "2026-11-23"} {
			out = append(out, credential.KeyUsage{KeyID: fmt.Sprint("key", i), Realm: "main", Day: day, Count: 3, LastUsedAt: lastUse(i, n)})
		}
	}
	order := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(n)))
	order.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// lastUse is when a key was used last before the n-th flush of a node. The latest of thirty
// flushes is moment(1029), an early one for some keys and a late one for others.
func lastUse(key, n int) time.Time { return moment(1000 + (key*7+n*13)%30) }

// TestKeyUsageOfNodes: what two processes count of the same keys is summed, the last use is
// the latest of all, and no node waits for another one that waits for it.
func TestKeyUsageOfNodes(t *testing.T) {
	inArenas(t, func(a *arena) {
		a.realm(-1)
		do(t, a.db, func(ctx context.Context, tx *store.Tx) error {
			user := exampleUser()
			user.Roles = nil
			err := tx.InsertUser(ctx, user)
			for i := 0; i < usedKeys && err == nil; i++ {
				k := exampleKey()
				k.ID, k.Hash, k.Name, k.LastUsedAt = fmt.Sprint("key", i), []byte(fmt.Sprint("hash", i)), fmt.Sprint("name", i), time.Time{}
				err = tx.InsertKey(ctx, k)
			}
			return err
		})
		const flushes = 60
		// A transaction that waited for one which waited for it is run again.
		if runs := a.all("key usage", "", flushes); runs != "runs: 1" {
			t.Error(runs)
		}
		for i := range usedKeys {
			id, last := fmt.Sprint("key", i), moment(1029)
			used := must(a.db.KeyUsage(t.Context(), id, ""))(t)
			if len(used) != 2 {
				t.Fatalf("%s: %+v", id, used)
			}
			for _, u := range used {
				if u.Count != 3*flushes || !u.LastUsedAt.Equal(last) {
					t.Errorf("%s on %s: %d uses, the last at %s, want %d and %s", id, u.Day, u.Count, u.LastUsedAt, 3*flushes, last)
				}
			}
			if k := must(a.db.Key(t.Context(), id))(t); !k.LastUsedAt.Equal(last) {
				t.Errorf("%s was used last at %s, want %s", id, k.LastUsedAt, last)
			}
		}
	})
}
