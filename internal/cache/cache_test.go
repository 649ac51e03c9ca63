package cache

import (
	"slices"
	"testing"
)

func TestCache(t *testing.T) {
	type key struct{ a, b string }
	c := New[key, int](100)
	if _, ok := c.Get(key{"a", "b"}); ok {
		t.Fatal("an empty cache has something")
	}
	c.Set(key{"a", "b"}, 1)
	c.Set(key{"a", "b"}, 2)
	c.Set(key{"ab", ""}, 3)
	if v, ok := c.Get(key{"a", "b"}); !ok || v != 2 {
		t.Errorf("%d %v", v, ok)
	}
	if n := len(slices.Collect(c.Keys())); n != 2 {
		t.Errorf("%d keys", n)
	}
	c.Forget(key{"a", "b"})
	if _, ok := c.Get(key{"a", "b"}); ok {
		t.Error("forgotten, but there")
	}
	c.Clear()
	if _, ok := c.Get(key{"ab", ""}); ok {
		t.Error("cleared, but there")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := New[int, int](64)
	for i := range 10_000 {
		c.Set(i, i)
	}
	c.entries.CleanUp()
	if n := len(slices.Collect(c.Keys())); n > 64 {
		t.Errorf("%d entries in a cache for 64", n)
	}
}
