// Command asvs writes docs/asvs.md: which requirement of OWASP ASVS 5.0 is shown by which
// test, answered by a reason, or open.
//
// It reads comments of the form
//
//	// ASVS: 6.2.4, 9.1.2
//
// that are part of the comment directly above a test, docs/asvs-requirements.json
// (numbers, levels and what they ask for, in our words) and docs/asvs-notes.json
// (reasons, and what is open). With -open it only prints what is open.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// requirement is one line of docs/asvs-requirements.json.
type requirement struct {
	ID    string `json:"id"`
	Level int    `json:"level"`
	Text  string `json:"text"`
}

// note answers a requirement without a test: a reason, or what is missing.
type note struct {
	State string `json:"state"` // reason or open
	Text  string `json:"text"`
}

// table is everything that the page is made of.
type table struct {
	requirements []requirement
	notes        map[string]note
	tests        map[string][]string // id to "package TestName"
}

func main() {
	onlyOpen := flag.Bool("open", false, "print what is open, and write nothing")
	root := flag.String("root", ".", "directory of the module")
	flag.Parse()
	if err := run(*root, *onlyOpen); err != nil {
		fmt.Fprintln(os.Stderr, "asvs:", err)
		os.Exit(1)
	}
}

func run(root string, onlyOpen bool) error {
	t, err := load(root)
	if err != nil {
		return err
	}
	if onlyOpen {
		os.Stdout.Write(t.open())
		return nil
	}
	return os.WriteFile(filepath.Join(root, "docs", "asvs.md"), t.page(), 0o644)
}

// load reads everything and refuses what does not fit together.
func load(root string) (*table, error) {
	t := &table{notes: map[string]note{}}
	if err := readJSON(filepath.Join(root, "docs", "asvs-requirements.json"), &t.requirements); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(root, "docs", "asvs-notes.json"), &t.notes); err != nil {
		return nil, err
	}
	var err error
	if t.tests, err = annotations(root); err != nil {
		return nil, err
	}
	return t, t.check()
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// check finds what names nothing, and what nothing answers.
func (t *table) check() error {
	known := map[string]bool{}
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, r := range t.requirements {
		if known[r.ID] {
			bad("%s is listed twice", r.ID)
		}
		if r.Level < 1 || r.Level > 3 || r.Text == "" {
			bad("%s needs a level and a text", r.ID)
		}
		known[r.ID] = true
		n, noted := t.notes[r.ID]
		if !noted && len(t.tests[r.ID]) == 0 {
			bad("%s: no test, no reason, and not open", r.ID)
		}
		if noted && (n.State != "reason" && n.State != "open" || n.Text == "") {
			bad("%s: a note is a reason or open, and says why", r.ID)
		}
	}
	for id := range t.notes {
		if !known[id] {
			bad("docs/asvs-notes.json: %s is no requirement", id)
		}
	}
	for id, tests := range t.tests {
		if !known[id] {
			bad("%s is no requirement: named by %s", id, strings.Join(tests, ", "))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("%s", strings.Join(problems, "\n"))
}

// annotations finds the ASVS comments of every test of the module. One that
// stands anywhere but above a test is an error: it would show nothing.
func annotations(root string) (map[string][]string, error) {
	found := map[string][]string{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			if name := d.Name(); file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || nested == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		return fileAnnotations(fset, f, filepath.ToSlash(dir), found)
	})
	for _, tests := range found {
		slices.Sort(tests)
	}
	return found, err
}

func fileAnnotations(fset *token.FileSet, f *ast.File, dir string, found map[string][]string) error {
	if dir == "." {
		dir = "gatehouse"
	}
	above := map[*ast.CommentGroup]string{}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Doc != nil && isTest(fn.Name.Name) {
			above[fn.Doc] = dir + " " + fn.Name.Name
		}
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			list, ok := strings.CutPrefix(c.Text, "// ASVS:")
			if !ok {
				continue
			}
			where := fset.Position(c.Pos())
			test := above[group]
			if test == "" {
				return fmt.Errorf("%s: not directly above a test", where)
			}
			for id := range strings.SplitSeq(list, ",") {
				if id = strings.TrimSpace(id); !number.MatchString(id) {
					return fmt.Errorf("%s: %q is not the number of a requirement", where, id)
				}
				if slices.Contains(found[id], test) {
					return fmt.Errorf("%s: %s twice", where, id)
				}
				found[id] = append(found[id], test)
			}
		}
	}
	return nil
}

