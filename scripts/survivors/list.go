package main

import (
	"cmp"
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
	"slices"
	"strings"
)

// gremlins is the program whose rules say where a line can be weakened, and how.
const gremlins = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"

// optional are gremlins' rules that it leaves off by itself. The others are on by default.
var optional = []string{"--invert-assignments", "--invert-bitwise", "--invert-bwassign", "--invert-logical",
	"--invert-loopctrl", "--remove-self-assignments"}

// swaps says what a rule writes in place of an operator, as gremlins documents it.
var swaps = map[string]map[token.Token]token.Token{
	"ARITHMETIC_BASE": {token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
		token.REM: token.MUL},
	"CONDITIONALS_BOUNDARY": {token.GEQ: token.GTR, token.GTR: token.GEQ, token.LEQ: token.LSS, token.LSS: token.LEQ},
	"CONDITIONALS_NEGATION": {token.EQL: token.NEQ, token.NEQ: token.EQL, token.GEQ: token.LSS, token.LSS: token.GEQ,
		token.GTR: token.LEQ, token.LEQ: token.GTR},
	"INCREMENT_DECREMENT": {token.INC: token.DEC, token.DEC: token.INC},
	"INVERT_ASSIGNMENTS": {token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
		token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN},
	"INVERT_BITWISE": {token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
		token.SHL: token.SHR, token.SHR: token.SHL},
	"INVERT_BITWISE_ASSIGNMENTS": {token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN,
		token.XOR_ASSIGN: token.AND_ASSIGN, token.AND_NOT_ASSIGN: token.AND_ASSIGN,
		token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN},
	"INVERT_LOGICAL":   {token.LAND: token.LOR, token.LOR: token.LAND},
	"INVERT_LOOPCTRL":  {token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK},
	"INVERT_NEGATIVES": {token.SUB: token.ADD},
	"REMOVE_SELF_ASSIGNMENTS": {token.ADD_ASSIGN: token.ASSIGN, token.AND_ASSIGN: token.ASSIGN,
		token.AND_NOT_ASSIGN: token.ASSIGN, token.MUL_ASSIGN: token.ASSIGN, token.OR_ASSIGN: token.ASSIGN,
		token.QUO_ASSIGN: token.ASSIGN, token.REM_ASSIGN: token.ASSIGN, token.SHL_ASSIGN: token.ASSIGN,
		token.SHR_ASSIGN: token.ASSIGN, token.SUB_ASSIGN: token.ASSIGN, token.XOR_ASSIGN: token.ASSIGN},
}

// mutant is one weakening of one line.
type mutant struct {
	id   int
	file *source
	node ast.Node
	at   token.Position // of the operator
	rule string
	from token.Token
	to   token.Token
	decl ast.Decl // the function or declaration around it
	fn   string   // its name
	text string   // the expression, or the line of a statement, with single spaces
	// alone: it cannot stand beside others in one program (a constant, or something that
	// our helpers cannot express) and is built by itself.
	alone bool
}

// source is one file of a room.
type source struct {
	path string // from the root of the module
	base string
	text []byte
	tree *ast.File
}

// room is a package with its mutants.
type room struct {
	path    string // "internal/web"
	dir     string
	name    string // of the package
	fset    *token.FileSet
	info    *types.Info
	sources []*source
	tests   []string // the texts of its test files
	mutants []*mutant
	invalid int // what gremlins lists and no compiler takes: &x as |x, "a" - "b"
}

// open parses and type-checks a room and asks gremlins where it can be weakened.
func open(root, path string) (*room, error) {
	r := &room{path: path, dir: filepath.Join(root, path), fset: token.NewFileSet()}
	if err := r.parse(root); err != nil {
		return nil, err
	}
	places, err := askGremlins(root, path)
	if err != nil {
		return nil, err
	}
	for _, s := range r.sources {
		r.find(s, places[s.base])
	}
	return r, nil
}

