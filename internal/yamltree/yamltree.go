// Package yamltree reads YAML from outside into a tree, with bounds on what a few lines
// can stand for, and writes it. It uses go.yaml.in/yaml/v3, which cuts no name at a colon
// as goccy/go-yaml 1.19.2 does within braces (findings/goccy-yaml-scopes.sh).
//
// # Threats
//
// Documents that exhaust their reader: depth, and what aliases add up to, are bounded.
// Names that come twice, of which two readers would take different ones, are errors, and
// so is what stands behind the document: two readers would take different ones of two.
package yamltree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxDepth bounds lists and mappings within each other, aliases resolved.
	MaxDepth = 64
	maxNodes = 2_000_000 // after aliases took their values
)

// Parse reads the one document of a text. Its values are map[string]any, []any, string,
// bool, nil, and [jsontext.Value] for numbers that JSON could write; other scalars,
// dates for one, stay the text that they are. Aliases take the value of their anchor.
// Errors name the line. The caller bounds the text.
func Parse(document []byte) (any, error) {
	root, err := Document(document)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errors.New("holds no document")
	}
	left := maxNodes
	return value(root, &left, 0)
}

// Line returns the line, from 1, at which what a pointer names stands in a document
// that [Parse] reads, or the innermost thing around it that stands there; 0 when there
// is none. A name that came in by an alias stands where the alias does.
func Line(document []byte, pointer jsontext.Pointer) int {
	n, err := Document(document)
	if err != nil || n == nil {
		return 0
	}
	line := n.Line
	for token := range pointer.Tokens() {
		var next *Node
		switch n.Kind {
		case Mapping:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == token {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case Sequence:
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
func value(n *Node, left *int, depth int) (any, error) {
	if *left--; *left < 0 {
		return nil, errors.New("its aliases stand for too much")
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", n.Line, MaxDepth)
	}
	switch n.Kind {
	case Alias:
		return value(n.Alias, left, depth+1)
	case Sequence:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := value(c, left, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case Mapping:
		return mapping(n, left, depth)
	case Scalar:
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
func mapping(n *Node, left *int, depth int) (any, error) {
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
		for k.Kind == Alias {
			k = k.Alias
		}
		if k.Kind != Scalar {
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
