package token

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"testing"
)

// TestDER: the same bytes as encoding/asn1 makes, whatever the integers.
func TestDER(t *testing.T) {
	for _, half := range []int{32, 48, 66} {
		check := func(sig []byte) {
			t.Helper()
			want, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
			if err != nil {
				t.Fatal(err)
			}
			if got := appendDER(nil, sig); !bytes.Equal(got, want) {
				t.Errorf("%x:\n%x\n%x", sig, got, want)
			}
		}
		check(make([]byte, 2*half))
		check(bytes.Repeat([]byte{0xff}, 2*half))
		for range 200 {
			sig := make([]byte, 2*half)
			_, _ = rand.Read(sig)
			check(sig)
			for zeros := range half { // from one side, and from the other
				sig[zeros] = 0
				check(sig)
				sig[2*half-1-zeros] = 0
				check(sig)
			}
		}
	}
}
