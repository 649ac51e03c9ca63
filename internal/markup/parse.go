package markup

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"text/template/parse"
)

// Set is a set of templates, ready to be filled. It is safe for concurrent use.
type Set struct {
	trees map[string]*parse.Tree
	urls  map[*parse.ActionNode]bool // those that begin the value of an attribute with an address
	// members are where fields stand: [member] → []int. There are as many as templates and types have.
	members sync.Map
}

// Parse reads all files of fsys that match pattern. A file defines the template of its
// base name, and those that it has a {{define}} for. functions are the names that may
// be called.
func Parse(fsys fs.FS, pattern string, functions ...string) (*Set, error) {
	names, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, err
	}
	known, sources := map[string]any{}, map[string]string{}
	for _, f := range functions {
		known[f] = func() {} // only the name is looked at
	}
	s := &Set{trees: map[string]*parse.Tree{}, urls: map[*parse.ActionNode]bool{}}
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		trees, err := parse.Parse(path.Base(name), string(b), "", "", known)
		if err != nil {
			return nil, err
		}
		for n, t := range trees {
			if s.trees[n] != nil {
				return nil, fmt.Errorf("markup: two templates are named %q", n)
			}
			s.trees[n], sources[n] = t, string(b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.trees)) {
		t := s.trees[name]
		c := checker{set: s, known: known, source: sources[name]}
		end, err := c.list(place{at: inText}, t.Root)
		if err == nil && end.at != inText {
			err = fmt.Errorf("it ends within a tag")
		}
		if err != nil {
			return nil, fmt.Errorf("markup: %s, template %s: %w", t.ParseName, name, err)
		}
	}
	return s, nil
}

// where in HTML something stands.
type where int

const (
	inText      where = iota
	inTag             // between attributes
	inName            // of an element or attribute
	afterEquals       // before the quote of a value
	inValue
)

// place is where a piece of a template begins or ends.
type place struct {
	at    where
	name  string // of the attribute, or what is read of a name so far
	fresh bool   // nothing of the value is written yet
	// script: the value is the address of a script, behind which its element must end.
	script bool
}

// A script is known in one form: another file, and nothing within its element, where escaping would
// not help.
const scriptFrom, scriptEnd = `<script type="module" src="`, `></script>`

// addresses are the attributes that a browser follows.
var addresses = []string{"href", "src", "action", "formaction"}

// checker walks a template and finds out where each value stands.
type checker struct {
	set    *Set
	known  map[string]any
	source string // of the whole file
}

