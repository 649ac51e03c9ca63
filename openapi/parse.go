package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// MaxBytes bounds a document before it is parsed.
const MaxBytes = 8 << 20

// Bounds of what is in it.
const (
	maxOperations = 5000
	maxDepth      = 64
	maxNodes      = 2_000_000 // after aliases took their values
	maxRefs       = 16        // from one to the next
	maxScope      = 128       // characters of the name of a scope, as realms have them
	maxMeaning    = 200       // of what it means, in bytes
)

// object is a mapping of the document. Its values are object, []any, string, bool,
// nil, or a number of JSON.
type object = map[string]any

// parse reads the document into a tree.
func parse(document []byte) (object, error) {
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("larger than %d bytes", MaxBytes)
	}
	var root any
	if bytes.HasPrefix(bytes.TrimLeft(document, " \t\r\n"), []byte("{")) {
		if err := exactjson.Unmarshal(document, &root); err != nil {
			return nil, err
		}
	} else {
		if err := boundYAML(document); err != nil {
			return nil, err
		}
		var err error
		if root, err = parseYAML(document); err != nil {
			return nil, err
		}
	}
	doc, ok := root.(object)
	if !ok {
		return nil, errors.New("is not a mapping")
	}
	return doc, nil
}

func parseYAML(document []byte) (any, error) {
	dec := yaml.NewDecoder(bytes.NewReader(document))
	var node, second yaml.Node
	if err := dec.Decode(&node); err != nil {
		return nil, err
	}
	if dec.Decode(&second) == nil || len(node.Content) != 1 {
		return nil, errors.New("must hold exactly one document")
	}
	left := maxNodes
	return value(node.Content[0], &left, 0)
}

// value makes a tree of a node. Aliases take the value of their anchor; left bounds
// what they may add up to, since a few lines can stand for gigabytes.
func value(n *yaml.Node, left *int, depth int) (any, error) {
	if *left--; *left < 0 {
		return nil, errors.New("its aliases stand for too much")
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", n.Line, maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return value(n.Alias, left, depth+1)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := value(c, left, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return mapping(n, left, depth)
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			return nil, nil
		case "!!bool":
			b, err := strconv.ParseBool(strings.ToLower(n.Value))
			if err != nil {
				return nil, fmt.Errorf("line %d: %q is neither true nor false", n.Line, n.Value)
			}
			return b, nil
		}
		return n.Value, nil
	}
	return nil, fmt.Errorf("line %d: is not understood", n.Line)
}

// mapping reads a mapping. What it merges ("<<") gives way to its own members, the
// first merged to the later ones.
func mapping(n *yaml.Node, left *int, depth int) (any, error) {
	out := make(object, len(n.Content)/2)
	var merged []object
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		v, err := value(n.Content[i+1], left, depth+1)
		if err != nil {
			return nil, err
		}
		if k.ShortTag() == "!!merge" {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, m := range list {
				o, ok := m.(object)
				if !ok {
					return nil, fmt.Errorf("line %d: << takes mappings", k.Line)
				}
				merged = append(merged, o)
			}
			continue
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a name must be text", k.Line)
		}
		if _, twice := out[k.Value]; twice {
			return nil, fmt.Errorf("line %d: %q stands there twice", k.Line, k.Value)
		}
		out[k.Value] = v
	}
	for _, m := range merged {
		for k, v := range m {
			if _, ok := out[k]; !ok {
				out[k] = v
			}
		}
	}
	return out, nil
}

// boundYAML refuses nesting that would exhaust a recursive parser. It counts
// brackets in texts too: a document that has 64 open ones is not worth parsing.
func boundYAML(document []byte) error {
	depth, deepest := 0, 0
	for line := range bytes.Lines(document) {
		rest := bytes.TrimLeft(line, " ")
		block := (len(line) - len(rest)) / 2
		for bytes.HasPrefix(rest, []byte("- ")) || bytes.HasPrefix(rest, []byte("? ")) {
			rest, block = bytes.TrimLeft(rest[2:], " "), block+1
		}
		for _, c := range rest {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			deepest = max(deepest, depth)
		}
		deepest = max(deepest, block)
	}
	if deepest > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// deref follows "$ref" inside the document. What stands beside a reference is
// added to what it points to, as OpenAPI 3.1 has it for path items; the same
// member in both is an error, since readers differ on which counts.
func (r *reader) deref(v any) (object, error) {
	beside := object{}
	for range maxRefs {
		o, ok := v.(object)
		if !ok {
			return nil, errors.New("is not a mapping")
		}
		ref, is := o["$ref"].(string)
		for k, member := range o {
			if k == "$ref" && is {
				continue
			}
			if _, twice := beside[k]; twice && k != "summary" && k != "description" {
				return nil, fmt.Errorf("%q stands beside a $ref and behind it", k)
			}
			beside[k] = member
		}
		if !is {
			return beside, nil
		}
		var err error
		if v, err = r.point(ref); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("its references go in a circle")
}

// point returns what a reference such as "#/components/pathItems/pet" points to
// (RFC 6901).
func (r *reader) point(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("$ref %q points out of the document; bundle it first", ref)
	}
	var v any = r.doc
	for token := range strings.SplitSeq(pointer, "/") {
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case object:
			next, ok := at[token]
			if !ok {
				return nil, fmt.Errorf("$ref %q points to nothing", ref)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at) {
				return nil, fmt.Errorf("$ref %q points to nothing", ref)
			}
			v = at[i]
		default:
			return nil, fmt.Errorf("$ref %q points to nothing", ref)
		}
	}
	return v, nil
}
