package authn

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
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
// A record that is used is read again before it is too old, beside the request
// that found it so: whoever is in memory never waits for the store.
//
// Records that do not exist are remembered apart, for a short time and in a
// smaller cache, so that a flood of invented ids cannot push out real ones.
type records[V any] struct {
	mu       sync.Mutex
	gen      atomic.Uint64
	found    *cache.Cache[string, record[V]]
	missing  *cache.Cache[string, time.Time]
	flights  singleflight.Group
	renewals chan struct{} // has an element for each renewal that runs
	maxAge   time.Duration
	missAge  time.Duration
	now      func() time.Time
	seed     maphash.Seed
}

// record is a value with the times, in Unix nanoseconds, from which it is read
// again and until which it may be used.
type record[V any] struct {
	value        V
	renew, until int64
}

const (
	// lookupTimeout bounds a look-up that several requests may share.
	lookupTimeout = 5 * time.Second
	// maxRenewals is how many records of one cache are read again at once.
	maxRenewals = 2
)

// newRecords holds up to size records, each for at most maxAge.
func newRecords[V any](size int, maxAge time.Duration, now func() time.Time) *records[V] {
	return &records[V]{
		found:    cache.New[string, record[V]](size),
		missing:  cache.New[string, time.Time](max(size/8, 16)),
		renewals: make(chan struct{}, maxRenewals),
		maxAge:   maxAge, missAge: 5 * time.Second, now: now, seed: maphash.MakeSeed(),
	}
}

// recall returns the record that is in memory. known is false when a look-up is
// needed; a record known not to exist gives gatehouse.NotFound. load is for the
// renewal of a record that is getting old.
func (c *records[V]) recall(ctx context.Context, id string, load func(context.Context, string) (V, error)) (value V, known bool, err error) {
	now := c.now()
	if e, ok := c.found.Get(id); ok && now.UnixNano() < e.until {
		if now.UnixNano() >= e.renew {
			c.renew(ctx, id, load)
		}
		return e.value, true, nil
	}
	if until, ok := c.missing.Get(id); ok && now.Before(until) {
		return value, true, gatehouse.NotFound
	}
	return value, false, nil
}

// peek returns the record that is in memory and needs no renewal yet.
func (c *records[V]) peek(id string) (value V, ok bool) {
	e, ok := c.found.Get(id)
	return e.value, ok && c.now().UnixNano() < e.renew
}

// renew reads a record again and does not wait for it. When as many run as may,
// nothing happens: the next use asks again.
func (c *records[V]) renew(ctx context.Context, id string, load func(context.Context, string) (V, error)) {
	select {
	case c.renewals <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-c.renewals }()
		if e, ok := c.found.Get(id); ok && c.now().UnixNano() >= e.renew { // nobody was quicker
			_, _ = c.fill(context.WithoutCancel(ctx), id, load)
		}
	}()
}

// keep stores a record that was just read. The times from which records are read
// again are spread: those that came in together must not all be due together.
func (c *records[V]) keep(id string, v V) {
	now, half := c.now(), int64(c.maxAge/2)
	spread := int64(maphash.String(c.seed, id) % uint64(half/2+1))
	c.found.Set(id, record[V]{v, now.UnixNano() + half + spread, now.Add(c.maxAge).UnixNano()})
}

// fill looks the record up and stores it, unless a change came meanwhile.
func (c *records[V]) fill(ctx context.Context, id string, load func(context.Context, string) (V, error)) (V, error) {
	// An id is a part of the credential that was presented: kept as it is, it would keep
	// the whole of that, the secret with it, in memory for as long as the record.
	id = strings.Clone(id)
	gen := c.gen.Load()
	ch := c.flights.DoChan(strconv.FormatUint(gen, 36)+" "+id, func() (result any, err error) {
		defer func() { // in a goroutine of its own a panic would end the process
			if p := recover(); p != nil {
				err = fmt.Errorf("panic in a look-up: %v", p)
			}
		}()
		if v, ok := c.peek(id); ok {
			return v, nil // another look-up ended since the caller looked
		}
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
				c.keep(id, v)
			} else {
				c.found.Forget(id)
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

// get is recall, then fill.
func (c *records[V]) get(ctx context.Context, id string, load func(context.Context, string) (V, error)) (V, error) {
	if v, known, err := c.recall(ctx, id, load); known {
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

// dropWhere forgets every id for which is says true.
func (c *records[V]) dropWhere(is func(id string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen.Add(1)
	for id := range c.found.Keys() {
		if is(id) {
			c.found.Forget(id)
		}
	}
	for id := range c.missing.Keys() {
		if is(id) {
			c.missing.Forget(id)
		}
	}
}
