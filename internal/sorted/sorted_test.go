package sorted_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// TestAsTheStandardLibrary: any list comes out as the standard library's stable sort
// leaves it.
func TestAsTheStandardLibrary(t *testing.T) {
	type pair struct{ key, place int }
	byKey := func(a, b pair) int { return cmp.Compare(a.key, b.key) }
	rapid.Check(t, func(t *rapid.T) {
		var list []pair
		for i, key := range rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "keys") {
			list = append(list, pair{key, i})
		}
		want := slices.SortedStableFunc(slices.Values(list), byKey)
		if got := sorted.Collect(slices.Values(list), byKey); !slices.Equal(got, want) {
			t.Fatalf("%v sorted is %v", list, got)
		}
	})
}
