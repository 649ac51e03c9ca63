package docs_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A table whose last column is "in the code" tells numbers of the program: each
// row ends in `dir/file.go Name`, and the cell before it is the value that Name
// has there, be it a constant, a field of a literal, or a default that is set or stands in a tag.
var fact = regexp.MustCompile("(?m)^\\| .* \\| ([^|]+) \\| `(\\S+\\.go) ([\\w.]+)` \\|$")

// TestPagesTellTheCode compares those numbers with the code.
//
// ASVS: 13.1.2, 13.1.3, 13.1.4, 13.2.6, 14.2.4
func TestPagesTellTheCode(t *testing.T) {
	for page, atLeast := range map[string]int{"connections.md": 40, "cryptography.md": 12, "data.md": 4, "limits.md": 3} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		facts := fact.FindAllStringSubmatch(string(b), -1)
		if len(facts) < atLeast {
			t.Errorf("%s: found only %d numbers: the search is broken", page, len(facts))
		}
		for _, m := range facts {
			told, file, name := m[1], m[2], m[3]
			want, err := parseValue(told)
			if err != nil {
				t.Errorf("%s: %s: %v", page, m[0], err)
				continue
			}
			got, err := valuesOf(filepath.Join("..", file), name)
			if err != nil {
				t.Errorf("%s: %s %s: %v", page, file, name, err)
			} else if !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s %s is %q, not %s (%s)", page, file, name, got, want, told)
			}
		}
	}
}

var units = map[string]int64{"": 1, "ms": 1e6, "s": 1e9, "min": 60e9, "h": 3600e9, "day": 86400e9, "days": 86400e9,
	"KiB": 1 << 10, "MiB": 1 << 20, "bits": 1, "bytes": 1}

// parseValue reads "5 s", "64 KiB", "16" or a quoted text.
func parseValue(s string) (string, error) {
	if text, ok := strings.CutPrefix(s, "`"); ok {
		return strings.TrimSuffix(text, "`"), nil
	}
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	scale, known := units[unit]
	if err != nil || !known {
		return "", fmt.Errorf("%q is no number that the test can read", s)
	}
	return strconv.FormatInt(n*scale, 10), nil
}

// valuesOf finds every value that name is given in a file.
func valuesOf(file, name string) ([]string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		return nil, err
	}
	known := map[string]ast.Expr{} // constants of the package's file
	found := map[string]bool{}
	give := func(e ast.Expr) {
		if v := evaluate(e, known, 0); v.Kind() == constant.String {
			found[constant.StringVal(v)] = true
		} else if v.Kind() != constant.Unknown {
			found[v.ExactString()] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
			for i, id := range spec.Names {
				known[id.Name] = spec.Values[i]
			}
		}
		return true
	})
	if e := known[name]; e != nil {
		give(e)
		return slices.Sorted(maps.Keys(found)), nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr: // Name: value
			if id, ok := n.Key.(*ast.Ident); ok && id.Name == name {
				give(n.Value)
			}
		case *ast.AssignStmt: // x.Name = value
			if len(n.Lhs) == 1 && len(n.Rhs) == 1 && selects(n.Lhs[0], name) {
				give(n.Rhs[0])
			}
		case *ast.TypeSpec: // type Of struct { Name … `default:"value"` }
			if fields, ok := n.Type.(*ast.StructType); ok {
				if d := defaultTag(fields, strings.TrimPrefix(name, n.Name.Name+".")); d != "" {
					found[d] = true
				}
			}
		case *ast.CallExpr: // cmp.Or(x.Name, value), or(&x.Name, value)
			if len(n.Args) == 2 {
				if and, ok := n.Args[0].(*ast.UnaryExpr); ok && and.Op == token.AND && selects(and.X, name) || selects(n.Fun, "Or") && selects(n.Args[0], name) {
					give(n.Args[1])
				}
			}
		}
		return true
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing of that name has a value that the test can read")
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// defaultTag returns the default in the tag of a field; "" without one.
func defaultTag(of *ast.StructType, name string) string {
	for _, f := range of.Fields.List {
		if f.Tag != nil && len(f.Names) == 1 && f.Names[0].Name == name {
			tag, _ := strconv.Unquote(f.Tag.Value)
			value := reflect.StructTag(tag).Get("default")
			if d, err := time.ParseDuration(value); err == nil {
				return strconv.FormatInt(int64(d), 10)
			}
			return value
		}
	}
	return ""
}

