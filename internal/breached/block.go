package breached

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
)

const (
	blockSize  = 4096
	bodyAt     = 16
	maxRice    = 56 // what a window of 64 bits holds at any bit of a byte
	maxBits    = 60
	blockBits  = 8 * (blockSize - bodyAt)
	firstRice  = 14
	maxInBlock = blockBits + 1
)

var errDamaged = errors.New("the file is damaged")

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// block is one as it stands in the file, with room behind it so that a window of 64 bits
// can be read at its last bit.
type block [blockSize + 8]byte

func (b *block) first() uint64 { return binary.BigEndian.Uint64(b[4:]) }
func (b *block) count() int    { return int(binary.BigEndian.Uint16(b[12:])) }
func (b *block) rice() int     { return int(b[14]) }

// sealed reports whether the block is as it was written.
func (b *block) sealed() bool {
	return binary.BigEndian.Uint32(b[:]) == checksum(b[4:blockSize]) &&
		b.count() > 0 && b.count() <= maxInBlock && b.rice() <= maxRice && b[15] == 0
}

// holds reports whether want is one of the values, each below limit. Error: errDamaged.
func (b *block) holds(want, limit uint64) (bool, error) {
	v, k, at := b.first(), b.rice(), 8*bodyAt
	if v >= limit {
		return false, errDamaged
	}
	for range b.count() - 1 {
		if v >= want {
			break
		}
		var q uint64
		for { // the window has at least 57 bits of the block
			n := bits.LeadingZeros64(^b.window(at))
			if q += uint64(n); n <= maxRice {
				at += n + 1
				break
			}
			if at += n; at >= 8*blockSize {
				return false, errDamaged
			}
		}
		if at+k > 8*blockSize || q > limit>>k {
			return false, errDamaged
		}
		if v += q<<k + b.window(at)>>(64-k) + 1; v >= limit {
			return false, errDamaged
		}
		at += k
	}
	return v == want, nil
}

// window is the 64 bits from bit at on; 57 of them or more are of the block.
func (b *block) window(at int) uint64 {
	return binary.BigEndian.Uint64(b[at/8:]) << (at % 8)
}

// filling is a block that is being made.
type filling struct {
	block
	last  uint64
	n, at int
}

// start begins a block with its first value.
func (f *filling) start(v uint64, k int) {
	*f = filling{last: v, n: 1, at: 8 * bodyAt}
	binary.BigEndian.PutUint64(f.block[4:], v)
	f.block[14] = byte(k)
}

// add adds a value above the last one; false when there is no room for it.
func (f *filling) add(v uint64) bool {
	d, k := v-f.last-1, f.rice()
	q := d >> k
	if q > blockBits || f.at+int(q)+1+k > 8*blockSize {
		return false
	}
	for range q {
		f.block[f.at/8] |= 0x80 >> (f.at % 8)
		f.at++
	}
	f.at++
	for i := k - 1; i >= 0; i-- {
		if d>>i&1 == 1 {
			f.block[f.at/8] |= 0x80 >> (f.at % 8)
		}
		f.at++
	}
	f.last, f.n = v, f.n+1
	return true
}

// seal ends the block and returns its bytes, and the k that would have suited it best.
func (f *filling) seal() (b []byte, k int) {
	binary.BigEndian.PutUint16(f.block[12:], uint16(f.n))
	binary.BigEndian.PutUint32(f.block[:], checksum(f.block[4:blockSize]))
	mean := (f.last - f.first()) / uint64(max(f.n-1, 1))
	return f.block[:blockSize], min(max(bits.Len64(mean/10*7)-1, 0), maxRice)
}
