package gatehouse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program is the whole program with its types: every package of ours that cmd/gatehouse is made of, and guard,
// which other programs import.
type program struct {
	fset  *token.FileSet
	rooms []*room // in the order of their imports: what is imported comes first
}

// room is one package of ours.
type room struct {
	dir   string // within the module; "" is the root
	pkg   *types.Package
	files []*ast.File
	info  *types.Info
}

// theProgram is loaded once for all tests that look at it.
var theProgram = sync.OnceValues(loadProgram)

func loaded(t *testing.T) *program {
	t.Helper()
	p, err := theProgram()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.rooms) < 30 {
		t.Fatalf("found only %d packages: the search is broken", len(p.rooms))
	}
	return p
}

// loadProgram type-checks our sources. What others wrote is read from the compiler's export data, which the build
// cache has already, so this takes about two seconds.
func loadProgram() (*program, error) {
	list := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,GoFiles,Export,Standard,Module", "./cmd/gatehouse", "./guard")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	exports := map[string]string{}
	p := &program{fset: token.NewFileSet()}
	ours := map[string]*types.Package{}
	others := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data for %q", path)
		}
		return os.Open(file)
	})
	imp := importerFunc(func(path string) (*types.Package, error) {
		if pkg, ok := ours[path]; ok {
			return pkg, nil
		}
		return others.Import(path)
	})
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var listed struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
		}
		if err := dec.Decode(&listed); err == io.EOF {
			return p, nil
		} else if err != nil {
			return nil, err
		}
		dir, isOurs := strings.CutPrefix(listed.ImportPath, module)
		if !isOurs {
			exports[listed.ImportPath] = listed.Export
			continue
		}
		r := &room{dir: strings.TrimPrefix(dir, "/"), info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{}, Implicits: map[ast.Node]types.Object{},
		}}
		for _, name := range listed.GoFiles {
			f, err := parser.ParseFile(p.fset, filepath.Join(listed.Dir, name), nil, parser.SkipObjectResolution|parser.ParseComments)
			if err != nil {
				return nil, err
			}
			r.files = append(r.files, f)
		}
		conf := types.Config{Importer: imp, GoVersion: ""}
		if r.pkg, err = conf.Check(listed.ImportPath, p.fset, r.files, r.info); err != nil {
			return nil, err
		}
		ours[listed.ImportPath] = r.pkg
		p.rooms = append(p.rooms, r)
	}
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }
