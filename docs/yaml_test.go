package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	topMember = regexp.MustCompile(`(?m)^([a-z_]+):`)
)

// minimal is what a part of a configuration needs around it.
const minimal = `issuer: http://127.0.0.1:8080
data: data
listen: {auth: {address: "127.0.0.1:8080"}, gateway: {address: "127.0.0.1:8081"}}
upstreams: {api: {url: "http://127.0.0.1:3000"}}
routes: [{match: /, authenticated: true}]
`

// TestConfigurationInPages gives every yaml block of the documentation to the
// parser that reads gatehouse.yaml: as a whole, or put into a minimal one in
// place of the members that it has. A list is one of routes.
func TestConfigurationInPages(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range yamlBlock.FindAllStringSubmatch(string(b), -1) {
			found++
			var environ []string
			if strings.Contains(m[1], "postgres") {
				environ = []string{"GATEHOUSE_STORE_DSN=postgres://gatehouse@127.0.0.1/gatehouse"}
			}
			if _, err := config.Parse([]byte(asWhole(m[1])), environ); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, m[1])
			}
		}
	}
	if found < 3 {
		t.Fatalf("found only %d blocks: the search is broken", found)
	}
}

func asWhole(block string) string {
	if strings.HasPrefix(block, "- ") {
		block = "routes:\n" + block
	}
	has := map[string]bool{}
	for _, m := range topMember.FindAllStringSubmatch(block, -1) {
		has[m[1]] = true
	}
	if has["issuer"] {
		return block
	}
	var whole strings.Builder
	for line := range strings.Lines(minimal) {
		if name, _, _ := strings.Cut(line, ":"); !has[name] {
			whole.WriteString(line)
		}
	}
	return whole.String() + block
}
