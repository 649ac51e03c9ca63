package gatehouse

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns prefix + "_" + 26 characters of lower-case Crockford base32: 48
// bits of Unix milliseconds, then 80 random bits (the layout of a ULID). IDs
// sort by time. They name things; they are never secrets.
func NewID(prefix string, now time.Time) string {
	// Four bytes of zeros before them make the first of 26 characters hold three of
	// the 128 bits; the six characters of those zeros are left out.
	var raw [4 + 16]byte
	binary.BigEndian.PutUint64(raw[4:], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(raw[4+6:]) // never fails: crypto/rand ends the program instead
	var text [32]byte
	base32Of.Encode(text[:], raw[:])
	return prefix + "_" + string(text[6:])
}

var base32Of = base32.NewEncoding(crockford)

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
