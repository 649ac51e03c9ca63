package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/gatehouse-auth/gatehouse/internal/nearest"
)

const (
	// maxDepth bounds lists and mappings within each other; the format itself needs
	// nine. The parser's time grows with the square of it.
	maxDepth = 64
	// maxNodes bounds what is read, aliases each time they are used.
	maxNodes = 1 << 20
)

// decoder reads a document into a Config and notes where each key stands and
// everything that is wrong.
type decoder struct {
	problems []Problem
	at       map[string]*token.Position // by path
	anchors  map[string]ast.Node
	nodes    int
}

// decode reads the one document of a file. No problem shows a value.
func decode(data []byte, c *Config) (d *decoder) {
	d = &decoder{at: map[string]*token.Position{}, anchors: map[string]ast.Node{}}
	// The YAML library is not ours: whatever it trips over is a wrong file.
	defer func() {
		if recover() != nil {
			d.problems = append(d.problems, Problem{Err: errors.New("cannot be read as YAML")})
		}
	}()
	whole := func(pos *token.Position, text string) {
		d.fail(pos, "", errors.New(text))
	}
	tokens := lexer.Tokenize(string(data))
	if pos := tooDeep(tokens); pos != nil {
		whole(pos, fmt.Sprintf("more than %d levels", maxDepth))
		return d
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		d.problems = append(d.problems, syntaxProblem(err))
		return d
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			whole(doc.Body.GetToken().Position, "holds a second YAML document; only one is read")
			return d
		}
		body = doc.Body
	}
	if body != nil {
		d.value(body, reflect.ValueOf(c).Elem(), "", key{}, 0)
	}
	return d
}

// syntaxProblem says where the file is not YAML. The excerpt that the library can
// print may hold a neighbouring secret, and so may its message.
func syntaxProblem(err error) Problem {
	p := Problem{Err: errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))}
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		p.Line, p.Column = at.GetToken().Position.Line, at.GetToken().Position.Column
		p.Err = errors.New(at.GetMessage())
	}
	return p
}

// tooDeep counts what opens at once: brackets, and the dashes of one line.
func tooDeep(tokens token.Tokens) *token.Position {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			dashes, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			dashes++
		}
		if brackets > maxDepth || dashes > maxDepth {
			return t.Position
		}
	}
	return nil
}

// place returns where the key at path stands, or where it should: its parent.
func (d *decoder) place(path string) *token.Position {
	for path != "" {
		if pos, noted := d.at[path]; noted {
			return pos
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return nil
}

func (d *decoder) fail(pos *token.Position, path string, err error) {
	p := Problem{Key: path, Err: err}
	if pos != nil {
		p.Line, p.Column = pos.Line, pos.Column
	}
	d.problems = append(d.problems, p)
}

// resolve follows anchors and aliases to what is meant; nil when there is nothing.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	for range maxDepth {
		switch v := n.(type) {
		case *ast.AnchorNode:
			d.anchors[v.Name.GetToken().Value] = v.Value
			n = v.Value
		case *ast.AliasNode:
			to, ok := d.anchors[v.Value.GetToken().Value]
			if !ok {
				d.fail(v.GetToken().Position, path, errors.New("an alias of nothing that stands above"))
				return nil
			}
			n = to
		case *ast.TagNode:
			d.fail(v.GetToken().Position, path, errors.New("a YAML tag (!) has no meaning here"))
			return nil
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			return nil
		default:
			return n
		}
	}
	return nil
}

// value reads n into v, the value of key k at path.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, k key, depth int) {
	d.nodes++
	if d.nodes > maxNodes || depth > maxDepth {
		if d.nodes <= maxNodes+1 {
			d.nodes = maxNodes + 1
			d.fail(n.GetToken().Position, path, errors.New("too much: an alias within itself?"))
		}
		return
	}
	if n = d.resolve(n, path); n == nil {
		return // an empty key is an absent one
	}
	if _, noted := d.at[path]; !noted {
		d.at[path] = n.GetToken().Position
	}
	switch shapeOf(v.Type()) {
	case shapeGroup:
		d.group(n, v, path, depth)
	case shapeMap:
		d.entries(n, path, func(name string, value ast.Node) {
			e := reflect.New(v.Type().Elem()).Elem()
			d.value(value, e, join(path, name), k, depth+1)
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			if e.Kind() == reflect.Interface && e.IsNil() {
				return
			}
			v.SetMapIndex(reflect.ValueOf(name), e)
		})
	case shapeList:
		d.list(n, v, path, k, depth)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) group(n ast.Node, v reflect.Value, path string, depth int) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	keys := keysOf(v.Type())
	d.entries(n, path, func(name string, value ast.Node) {
		for _, k := range keys {
			if k.name == name {
				d.value(value, v.Field(k.index), join(path, name), k, depth+1)
			}
		}
	}, keys...)
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string, k key, depth int) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(n.GetToken().Position, path, errors.New("a list, such as [one, two]"))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(s.Values)))
	for i, e := range s.Values {
		out := reflect.New(v.Type().Elem()).Elem()
		at := fmt.Sprintf("%s[%d]", path, i)
		if e != nil {
			d.value(e, out, at, k, depth+1)
		}
		v.Set(reflect.Append(v, out))
	}
}

