package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Node is one value of a document, with its place. Aliases are not resolved: what they
// add up to is for the reader to bound.
type Node = yaml.Node

// Kinds of nodes.
const (
	Alias    = yaml.AliasNode
	Sequence = yaml.SequenceNode
	Mapping  = yaml.MappingNode
	Scalar   = yaml.ScalarNode
)

// Quoted reports whether the text of a scalar stands in quotes, or as a block.
func Quoted(n *Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 || Block(n)
}

// Block reports whether the text of a scalar is a block of lines, "|" or ">".
func Block(n *Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// Tagged reports whether somebody wrote a tag, as in "!!str 5".
func Tagged(n *Node) bool { return n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" }

// SyntaxError says where a text is no YAML. It quotes nothing of the text, but for the
// name of an alias.
type SyntaxError struct {
	Line, Column int // from 1; 0 when it is not known
	Text         string
}

func (e *SyntaxError) Error() string {
	switch {
	case e.Line == 0:
		return e.Text
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Text)
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// Document reads the one document of a text; nil when there is none. Errors are
// [*SyntaxError]s. The caller bounds the text.
func Document(text []byte) (*Node, error) {
	if err := characters(text); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root *Node
	for {
		var doc Node
		err := dec.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, syntaxError(text, err)
		case len(doc.Content) != 1 || nothing(doc.Content[0]):
		case root != nil:
			n := doc.Content[0]
			return nil, &SyntaxError{n.Line, n.Column, "holds a second document; only one is read"}
		default:
			root = doc.Content[0]
		}
	}
}

// nothing reports a document without content, such as one that holds comments only.
func nothing(n *Node) bool { return n.Kind == Scalar && n.Value == "" && n.ShortTag() == "!!null" }

// characters refuses what no YAML can hold (YAML 1.2.2 §5.1) and encodings other than
// UTF-8, with its place.
func characters(text []byte) error {
	line, start := 1, 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		wrong := ""
		switch {
		case r == utf8.RuneError && size <= 1:
			wrong = "is not UTF-8"
		case r == '\n':
			line, start = line+1, i+1
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			wrong = "a control character, which YAML cannot hold"
		}
		if wrong != "" {
			return &SyntaxError{line, utf8.RuneCount(text[start:i]) + 1, wrong}
		}
		i += size
	}
	return nil
}

var (
	lineOf    = regexp.MustCompile(`^line ([0-9]+): `)
	noAnchor  = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	aliasName = `\*%s([\s,\]}]|$)`
)

// parserSays are the messages of the library's parser, which counts lines from 0; its
// scanner counts them from 1. The first line is not written down.
var parserSays = regexp.MustCompile(`^did not find expected (node content|key|'-' indicator|',' or '[\]}]'|<document start>|<stream-start>)$` +
	`|^found (undefined tag|duplicate %|incompatible YAML)`)

// syntaxError gives what the library said its place.
func syntaxError(text []byte, err error) error {
	e := &SyntaxError{Line: 1, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := lineOf.FindStringSubmatch(e.Text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Text = e.Text[len(m[0]):]
		if parserSays.MatchString(e.Text) {
			e.Line = min(e.Line+1, bytes.Count(bytes.TrimRight(text, "\n"), []byte("\n"))+1)
		}
	}
	if m := noAnchor.FindStringSubmatch(e.Text); m != nil {
		e.Line, e.Text = 0, "an alias of nothing that stands above: *"+m[1]
		if at := regexp.MustCompile(fmt.Sprintf(aliasName, regexp.QuoteMeta(m[1]))).FindIndex(text); at != nil {
			e.Line = bytes.Count(text[:at[0]], []byte("\n")) + 1
			e.Column = utf8.RuneCount(text[bytes.LastIndexByte(text[:at[0]], '\n')+1:at[0]]) + 1
		}
	}
	if strings.Contains(e.Text, "exceeded max depth") {
		e.Text = fmt.Sprintf("nested deeper than %d", MaxDepth)
	}
	return e
}
