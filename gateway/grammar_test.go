package gateway

import (
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestGrammar compares the hand-written tests of names with the expressions that
// their comments give, on texts made of signs that matter to them.
func TestGrammar(t *testing.T) {
	signs := []byte("AZaz09.-_:[]/ \x00\xc3")
	for name, tt := range map[string]struct {
		is   func(string) bool
		want *regexp.Regexp
	}{
		"method": {validMethod, regexp.MustCompile(`\A[A-Z][A-Z-]{0,31}\z`)},
		"host":   {validHostName, regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?\z`)},
	} {
		rnd := rand.New(rand.NewPCG(7, 11))
		accepted := 0
		for range 200_000 {
			b := make([]byte, rnd.IntN(8))
			if rnd.IntN(50) == 0 {
				b = make([]byte, 28+rnd.IntN(8))
			}
			if rnd.IntN(50) == 0 {
				b = make([]byte, 248+rnd.IntN(10))
			}
			few := signs
			if rnd.IntN(2) == 0 {
				few = signs[:2+rnd.IntN(8)]
			}
			for i := range b {
				b[i] = few[rnd.IntN(len(few))]
			}
			got, want := tt.is(string(b)), tt.want.Match(b)
			if got != want {
				t.Fatalf("%s: %q: %v, want %v", name, b, got, want)
			}
			if got {
				accepted++
			}
		}
		if accepted < 1000 {
			t.Errorf("%s: only %d texts were accepted", name, accepted)
		}
	}
}
