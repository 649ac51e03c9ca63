package gatehouse_test

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
)

// doors are the exported names that nothing in the program calls, and why they are there all the same.
var doors = []struct {
	why   string
	names []string
}{
	{"programs import guard and call it: examples/go-guard is one", []string{
		"guard.New", "guard.NewRemote", "guard.Principal", "guard.Allowed", "guard.Config", "guard.RemoteConfig", "guard.Follow", "guard.Decider",
		"guard.Guard", "guard.Guard.Handler", "guard.Guard.Protect", "guard.Guard.Metadata", "guard.Guard.Close",
	}},
	{"one turn of a job that runs by itself in the program; tests take the turn by hand instead of waiting for a clock", []string{
		"audit.Sequencer.Sequence", "audit.Sequencer.Size", "audit.Forwarder.Forward", "audit.HeadFile.Keep", "grant.Expiry.Purge", "admin/clients.Expiry.Purge",
		"audit.FilterFill.Fill", "audit.Retention.Remove",
	}},
	{"the other direction of a format, or a part of one: what the program writes is read back by it in tests and fuzzers", []string{
		"audit.AppendEvent", "audit.Decode", "audit.Key.Open", "audit.VerifierKey", "audit.CheckInclusion",
		"credential.FormatBasic", "credential.ParseHash", "credential.StoredHash", "credential.StoredHash.Kind", "gateway.Asserter.Assert", "internal/seal.KeyID",
		"internal/seal.MasterKey.ID", "oauth/endpoint.SignStatusList", "policy.Set.PolicyIDs", "policy.Set.PolicyText",
		"token.Access.AppendJSON", "token.CheckSecret", "token.Key.CanSign",
		"token.NewKeySet", "token.NewSecretKey", "token.ParseJWK", "server/config.Parse",
	}},
	{"errors that a caller may tell apart", []string{"audit.ErrHistory", "internal/seal.ErrOpen"}},
	{"single records, of which the flows write several at once", []string{
		"store.DB.Update", "store.DB.DumpAll", "store.DB.Driver", "store.Queries.Refresh",
		"store.Tx.InsertGrant", "store.Tx.InsertOpaqueToken", "store.Tx.InsertRefresh", "store.Tx.InsertStatusBit",
	}},
	{"a server inside of another program, such as a test", []string{
		"server.GenerateMasterKey", "server.ProtectConfig", "server.ReadOpenAPI", "server.Server.MetricsURL", "admin.Document",
	}},
	{"the pipeline without the frame around it, for tables of verdicts", []string{"enforce.Pipeline.Check"}},
}

