package gatehouse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exactReader is the one package that may read JSON into any value.
const exactReader = module + "/internal/exactjson"

// TestNoFloats type-checks the product and fails for each place that could make a
// float64 of a number that somebody else wrote: a float64 skips whole numbers
// above 2^53, so that one owner's id becomes another's. JSON is read into closed
// types without floats, or by internal/exactjson; text is never parsed as a float.
func TestNoFloats(t *testing.T) {
	packages, files := product(t)
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
	for _, p := range packages {
		if p.ImportPath == exactReader || !slices.ContainsFunc(p.Imports, readsNumbers) {
			continue
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		c := types.Config{Importer: imports}
		if _, err := c.Check(p.ImportPath, fset, parsed, info); err != nil {
			t.Fatal(err)
		}
		for _, f := range parsed {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				fn := called(info, call)
				if fn == nil || fn.Pkg() == nil {
					return true
				}
				at := fset.Position(call.Pos())
				switch target := jsonTarget(fn); {
				case fn.FullName() == "strconv.ParseFloat", strings.HasSuffix(fn.FullName(), "jsontext.Token).Float"):
					t.Errorf("%s: %s rounds; read the text with internal/decimal", at, fn.Name())
				case target >= 0 && target < len(call.Args):
					if bad := inexact(info.Types[call.Args[target]].Type, nil); bad != "" {
						t.Errorf("%s: %s reads JSON into %s; use internal/exactjson", at, fn.FullName(), bad)
					}
				}
				return true
			})
		}
	}
}

func called(info *types.Info, call *ast.CallExpr) *types.Func {
	var id *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return nil
	}
	fn, _ := info.Uses[id].(*types.Func)
	return fn
}

// jsonTarget tells which argument of fn a JSON text is read into; -1 for others.
func jsonTarget(fn *types.Func) int {
	pkg := fn.Pkg().Path()
	if pkg != "encoding/json" && !strings.HasPrefix(pkg, "github.com/go-json-experiment/json") && pkg != "encoding/json/v2" {
		return -1
	}
	switch fn.Name() {
	case "Unmarshal", "UnmarshalRead", "UnmarshalDecode":
		return 1
	case "Decode":
		return 0
	}
	return -1
}

// inexact describes the first type inside of t that can hold a float64, or "".
// A type that reads its own JSON is looked at where it does so.
func inexact(t types.Type, seen []types.Type) string {
	if slices.ContainsFunc(seen, func(s types.Type) bool { return types.Identical(s, t) }) {
		return ""
	}
	seen = append(seen, t)
	if _, alias := types.Unalias(t).(*types.Named); alias {
		for _, method := range []string{"UnmarshalJSON", "UnmarshalJSONFrom", "UnmarshalText"} {
			if m, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, method); m != nil {
				return ""
			}
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Info()&types.IsFloat != 0 {
			return t.String()
		}
	case *types.Interface:
		return t.String()
	case *types.Pointer:
		return inexact(u.Elem(), seen)
	case *types.Slice:
		return inexact(u.Elem(), seen)
	case *types.Array:
		return inexact(u.Elem(), seen)
	case *types.Map:
		return inexact(u.Elem(), seen)
	case *types.Struct:
		for i := range u.NumFields() {
			if bad := inexact(u.Field(i).Type(), seen); bad != "" {
				return bad + " in " + u.Field(i).Name()
			}
		}
	}
	return ""
}

// readsNumbers tells whether a package could turn text into numbers by this import.
func readsNumbers(path string) bool {
	return path == "strconv" || strings.Contains(path, "json")
}

type productPackage struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
}

// product lists the packages of the product, and where the compiler keeps what it
// knows of each package that they import.
func product(t *testing.T) (ours []productPackage, exports map[string]string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports", "./cmd/...", "./guard/...", "./admin/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports = map[string]string{}
	in := json.NewDecoder(bytes.NewReader(out))
	for {
		var p productPackage
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		rel, inside := strings.CutPrefix(p.ImportPath, module)
		if inside && !isOutside(strings.TrimPrefix(rel, "/")) {
			ours = append(ours, p)
		}
	}
	if len(ours) < 20 {
		t.Fatalf("only %d packages are looked at", len(ours))
	}
	return ours, exports
}
