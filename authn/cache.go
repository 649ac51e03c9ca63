package authn

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
)

// records caches what a store says about ids, bounded in size, and never serves
// a record from before a change that drop was told of:
//
//   - drop and the end of a fill exclude each other, and a fill that began
//     before any drop is not stored;
//   - callers share a look-up in flight only when no drop came between them, so
//     one that starts after a change never gets an answer read before it.
//
// Records that do not exist are remembered apart, for a short time and in a
// smaller cache, so that a flood of invented ids cannot push out real ones.
type records[V any] struct {
	mu      sync.Mutex
	gen     atomic.Uint64
	found   *cache.Cache[string, record[V]]
	missing *cache.Cache[string, time.Time]
	flights singleflight.Group
	maxAge  time.Duration
	missAge time.Duration
	now     func() time.Time
}

type record[V any] struct {
	value V
	until time.Time
}

// lookupTimeout bounds a look-up that several requests may share.
const lookupTimeout = 5 * time.Second

// newRecords holds up to size records, each for at most maxAge.
func newRecords[V any](size int, maxAge time.Duration, now func() time.Time) *records[V] {
	return &records[V]{
		found:   cache.New[string, record[V]](size),
		missing: cache.New[string, time.Time](max(size/8, 16)),
		maxAge:  maxAge, missAge: 5 * time.Second, now: now,
	}
}

// peek returns the cached record. known is false when a look-up is needed; a
// record known not to exist gives gatehouse.NotFound.
func (c *records[V]) peek(id string) (value V, known bool, err error) {
	if e, ok := c.found.Get(id); ok && c.now().Before(e.until) {
		return e.value, true, nil
	}
	if until, ok := c.missing.Get(id); ok && c.now().Before(until) {
		return value, true, gatehouse.NotFound
	}
	return value, false, nil
}

// fill looks the record up and stores it, unless a change came meanwhile.
func (c *records[V]) fill(ctx context.Context, id string, load func(context.Context, string) (V, error)) (V, error) {
	gen := c.gen.Load()
	ch := c.flights.DoChan(strconv.FormatUint(gen, 36)+" "+id, func() (any, error) {
		// Not the caller's own context: others wait for the same answer.
		lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		v, err := load(lctx, id)
		if err != nil && !errors.Is(err, gatehouse.NotFound) {
			return v, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.gen.Load() == gen {
			if err == nil {
				c.found.Set(id, record[V]{v, c.now().Add(c.maxAge)})
			} else {
				c.missing.Set(id, c.now().Add(c.missAge))
			}
		}
		return v, err
	})
	select {
	case res := <-ch:
		v, _ := res.Val.(V)
		return v, res.Err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// get is peek, then fill.
func (c *records[V]) get(ctx context.Context, id string, load func(context.Context, string) (V, error)) (V, error) {
	if v, known, err := c.peek(id); known {
		return v, err
	}
	return c.fill(ctx, id, load)
}

// drop forgets id, or everything when id is "".
func (c *records[V]) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen.Add(1)
	if id == "" {
		c.found.Clear()
		c.missing.Clear()
		return
	}
	c.found.Forget(id)
	c.missing.Forget(id)
}