// TestNoDeadDoors: an exported name is there because another package of the product uses it. Tests and examples do
// not count: what only they use is no promise to anybody. What only its own package uses need not be exported.
func TestNoDeadDoors(t *testing.T) {
	p := loaded(t)
	used := p.usedFromOutside()
	dead := map[string]string{}
	for _, r := range p.rooms {
		for name, obj := range r.exported() {
			if !used[obj] {
				dead[name] = p.fset.Position(obj.Pos()).String()
			}
		}
	}
	known := map[string]bool{}
	for _, d := range doors {
		for _, name := range d.names {
			known[name] = true
			if dead[name] == "" {
				t.Errorf("%s is in the list of doors without a caller, but has one now or is gone", name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dead)) {
		if !known[name] {
			t.Errorf("%s (%s) has no caller outside of its package: wire it, unexport it or delete it", name, dead[name])
		}
	}
}

// exported finds the functions, methods, types, constants and variables that r exports, by names like
// "token.Verifier.Verify".
func (r *room) exported() map[string]types.Object {
	out := map[string]types.Object{}
	if r.pkg.Name() == "main" || isOutside(r.dir) {
		return out
	}
	prefix := r.dir + "."
	if r.dir == "" {
		prefix = "gatehouse."
	}
	scope := r.pkg.Scope()
	for _, name := range scope.Names() {
		obj := scope.Lookup(name)
		if !obj.Exported() {
			continue
		}
		out[prefix+name] = obj
		named, ok := obj.Type().(*types.Named)
		if _, isType := obj.(*types.TypeName); !isType || !ok {
			continue
		}
		for m := range named.Methods() {
			if m.Exported() {
				out[prefix+name+"."+m.Name()] = m
			}
		}
		if iface, ok := named.Underlying().(*types.Interface); ok {
			for m := range iface.ExplicitMethods() {
				if m.Exported() {
					out[prefix+name+"."+m.Name()] = m
				}
			}
		}
	}
	return out
}

// usedFromOutside finds what a package uses of another: by name, through an interface, or as part of the type of
// something that it uses.
func (p *program) usedFromOutside() map[types.Object]bool {
	used, called, enums := map[types.Object]bool{}, map[types.Object]bool{}, map[types.Object]bool{}
	for _, r := range p.rooms {
		note := func(obj types.Object) {
			obj = origin(obj)
			called[obj] = true
			if obj.Pkg() != r.pkg {
				used[obj] = true
			}
		}
		for _, obj := range r.info.Uses {
			note(obj)
		}
		for _, s := range r.info.Selections {
			note(s.Obj())
		}
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				var fields *ast.FieldList
				switch n := n.(type) {
				case *ast.StructType:
					fields = n.Fields
				case *ast.InterfaceType:
					fields = n.Methods
				default:
					return true
				}
				for _, f := range fields.List {
					if named, ok := types.Unalias(r.info.TypeOf(f.Type)).(*types.Named); ok && len(f.Names) == 0 {
						used[named.Obj()] = true // embedded: a part of what embeds it
					}
				}
				return true
			})
		}
	}
	for obj := range called {
		if _, isConst := obj.(*types.Const); isConst {
			used[obj] = true // a bound or a code: it stands in documentation, and can do nothing by itself
			if named, ok := obj.Type().(*types.Named); ok {
				enums[named.Obj()] = true
			}
		}
	}
	for _, r := range p.rooms { // an enumeration is whole or it is none: its zero value is often not named by anybody
		for _, obj := range r.exported() {
			if named, ok := obj.Type().(*types.Named); ok && enums[named.Obj()] {
				if _, isConst := obj.(*types.Const); isConst {
					used[obj] = true
				}
			}
		}
	}
	served := p.served(used)
	p.useThroughInterfaces(used, called)
	p.useAsParts(used, served)
	return used
}

// served marks what an operation of the management API calls, which is used from outside by whoever sends a request:
// the use cases of a subject stand in the package of their operations. It returns what goes over the wire.
func (p *program) served(used map[types.Object]bool) (wire []types.Type) {
	for _, r := range p.rooms {
		for _, f := range r.files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || r.info.Uses[sel.Sel] == nil || r.info.Uses[sel.Sel].Pkg() == nil ||
					r.info.Uses[sel.Sel].Pkg().Path() != module+"/admin/adminhttp" || sel.Sel.Name != "Handle" {
					return true
				}
				for t := range r.info.Instances[sel.Sel].TypeArgs.Types() {
					wire = append(wire, t)
				}
				for _, arg := range call.Args {
					ast.Inspect(arg, func(n ast.Node) bool {
						if sel, ok := n.(*ast.SelectorExpr); ok && r.info.Uses[sel.Sel] != nil {
							used[origin(r.info.Uses[sel.Sel])] = true
						}
						return true
					})
				}
				return true
			})
		}
	}
	return wire
}

// withoutName are methods that the standard library finds by interfaces without a name (errors.Is, errors.As,
// http.ResponseController).
var withoutName = []string{"Unwrap", "Is", "As"}

