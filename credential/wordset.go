package credential

import (
	"hash/maphash"
	"slices"
)

// wordSet is a set of words by their hashes: a hundred thousand words take a
// megabyte that the garbage collector need not look into, where a map of strings
// takes eight that it walks through in every cycle. Two words with one hash would
// refuse a good password once in 10¹⁴.
type wordSet struct {
	seed   maphash.Seed
	hashes []uint64 // in order, once sealed
}

func newWordSet() wordSet { return wordSet{seed: maphash.MakeSeed()} }

func (s *wordSet) add(word string) { s.hashes = append(s.hashes, maphash.String(s.seed, word)) }

// seal is to be called after the last add and before the first has.
func (s *wordSet) seal() {
	slices.Sort(s.hashes)
	s.hashes = slices.Clone(slices.Compact(s.hashes)) // not what append has made too much of
}

func (s *wordSet) has(word string) bool {
	_, ok := slices.BinarySearch(s.hashes, maphash.String(s.seed, word))
	return ok
}
