package gatehouse_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNoSleep: no test sleeps, save on the fake clock of testing/synctest. A sleep is too long on a fast machine and
// too short on a slow one; internal/testwait asks again and again, with a limit.
func TestNoSleep(t *testing.T) {
	fset := token.NewFileSet()
	rooms := map[string]*testRoom{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return cmp.Or(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.Dir(file)
		if rooms[dir] == nil {
			rooms[dir] = &testRoom{sleeps: map[string][]token.Pos{}, callers: map[string][]string{}, bubbles: map[string]bool{}}
		}
		rooms[dir].files = append(rooms[dir].files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rooms) < 30 {
		t.Fatalf("found tests in %d directories only: the search is broken", len(rooms))
	}
	for _, r := range rooms {
		for _, at := range r.realSleeps() {
			t.Errorf("%s: sleeps on the real clock; ask with internal/testwait, or use testing/synctest", fset.Position(at))
		}
	}
}

// testRoom is what the tests of one directory call. Functions are told apart by name alone.
type testRoom struct {
	files   []*ast.File
	sleeps  map[string][]token.Pos // sleeps outside of a bubble, by the function that they stand in
	callers map[string][]string    // who calls or names a function outside of a bubble; "" is nobody's body
	bubbles map[string]bool        // functions that run what they are given in a bubble
}

// realSleeps finds the sleeps that no bubble of synctest is around.
func (r *testRoom) realSleeps() (found []token.Pos) {
	for again := true; again; {
		again = false
		for _, f := range r.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && !r.bubbles[fn.Name.Name] && !strings.HasPrefix(fn.Name.Name, "Test") && r.opensBubble(fn) {
					r.bubbles[fn.Name.Name], again = true, true
				}
			}
		}
	}
	for _, f := range r.files {
		for _, d := range f.Decls {
			name := ""
			if fn, ok := d.(*ast.FuncDecl); ok {
				name = fn.Name.Name
			}
			r.walk(d, name)
		}
	}
	for name, at := range r.sleeps {
		if r.onRealClock(name, nil) {
			found = append(found, at...)
		}
	}
	return found
}

// opensBubble tells whether fn takes a function and has a bubble in it.
func (r *testRoom) opensBubble(fn *ast.FuncDecl) (yes bool) {
	if !slices.ContainsFunc(fn.Type.Params.List, func(p *ast.Field) bool { _, ok := p.Type.(*ast.FuncType); return ok }) {
		return false
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		yes = yes || ok && r.isBubble(call)
		return true
	})
	return yes
}

func (r *testRoom) isBubble(call *ast.CallExpr) bool {
	fn, ok := call.Fun.(*ast.Ident)
	return ok && r.bubbles[fn.Name] || isCall(call, "synctest", "Test")
}

func isCall(call *ast.CallExpr, pkg, name string) bool {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := fn.X.(*ast.Ident)
	return ok && x.Name == pkg && fn.Sel.Name == name
}

// walk notes the sleeps and the names in n, and leaves out what is given to a bubble.
func (r *testRoom) walk(n ast.Node, within string) {
	limits := map[ast.Node]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause:
			limits[n.Comm] = true // a case of a select is a limit, no sleep
		case *ast.CallExpr:
			if r.isBubble(n) {
				return false
			}
			if isCall(n, "time", "Sleep") {
				r.sleeps[within] = append(r.sleeps[within], n.Pos())
			}
		case *ast.ExprStmt: // the same in other words
			if wait, ok := n.X.(*ast.UnaryExpr); ok && !limits[n] && wait.Op == token.ARROW {
				if call, ok := wait.X.(*ast.CallExpr); ok && isCall(call, "time", "After") {
					r.sleeps[within] = append(r.sleeps[within], n.Pos())
				}
			}
		case *ast.Ident:
			if n.Name != within {
				r.callers[n.Name] = append(r.callers[n.Name], within)
			}
		}
		return true
	})
}

// onRealClock tells whether the function is a test, or one of those who name it outside of a bubble is on the real
// clock.
func (r *testRoom) onRealClock(name string, seen []string) bool {
	if slices.Contains(seen, name) {
		return false
	}
	if name == "" || strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Benchmark") {
		return true
	}
	return slices.ContainsFunc(r.callers[name], func(by string) bool { return r.onRealClock(by, append(seen, name)) })
}
