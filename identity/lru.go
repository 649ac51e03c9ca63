package identity

import "container/list"

// lru is a map of at most limit entries that drops the one used longest ago. It
// is not safe for concurrent use: the throttle changes several counters as one
// and holds its own lock. (The caches of this package use otter; here the exact
// bound and the clock of the tests matter more than reads without a lock.)
type lru[K comparable, V any] struct {
	limit int
	items map[K]*list.Element
	order *list.List // of entry[K, V], the last used first
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, items: map[K]*list.Element{}, order: list.New()}
}

// get returns the value of key, or the zero V.
func (l *lru[K, V]) get(key K) (v V) {
	if e, ok := l.items[key]; ok {
		l.order.MoveToFront(e)
		return e.Value.(entry[K, V]).value
	}
	return v
}

func (l *lru[K, V]) put(key K, value V) {
	if e, ok := l.items[key]; ok {
		e.Value = entry[K, V]{key, value}
		l.order.MoveToFront(e)
		return
	}
	for len(l.items) >= l.limit {
		oldest := l.order.Back()
		l.order.Remove(oldest)
		delete(l.items, oldest.Value.(entry[K, V]).key)
	}
	l.items[key] = l.order.PushFront(entry[K, V]{key, value})
}

func (l *lru[K, V]) drop(key K) {
	if e, ok := l.items[key]; ok {
		l.order.Remove(e)
		delete(l.items, key)
	}
}

func (l *lru[K, V]) len() int { return len(l.items) }
