package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/nearest"
	"github.com/gatehouse-auth/gatehouse/internal/yamltree"
)

// maxNodes bounds what is read, aliases each time they are used.
const maxNodes = 1 << 20

// place is where something stands in a file, from 1; the zero place is in no file.
type place struct{ line, column int }

// decoder reads a document into a Config and notes where each key stands and
// everything that is wrong.
type decoder struct {
	problems []Problem
	at       map[string]place // by path
	nodes    int
	unread   bool // the file is no YAML: nothing is known of its keys
}

// decode reads the one document of a file. No problem shows a value.
func decode(data []byte, c *Config) *decoder {
	d := &decoder{at: map[string]place{}}
	root, err := yamltree.Document(data)
	var syntax *yamltree.SyntaxError
	switch {
	case errors.As(err, &syntax):
		d.unread = true
		d.problems = append(d.problems, Problem{Line: syntax.Line, Column: syntax.Column, Err: errors.New(syntax.Text)})
	case root != nil:
		d.value(root, reflect.ValueOf(c).Elem(), "", key{}, 0)
	}
	return d
}

// placeOf returns where the key at path stands, or where it should: its parent.
func placeOf(at map[string]place, path string) place {
	for path != "" {
		if p, noted := at[path]; noted {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{}
}

// fail notes what is wrong with the key at path, or with what stands at n.
func (d *decoder) fail(n *yamltree.Node, path, text string) {
	d.problems = append(d.problems, Problem{Key: path, Line: n.Line, Column: n.Column, Err: errors.New(text)})
}

// resolve follows aliases to what is meant; nil when there is nothing.
func (d *decoder) resolve(n *yamltree.Node, path string) *yamltree.Node {
	for n.Kind == yamltree.Alias {
		n = n.Alias
	}
	switch {
	case yamltree.Tagged(n):
		d.fail(n, path, "a YAML tag (!) has no meaning here")
		return nil
	case n.Kind == yamltree.Scalar && n.ShortTag() == "!!null":
		return nil
	}
	return n
}

// much counts a value; it reports, once, that there are too many, or too deep ones.
func (d *decoder) much(n *yamltree.Node, path string, depth int) bool {
	d.nodes++
	if d.nodes <= maxNodes && depth <= yamltree.MaxDepth {
		return false
	}
	if d.nodes <= maxNodes+1 {
		d.nodes = maxNodes + 1
		d.fail(n, path, fmt.Sprintf("more than %d levels, or an alias within itself", yamltree.MaxDepth))
	}
	return true
}

// value reads n into v, the value of key k at path.
func (d *decoder) value(n *yamltree.Node, v reflect.Value, path string, k key, depth int) {
	if d.much(n, path, depth) {
		return
	}
	used := place{n.Line, n.Column} // of an alias its own: what it stands for is elsewhere
	if n = d.resolve(n, path); n == nil {
		return // an empty key is an absent one
	}
	if _, noted := d.at[path]; !noted {
		d.at[path] = used
	}
	switch shapeOf(v.Type()) {
	case shapeGroup:
		d.group(n, v, path, depth)
	case shapeMap:
		d.entries(n, path, depth, func(name string, value *yamltree.Node) {
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

func (d *decoder) group(n *yamltree.Node, v reflect.Value, path string, depth int) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	keys := keysOf(v.Type())
	d.entries(n, path, depth, func(name string, value *yamltree.Node) {
		for _, k := range keys {
			if k.name == name {
				d.value(value, v.FieldByIndex(k.index), join(path, name), k, depth+1)
			}
		}
	}, keys...)
}

func (d *decoder) list(n *yamltree.Node, v reflect.Value, path string, k key, depth int) {
	if n.Kind != yamltree.Sequence {
		d.fail(n, path, "a list, such as [one, two]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	for i, e := range n.Content {
		out := reflect.New(v.Type().Elem()).Elem()
		d.value(e, out, fmt.Sprintf("%s[%d]", path, i), k, depth+1)
		v.Set(reflect.Append(v, out))
	}
}

// scalar sets v from the text of n. Numbers and booleans are never taken from
// quoted text; a text may look like a number.
func (d *decoder) scalar(n *yamltree.Node, v reflect.Value, path string) {
	if n.Kind != yamltree.Scalar {
		err := setText(reflect.New(v.Type()).Elem(), "!") // says what is expected
		if err == nil {
			err = errors.New("a single value, not a list or mapping")
		}
		d.fail(n, path, err.Error())
		return
	}
	text, shape, fits := n.Value, shapeOf(v.Type()), true
	switch {
	case yamltree.Block(n):
		fits = shape == shapeText || shape == shapeAny
	case yamltree.Quoted(n):
		fits = shape != shapeNumber && shape != shapeBool
	}
	if !fits { // setText would take more
		text = "!"
	}
	if text == "" {
		return // an empty key is an absent one
	}
	if err := setText(v, text); err != nil {
		d.fail(n, path, err.Error())
	}
}

// entries visits the members of a mapping, merged ones (<<) first, so that the
// mapping's own win. With keys, others are refused.
func (d *decoder) entries(n *yamltree.Node, path string, depth int, visit func(name string, value *yamltree.Node), keys ...key) {
	if n.Kind != yamltree.Mapping {
		d.fail(n, path, "a mapping: members with a colon")
		return
	}
	members := n.Content // a name and its value in turn
	for i := 0; i+1 < len(members); i += 2 {
		if merges(members[i]) {
			d.merged(members[i+1], path, depth+1, visit, keys)
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(members); i += 2 {
		at := members[i]
		if merges(at) {
			continue
		}
		member := at
		for member.Kind == yamltree.Alias {
			member = member.Alias
		}
		name := member.Value
		switch {
		case member.Kind != yamltree.Scalar || yamltree.Tagged(member):
			d.fail(at, path, "a name must be text")
			continue
		case seen[name]:
			d.fail(at, join(path, name), "stands here twice")
			continue
		case keys != nil && !known(keys, name):
			d.fail(at, join(path, name), unknown(keys, name))
			continue
		}
		seen[name] = true
		d.at[join(path, name)] = place{at.Line, at.Column}
		visit(name, members[i+1])
	}
}

func merges(name *yamltree.Node) bool {
	return name.Kind == yamltree.Scalar && name.ShortTag() == "!!merge"
}

// merged visits the members of the mapping, or of each in the list, that a merge
// key (<<) names.
func (d *decoder) merged(n *yamltree.Node, path string, depth int, visit func(string, *yamltree.Node), keys []key) {
	if d.much(n, path, depth) {
		return
	}
	if n = d.resolve(n, path); n == nil {
		return
	}
	if n.Kind == yamltree.Sequence {
		for i := len(n.Content) - 1; i >= 0; i-- { // the first wins
			d.merged(n.Content[i], path, depth+1, visit, keys)
		}
		return
	}
	d.entries(n, path, depth, visit, keys...)
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