// scalar sets v from the text of n. Numbers and booleans are never taken from
// quoted text; a text may look like a number.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	pos := n.GetToken().Position
	text, fits := "", true
	switch s := n.(type) {
	case *ast.StringNode:
		text, fits = s.Value, shapeOf(v.Type()) != shapeNumber && shapeOf(v.Type()) != shapeBool
	case *ast.LiteralNode:
		text, fits = s.Value.Value, shapeOf(v.Type()) == shapeText || shapeOf(v.Type()) == shapeAny
	case *ast.BoolNode:
		text, fits = s.GetToken().Value, shapeOf(v.Type()) != shapeNumber
	case *ast.IntegerNode, *ast.FloatNode:
		text, fits = s.GetToken().Value, shapeOf(v.Type()) != shapeBool
	default:
		err := setText(reflect.New(v.Type()).Elem(), "!") // says what is expected
		if err == nil {
			err = errors.New("a single value, not a list or mapping")
		}
		if name, ok := cutAtColon(n); ok {
			// goccy/go-yaml 1.19.2 (findings/goccy-yaml-scopes.sh)
			err = fmt.Errorf("within braces a name with a colon is read as a mapping; put it in quotes: %q", name)
		}
		d.fail(pos, path, err)
		return
	}
	if !fits { // setText would take more
		text = "!"
	}
	if text == "" {
		return // an empty key is an absent one
	}
	if err := setText(v, text); err != nil {
		d.fail(pos, path, err)
	}
}

// cutAtColon tells what a mapping of one member was meant to be, when it stands for a
// name such as users:read.
func cutAtColon(n ast.Node) (string, bool) {
	m, ok := n.(*ast.MappingNode)
	if !ok || len(m.Values) != 1 {
		return "", false
	}
	value, ok := m.Values[0].Value.(*ast.StringNode)
	if !ok || strings.ContainsAny(value.Value, " \n") {
		return "", false
	}
	key := m.Values[0].Key.GetToken()
	return key.Value + ":" + value.Value, value.GetToken().Position.Offset == key.Position.Offset+len(key.Value)+1
}

// entries visits the members of a mapping, merged ones (<<) first, so that the
// mapping's own win. With keys, others are refused.
func (d *decoder) entries(n ast.Node, path string, visit func(name string, value ast.Node), keys ...key) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.fail(n.GetToken().Position, path, errors.New("a mapping: members with a colon"))
		return
	}
	for _, e := range values {
		if e.Key.IsMergeKey() {
			d.merged(e.Value, path, visit, keys)
		}
	}
	seen := map[string]bool{}
	for _, e := range values {
		if e.Key.IsMergeKey() {
			continue
		}
		name, pos := memberName(e.Key), e.Key.GetToken().Position
		switch {
		case seen[name]:
			d.fail(pos, join(path, name), errors.New("stands here twice"))
			continue
		case keys != nil && !known(keys, name):
			d.fail(pos, join(path, name), errors.New(unknown(keys, name)))
			continue
		}
		seen[name] = true
		d.at[join(path, name)] = pos
		visit(name, e.Value)
	}
}

// merged visits the members of the mapping, or of each in the list, that a merge
// key (<<) names.
func (d *decoder) merged(n ast.Node, path string, visit func(string, ast.Node), keys []key) {
	d.nodes++
	if d.nodes > maxNodes {
		return
	}
	n = d.resolve(n, path)
	if n == nil {
		return
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		for i := len(list.Values) - 1; i >= 0; i-- { // the first wins
			if e := d.resolve(list.Values[i], path); e != nil {
				d.entries(e, path, visit, keys...)
			}
		}
		return
	}
	d.entries(n, path, visit, keys...)
}

func memberName(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

func known(keys []key, name string) bool {
	for _, k := range keys {
		if k.name == name {
			return true
		}
	}
	return false
}

func unknown(keys []key, name string) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	if near := nearest.Name(name, names); near != "" {
		return "unknown key; did you mean " + near + "?"
	}
	return "unknown key; there are " + strings.Join(names, ", ")
}
