package contrast

import (
	"math"
	"testing"
)

// TestRatio: the values are those that browsers' tools show for these pairs.
func TestRatio(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#FFFFFF", "#ffffff", 1}, {"#777777", "#ffffff", 4.48}, {"#767676", "#ffffff", 4.54},
		{"#ff0000", "#ffffff", 4.0}, {"#0000ff", "#ffffff", 8.59}, {"#ffff00", "#ffffff", 1.07},
		{"red", "#ffffff", 0}, {"#fff", "#ffffff", 0}, {"#00000g", "#ffffff", 0}, {"", "", 0}, {"#ffffff", "#1234567", 0},
	} {
		if got := Ratio(c.a, c.b); math.Abs(got-c.want) > .01 {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}
