package revocation

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// places is the set of revoked places of one status list. Most lists hold few:
// those stand in a hash table of four bytes a slot. One that fills becomes a
// bitmap. Reading takes no lock; a writer that needs more room copies what there
// is and puts the copy in its place, which readers see whole or not at all.
type places struct {
	held atomic.Pointer[held]
	// version counts the places that were added, so that whoever made something
	// of the list knows whether it is still true.
	version atomic.Uint64

	mu sync.Mutex // of writers
}

// held is one of the two forms.
type held struct {
	table table
	bits  *bitmap // nil: table
}

// table has open addressing with linear probing. A slot holds a place plus one,
// 0 when it is free; its length is a power of two, of which at most three
// quarters are taken, so a search always ends at a free slot.
type table []atomic.Uint32

// bitmap has one bit a place.
type bitmap [ListSize / 64]atomic.Uint64

const (
	smallestTable = 4
	largestTable  = ListSize / 32 // as many bytes as the bitmap
)

// start is Knuth's multiplicative hashing: of the product the highest bits count, on
// which every bit of the index has a say.
func (t table) start(index int64) uint32 {
	return uint32(uint64(uint32(index)*2654435769) * uint64(len(t)) >> 32)
}

func (t table) has(index int64) bool {
	for i := t.start(index); ; i = (i + 1) & uint32(len(t)-1) {
		switch t[i].Load() {
		case uint32(index) + 1:
			return true
		case 0:
			return false
		}
	}
}

// put adds a place, unless the table has it.
func (t table) put(index int64) (fresh bool) {
	for i := t.start(index); ; i = (i + 1) & uint32(len(t)-1) {
		switch t[i].Load() {
		case uint32(index) + 1:
			return false
		case 0:
			t[i].Store(uint32(index) + 1)
			return true
		}
	}
}

func (b *bitmap) has(index int64) bool { return b[index/64].Load()>>(index%64)&1 == 1 }
func (b *bitmap) put(index int64) (fresh bool) {
	bit := uint64(1) << (index % 64)
	return b[index/64].Or(bit)&bit == 0
}

func (p *places) has(index int64) bool {
	h := p.held.Load()
	switch {
	case h == nil:
		return false
	case h.bits != nil:
		return h.bits.has(index)
	}
	return h.table.has(index)
}

// add takes a place in, and reports whether it is new.
func (p *places) add(index int64) (fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.room(int(p.version.Load()) + 1); h.bits != nil {
		fresh = h.bits.put(index)
	} else {
		fresh = h.table.put(index)
	}
	if fresh {
		p.version.Add(1) // after the place: who reads this number finds it
	}
	return fresh
}

// room returns the set with room for n places; mu is held.
func (p *places) room(n int) *held {
	old := p.held.Load()
	if old != nil && (old.bits != nil || n <= len(old.table)*3/4) {
		return old
	}
	size := smallestTable
	for size*3/4 < n {
		size *= 2
	}
	next := new(held)
	if size > largestTable {
		next.bits = new(bitmap)
		old.each(next.bits.put)
	} else {
		next.table = make(table, size)
		old.each(next.table.put)
	}
	p.held.Store(next)
	return next
}

// each calls do with every place of a table, in no order; what it answers does not
// matter.
func (h *held) each(do func(index int64) bool) {
	if h == nil {
		return
	}
	for i := range h.table {
		if v := h.table[i].Load(); v != 0 {
			do(int64(v) - 1)
		}
	}
}

// each calls do with every place, in no order.
func (p *places) each(do func(index int64)) {
	h := p.held.Load()
	if h == nil || h.bits == nil {
		h.each(func(index int64) bool { do(index); return true })
		return
	}
	for i := range h.bits {
		for word := h.bits[i].Load(); word != 0; word &= word - 1 {
			do(int64(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// count is how many places are in the set: none is ever taken out.
func (p *places) count() int64 { return int64(p.version.Load()) }

// writeBits writes the places into out, which has a bit for each, in the order
// of the standard.
func (p *places) writeBits(out []byte) {
	h := p.held.Load()
	if h == nil || h.bits == nil {
		h.each(func(index int64) bool { out[index/8] |= 1 << (index % 8); return true })
		return
	}
	for i := range h.bits {
		binary.LittleEndian.PutUint64(out[i*8:], h.bits[i].Load())
	}
}
