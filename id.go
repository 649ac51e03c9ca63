package gatehouse

import (
	"crypto/rand"
	"time"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns prefix + "_" + 26 characters of lower-case Crockford base32: 48
// bits of Unix milliseconds, then 80 random bits (the layout of a ULID). IDs
// sort by time. They name things; they are never secrets.
func NewID(prefix string, now time.Time) string {
	var raw [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(raw[6:]) // never fails: crypto/rand ends the program instead
	var buf [48]byte
	out := append(append(buf[:0], prefix...), '_')
	// 128 bits as 26 groups of 5, the first holding 3 bits.
	hi := be64(raw[:8])
	lo := be64(raw[8:])
	for i := 25; i >= 0; i-- {
		shift := uint(i * 5)
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift == 0:
			v = lo
		default:
			v = lo>>shift | hi<<(64-shift)
		}
		out = append(out, crockford[v&31])
	}
	return string(out)
}

// IDTime returns the time inside an id made by [NewID], or false when id has
// not that form.
func IDTime(id string) (time.Time, bool) {
	if len(id) < 27 || id[len(id)-27] != '_' {
		return time.Time{}, false
	}
	var hi, lo uint64
	for _, c := range []byte(id[len(id)-26:]) {
		v := -1
		for i := range len(crockford) {
			if crockford[i] == c {
				v = i
				break
			}
		}
		if v < 0 {
			return time.Time{}, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	return time.UnixMilli(int64(hi >> 16)), true
}

func be64(b []byte) uint64 {
	var v uint64
	for _, c := range b[:8] {
		v = v<<8 | uint64(c)
	}
	return v
}
