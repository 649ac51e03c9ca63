package pages

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

// TestBreak: long addresses break behind @ and dots, and what is in a name is never markup.
func TestBreak(t *testing.T) {
	for in, want := range map[string]markup.HTML{
		"bob":                    "bob",
		"wilhelmina@sub.example": "wilhelmina@<wbr>sub.<wbr>example",
		`<b>.&"@`:                `&lt;b&gt;.<wbr>&amp;&#34;@<wbr>`,
	} {
		if got, err := address(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}
