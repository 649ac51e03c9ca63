package yamltree

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// Write writes a JSON text as YAML: members in their order, texts over several lines as
// blocks where a block can hold them. [Parse] reads it as it was.
func Write(value []byte) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(value))
	root, err := node(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// node makes a node of the next JSON value.
func node(dec *jsontext.Decoder) (*Node, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	n := &Node{Kind: Scalar}
	switch t.Kind() {
	case '[', '{':
		n.Kind = Sequence
		if t.Kind() == '{' {
			n.Kind = Mapping
		}
		for k := dec.PeekKind(); k != ']' && k != '}'; k = dec.PeekKind() {
			member, err := node(dec)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, member)
		}
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
	case '"':
		n.Tag, n.Value = "!!str", t.String()
		switch {
		case blocks(n.Value):
			n.Style = yaml.LiteralStyle
		case strings.Contains(n.Value, "\n"), other.MatchString(n.Value):
			n.Style = yaml.DoubleQuotedStyle
		}
	default:
		n.Value = t.String()
	}
	return n, nil
}

// other are texts that some readers take for a boolean, a number to base 60 or a merge.
var other = regexp.MustCompile(`^(?i:<<|y|n|yes|no|on|off|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$`)

// blocks reports whether a block keeps a text of several lines as it is: blanks at its
// beginning, and at the end of a line, would be at the mercy of editors.
func blocks(s string) bool {
	if !strings.Contains(s, "\n") || strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		return false
	}
	return strings.TrimLeft(s, " \n") == s && !strings.Contains(s, " \n") && !strings.HasSuffix(s, " ")
}
