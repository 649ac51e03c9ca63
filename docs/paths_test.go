package docs_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPathsAreShort counts, for one request to the gateway and for one POST /tokens, the statements of ours that it
// executes, and compares the files that they stand in with the two lists of architecture.md: who follows a request has
// those files to read, and no more than these.
func TestPathsAreShort(t *testing.T) {
	t.Parallel()
	const (
		module = "github.com/gatehouse-auth/gatehouse/"
		many   = 15 // a file with as many statements is one to be read
		some   = 10 // and one that stands on the page has nearly as many
	)
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile("(?s)(?:`[a-z0-9_/]+\\.go`\\s+→\\s+)+`[a-z0-9_/]+\\.go`")
	file := regexp.MustCompile("`([a-z0-9_/]+\\.go)`")
	lists := list.FindAllString(string(page), -1)
	if len(lists) != 2 {
		t.Fatalf("found %d lists of files: the search is broken", len(lists))
	}
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	program := filepath.Join(dir, "testpath")
	run("go", "build", "-cover", "-covermode=atomic", "-coverpkg="+module+"...", "-o", program, "../internal/testpath")
	run(program, dir)
	for i, c := range []struct {
		name     string
		fewer    int // than when somebody first had to read them all
		elements []string
	}{{"gateway", 22, nil}, {"tokens", 21, nil}} {
		for _, m := range file.FindAllStringSubmatch(lists[i], -1) {
			c.elements = append(c.elements, m[1])
		}
		// Jobs that ran beside a request are not part of it: what counts is what each turn went through.
		all, text := filepath.Join(dir, c.name+".all"), filepath.Join(dir, c.name+".txt")
		turns, err := filepath.Glob(filepath.Join(dir, c.name, "*"))
		if err != nil || len(turns) < 5 {
			t.Fatalf("%d turns, %v", len(turns), err)
		}
		if err := os.Mkdir(all, 0o700); err != nil {
			t.Fatal(err)
		}
		run("go", "tool", "covdata", "intersect", "-i="+strings.Join(turns, ","), "-o="+all)
		run("go", "tool", "covdata", "textfmt", "-i="+all, "-o="+text)
		executed := statements(t, text, module)
		read := 0
		for _, f := range slices.Sorted(maps.Keys(executed)) {
			if executed[f] < many {
				continue
			}
			t.Logf("%s: %4d %s", c.name, executed[f], f)
			if read++; !slices.Contains(c.elements, f) {
				t.Errorf("%s: %d statements of %s are executed, and architecture.md does not name it", c.name, executed[f], f)
			}
		}
		for _, f := range c.elements {
			if executed[f] < some {
				t.Errorf("%s: architecture.md names %s, of which %d statements are executed", c.name, f, executed[f])
			}
		}
		if read >= c.fewer {
			t.Errorf("%s: %d files to read, want fewer than %d", c.name, read, c.fewer)
		}
		t.Logf("%s: %d files with %d statements or more", c.name, read, many)
	}
}

// statements counts what was executed in each file of ours; the program that sends the requests is none.
func statements(t *testing.T, file, module string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line) // path:from,to statements count
		if len(f) != 3 || f[2] == "0" {
			continue
		}
		at, _, _ := strings.Cut(strings.TrimPrefix(f[0], module), ":")
		n, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !strings.HasPrefix(at, "internal/testpath/") {
			out[at] += n
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d files in %s", len(out), file)
	}
	return out
}