func (c checker) list(p place, l *parse.ListNode) (_ place, err error) {
	if l == nil {
		return p, nil
	}
	for _, n := range l.Nodes {
		if p, err = c.node(p, n); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (c checker) node(p place, n parse.Node) (place, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		end, at, err := text(p, string(n.Text))
		if err != nil {
			err = fmt.Errorf("line %d: %w", 1+strings.Count(c.source[:int(n.Pos)+at], "\n"), err)
		}
		return end, err
	case *parse.ActionNode:
		return c.action(p, n)
	case *parse.IfNode:
		return c.branches(p, &n.BranchNode)
	case *parse.RangeNode:
		return c.branches(p, &n.BranchNode)
	case *parse.TemplateNode:
		switch {
		case p.at != inText:
			return p, fmt.Errorf("line %d: a template is called within a tag", n.Line)
		case c.set.trees[n.Name] == nil:
			return p, fmt.Errorf("line %d: there is no template %q", n.Line, n.Name)
		}
		return p, pipe(n.Pipe)
	case *parse.CommentNode:
		return p, nil
	}
	return p, fmt.Errorf("%s is not known here", n)
}

// branches must all end where the text between them ends: what a value means must not
// depend on what was chosen.
func (c checker) branches(p place, n *parse.BranchNode) (place, error) {
	if err := pipe(n.Pipe); err != nil {
		return p, err
	}
	end, err := c.list(p, n.List)
	if err != nil {
		return p, err
	}
	other, err := c.list(p, n.ElseList)
	if err != nil {
		return p, err
	}
	end.fresh = end.fresh || other.fresh // what follows may be the first of the value
	other.fresh = end.fresh
	if end != other || n.NodeType == parse.NodeRange && end.at != p.at {
		return p, fmt.Errorf("line %d: the branches end in different places", n.Line)
	}
	return end, nil
}

func (c checker) action(p place, n *parse.ActionNode) (place, error) {
	if err := pipe(n.Pipe); err != nil {
		return p, err
	}
	switch {
	case p.at == inText:
		return p, nil
	case p.at != inValue:
		return p, fmt.Errorf("line %d: a value stands in a tag, outside of double quotes", n.Line)
	case strings.HasPrefix(p.name, "on") || p.name == "style" || p.name == "srcdoc":
		return p, fmt.Errorf("line %d: %s takes no values", n.Line, p.name)
	case slices.Contains(addresses, p.name) && p.fresh:
		c.set.urls[n] = true
	}
	p.fresh = false
	return p, nil
}

// pipe refuses what [Set.Execute] cannot do.
func pipe(p *parse.PipeNode) error {
	if p == nil {
		return nil
	}
	if len(p.Cmds) != 1 || len(p.Decl) > 0 {
		return fmt.Errorf("line %d: %s: pipes and variables are not known here", p.Line, p)
	}
	for i, a := range p.Cmds[0].Args {
		switch a := a.(type) {
		case *parse.IdentifierNode:
			if i > 0 {
				return fmt.Errorf("line %d: %s: only the first word is a function", p.Line, p)
			}
		case *parse.VariableNode:
			if a.Ident[0] != "$" {
				return fmt.Errorf("line %d: %s: variables are not known here", p.Line, p)
			}
		case *parse.FieldNode, *parse.DotNode, *parse.StringNode:
		default:
			return fmt.Errorf("line %d: %s is not known here", p.Line, p)
		}
		if _, call := p.Cmds[0].Args[0].(*parse.IdentifierNode); i > 0 && !call {
			return fmt.Errorf("line %d: %s: methods are not called", p.Line, p)
		}
	}
	return nil
}

// text reads on from p through fixed text of a template. Where that cannot be, at is how far it got.
func text(p place, s string) (_ place, at int, _ error) {
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch p.at {
		case inText:
			if b != '<' {
				continue
			}
			if strings.HasPrefix(s[i:], scriptFrom) {
				i += len(scriptFrom) - 1
				p = place{at: inValue, name: "src", fresh: true, script: true}
				continue
			}
			rest := strings.ToLower(s[i:])
			for _, raw := range []string{"<script", "<style", "<!--", "<textarea", "<title>{{"} {
				if strings.HasPrefix(rest, raw) {
					return p, i, fmt.Errorf("%s is not known here", raw)
				}
			}
			p = place{at: inTag}
		case inTag, inName:
			switch {
			case b == '>':
				p = place{at: inText}
			case b == '=':
				p = place{at: afterEquals, name: p.name}
			case b == ' ' || b == '\n' || b == '\t' || b == '/' || b == '<' || b == '!':
				p = place{at: inTag}
			case b == '"' || b == '\'' || b == '`':
				return p, i, fmt.Errorf("a quote in a tag, outside of a value")
			default:
				p = place{at: inName, name: p.name + strings.ToLower(string(b))}
			}
		case afterEquals:
			if b != '"' {
				return p, i, fmt.Errorf("the value of %s is not in double quotes", p.name)
			}
			p = place{at: inValue, name: p.name, fresh: true}
		case inValue:
			p.fresh = false
			switch {
			case b == '"' && !p.script:
				p = place{at: inTag}
			case b == '"' && strings.HasPrefix(s[i+1:], scriptEnd):
				i += len(scriptEnd)
				p = place{at: inText}
			case b == '"':
				return p, i, fmt.Errorf("<script with more than an address is not known here")
			}
		}
	}
	return p, len(s), nil
}
