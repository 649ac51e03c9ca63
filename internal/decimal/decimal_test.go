package decimal

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Number{
		"0": "0", "-0": "0", "-0.0e5": "0", "0e99999999999": "0", "7": "7", "-7": "-7", "1.0": "1", "1.50": "1.5", "10": "10", "100e-2": "1",
		"1e3": "1000", "1E+3": "1000", "12.5e1": "125", "12.5e0": "12.5", "5e-3": "0.005", "-12.345e-2": "-0.12345", "0.001e3": "1",
		"9007199254740993": "9007199254740993", "1234567890123456789": "1234567890123456789",
		"9223372036854775808": "9223372036854775808", "0.1234567890123456789": "0.1234567890123456789",
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1e+-3", "1e--3", "1e3x", "1_0", "0x1", "NaN", "Infinity", " 1", "1 ",
		"1e1101", "1e-1200", "1e99999999999", "1e-99999999999"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q was read as %q", in, got)
		}
	}
}

// TestParseIsExact compares with arithmetic over fractions.
func TestParseIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		n, err := Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		want, _ := new(big.Rat).SetString(s)
		got, ok := new(big.Rat).SetString(n.String())
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("%s became %s", s, n)
		}
		if again, err := Parse(n.String()); err != nil || again != n {
			t.Fatalf("%s is not canonical: %s, %v", n, again, err)
		}
		out, err := json.Marshal(n)
		if err != nil || string(out) != n.String() {
			t.Fatalf("%s was written as %s, %v", n, out, err)
		}
	})
}
