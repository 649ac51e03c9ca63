package revocation

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"

	"github.com/klauspost/compress/zlib"
)

const (
	// ListSize is the number of places in a status list.
	ListSize = 1 << 20
	// shards is the number of lists for one day.
	shards = 64
	day    = 24 * time.Hour
	// slack keeps a list a little longer than its tokens, for the clock leeway of
	// verifiers.
	slack = 10 * time.Minute
)

// NewStatus draws a random place for a grant whose last token expires at expires.
// It may be taken; see the package documentation.
func NewStatus(expires time.Time) (list, index int64) {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	r := binary.LittleEndian.Uint64(raw[:])
	return dayOf(expires)*shards + int64(r%shards), int64(r / shards % ListSize)
}

// dayOf rounds up, so that the end of the day is not before t.
func dayOf(t time.Time) int64 {
	s := max(t.Unix(), 0)
	if t.Nanosecond() > 0 {
		s++
	}
	const perDay = int64(day / time.Second)
	return (s + perDay - 1) / perDay
}

// ListExpires returns when every token of the list has expired by itself: the
// ExpiresAt of its status bits.
func ListExpires(list int64) time.Time {
	return time.Unix(list/shards*int64(day/time.Second), 0).UTC().Add(slack)
}

// NewStatusBit returns the record that revokes the place.
func NewStatusBit(realm string, list, index int64) StatusBit {
	return StatusBit{Realm: realm, List: list, Index: index, ExpiresAt: ListExpires(list)}
}

// ValidPlace reports whether list and index can have come from [NewStatus].
func ValidPlace(list, index int64) bool {
	return list >= 0 && list < 1<<40 && index >= 0 && index < ListSize
}

// Encode returns the "lst" member of a Status List Token of 1 bit per token:
// base64url of the ZLIB form of the bits (draft-ietf-oauth-status-list §4). list
// is as [View.Bits] returns it.
func Encode(list []byte) (string, error) {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, levelFor(list))
	if err != nil {
		return "", err
	}
	if _, err := w.Write(list); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes()), nil
}

// crowded is the number of revoked places from which a list has hardly any
// repetitions left: looking for them takes ten times as long as coding the bytes
// by their frequency alone (Huffman), and finds less.
const crowded = ListSize / 64

func levelFor(list []byte) int {
	set := 0
	for _, b := range list {
		set += bits.OnesCount8(b)
	}
	if set > crowded {
		return zlib.HuffmanOnly
	}
	return 6
}

// Decode is the inverse of [Encode]. It refuses what unpacks to more than a
// whole list: a few bytes of ZLIB could otherwise fill the memory.
func Decode(lst string) ([]byte, error) {
	const most = ListSize / 8
	if len(lst) > most*3/2 {
		return nil, errors.New("revocation: status list is too long")
	}
	if strings.ContainsAny(lst, "\r\n") { // which the decoder would skip
		return nil, errors.New("revocation: status list: line break")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(lst)
	if err != nil {
		return nil, fmt.Errorf("revocation: status list: %w", err)
	}
	text := bytes.NewReader(raw)
	r, err := zlib.NewReader(text)
	if err != nil {
		return nil, fmt.Errorf("revocation: status list: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("revocation: status list: %w", err)
	}
	if len(out) > most {
		return nil, errors.New("revocation: status list is too long")
	}
	if text.Len() > 0 { // others may take what follows for a part of the list
		return nil, errors.New("revocation: status list: text behind it")
	}
	return out, r.Close()
}
