// Package cache is a bounded cache for any types over one instantiation of
// otter.
//
// otter's code is made anew for each pair of key and value types, about 350 KB of
// program a pair; with the eight caches of a server that was a tenth of the
// binary. Here keys and values are boxed, which costs a look-up one small
// allocation.
//
// It must never import anything of this module.
package cache

import (
	"iter"

	"github.com/maypok86/otter/v2"
)

// Cache holds a bounded number of entries and forgets those that are used least.
// It is safe for concurrent use. The zero value is not usable; see [New].
type Cache[K comparable, V any] struct{ entries *otter.Cache[any, any] }

// New returns a cache for at most size entries; size must be positive.
func New[K comparable, V any](size int) *Cache[K, V] {
	// Must fails only for options that contradict each other.
	return &Cache[K, V]{otter.Must(&otter.Options[any, any]{MaximumSize: max(size, 1), Executor: inline})}
}

// inline runs the upkeep of a cache where it falls due. A goroutine for each, which
// is what otter does by itself, wakes another thread at nearly every write: that
// cost a token that nobody had seen 14 µs, and the upkeep itself is one.
func inline(upkeep func()) { upkeep() }

// Get returns the value of k.
func (c *Cache[K, V]) Get(k K) (v V, ok bool) {
	e, ok := c.entries.GetIfPresent(k)
	if !ok {
		return v, false
	}
	return e.(V), true
}

// Set puts a value, in place of the one that was there.
func (c *Cache[K, V]) Set(k K, v V) { c.entries.Set(k, v) }

// Forget removes the value of k.
func (c *Cache[K, V]) Forget(k K) { c.entries.Invalidate(k) }

// Clear removes everything.
func (c *Cache[K, V]) Clear() { c.entries.InvalidateAll() }

// Keys walks over the keys there are.
func (c *Cache[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range c.entries.Keys() {
			if !yield(k.(K)) {
				return
			}
		}
	}
}
