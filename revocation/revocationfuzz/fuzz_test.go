package revocationfuzz

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/revocation"
)

// pack makes the text of a list by hand, so that it may be wrong.
func pack(bits []byte) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(bits)
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// FuzzDecode: a list that is read fits into a whole one however small its text,
// and writes and reads back as the same bits.
func FuzzDecode(f *testing.F) {
	for _, bits := range [][]byte{nil, {1}, {0xb9, 0xa3}, make([]byte, revocation.ListSize/8), make([]byte, revocation.ListSize/8+1), make([]byte, 1<<22)} {
		f.Add(pack(bits))
	}
	good := pack([]byte{0xb9, 0xa3})
	for _, s := range []string{"", "eNrbuRgAAhcBXQ", good + "=", good[:8] + "\n" + good[8:], good + "AAAA", good[:len(good)-3], strings.Repeat("A", 300_000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lst string) {
		bits, err := revocation.Decode(lst)
		if err != nil {
			return
		}
		if len(bits) > revocation.ListSize/8 {
			t.Fatalf("%d octets", len(bits))
		}
		if strings.ContainsAny(lst, "\r\n=") {
			t.Fatalf("%q has another spelling", lst)
		}
		text, err := revocation.Encode(bits)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := revocation.Decode(text); err != nil || !bytes.Equal(again, bits) {
			t.Fatalf("%x became %x (%v)", bits, again, err)
		}
	})
}

// FuzzStatus: whatever place a token names, revoking it revokes it and no
// neighbour, and a place that cannot be ours is never taken for good.
func FuzzStatus(f *testing.F) {
	list, index := revocation.NewStatus(time.Now().Add(time.Hour))
	f.Add(list, index)
	f.Add(int64(-1), int64(0))
	f.Add(int64(1)<<50, int64(-1))
	f.Add(list, int64(revocation.ListSize))
	f.Fuzz(func(t *testing.T, list, index int64) {
		if !revocation.ValidPlace(list, index) {
			return
		}
		v := revocation.NewView()
		if bits := v.Bits("main", list); len(bits) != revocation.ListSize/8 || bits[index/8] != 0 {
			t.Fatal("an empty list is not empty")
		}
		text, err := revocation.Encode(v.Bits("main", list))
		if err != nil || len(text) > 4096 {
			t.Fatalf("an empty list takes %d octets (%v)", len(text), err)
		}
		if at := revocation.ListExpires(list); at.Before(time.Unix(0, 0)) {
			t.Fatalf("list %d expires at %s", list, at)
		}
	})
}
