package gatehouse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-auth/gatehouse"

// levels is the house as docs/architecture.md draws it. Imports go only to a
// lower level, never sideways; a package that is not listed fails the test, so
// that every new room gets its place by decision.
var levels = map[string]int{
	"":                   0,
	"docs":               0,
	"internal/decimal":   0,
	"internal/duration":  0,
	"internal/keydiff":   0,
	"internal/nearest":   0,
	"internal/contrast":  0,
	"internal/peers":     0,
	"internal/sorted":    0,
	"internal/markup":    0,
	"credential":         1,
	"token":              1,
	"policy":             1,
	"internal/cache":     1,
	"internal/feed":      1,
	"internal/lease":     1,
	"internal/piecewise": 1,
	"internal/qr":        1,
	"internal/webauthn":  1,
	"internal/staleness": 1,
	"internal/yamltree":  1,
	"internal/exactjson": 1,
	"internal/seal":      1,
	"internal/personal":  1,
	"audit":              2,
	"revocation":         2,
	"proof":              2,
	"internal/web":       2,
	"internal/counters":  2,
	"internal/egress":    2,
	"internal/diskspace": 2,
	"internal/ldap":      2,
	"internal/writable":  2,
	"internal/secrets":   2,
	"internal/once":      2,
	"internal/telemetry": 3, // counts events by the kinds of package audit
	"internal/mail":      3, // tells of its failures by the kinds of package audit
	"internal/jwks":      3, // fetches through egress
	"internal/breached":  3,
	"authn":              3,
	"authz":              3,
	"identity":           3,
	"factor":             3,
	"passkey":            4,
	"provider":           4,
	"limit":              3,
	"keyring":            3,
	"internal/http1":     4,
	"enforce":            4,
	"gateway":            5,
	"openapi":            5,
	"guard":              5,
	"grant":              4,
	"session":            4,
	"oauth":              3,
	"oauth/client":       3,
	"oauth/document":     4,
	"oauth/rar":          2, // package grant compares by it
	"oauth/openid":       2, // package client asks which scopes are OpenID Connect's
	"oauth/userinfo":     5,
	"oauth/token":        5,
	"oauth/registration": 5,
	"oauth/endpoint":     5,
	"oauth/authorize":    5,
	"oauth/logout":       4,
	"oauth/backchannel":  5,
	"pages":              6,
	"admin":              5,
	"store":              6,
	"server":             7,
	"cmd/gatehouse":      8,
}

// steps divide a room whose parts stand on one another: within it, imports go only to a lower step. What is not listed
// stands on subject. So a new subject needs no line here, and cannot import another one.
var steps = map[string]map[string]int{
	"admin": {
		"admin/client":    0, // imports no other part
		"admin/kernel":    0,
		"admin/adminhttp": 1,
		// subject: users, keys and the others
		"admin/realmfile": subject + 1, // makes its changes by the use cases of subjects
		"admin":           subject + 2, // puts all together
	},
}

const subject = 2

// outside are packages that are no part of the product: they may import
// anything, and the product may import none of them, save what is named.
var outside = []string{"examples/", "internal/test", "bench", "tools", "testdata/", "attacks/", "faults/", "scripts/"}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		from, listed := level(p.dir)
		if !listed {
			if !isOutside(p.dir) {
				t.Errorf("%s: give the package a level in layers_test.go and docs/architecture.md", p.dir)
			}
			continue
		}
		for _, imp := range p.imports {
			if forbidden(p.dir, from, imp) {
				t.Errorf("%s (level %d) must not import %q: levels 0 and 1 hold no I/O", p.dir, from, imp)
			}
			rel, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			rel = strings.TrimPrefix(rel, "/")
			if (strings.HasPrefix(rel, "examples/documents") || rel == "examples/program") && from >= 7 {
				continue // the demo starts the example API, and a program that acts for people
			}
			if isOutside(rel) {
				t.Errorf("%s imports %s, which is no part of the product", p.dir, rel)
				continue
			}
			if to, ok := level(rel); ok && !goesDown(p.dir, rel) {
				t.Errorf("%s (level %d) imports %s (level %d): imports only go down", p.dir, from, rel, to)
			}
		}
	}
}

// level finds the level of a package, or of the room it is a part of.
func level(dir string) (int, bool) {
	for d := dir; ; d = path.Dir(d) {
		if d == "." {
			d = ""
		}
		if l, ok := levels[d]; ok && (d != "" || dir == "") {
			return l, true
		}
		if d == "" {
			return 0, false
		}
	}
}

