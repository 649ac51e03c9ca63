package credential

import (
	"hash/maphash"
	"slices"
)

// setBuckets is how many parts a wordSet has, by the first bits of the hash.
const setBuckets = 1 << 12

// wordSet is a set of words by 44 bits of their hashes: a hundred thousand words take 400
// kilobytes that the garbage collector need not look into, where a map of strings takes eight
// megabytes that it walks through in every cycle. A good password is taken for one of them once
// in 10⁸.
type wordSet struct {
	seed  maphash.Seed
	begin [setBuckets + 1]uint32 // where a bucket begins in rest
	rest  []uint32               // the bits after the first, in order in each bucket
}

// newWordSet makes a set of all that words yields.
func newWordSet(words func(yield func(string) bool)) *wordSet {
	s := &wordSet{seed: maphash.MakeSeed()}
	var hashes []uint64
	for word := range words {
		hashes = append(hashes, maphash.String(s.seed, word)>>20)
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	s.rest = make([]uint32, 0, len(hashes))
	for _, h := range hashes {
		s.begin[h>>32+1]++
		s.rest = append(s.rest, uint32(h))
	}
	for i := range setBuckets {
		s.begin[i+1] += s.begin[i]
	}
	return s
}

func (s *wordSet) has(word string) bool {
	h := maphash.String(s.seed, word) >> 20
	_, ok := slices.BinarySearch(s.rest[s.begin[h>>32]:s.begin[h>>32+1]], uint32(h))
	return ok
}