// selects reports whether e ends in name, which may be "Name" or "Of.Name".
func selects(e ast.Expr, name string) bool {
	of, last, nested := strings.Cut(name, ".")
	sel, ok := e.(*ast.SelectorExpr)
	if !nested {
		return ok && sel.Sel.Name == name
	}
	return ok && sel.Sel.Name == last && selects(sel.X, of)
}

var durations = map[string]int64{"Nanosecond": 1, "Microsecond": 1e3, "Millisecond": 1e6, "Second": 1e9, "Minute": 60e9, "Hour": 3600e9}

func evaluate(e ast.Expr, known map[string]ast.Expr, depth int) constant.Value {
	if depth > 20 {
		return constant.MakeUnknown()
	}
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return evaluate(e.X, known, depth+1)
	case *ast.Ident:
		if v := known[e.Name]; v != nil {
			return evaluate(v, known, depth+1)
		}
	case *ast.SelectorExpr:
		if id, ok := e.X.(*ast.Ident); ok && id.Name == "time" && durations[e.Sel.Name] != 0 {
			return constant.MakeInt64(durations[e.Sel.Name])
		}
	case *ast.BinaryExpr:
		x, y := evaluate(e.X, known, depth+1), evaluate(e.Y, known, depth+1)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			return constant.MakeUnknown()
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, token.SHL, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return constant.MakeUnknown()
}

// product visits the Go files that become the program or its packages.
func product(t *testing.T, visit func(file string, f *ast.File)) {
	t.Helper()
	count := 0
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(file, "../"))
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			switch {
			case file == "..":
				return nil
			case nested == nil, strings.HasPrefix(d.Name(), "."), d.Name() == "testdata", d.Name() == "node_modules",
				slices.Contains([]string{"examples", "bench", "attacks", "faults", "scripts", "tools", "internal/testadmin", "internal/testcert", "internal/testldap", "internal/testpg", "internal/testredis", "internal/testpath", "internal/testprocess", "internal/testnode", "internal/testoidc", "internal/testbrowser"}, rel):
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		count++
		visit(rel, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 100 {
		t.Fatalf("looked at %d files only: the search is broken", count)
	}
}

// inventory compares a table of a page, from the name in its first cell to the
// places in its last, with what was found.
func inventory(t *testing.T, page, heading string, found map[string]map[string]bool) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]map[string]bool{}
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[1], -1) {
			told[name[1]] = map[string]bool{}
			for _, place := range quoted.FindAllStringSubmatch(cells[len(cells)-2], -1) {
				told[name[1]][place[1]] = true
			}
		}
	}
	for name, places := range found {
		for place := range places {
			if !told[name][place] {
				t.Errorf("%s does not say that %s uses %s", page, place, name)
			}
		}
	}
	for name, places := range told {
		for place := range places {
			if !found[name][place] {
				t.Errorf("%s says that %s uses %s, which it does not", page, place, name)
			}
		}
	}
}

// TestCryptographyIsListed finds every use of cryptography by what is imported,
// and compares it with the inventory: nothing is used unseen, and no line stays
// that is not true any more.
//
// ASVS: 11.1.1, 11.1.2, 11.1.3, 11.1.4
func TestCryptographyIsListed(t *testing.T) {
	found := map[string]map[string]bool{}
	product(t, func(file string, f *ast.File) {
		for _, imp := range f.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if name != "crypto" && !strings.HasPrefix(name, "crypto/") && !strings.HasPrefix(name, "golang.org/x/crypto/") &&
				!strings.HasPrefix(name, "golang.org/x/mod/sumdb/") {
				continue
			}
			if found[name] == nil {
				found[name] = map[string]bool{}
			}
			dir := path.Dir(file)
			if dir == "." {
				dir = "gatehouse"
			}
			found[name][dir] = true
		}
	})
	if len(found) < 15 {
		t.Fatalf("found %d packages only: the search is broken", len(found))
	}
	inventory(t, "cryptography.md", "What is used where", found)
}

// opens are the calls and types with which a program opens connections and waits
// for them.
var opens = map[string]bool{"net.Dial": true, "net.DialTimeout": true, "net.Dialer": true, "net.Listen": true, "net.ListenConfig": true,
	"net.ListenPacket": true, "tls.Dial": true, "tls.Dialer": true, "tls.Listen": true, "http.Client": true, "http.Transport": true,
	"http.DefaultClient": true, "http.DefaultTransport": true, "http.Get": true, "http.Post": true, "http.ListenAndServe": true,
	"pgx.Connect": true, "pgx.ConnectConfig": true, "pgxpool.New": true, "pgxpool.NewWithConfig": true, "smtp.SendMail": true,
	"exec.Command": true, "exec.CommandContext": true, "syslog.Dial": true}

