package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// helpers is a file that is added to the woven package. Each helper computes what the
// source says, unless the mutant whose number it has is the chosen one, and notes that a
// test came by.
const helpers = `package %s

import (
	"cmp"
	"os"
	"strconv"
	"syscall"
)

var mutantChosen, mutantVisited = mutantStart()

func mutantStart() (int, []byte) {
	chosen, err := strconv.Atoi(os.Getenv("MUTANT_CHOSEN"))
	if err != nil {
		chosen = -2
	}
	f, err := os.OpenFile(os.Getenv("MUTANT_VISITED"), os.O_RDWR, 0)
	if err != nil {
		return chosen, nil
	}
	defer f.Close()
	visited, err := syscall.Mmap(int(f.Fd()), 0, %d, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return chosen, visited
}

func mutantIs(id int) bool {
	if mutantVisited != nil && id >= 0 {
		mutantVisited[id] = 1
	}
	return id == mutantChosen
}

type mutantInt interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

type mutantNumber interface{ mutantInt | ~float32 | ~float64 }

func mutantLess[T cmp.Ordered](boundary, negation int, x, y T) bool {
	if mutantIs(boundary) {
		return x <= y
	}
	return (x < y) != mutantIs(negation)
}

func mutantLessEqual[T cmp.Ordered](boundary, negation int, x, y T) bool {
	if mutantIs(boundary) {
		return x < y
	}
	return (x <= y) != mutantIs(negation)
}

func mutantAnd(id int, x bool, y func() bool) bool {
	if mutantIs(id) {
		return x || y()
	}
	return x && y()
}

func mutantOr(id int, x bool, y func() bool) bool {
	if mutantIs(id) {
		return x && y()
	}
	return x || y()
}

func mutantAdd[T mutantNumber](id int, x, y T) T {
	if mutantIs(id) {
		return x - y
	}
	return x + y
}

func mutantSub[T mutantNumber](id int, x, y T) T {
	if mutantIs(id) {
		return x + y
	}
	return x - y
}

func mutantMul[T mutantNumber](id int, x, y T) T {
	if mutantIs(id) {
		return x / y
	}
	return x * y
}

func mutantQuo[T mutantNumber](id int, x, y T) T {
	if mutantIs(id) {
		return x * y
	}
	return x / y
}

func mutantRem[T mutantInt](id int, x, y T) T {
	if mutantIs(id) {
		return x * y
	}
	return x %% y
}

func mutantBitAnd[T mutantInt](id int, x, y T) T {
	if mutantIs(id) {
		return x | y
	}
	return x & y
}

func mutantBitOr[T mutantInt](id int, x, y T) T {
	if mutantIs(id) {
		return x & y
	}
	return x | y
}

func mutantBitXor[T mutantInt](id int, x, y T) T {
	if mutantIs(id) {
		return x & y
	}
	return x ^ y
}

func mutantBitClear[T mutantInt](id int, x, y T) T {
	if mutantIs(id) {
		return x & y
	}
	return x &^ y
}

func mutantShl[T, N mutantInt](id int, x T, n N) T {
	if mutantIs(id) {
		return x >> n
	}
	return x << n
}

func mutantShr[T, N mutantInt](id int, x T, n N) T {
	if mutantIs(id) {
		return x << n
	}
	return x >> n
}

func mutantNeg[T mutantNumber](id int, x T) T {
	if mutantIs(id) {
		return x
	}
	return -x
}
`

var binary = map[token.Token]string{token.ADD: "Add", token.SUB: "Sub", token.MUL: "Mul", token.QUO: "Quo",
	token.REM: "Rem", token.AND: "BitAnd", token.OR: "BitOr", token.XOR: "BitXor", token.AND_NOT: "BitClear",
	token.SHL: "Shl", token.SHR: "Shr"}