// useThroughInterfaces marks the methods that somebody calls without knowing whose they are.
func (p *program) useThroughInterfaces(used, called map[types.Object]bool) {
	type need struct {
		iface  *types.Interface
		method *types.Func
		ours   bool
	}
	needs := map[string][]need{} // by name of the method
	seen := map[*types.Interface]bool{}
	add := func(t types.Type, ours bool) {
		iface, ok := t.Underlying().(*types.Interface)
		if !ok || seen[iface] || iface.NumMethods() == 0 {
			return
		}
		seen[iface] = true
		for m := range iface.Methods() {
			needs[m.Name()] = append(needs[m.Name()], need{iface, m, ours})
		}
	}
	walked := map[*types.Package]bool{}
	var walk func(pkg *types.Package)
	walk = func(pkg *types.Package) {
		if walked[pkg] {
			return
		}
		walked[pkg] = true
		for _, name := range pkg.Scope().Names() {
			if tn, ok := pkg.Scope().Lookup(name).(*types.TypeName); ok {
				add(tn.Type(), strings.HasPrefix(pkg.Path(), module))
			}
		}
		for _, imp := range pkg.Imports() {
			walk(imp)
		}
	}
	add(types.Universe.Lookup("error").Type(), false)
	for _, r := range p.rooms {
		walk(r.pkg)
		for _, tv := range r.info.Types {
			if tv.IsType() {
				add(tv.Type, true)
			}
		}
	}
	holders := p.holders()
	for again := true; again; { // an interface's method may itself be called through another interface
		again = false
		for _, r := range p.rooms {
			for _, obj := range r.exported() {
				m, ok := obj.(*types.Func)
				if !ok || used[m] || m.Signature().Recv() == nil {
					continue
				}
				if slices.Contains(withoutName, m.Name()) {
					used[m] = true
					continue
				}
				recv := m.Signature().Recv().Type()
				if types.IsInterface(recv) && called[m] {
					used[m], again = true, true
					continue
				}
				for _, n := range needs[m.Name()] {
					if n.method == m || n.ours && !called[n.method] && !used[n.method] {
						continue
					}
					if slices.ContainsFunc(holders[m], func(t types.Type) bool { return satisfies(t, n.iface) }) {
						used[m], called[m], again = true, true, true
						break
					}
				}
			}
		}
	}
}

// holders lists for each method the types that have it, those that embed its own type among them.
func (p *program) holders() map[types.Object][]types.Type {
	out := map[types.Object][]types.Type{}
	for _, r := range p.rooms {
		for _, name := range r.pkg.Scope().Names() {
			tn, ok := r.pkg.Scope().Lookup(name).(*types.TypeName)
			if !ok || tn.IsAlias() {
				continue
			}
			t := tn.Type()
			if !types.IsInterface(t) {
				t = types.NewPointer(t)
			}
			for sel := range types.NewMethodSet(t).Methods() {
				m := origin(sel.Obj())
				out[m] = append(out[m], tn.Type())
			}
		}
	}
	return out
}

func satisfies(t types.Type, iface *types.Interface) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if named, ok := t.(*types.Named); ok && named.TypeParams().Len() > 0 {
		return true // as far as can be told without its arguments
	}
	return types.Implements(t, iface) || types.Implements(types.NewPointer(t), iface)
}

// useAsParts marks the types in the signatures and fields of what is used, and of wire.
func (p *program) useAsParts(used map[types.Object]bool, wire []types.Type) {
	seen := map[types.Type]bool{}
	var part func(t types.Type)
	part = func(t types.Type) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.Alias:
			used[t.Obj()] = true
			part(types.Unalias(t))
		case *types.Named:
			used[t.Origin().Obj()] = true
			for a := range t.TypeArgs().Types() {
				part(a)
			}
			part(t.Origin().Underlying())
		case *types.Pointer:
			part(t.Elem())
		case *types.Slice:
			part(t.Elem())
		case *types.Array:
			part(t.Elem())
		case *types.Chan:
			part(t.Elem())
		case *types.Map:
			part(t.Key())
			part(t.Elem())
		case *types.Signature:
			for v := range t.Params().Variables() {
				part(v.Type())
			}
			for v := range t.Results().Variables() {
				part(v.Type())
			}
		case *types.Struct:
			for f := range t.Fields() {
				if f.Exported() {
					part(f.Type())
				}
			}
		case *types.Interface:
			for m := range t.Methods() {
				part(m.Type())
			}
		}
	}
	for _, t := range wire {
		part(t)
	}
	for _, obj := range slices.Collect(maps.Keys(used)) {
		if obj.Pkg() != nil && strings.HasPrefix(obj.Pkg().Path(), module) {
			part(obj.Type())
		}
	}
}

func origin(obj types.Object) types.Object {
	switch o := obj.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	}
	return obj
}
