package markup

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"reflect"
	"strconv"
	"strings"
	"text/template/parse"
)

// Func is what a template calls. What it returns is escaped, as every value is, but
// for [HTML].
type Func func(args ...any) (any, error)

// HTML is written as it is. It is for fixed texts of the program, such as an icon,
// never for anything that came from outside.
type HTML string

// Execute writes the template of that name, filled with data, a struct or a map by
// names, to w. It fails where data has not what the template asks for; what was
// written by then is worth nothing.
func (s *Set) Execute(w *bytes.Buffer, name string, data any, functions map[string]Func) error {
	t := s.trees[name]
	if t == nil {
		return fmt.Errorf("markup: there is no template %q", name)
	}
	return filler{set: s, w: w, functions: functions}.call(t, reflect.ValueOf(data))
}

type filler struct {
	set       *Set
	w         *bytes.Buffer
	functions map[string]Func
	depth     int
}

// maxDepth is how many templates may stand within each other: one that calls itself would end the program.
const maxDepth = 32

func (f filler) call(t *parse.Tree, root reflect.Value) error {
	if f.depth++; f.depth > maxDepth {
		return fmt.Errorf("markup: template %s: more than %d templates within each other", t.Name, maxDepth)
	}
	if err := f.list(t.Root, root, root); err != nil {
		return fmt.Errorf("markup: template %s: %w", t.Name, err)
	}
	return nil
}

func (f filler) list(l *parse.ListNode, dot, root reflect.Value) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := f.node(n, dot, root); err != nil {
			return err
		}
	}
	return nil
}

func (f filler) node(n parse.Node, dot, root reflect.Value) error {
	switch n := n.(type) {
	case *parse.TextNode:
		f.w.Write(n.Text)
		return nil
	case *parse.ActionNode:
		v, err := f.pipe(n.Pipe, dot, root)
		if err != nil {
			return err
		}
		return f.write(v, f.set.urls[n])
	case *parse.IfNode:
		v, err := f.pipe(n.Pipe, dot, root)
		if err != nil {
			return err
		}
		if truth(v) {
			return f.list(n.List, dot, root)
		}
		return f.list(n.ElseList, dot, root)
	case *parse.RangeNode:
		return f.each(n, dot, root)
	case *parse.TemplateNode:
		v := dot
		if n.Pipe != nil {
			var err error
			if v, err = f.pipe(n.Pipe, dot, root); err != nil {
				return err
			}
		}
		return f.call(f.set.trees[n.Name], v)
	}
	return nil // a comment: Parse let nothing else through
}

func (f filler) each(n *parse.RangeNode, dot, root reflect.Value) error {
	v, err := f.pipe(n.Pipe, dot, root)
	if err != nil {
		return err
	}
	if v = under(v); v.Kind() != reflect.Slice {
		return fmt.Errorf("line %d: %s is no list", n.Line, n.Pipe)
	}
	if v.Len() == 0 {
		return f.list(n.ElseList, dot, root)
	}
	for i := range v.Len() {
		if err := f.list(n.List, v.Index(i), root); err != nil {
			return err
		}
	}
	return nil
}

func (f filler) pipe(p *parse.PipeNode, dot, root reflect.Value) (reflect.Value, error) {
	args := p.Cmds[0].Args
	id, call := args[0].(*parse.IdentifierNode)
	if !call {
		return f.value(args[0], dot, root)
	}
	fn := f.functions[id.Ident]
	if fn == nil {
		return reflect.Value{}, fmt.Errorf("line %d: there is no function %s", p.Line, id.Ident)
	}
	given := make([]any, 0, len(args)-1)
	for _, a := range args[1:] {
		v, err := f.value(a, dot, root)
		if err != nil {
			return v, err
		}
		given = append(given, v.Interface())
	}
	out, err := fn(given...)
	if err != nil {
		return reflect.Value{}, fmt.Errorf("line %d: %s: %w", p.Line, p, err)
	}
	return reflect.ValueOf(out), nil
}

func (f filler) value(n parse.Node, dot, root reflect.Value) (reflect.Value, error) {
	switch n := n.(type) {
	case *parse.StringNode:
		return reflect.ValueOf(n.Text), nil
	case *parse.FieldNode:
		return f.fields(dot, n.Ident)
	case *parse.VariableNode:
		return f.fields(root, n.Ident[1:])
	}
	return dot, nil
}

func (f filler) fields(v reflect.Value, names []string) (reflect.Value, error) {
	for _, name := range names {
		switch v = under(v); v.Kind() {
		case reflect.Struct:
			v = f.set.field(v, name)
		case reflect.Map:
			v = v.MapIndex(reflect.ValueOf(name))
		default:
			v = reflect.Value{}
		}
		if !v.IsValid() || !v.CanInterface() {
			return reflect.Value{}, fmt.Errorf("there is no .%s", name)
		}
	}
	return v, nil
}

// member is a field of a type of struct.
type member struct {
	of   reflect.Type
	name string
}

// field is the field of v with that name. Where it stands in v is looked for once: that is a fifth of what a page takes.
func (s *Set) field(v reflect.Value, name string) reflect.Value {
	key := member{v.Type(), name}
	at, known := s.members.Load(key)
	if !known {
		f, _ := key.of.FieldByName(name)
		at, _ = s.members.LoadOrStore(key, f.Index)
	}
	if index := at.([]int); len(index) > 0 {
		return v.FieldByIndex(index)
	}
	return reflect.Value{}
}

// under is what a pointer or interface holds.
func under(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

func truth(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		return !v.IsNil()
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() > 0
	}
	return v.IsValid() && !v.IsZero()
}

var errAddress = errors.New("markup: an address that is no path of this server")

func (f filler) write(v reflect.Value, address bool) error {
	v = under(v)
	if !v.IsValid() {
		return errors.New("there is no value")
	}
	s := ""
	switch v.Kind() {
	case reflect.String:
		if h, ok := v.Interface().(HTML); ok && !address {
			f.w.WriteString(string(h))
			return nil
		}
		s = v.String()
	case reflect.Int, reflect.Int64:
		s = strconv.FormatInt(v.Int(), 10)
	default:
		return fmt.Errorf("a %s cannot be written", v.Type())
	}
	if address && !OwnPath(s) {
		return errAddress
	}
	f.w.WriteString(html.EscapeString(strings.ToValidUTF8(s, "\uFFFD")))
	return nil
}

// MaxPath bounds a path of this server: what one leads back to may stand in another, with everything in it escaped.
const MaxPath = 14 << 10

// OwnPath reports whether a browser that is sent to s stays on this server: a path from
// the root, in at most [MaxPath] visible characters of ASCII. Browsers take "//host" and "/\host" for
// another server's, drop tabs and line breaks, and read "\" as "/".
func OwnPath(s string) bool {
	if len(s) == 0 || len(s) > MaxPath || s[0] != '/' || strings.HasPrefix(s, "//") {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}
