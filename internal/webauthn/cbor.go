package webauthn

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// maxDepth is how deep values may nest. CTAP 2 allows four levels (§8).
const maxDepth = 5

var errCBOR = errors.New("the CBOR is malformed, or not in the canonical form of CTAP 2")

// readCBOR reads the first value of data (RFC 8949), in the canonical form that CTAP 2 §8
// demands of authenticators, and returns what stands behind it. Integers become int64, texts
// string, bytes []byte, arrays []any, maps map[any]any with keys of int64 or string. There is
// no other type. The order of keys is not looked at: some authenticators have their own.
func readCBOR(data []byte) (value any, rest []byte, err error) {
	r := reader{data}
	value, err = r.value(0)
	return value, r.left, err
}

type reader struct{ left []byte }

func (r *reader) value(depth int) (any, error) {
	if depth >= maxDepth {
		return nil, errCBOR
	}
	major, n, err := r.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case 0, 1:
		if n > math.MaxInt64 {
			return nil, errCBOR
		}
		if major == 1 {
			return -1 - int64(n), nil
		}
		return int64(n), nil
	case 2:
		return r.take(n)
	case 3:
		b, err := r.take(n)
		if err != nil || !utf8.Valid(b) {
			return nil, errCBOR
		}
		return string(b), nil
	case 4:
		return r.array(n, depth)
	case 5:
		return r.object(n, depth)
	case 7:
		switch n {
		case 20, 21:
			return n == 21, nil
		case 22:
			return nil, nil
		}
	}
	return nil, errCBOR // a tag, a float, another simple value
}

// head reads the type of a value, and the number with it.
func (r *reader) head() (major byte, n uint64, err error) {
	if len(r.left) == 0 {
		return 0, 0, errCBOR
	}
	major, n = r.left[0]>>5, uint64(r.left[0]&31)
	r.left = r.left[1:]
	if n < 24 {
		return major, n, nil
	}
	if n > 27 || major == 7 { // an indefinite length; a float
		return 0, 0, errCBOR
	}
	size := 1 << (n - 24)
	b, err := r.take(uint64(size))
	if err != nil {
		return 0, 0, err
	}
	var wide [8]byte
	copy(wide[8-size:], b)
	n = binary.BigEndian.Uint64(wide[:])
	if least := [...]uint64{1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[size]; n < least {
		return 0, 0, errCBOR // it has a shorter form
	}
	return major, n, nil
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.left)) {
		return nil, errCBOR
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b, nil
}

func (r *reader) array(n uint64, depth int) (any, error) {
	if n > uint64(len(r.left)) { // each value has a byte at least
		return nil, errCBOR
	}
	out := make([]any, 0, n)
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *reader) object(n uint64, depth int) (any, error) {
	if n > uint64(len(r.left))/2 {
		return nil, errCBOR
	}
	out := make(map[any]any, n)
	for range n {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case int64, string:
		default:
			return nil, errCBOR
		}
		if _, twice := out[key]; twice {
			return nil, errCBOR
		}
		if out[key], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}