// weave builds one test program with every mutant in it, each behind its number, and
// returns the program. A mutant that does not compile beside the others is set alone.
func (r *room) weave(root, work string) (string, error) {
	program := filepath.Join(work, "woven.test")
	for range 50 {
		overlay := map[string]string{}
		for _, s := range r.sources {
			to := filepath.Join(work, "woven", s.base)
			if err := write(to, r.woven(s)); err != nil {
				return "", err
			}
			overlay[filepath.Join(r.dir, s.base)] = to
		}
		extra := filepath.Join(work, "woven", "zz_mutants.go")
		if err := write(extra, fmt.Sprintf(helpers, r.name, len(r.mutants)+1)); err != nil {
			return "", err
		}
		overlay[filepath.Join(r.dir, "zz_mutants.go")] = extra
		complaints, err := build(root, work, r.path, program, overlay)
		if err == nil {
			return program, nil
		}
		if !r.setAlone(complaints) {
			return "", fmt.Errorf("the woven program does not compile:\n%s", complaints)
		}
	}
	return "", fmt.Errorf("the woven program never compiled")
}

var complaint = regexp.MustCompile(`(?m)([^/\s:]+\.go):(\d+):`)

// setAlone takes the mutants of every line that the compiler complains of out of the woven
// program. It says whether there were any.
func (r *room) setAlone(complaints string) bool {
	found := false
	for _, c := range complaint.FindAllStringSubmatch(complaints, -1) {
		line, _ := strconv.Atoi(c[2])
		near := []func(*mutant) bool{
			func(m *mutant) bool { return m.at.Line == line },
			func(m *mutant) bool { return r.within(line, m.node) },
			func(m *mutant) bool { // "missing return": a loop without end has got one
				_, branch := m.node.(*ast.BranchStmt)
				return branch && r.within(line, m.decl)
			},
		}
		for _, is := range near {
			hit := false
			for _, m := range r.mutants {
				if m.file.base == c[1] && !m.alone && is(m) {
					m.alone, hit = true, true
				}
			}
			if found = found || hit; hit {
				break
			}
		}
	}
	return found
}

func (r *room) within(line int, n ast.Node) bool {
	return r.fset.Position(n.Pos()).Line <= line && line <= r.fset.Position(n.End()).Line
}

// woven is the text of a file with all its mutants, line for line.
func (r *room) woven(s *source) string {
	at := map[ast.Node][]*mutant{}
	for _, m := range r.mutants {
		if m.file == s && !m.alone {
			at[m.node] = append(at[m.node], m)
		}
	}
	w := &weaver{room: r, source: s, mutants: at}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if n != nil && at[n] != nil {
			w.nodes = append(w.nodes, n)
		}
		return true
	})
	slices.SortFunc(w.nodes, func(a, b ast.Node) int {
		return cmp.Or(cmp.Compare(a.Pos(), b.Pos()), cmp.Compare(b.End(), a.End()))
	})
	return w.span(0, len(s.text), nil)
}

type weaver struct {
	*room
	source  *source
	mutants map[ast.Node][]*mutant
	nodes   []ast.Node // outer before inner
}

func (w *weaver) offset(p token.Pos) int { return w.fset.Position(p).Offset }

// span is the text from one offset to another with the mutants of the nodes inside it;
// without is the node whose parts are being written.
func (w *weaver) span(from, to int, without ast.Node) string {
	var b strings.Builder
	for _, n := range w.nodes {
		begin, end := w.offset(n.Pos()), w.offset(n.End())
		if n == without || begin < from || end > to {
			continue
		}
		b.Write(w.source.text[from:begin])
		b.WriteString(w.node(n))
		from = end
	}
	b.Write(w.source.text[from:to])
	return b.String()
}

func (w *weaver) part(n, of ast.Node) string { return w.span(w.offset(n.Pos()), w.offset(n.End()), of) }

// gap is the line breaks between two offsets.
func (w *weaver) gap(from, to token.Pos) string {
	return strings.Repeat("\n", strings.Count(string(w.source.text[w.offset(from):w.offset(to)]), "\n"))
}

func (w *weaver) id(n ast.Node, rule string) int {
	for _, m := range w.mutants[n] {
		if m.rule == rule {
			return m.id
		}
	}
	return -1
}