// parse reads the files that this machine builds, with the types of every expression.
func (r *room) parse(root string) error {
	out, err := output(root, "go", "list", "-deps", "-export", "-f", "{{.ImportPath}}\t{{.Export}}", "./"+r.path)
	if err != nil {
		return err
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[name] = file
	}
	out, err = output(root, "go", "list", "-f", "{{.ImportPath}} {{.Name}}{{range .GoFiles}} {{.}}{{end}}", "./"+r.path)
	if err != nil {
		return err
	}
	fields := strings.Fields(string(out))
	r.name = fields[1]
	trees := []*ast.File{}
	for _, base := range fields[2:] {
		text, err := os.ReadFile(filepath.Join(r.dir, base))
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(r.fset, filepath.Join(r.dir, base), text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.sources = append(r.sources, &source{path: r.path + "/" + base, base: base, text: text, tree: tree})
		trees = append(trees, tree)
	}
	tests, err := filepath.Glob(filepath.Join(r.dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range tests {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		r.tests = append(r.tests, string(text))
	}
	r.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(r.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	_, err = conf.Check(fields[0], r.fset, trees, r.info)
	return err
}

type place struct {
	Type   string
	Line   int
	Column int
}

// askGremlins has gremlins list its mutants without running any.
func askGremlins(root, path string) (map[string][]place, error) {
	file, err := os.CreateTemp("", "gremlins-*.json")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	args := append([]string{"run", gremlins, "unleash", "--dry-run", "--silent", "-o", file.Name()}, optional...)
	if _, err := output(root, "go", append(args, "./"+path)...); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, err
	}
	var list struct {
		Files []struct {
			Name      string  `json:"file_name"`
			Mutations []place `json:"mutations"`
		} `json:"files"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	places := map[string][]place{}
	for _, f := range list.Files {
		places[f.Name] = f.Mutations
	}
	return places, nil
}

// find turns gremlins' places into mutants.
func (r *room) find(s *source, places []place) {
	nodes := map[token.Position]ast.Node{}
	tokens := map[ast.Node]token.Token{}
	around := map[ast.Node]ast.Decl{}
	for _, decl := range s.tree.Decls {
		ast.Inspect(decl, func(n ast.Node) bool {
			pos, tok := operator(n)
			if tok != token.ILLEGAL {
				at := r.fset.Position(pos)
				nodes[token.Position{Line: at.Line, Column: at.Column}] = n
				tokens[n], around[n] = tok, decl
			}
			return true
		})
	}
	type key struct {
		node ast.Node
		to   token.Token
	}
	seen := map[key]bool{}
	// Gremlins lists in an order that changes from run to run, and which of two rules
	// names a weakening must not: equivalents are known by the rule.
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Type, b.Type))
	})
	for _, p := range places {
		n := nodes[token.Position{Line: p.Line, Column: p.Column}]
		if n == nil {
			continue // a file for another system has other positions
		}
		m := &mutant{file: s, node: n, rule: p.Type, from: tokens[n], decl: around[n], fn: declared(around[n])}
		to, known := swaps[m.rule][m.from]
		if !known || seen[key{n, to}] {
			continue // a rule that changes nothing, or -x as +x by two rules
		}
		m.to = to
		seen[key{n, to}] = true
		if r.cannotBe(m) {
			r.invalid++
			continue
		}
		m.at = token.Position{Line: p.Line, Column: p.Column}
		m.text = r.describe(m)
		if e, ok := n.(ast.Expr); ok && r.info.Types[e].Value != nil {
			m.alone = true
		}
		m.id = len(r.mutants)
		r.mutants = append(r.mutants, m)
	}
	slices.SortStableFunc(r.mutants, func(a, b *mutant) int { return strings.Compare(a.file.base, b.file.base) })
	for i, m := range r.mutants {
		m.id = i
	}
}

// cannotBe says that no compiler takes this mutant.
func (r *room) cannotBe(m *mutant) bool {
	switch n := m.node.(type) {
	case *ast.UnaryExpr:
		return n.Op == token.AND || n.Op == token.XOR || n.Op == token.ARROW
	case *ast.BinaryExpr:
		return m.rule == "ARITHMETIC_BASE" && r.isString(n)
	case *ast.AssignStmt:
		return m.rule == "INVERT_ASSIGNMENTS" && r.isString(n.Lhs[0])
	}
	return false
}

func (r *room) isString(e ast.Expr) bool {
	t := r.info.TypeOf(e)
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// describe is the mutant's text: the expression itself, or a statement's line with the one
// before it, since "continue" alone names nothing.
func (r *room) describe(m *mutant) string {
	if _, ok := m.node.(ast.Expr); ok {
		from, to := r.fset.Position(m.node.Pos()).Offset, r.fset.Position(m.node.End()).Offset
		return strings.Join(strings.Fields(string(m.file.text[from:to])), " ")
	}
	lines := strings.Split(string(m.file.text), "\n")
	text := strings.TrimSpace(lines[m.at.Line-1])
	if _, ok := m.node.(*ast.BranchStmt); ok {
		text = strings.TrimSpace(lines[m.at.Line-2]) + " " + text
	}
	return strings.Join(strings.Fields(text), " ")
}

func operator(n ast.Node) (token.Pos, token.Token) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		return n.TokPos, n.Tok
	case *ast.BinaryExpr:
		return n.OpPos, n.Op
	case *ast.BranchStmt:
		return n.TokPos, n.Tok
	case *ast.IncDecStmt:
		return n.TokPos, n.Tok
	case *ast.UnaryExpr:
		return n.OpPos, n.Op
	}
	return token.NoPos, token.ILLEGAL
}

// declared names a function as "Type.Method" or "Func", and other declarations as "const", "var" or "type".
func declared(d ast.Decl) string {
	fn, ok := d.(*ast.FuncDecl)
	if !ok {
		return d.(*ast.GenDecl).Tok.String()
	}
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// output runs a command in dir and returns what it printed; its complaints are in the error.
func output(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, complaints.String())
	}
	return out, nil
}
