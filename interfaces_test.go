package gatehouse_test

import (
	"go/types"
	"strings"
	"testing"
)

// maxMethods is how many methods an interface may have, with those of the interfaces in it. Who needs more of
// somebody does several things at once.
const maxMethods = 7

// TestInterfacesAreSmall flattens every interface of the program, those without a name among them.
func TestInterfacesAreSmall(t *testing.T) {
	p := loaded(t)
	spelled := map[string]string{} // what stands in the declaration of a name → the name
	for _, r := range p.rooms {
		for _, name := range r.pkg.Scope().Names() {
			if tn, ok := r.pkg.Scope().Lookup(name).(*types.TypeName); ok && types.IsInterface(tn.Type()) {
				spelled[tn.Type().Underlying().String()] = r.dir + "." + name
			}
		}
	}
	found, all := map[string]bool{}, 0
	for _, r := range p.rooms {
		for expr, tv := range r.info.Types {
			if !tv.IsType() || !types.IsInterface(tv.Type) {
				continue
			}
			if named, ok := types.Unalias(tv.Type).(*types.Named); ok && (named.Obj().Pkg() == nil || !strings.HasPrefix(named.Obj().Pkg().Path(), module)) {
				continue // somebody else's
			}
			all++
			iface := tv.Type.Underlying().(*types.Interface)
			name := spelled[iface.String()]
			if name == "" {
				name = iface.String()
			}
			if iface.NumMethods() <= maxMethods || found[name] {
				continue
			}
			found[name] = true
			t.Errorf("%s: %s has %d methods, flattened; declare what is needed where it is consumed",
				p.fset.Position(expr.Pos()), name, iface.NumMethods())
		}
	}
	if all < 50 {
		t.Fatalf("found only %d interfaces: the search is broken", all)
	}
}