// TestConnectionsAreListed finds every place that opens a connection, or waits
// for one, or starts a program, and compares it with the page.
//
// ASVS: 13.1.1
func TestConnectionsAreListed(t *testing.T) {
	found := map[string]map[string]bool{}
	product(t, func(file string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			var e ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				e = n.Fun
			case *ast.CompositeLit:
				e = n.Type
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "http" && strings.HasPrefix(n.Sel.Name, "Default") {
					e = n
				}
			}
			sel, ok := e.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && opens[id.Name+"."+sel.Sel.Name] {
				name := id.Name + "." + sel.Sel.Name
				if found[name] == nil {
					found[name] = map[string]bool{}
				}
				found[name][file] = true
			}
			return true
		})
	})
	if len(found) < 5 {
		t.Fatalf("found %d kinds only: the search is broken", len(found))
	}
	inventory(t, "connections.md", "Where they are opened", found)
}

// TestEveryTableIsClassified compares the tables of the database with those whose
// class and end docs/data.md tells.
//
// ASVS: 14.1.1, 14.1.2
func TestEveryTableIsClassified(t *testing.T) {
	migrations, err := filepath.Glob("../store/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatal("no migrations", err)
	}
	var made []string
	for _, file := range migrations {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`).FindAllStringSubmatch(string(b), -1) {
			made = append(made, m[1])
		}
	}
	page, err := os.ReadFile("data.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "| table | class | until |\n|---|---|---|\n")
	section, _, _ = strings.Cut(section, "\n\n")
	var told []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			told = append(told, m[1])
		}
	}
	slices.Sort(made)
	slices.Sort(told)
	if !slices.Equal(made, told) {
		t.Errorf("tables   %q\ndata.md  %q", made, told)
	}
}

// TestNamedTestsExist: every test that these pages name is where they say.
func TestNamedTestsExist(t *testing.T) {
	for page, least := range map[string]int{"standards.md": 60, "rfc9700.md": 90, "oauch.md": 150} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if named := namedTests(t, page, string(b)); named < least {
			t.Errorf("%s: found %d names only: the search is broken", page, named)
		}
	}
}

// TestCataloguesAreAnswered: each row of a catalogue that somebody else made has a test or a reason, and none is left out.
func TestCataloguesAreAnswered(t *testing.T) {
	for page, want := range map[string]int{"rfc9700.md": 96, "oauch.md": 170} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(b), "|---|")
		rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
		if len(rows) != want {
			t.Errorf("%s has %d rows of %d", page, len(rows), want)
		}
		seen := map[string]bool{}
		for _, row := range rows {
			cells := strings.Split(strings.Trim(row, "| "), " | ")
			answer := cells[len(cells)-1]
			if !strings.Contains(answer, "` Test") && !strings.Contains(answer, "reason: ") && !strings.Contains(answer, ".md)") {
				t.Errorf("%s: nothing answers %s", page, row)
			}
			if page == "oauch.md" && seen[cells[0]] {
				t.Errorf("%s: twice %s", page, cells[0])
			}
			seen[cells[0]] = true
		}
	}
}

// namedTests looks for the tests that a page names, and counts the names.
func namedTests(t *testing.T, page, text string) int {
	t.Helper()
	tests := map[string]string{} // text of the tests of a package
	named := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		_, line, _ = strings.Cut(line[1:], "|") // what is asked for may be called Test, too
		in := ""
		for _, word := range regexp.MustCompile("`([a-z0-9/]+)`|\\b((?:Test|Fuzz)[A-Z]\\w*)").FindAllStringSubmatch(line, -1) {
			if word[1] != "" {
				in = word[1]
				continue
			}
			named++
			dir := filepath.Join("..", in)
			if in == "gatehouse" {
				dir = ".."
			}
			if _, read := tests[in]; !read {
				files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
				for _, file := range files {
					text, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					tests[in] += string(text)
				}
			}
			if !strings.Contains(tests[in], "\nfunc "+word[2]+"(") {
				t.Errorf("%s: %s has no %s", page, in, word[2])
			}
		}
	}
	return named
}
