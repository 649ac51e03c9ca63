package realms_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestColour: a realm can have a colour that can be read on its pages; any other is refused, with the ratio that it has.
func TestColour(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	set := func(member, colour string, status int) string {
		t.Helper()
		return string(h.Want(status, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{member: colour}}).Body)
	}
	for _, c := range []struct{ member, colour, words string }{
		{"accent", "#ffde00", "1.07 to 1 to #eae6de"},
		{"accent_dark", "#2b4cb1", "to 1 to #222735"},
		{"accent", "red", "#rrggbb"},
		{"accent", "#fff", "#rrggbb"},
	} {
		if got := set(c.member, c.colour, 422); !strings.Contains(got, "settings."+c.member) || !strings.Contains(got, c.words) {
			t.Errorf("%s %s: %s", c.member, c.colour, got)
		}
	}
	set("accent", "#786700", 200)
	if got := set("accent_dark", "#ffde00", 200); !strings.Contains(got, `"accent":"#786700"`) || !strings.Contains(got, `"accent_dark":"#ffde00"`) {
		t.Errorf("%s", got)
	}
}
