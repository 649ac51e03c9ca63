package revocation

import (
	"bytes"
	"math/bits"
	"testing"
)

// TestPlacesGrow: a list takes the room that it needs, a table of at most three quarters
// until a bitmap is no larger, and loses no place on the way.
func TestPlacesGrow(t *testing.T) {
	const last = largestTable * 3 / 4
	if largestTable*4 != ListSize/8 {
		t.Errorf("the largest table has %d bytes and the bitmap %d", largestTable*4, ListSize/8)
	}
	var p places
	if p.has(0) || p.count() != 0 {
		t.Error("an empty list holds something")
	}
	place := func(i int) int64 { return int64(i) * 7919 % ListSize }
	size := smallestTable
	for n := 1; n <= last+1; n++ {
		if !p.add(place(n)) {
			t.Fatalf("place %d is not new", n)
		}
		for size*3/4 < n {
			size *= 2
		}
		h := p.held.Load()
		if n <= last && (h.bits != nil || len(h.table) != size) || n > last && (h.bits == nil || h.table != nil) {
			t.Fatalf("%d places stand in a table of %d, want %d", n, len(h.table), size)
		}
		if p.add(place(n)) || p.count() != int64(n) {
			t.Fatalf("%d places are %d", n, p.count())
		}
	}
	full := p.held.Load()
	if !p.add(place(0)) || p.held.Load() != full {
		t.Error("a bitmap grows")
	}
	set := 0
	for _, w := range asBits(&p) {
		set += bits.OnesCount8(w)
	}
	if set != last+2 {
		t.Errorf("%d places of %d", set, last+2)
	}
	for n := range last + 2 {
		if !p.has(place(n)) {
			t.Fatalf("place %d was lost", n)
		}
	}
}

func asBits(p *places) []byte {
	out := make([]byte, ListSize/8)
	p.writeBits(out)
	return out
}

// TestPlacesAsBits: both forms write the same bits, and a list without places, which a
// reader may meet before the first one is in it, writes none.
func TestPlacesAsBits(t *testing.T) {
	some := []int64{0, 1, 7, 8, 63, 64, 65, 4095, 4096, ListSize - 65, ListSize - 64, ListSize - 2, ListSize - 1}
	var few places
	many := places{}
	many.held.Store(&held{bits: new(bitmap)})
	want := make([]byte, ListSize/8)
	for _, p := range []*places{&few, &many} {
		if !bytes.Equal(asBits(p), want) {
			t.Error("an empty list writes bits")
		}
	}
	for _, i := range some {
		want[i/8] |= 1 << (i % 8)
		for _, p := range []*places{&few, &many} {
			if p.has(i) || !p.add(i) || !p.has(i) || p.add(i) {
				t.Errorf("place %d", i)
			}
		}
	}
	if !bytes.Equal(asBits(&few), want) || !bytes.Equal(asBits(&many), want) {
		t.Error("the two forms write other bits")
	}
}

// TestTablesSpread: places that follow each other do not stand in one row, or every search
// would go along it.
func TestTablesSpread(t *testing.T) {
	for size := 16; size <= largestTable; size *= 8 {
		for _, step := range []int64{1, 8, 64, 4096} {
			table, starts := make(table, size), map[uint32]bool{}
			n := size / 2
			for i := range int64(n) {
				starts[table.start(i*step%ListSize)] = true
			}
			if len(starts) < min(n, int(ListSize/step))/4 {
				t.Errorf("%d places, %d apart, begin at %d slots of %d", n, step, len(starts), size)
			}
		}
	}
}

// TestLevels: a list is searched for repetitions until it is crowded, and no longer.
func TestLevels(t *testing.T) {
	list := make([]byte, ListSize/8)
	for i := range crowded {
		list[i*8] = 1
	}
	if crowded != 16384 || levelFor(nil) != 6 || levelFor(list) != 6 {
		t.Errorf("a list of %d places: level %d", crowded, levelFor(list))
	}
	list[1] = 1
	if levelFor(list) == 6 {
		t.Errorf("a list of %d places is searched", crowded+1)
	}
	list[1], list[0] = 0, 3 // two of them in one byte
	if levelFor(list) == 6 {
		t.Error("counts bytes rather than places")
	}
}
