package gatehouse_test

import (
	"go/ast"
	"go/constant"
	"slices"
	"strings"
	"testing"
)

// TestErrorCodesOnce: every error code is made in one place, so that it has one status and one text wherever it is
// met. Whoever needs a code that another room makes takes that room's error.
func TestErrorCodesOnce(t *testing.T) {
	p := loaded(t)
	made := map[string][]string{} // code → where
	for _, r := range p.rooms {
		note := func(n ast.Node, code ast.Expr) {
			if v := r.info.Types[code].Value; v != nil && v.Kind() == constant.String && constant.StringVal(v) != "" {
				made[constant.StringVal(v)] = append(made[constant.StringVal(v)], p.fset.Position(n.Pos()).String())
			}
		}
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if id, own := n.Fun.(*ast.Ident); r.isNoun(n.Fun, "E") || own && r.dir == "" && id.Name == "E" {
						note(n, n.Args[1])
					}
				case *ast.CompositeLit:
					if named := r.info.Types[n].Type; named == nil || named.String() != module+".Error" {
						return true
					}
					for i, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); !ok && i == 1 {
							note(n, e)
						} else if ok && kv.Key.(*ast.Ident).Name == "Code" {
							note(n, kv.Value)
						}
					}
				}
				return true
			})
		}
	}
	if len(made) < 150 {
		t.Fatalf("found only %d codes: the search is broken", len(made))
	}
	for code, places := range made {
		if len(places) > 1 {
			slices.Sort(places)
			t.Errorf("%q is made in %d places: %s", code, len(places), strings.Join(places, ", "))
		}
	}
}
