package gatehouse_test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestFailureReasons: the closed set of reasons by which refused credentials are counted holds the code of every error
// with which a credential can be refused, and no other.
func TestFailureReasons(t *testing.T) {
	p := loaded(t)
	real := map[string]bool{}
	for _, dir := range []string{"authn", "token", "credential", "identity"} {
		r := p.room(t, dir)
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 3 || !r.isNoun(call.Args[0], "Unauthenticated") {
					return true
				}
				if v := r.info.Types[call.Args[1]].Value; v != nil && v.Kind() == constant.String {
					real[constant.StringVal(v)] = true
				}
				return true
			})
		}
	}
	for _, dir := range []string{"identity", "internal/ldap"} { // of login.failure
		maps.Copy(real, p.room(t, dir).constants("Reason"))
	}
	if len(real) < 30 {
		t.Fatalf("found only %d codes: the search is broken", len(real))
	}
	p.same(t, "reasons", real)
}

// TestDecisionOutcomes: the same for the answers of the decision point.
func TestDecisionOutcomes(t *testing.T) {
	p := loaded(t)
	real := p.room(t, "policy").constants("Code")
	maps.Copy(real, p.room(t, "authz").constants("Code", "code"))
	p.same(t, "decisions", real)
}

// TestSignals: the same for the signals of attacks.
func TestSignals(t *testing.T) {
	p := loaded(t)
	p.same(t, "signals", p.room(t, "identity").constants("signal"))
}

func (p *program) room(t *testing.T, dir string) *room {
	t.Helper()
	for _, r := range p.rooms {
		if r.dir == dir {
			return r
		}
	}
	t.Fatalf("no package %s", dir)
	return nil
}

// isNoun tells whether e names something of the root package.
func (r *room) isNoun(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	obj := r.info.Uses[sel.Sel]
	return obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == module && obj.Name() == name
}

// constants are the values of the text constants whose names begin so and go on with a capital letter.
func (r *room) constants(prefixes ...string) map[string]bool {
	out := map[string]bool{}
	for _, name := range r.pkg.Scope().Names() {
		c, ok := r.pkg.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.String {
			continue
		}
		for _, prefix := range prefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
				out[constant.StringVal(c.Val())] = true
			}
		}
	}
	return out
}

// same compares real with the set of that name in package telemetry.
func (p *program) same(t *testing.T, name string, real map[string]bool) {
	t.Helper()
	r := p.room(t, "internal/telemetry")
	counted := map[string]bool{}
	for _, f := range r.files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || spec.Names[0].Name != name || len(spec.Values) != 1 {
				return true
			}
			for _, arg := range spec.Values[0].(*ast.CallExpr).Args {
				counted[constant.StringVal(r.info.Types[arg].Value)] = true
			}
			return false
		})
	}
	for _, code := range slices.Sorted(maps.Keys(real)) {
		if !counted[code] {
			t.Errorf("%s is counted as \"other\": add it to %s in internal/telemetry/metrics.go", code, name)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(counted)) {
		if !real[code] {
			t.Errorf("%s is in %s, and nothing has this code", code, name)
		}
	}
}
