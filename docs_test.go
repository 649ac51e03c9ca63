package gatehouse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/docs"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// TestErrorPages: every code that an error can carry has a page that says what
// it means and what to do, and there is no page for a code that is gone.
func TestErrorPages(t *testing.T) {
	used := errorCodes(t)
	if len(used) < 20 {
		t.Fatalf("found only %d codes: the search is broken", len(used))
	}
	pages := map[string]bool{}
	entries, err := os.ReadDir("docs/errors")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if code, ok := strings.CutSuffix(e.Name(), ".md"); ok && code != "README" {
			pages[code] = true
			b, err := os.ReadFile(filepath.Join("docs/errors", e.Name()))
			if err != nil || !strings.HasPrefix(string(b), "# ") || len(b) < 80 {
				t.Errorf("docs/errors/%s says too little", e.Name())
			}
			page, ok := docs.ErrorPage(code)
			if !ok || page.Status == "" || page.Meaning == "" || page.Cause == "" || page.Fix == "" {
				t.Errorf("docs/errors/%s: status, meaning, cause and fix are not all there", e.Name())
			}
		}
	}
	// Reasons that only the record has are explained too: gatehouse explain prints their pages.
	p := loaded(t)
	for dir, prefix := range map[string]string{"identity": "Reason", "internal/ldap": "Reason", "policy": "Code", "authz": "Code"} {
		for code := range p.room(t, dir).constants(prefix) {
			used[code] = dir
		}
	}
	delete(used, policy.CodePermitted) // no refusal
	var missing, stale []string
	for code, where := range used {
		if !pages[code] {
			missing = append(missing, code+" ("+where+")")
		}
	}
	literals := stringLiterals(t)
	for code := range pages {
		if used[code] == "" && !literals[code] {
			stale = append(stale, code)
		}
	}
	sort.Strings(missing)
	sort.Strings(stale)
	if len(missing) > 0 {
		t.Errorf("no page in docs/errors for: %s", strings.Join(missing, ", "))
	}
	if len(stale) > 0 {
		t.Errorf("pages for codes that nothing uses: %s", strings.Join(stale, ", "))
	}
}

// codeWord is the form of a stable code.
var codeWord = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// errorCodes finds every code given to gatehouse.E, and every Code of a decision
// or problem written as a literal.
func errorCodes(t *testing.T) map[string]string {
	t.Helper()
	codes := map[string]string{}
	fset := token.NewFileSet()
	walkGo(t, func(file string) {
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			name := ""
			switch fn := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = fn.Sel.Name
			case *ast.Ident:
				name = fn.Name
			}
			lit, ok := call.Args[1].(*ast.BasicLit)
			if name != "E" || !ok || lit.Kind != token.STRING {
				return true
			}
			if code, _ := strconv.Unquote(lit.Value); codeWord.MatchString(code) {
				codes[code] = fset.Position(call.Pos()).String()
			}
			return true
		})
	})
	return codes
}

// stringLiterals finds every string written in the product: codes of decisions
// are constants rather than arguments of gatehouse.E.
func stringLiterals(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	fset := token.NewFileSet()
	walkGo(t, func(file string) {
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					out[s] = true
				}
			}
			return true
		})
	})
	return out
}

func walkGo(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "examples" || d.Name() == "bench" || hasGoMod(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			visit(file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDependenciesAreExplained: no direct dependency without its reason.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1)
	if len(direct) < 5 {
		t.Fatalf("found only %d dependencies", len(direct))
	}
	for _, m := range direct {
		if !strings.Contains(string(doc), "| "+m[1]+" |") {
			t.Errorf("%s has no line in docs/dependencies.md", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.\S+) \|`).FindAllStringSubmatch(string(doc), -1) {
		if !strings.Contains(string(mod), "\t"+m[1]+" v") {
			t.Errorf("docs/dependencies.md explains %s, which is not in go.mod", m[1])
		}
	}
}

// TestModulesOfTests: what docs/dependencies.md has for tests stays out of the program, a browser among it.
func TestModulesOfTests(t *testing.T) {
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\S+\.\S+) \| tests \|`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 5 {
		t.Fatalf("found %d modules of tests: the search is broken", len(rows))
	}
	for _, p := range packages(t) {
		if isOutside(p.dir) {
			continue
		}
		for _, imp := range p.imports {
			for _, m := range rows {
				if imp == m[1] || strings.HasPrefix(imp, m[1]+"/") {
					t.Errorf("%s imports %s, which is for tests", p.dir, imp)
				}
			}
		}
	}
}
