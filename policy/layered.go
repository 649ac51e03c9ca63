package policy

import "maps"

// layered is a map of which many versions exist at once, each immutable once it is
// in use: a large base that they share, and a small map of what differs. So one
// document among ten thousand can be replaced without copying what belongs to the
// others. A removed key keeps the zero value.
type layered[K comparable, V any] struct {
	base map[K]V
	over map[K]V // nil in a version that was built from nothing
}

// maxOver is how many differences a version carries before they are merged into a
// base of its own: a copy of everything, once in so many changes.
const maxOver = 256

func newLayered[K comparable, V any](size int) layered[K, V] {
	return layered[K, V]{base: make(map[K]V, size)}
}

func (l *layered[K, V]) get(k K) (V, bool) {
	if len(l.over) > 0 {
		if v, ok := l.over[k]; ok {
			return v, true
		}
	}
	v, ok := l.base[k]
	return v, ok
}

// empty reports that nothing was ever set.
func (l *layered[K, V]) empty() bool { return len(l.base)+len(l.over) == 0 }

// fork returns a version that can be changed without changing l.
func (l *layered[K, V]) fork() layered[K, V] {
	next := layered[K, V]{base: l.base, over: make(map[K]V, len(l.over)+4)}
	maps.Copy(next.over, l.over)
	if len(l.over) > maxOver {
		next.base = make(map[K]V, len(l.base)+len(l.over))
		maps.Copy(next.base, l.base)
		maps.Copy(next.base, l.over)
		clear(next.over)
	}
	return next
}

// set changes a version that is not in use yet.
func (l *layered[K, V]) set(k K, v V) {
	if l.over == nil {
		l.base[k] = v
		return
	}
	l.over[k] = v
}

// all yields every key with its value.
func (l *layered[K, V]) all(yield func(K, V) bool) {
	for k, v := range l.over {
		if !yield(k, v) {
			return
		}
	}
	for k, v := range l.base {
		if _, changed := l.over[k]; !changed && !yield(k, v) {
			return
		}
	}
}
