package authz

import (
	lru "github.com/gatehouse-auth/gatehouse/internal/cache"
	"sync/atomic"
)

// cache keeps values that were loaded from the store. Each entry remembers the
// generation of its shard from before it was loaded, and counts only while that
// is the shard's generation still: a change moves the generation on, so a value
// read before a commit can never be used after it, whatever the order in which
// the load and the change finish.
type cache[K comparable, V any] struct {
	entries *lru.Cache[K, cached[V]]
	gens    *[shards]atomic.Uint64
}

type cached[V any] struct {
	gen   uint64
	value V
}

const shards = 512

func newCache[K comparable, V any](size int) *cache[K, V] {
	c := &cache[K, V]{gens: new([shards]atomic.Uint64)}
	if size > 0 {
		c.entries = lru.New[K, cached[V]](size)
	}
	return c
}

// generation is read before a load and given to put.
func (c *cache[K, V]) generation(h uint64) uint64 { return c.gens[h%shards].Load() }

func (c *cache[K, V]) get(k K, h uint64) (v V, ok bool) {
	if c.entries == nil {
		return v, false
	}
	e, found := c.entries.Get(k)
	if !found || e.gen != c.generation(h) {
		return v, false
	}
	return e.value, true
}

func (c *cache[K, V]) put(k K, v V, gen uint64) {
	if c.entries != nil {
		c.entries.Set(k, cached[V]{gen: gen, value: v})
	}
}

// drop invalidates everything whose hash falls together with h.
func (c *cache[K, V]) drop(h uint64) { c.gens[h%shards].Add(1) }

func (c *cache[K, V]) flush() {
	for i := range c.gens {
		c.gens[i].Add(1)
	}
}

// hash2 places a realm and an id; FNV-1a, which needs no seed to be kept. An
// attacker who makes ids collide only makes the cache forget more.
func hash2(realm, id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(realm) {
		h = (h ^ uint64(realm[i])) * 1099511628211
	}
	h = (h ^ 0xff) * 1099511628211
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}