func (w *weaver) node(n ast.Node) string {
	first := w.mutants[n][0]
	switch n := n.(type) {
	case *ast.BinaryExpr:
		x, y, gap := w.part(n.X, n), w.part(n.Y, n), w.gap(n.X.End(), n.Y.Pos())
		boundary, negation := w.id(n, "CONDITIONALS_BOUNDARY"), w.id(n, "CONDITIONALS_NEGATION")
		switch n.Op {
		case token.EQL, token.NEQ:
			return fmt.Sprintf("((%s %s %s%s) != mutantIs(%d))", x, n.Op, gap, y, negation)
		case token.LSS:
			return fmt.Sprintf("mutantLess(%d, %d, %s, %s%s)", boundary, negation, x, gap, y)
		case token.LEQ:
			return fmt.Sprintf("mutantLessEqual(%d, %d, %s, %s%s)", boundary, negation, x, gap, y)
		case token.GTR: // x > y is not (x <= y), and its boundary x >= y is not (x < y)
			return fmt.Sprintf("!mutantLessEqual(%d, %d, %s, %s%s)", boundary, negation, x, gap, y)
		case token.GEQ:
			return fmt.Sprintf("!mutantLess(%d, %d, %s, %s%s)", boundary, negation, x, gap, y)
		case token.LAND:
			return fmt.Sprintf("mutantAnd(%d, %s, func() bool { return %s%s })", first.id, x, gap, y)
		case token.LOR:
			return fmt.Sprintf("mutantOr(%d, %s, func() bool { return %s%s })", first.id, x, gap, y)
		}
		kind := ""
		if v := w.info.Types[n.X].Value; v != nil && (n.Op == token.SHL || n.Op == token.SHR) {
			kind = "[" + types.TypeString(w.info.TypeOf(n), func(p *types.Package) string { return p.Name() }) + "]"
		}
		return fmt.Sprintf("mutant%s%s(%d, %s, %s%s)", binary[n.Op], kind, first.id, x, gap, y)
	case *ast.UnaryExpr:
		return fmt.Sprintf("mutantNeg(%d, %s)", first.id, w.part(n.X, n))
	case *ast.IncDecStmt:
		x := w.part(n.X, n)
		return fmt.Sprintf("func() { if mutantIs(%d) { %s%s } else { %s%s } }()", first.id, x, first.to, x, n.Tok)
	case *ast.BranchStmt:
		label := ""
		if n.Label != nil {
			label = " " + n.Label.Name
		}
		return fmt.Sprintf("if mutantIs(%d) { %s%s } else { %s%s }", first.id, first.to, label, n.Tok, label)
	case *ast.AssignStmt:
		x, y, gap := w.part(n.Lhs[0], n), w.part(n.Rhs[0], n), w.gap(n.Lhs[0].End(), n.Rhs[0].Pos())
		var b strings.Builder
		b.WriteString("func() { ")
		for _, m := range w.mutants[n] {
			fmt.Fprintf(&b, "if mutantIs(%d) { %s %s %s; return }; ", m.id, x, m.to, strings.ReplaceAll(y, "\n", " "))
		}
		fmt.Fprintf(&b, "%s %s %s%s }()", x, n.Tok, gap, y)
		return b.String()
	}
	panic(fmt.Sprintf("no way to weave %T", n))
}

// single builds a test program with one mutant in it. It says false where that does not compile.
func (r *room) single(root, work string, m *mutant) (string, bool, error) {
	pos, tok := operator(m.node)
	at := r.fset.Position(pos).Offset
	text := string(m.file.text[:at]) + m.to.String() + string(m.file.text[at+len(tok.String()):])
	to := filepath.Join(work, "single", m.file.base)
	if err := write(to, text); err != nil {
		return "", false, err
	}
	program := filepath.Join(work, "single.test")
	complaints, err := build(root, work, r.path, program, map[string]string{filepath.Join(r.dir, m.file.base): to})
	if err != nil && complaint.MatchString(complaints) {
		return "", false, nil
	}
	return program, true, err
}

// build compiles the tests of a room with other files in place of its own. It returns what the compiler said.
func build(root, work, path, program string, overlay map[string]string) (string, error) {
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, "overlay.json")
	if err := write(file, string(text)); err != nil {
		return "", err
	}
	_, err = output(root, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-ldflags=-s -w", "-overlay", file, "-o", program, "./"+path)
	if err != nil {
		return err.Error(), err
	}
	return "", nil
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