// goesDown reports whether dir may import rel: of a lower level, of a lower step of its own room, or, where that room has
// no steps, a part of it.
func goesDown(dir, rel string) bool {
	for room, parts := range steps {
		if !within(room, dir) || !within(room, rel) {
			continue
		}
		step := func(d string) int {
			for ; d != room; d = path.Dir(d) {
				if n, listed := parts[d]; listed {
					return n
				}
				if path.Dir(d) == room {
					return subject
				}
			}
			return parts[room]
		}
		return step(rel) < step(dir)
	}
	from, _ := level(dir)
	to, _ := level(rel)
	return to < from || within(dir, rel) || within(rel, dir)
}

func within(room, dir string) bool { return strings.HasPrefix(dir+"/", room+"/") }

// TestSteps: the rooms of admin cannot import one another sideways or upwards.
func TestSteps(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{"admin", "admin/users", true}, {"admin", "admin/realmfile", true}, {"admin", "admin/kernel", true}, {"admin", "store", false},
		{"admin/realmfile", "admin/users", true}, {"admin/realmfile", "admin/kernel", true}, {"admin/realmfile", "admin", false},
		{"admin/users", "admin/kernel", true}, {"admin/users", "admin/adminhttp", true}, {"admin/users", "identity", true},
		{"admin/users", "admin/keys", false}, {"admin/users", "admin/realmfile", false}, {"admin/users", "admin", false},
		{"admin/users", "admin/users/inner", false}, {"admin/anew", "admin/users", false}, {"admin/anew", "admin/kernel", true},
		{"admin/adminhttp", "admin/kernel", true}, {"admin/adminhttp", "admin/users", false}, {"admin/adminhttp", "admin", false},
		{"admin/kernel", "admin/adminhttp", false}, {"admin/kernel", "admin/client", false}, {"admin/client", "admin/kernel", false},
		{"admin/kernel", "admin", false}, {"server", "admin/users", true}, {"admin/users", "server", false},
	} {
		if got := goesDown(c.from, c.to); got != c.may {
			t.Errorf("%s may import %s: %v", c.from, c.to, got)
		}
	}
}

func isOutside(dir string) bool {
	return slices.ContainsFunc(outside, func(o string) bool { return strings.HasPrefix(dir+"/", o) || strings.HasPrefix(dir, o) })
}

func forbidden(dir string, lvl int, imp string) bool {
	if lvl > 1 || strings.HasSuffix(dir, "fuzz") {
		return false
	}
	switch imp {
	case "net/http", "database/sql", "os", "os/exec", "net":
		return true
	}
	return lvl == 0 && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !strings.HasPrefix(imp, module)
}

// TestDocumentation: every package says what it is for.
func TestDocumentation(t *testing.T) {
	for _, p := range packages(t) {
		if !p.documented {
			t.Errorf("%s has no package comment", p.dir)
		}
	}
}

// TestSize keeps files and functions small enough to hold one idea.
func TestSize(t *testing.T) {
	for _, p := range packages(t) {
		for file, lines := range p.files {
			if lines > 600 {
				t.Errorf("%s has %d lines: more than one idea?", file, lines)
			}
		}
		for fn, lines := range p.functions {
			if lines > 90 {
				t.Errorf("%s has %d lines: more than one idea?", fn, lines)
			}
		}
	}
}

// TestNoHiddenState: no init functions anywhere in the product.
func TestNoHiddenState(t *testing.T) {
	for _, p := range packages(t) {
		for fn := range p.functions {
			if strings.HasSuffix(fn, ": init") {
				t.Errorf("%s: state belongs to values that somebody made", fn)
			}
		}
	}
}

type pkg struct {
	dir        string
	imports    []string
	documented bool
	files      map[string]int
	functions  map[string]int
}

// packages parses every non-test Go file of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || hasGoMod(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir == "." {
			dir = ""
		}
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir, files: map[string]int{}, functions: map[string]int{}}
			byDir[dir] = p
		}
		p.documented = p.documented || f.Doc != nil
		p.files[file] = fset.Position(f.End()).Line
		for _, imp := range f.Imports {
			v, _ := strconv.Unquote(imp.Path.Value)
			p.imports = append(p.imports, v)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				name := fn.Name.Name
				if fn.Recv != nil {
					name = "method " + name
				}
				p.functions[file+": "+name] = fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for _, p := range byDir {
		out = append(out, *p)
	}
	if len(out) < 10 {
		t.Fatalf("found only %d packages: the walk is broken", len(out))
	}
	return out
}

func hasGoMod(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