var number = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

// isTest is how `go test` finds its functions.
func isTest(name string) bool {
	for _, prefix := range []string{"Test", "Fuzz"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && name != "TestMain" && (rest == "" || strings.ToUpper(rest[:1]) == rest[:1]) {
			return true
		}
	}
	return false
}

// chapters in the words of the table of contents of the page.
var chapters = map[string]string{"6.1": "What is written down", "6.2": "Passwords", "6.3": "Authentication in general", "6.4": "First passwords and recovery", "6.5": "Codes", "6.6": "Codes sent elsewhere",
	"6.7": "Keys as factors", "6.8": "Identity providers", "7": "Sessions", "8": "Authorization", "9": "Self-contained tokens",
	"11": "Cryptography", "13": "Configuration", "14": "Data protection", "16": "Logging and errors"}

// page makes docs/asvs.md.
func (t *table) page() []byte {
	reqs := slices.Clone(t.requirements)
	slices.SortFunc(reqs, func(a, b requirement) int { return slices.Compare(parts(a.ID), parts(b.ID)) })
	var shown, reasons, open int
	var body bytes.Buffer
	last := ""
	for _, r := range reqs {
		if c := chapterOf(r.ID); c != last {
			fmt.Fprintf(&body, "\n## %s %s\n\n| | level | asks for | state |\n|---|---|---|---|\n", c, chapters[c])
			last = c
		}
		n, noted := t.notes[r.ID]
		var tests []string
		for _, test := range t.tests[r.ID] {
			dir, name, _ := strings.Cut(test, " ")
			tests = append(tests, "`"+dir+"` "+name)
		}
		state := strings.Join(tests, ", ")
		switch {
		case n.State == "open":
			open++
			if state != "" {
				state = "; in part: " + state
			}
			state = "**open**: " + n.Text + state
		case len(tests) > 0:
			shown++
			if noted {
				state += "; " + n.Text
			}
		default:
			reasons++
			state = "reason: " + n.Text
		}
		fmt.Fprintf(&body, "| %s | %d | %s | %s |\n", r.ID, r.Level, r.Text, state)
	}
	head := fmt.Sprintf(`# OWASP ASVS 5.0

Which requirement is shown by which test, answered by a reason, or open. What they ask for is put in our words; the
standard's own stand at <https://github.com/OWASP/ASVS>. Made by `+"`go run ./scripts/asvs`"+` from comments above the tests:
change those, or docs/asvs-notes.json, never this page. `+"`make asvs`"+` lists what is open.

%d requirements: %d shown by tests, %d answered by a reason, %d open.
`, len(reqs), shown, reasons, open)
	return append([]byte(head), body.Bytes()...)
}

// open lists what is open, lowest level first.
func (t *table) open() []byte {
	reqs := slices.Clone(t.requirements)
	slices.SortFunc(reqs, func(a, b requirement) int {
		return cmp.Or(a.Level-b.Level, slices.Compare(parts(a.ID), parts(b.ID)))
	})
	var out bytes.Buffer
	for _, r := range reqs {
		if n := t.notes[r.ID]; n.State == "open" {
			fmt.Fprintf(&out, "%-7s level %d  %s: %s\n", r.ID, r.Level, r.Text, n.Text)
		}
	}
	return out.Bytes()
}

// chapterOf is the heading under which a requirement stands.
func chapterOf(id string) string {
	p := strings.SplitN(id, ".", 3)
	if _, ok := chapters[p[0]]; ok {
		return p[0]
	}
	return p[0] + "." + p[1]
}

func parts(id string) []int {
	var out []int
	for p := range strings.SplitSeq(id, ".") {
		n, _ := strconv.Atoi(p)
		out = append(out, n)
	}
	return out
}
