// Package sorted sorts lists by a comparison. The standard library's sorts by a
// function are compiled anew for each type of element, 25 KB of program each; here
// that is three short methods.
package sorted

import (
	"iter"
	"slices"
	"sort"
)

// Slice sorts s by compare, which is negative where a comes before b. What compares
// equal keeps its order.
func Slice[T any](s []T, compare func(a, b T) int) {
	if len(s) > 1 {
		sort.Stable(list[T]{s, compare})
	}
}

// Collect makes a list of what seq yields, sorted as [Slice] does.
func Collect[T any](seq iter.Seq[T], compare func(a, b T) int) []T {
	s := slices.Collect(seq)
	Slice(s, compare)
	return s
}

type list[T any] struct {
	items   []T
	compare func(a, b T) int
}

func (l list[T]) Len() int           { return len(l.items) }
func (l list[T]) Less(i, j int) bool { return l.compare(l.items[i], l.items[j]) < 0 }
func (l list[T]) Swap(i, j int)      { l.items[i], l.items[j] = l.items[j], l.items[i] }
