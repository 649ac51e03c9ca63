package pages

import "testing"

// TestPlaces: values take the places that are theirs, and what is in a value takes no place again.
func TestPlaces(t *testing.T) {
	l := &language{Tag: "en", texts: map[string]string{"m": "{1} on {0}, {1}; {2} {x} {"}}
	if got, err := l.text("m", "{1}", 7); err != nil || got != "7 on {1}, 7; {2} {x} {" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := l.text("m"); err != nil || got != l.texts["m"] {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := l.text("none"); err == nil {
		t.Error("a message that is not there")
	}
}
