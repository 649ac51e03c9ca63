package docs_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/policy"
)

// TestFactsAreTold: the page about policies lists every fact of a request, with
// its type and in the words of the code, and no other.
func TestFactsAreTold(t *testing.T) {
	b, err := os.ReadFile("policies.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range policy.Facts() {
		name := f.Name
		if !f.Always {
			name += "?"
		}
		want = append(want, fmt.Sprintf("| `context.%s` | `%s` | %s |", name, f.Type, f.Doc))
	}
	var got []string
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.HasPrefix(line, "| `context.") && !strings.HasPrefix(line, "| `context.…`") {
			got = append(got, line)
		}
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("the page has\n%s\nthe code\n%s", a, b)
	}
}
