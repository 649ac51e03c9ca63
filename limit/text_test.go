package limit

import (
	"testing"
	"time"
)

// A rate that is written is read again as the same one, and what says less than
// a rate is refused.
func TestRateText(t *testing.T) {
	for text, want := range map[string]Rate{"": {}, "100/1m": {Limit: 100, Window: time.Minute}, "5/s": {Limit: 5, Window: time.Second},
		" 7 / 90m ": {Limit: 7, Window: 90 * time.Minute}} {
		got, err := parseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		written, err := got.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again Rate
		if err := again.UnmarshalText(written); err != nil || again != got {
			t.Errorf("%q is written %q and read as %+v, %v", text, written, again, err)
		}
	}
	for _, text := range []string{"100", "100/", "/1m", "0/1m", "-1/1m", "1/0s", "1/-1m", "1.5/1m", "1/1d", "1/1m/1m", "2000000000/1m", "1/10000h", "many"} {
		if r, err := parseRate(text); err == nil {
			t.Errorf("%q is read as %+v", text, r)
		}
	}
	if b, err := (Rate{Limit: 1, Window: time.Second, Burst: 3}).MarshalText(); err == nil {
		t.Errorf("a burst is dropped: %s", b)
	}
}
