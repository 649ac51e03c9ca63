// Package yamltree reads YAML from outside into a tree, with bounds on what a few lines
// can stand for. It uses go.yaml.in/yaml/v3, which cuts no name at a colon as goccy/go-yaml
// 1.19.2 does within braces (findings/goccy-yaml-scopes.sh).
//
// # Threats
//
// Documents that exhaust their reader: depth, and what aliases add up to, are bounded.
// Names that come twice, of which two readers would take different ones, are errors.
package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

const (
	maxDepth = 64
	maxNodes = 2_000_000 // after aliases took their values
)

// Parse reads the one document of a text. Its values are map[string]any, []any, string,
// bool, nil, and [jsontext.Value] for numbers that JSON could write; other scalars,
// dates for one, stay the text that they are. Aliases take the value of their anchor.
// Errors name the line. The caller bounds the text.
func Parse(document []byte) (any, error) {
	if err := bound(document); err != nil {
		return nil, err
	}
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

// Line returns the line, from 1, at which what a pointer names stands in a document
// that [Parse] reads, or the innermost thing around it that stands there; 0 when there
// is none. A name that came in by an alias stands where the alias does.
func Line(document []byte, pointer jsontext.Pointer) int {
	var node yaml.Node
	if bound(document) != nil || yaml.Unmarshal(document, &node) != nil || len(node.Content) != 1 {
		return 0
	}
	n := node.Content[0]
	line := n.Line
	for token := range pointer.Tokens() {
		var next *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == token {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
				line = next.Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return line
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
		case "!!int", "!!float":
			if number := jsontext.Value(n.Value); number.Kind() == '0' && number.IsValid() {
				return number, nil
			}
			return n.Value, nil
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
	out := make(map[string]any, len(n.Content)/2)
	var merged []map[string]any
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
				o, ok := m.(map[string]any)
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

// bound refuses nesting that would exhaust a recursive parser. It counts
// brackets in texts too: a document that has 64 open ones is not worth parsing.
func bound(document []byte) error {
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
