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

// listed is what the go command tells of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// list asks the go command. Ours are compiled without cgo, whatever this test is.
func list(visit func(listed) error, args ...string) error {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := visit(l); err != nil {
			return err
		}
	}
}

// loadProgram type-checks our sources. What others wrote is read from the compiler's export data, which the build
// cache has already; ours is not compiled for it.
func loadProgram() (*program, error) {
	var ours []listed // what is imported comes first
	var others []string
	err := list(func(l listed) error {
		if strings.HasPrefix(l.ImportPath, module) {
			ours = append(ours, l)
		} else {
			others = append(others, l.ImportPath)
		}
		return nil
	}, "-deps", "-json=ImportPath,Dir,GoFiles", "./cmd/gatehouse", "./guard")
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	err = list(func(l listed) error {
		exports[l.ImportPath] = l.Export
		return nil
	}, append([]string{"-export", "-json=ImportPath,Export"}, others...)...)
	if err != nil {
		return nil, err
	}
	p := &program{fset: token.NewFileSet()}
	known := map[string]*types.Package{}
	compiled := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data for %q", path)
		}
		return os.Open(file)
	})
	imports := importerFunc(func(path string) (*types.Package, error) {
		if pkg, ok := known[path]; ok {
			return pkg, nil
		}
		return compiled.Import(path)
	})
	for _, l := range ours {
		r := &room{dir: strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, module), "/"), info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Instances: map[*ast.Ident]types.Instance{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		}}
		for _, name := range l.GoFiles {
			f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution|parser.ParseComments)
			if err != nil {
				return nil, err
			}
			r.files = append(r.files, f)
		}
		if r.pkg, err = (&types.Config{Importer: imports}).Check(l.ImportPath, p.fset, r.files, r.info); err != nil {
			return nil, err
		}
		known[l.ImportPath] = r.pkg
		p.rooms = append(p.rooms, r)
	}
	return p, nil
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }
