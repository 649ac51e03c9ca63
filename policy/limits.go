package policy

import (
	"fmt"
	"strings"
)

// Limits on what is compiled. They keep a compile within a few seconds and a
// few hundred megabytes however hostile the text.
const (
	MaxDocumentBytes = 256 << 10 // one policy document
	MaxSchemaBytes   = 256 << 10
	MaxTextBytes     = 16 << 20 // all documents of a set
	MaxPolicies      = 20_000   // after roles are compiled
	MaxRoles         = 2_000
	MaxRoleDepth     = 16 // longest chain of parents
	MaxRoleParents   = 64
	MaxPermissions   = 500 // of one role
	MaxActions       = 100 // of one permission
	MaxNesting       = 48  // brackets, and if-then-else, inside each other
	MaxTokens        = 4_096
	maxDots          = 24 // a.b.c…; `has` makes quadratic work of a chain
	maxUnary         = 8
	maxSchemaTypes   = 20_000     // after common types are expanded
	maxSchemaEnvs    = 4_096      // action × principal type × resource type
	maxCheckCost     = 50_000_000 // all of a set's type-checking; some seconds
	maxProblems      = 50
	maxNameBytes     = 128
)

// Problem is one thing that is wrong with the input of [Compile].
type Problem struct {
	Source  string // "role admin", "policy documents", "schema"
	Policy  string // policy id, when one policy is meant
	Line    int    // from 1; 0 when unknown
	Column  int
	Message string
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Policy != "" {
		b.WriteString(" (" + p.Policy + ")")
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Problems is the error of [Compile]: everything that was found, in the order of
// the input, at most 50. The texts quote the input and are meant for whoever
// wrote it.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// scanText bounds a text before a parser sees it, because the parser recurses
// and has no limits of its own: a megabyte of "(" would end the process, which
// no recover can stop. angles counts < and > as brackets (schema syntax).
func scanText(text string, maxBytes int, angles bool) *Problem {
	if len(text) > maxBytes {
		return &Problem{Message: fmt.Sprintf("the text is longer than %d bytes", maxBytes)}
	}
	s := scan{line: 1, angles: angles}
	for i := 0; i < len(text); {
		n, fault := s.step(text[i:])
		if fault != "" {
			return &Problem{Line: s.line, Column: i - s.lineStart + 1, Message: fault}
		}
		for j := i; j < i+n; j++ {
			if text[j] == '\n' {
				s.line, s.lineStart = s.line+1, j+1
			}
		}
		i += n
	}
	return nil
}

type scan struct {
	line, lineStart              int
	angles                       bool
	depth, ifs, tokens, dots, un int
	afterDot                     bool
}

// step consumes one token (or space, or comment) and returns its length.
func (s *scan) step(text string) (n int, fault string) {
	c := text[0]
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		return 1, ""
	case strings.HasPrefix(text, "//"):
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end, ""
		}
		return len(text), ""
	}
	if s.tokens++; s.tokens > MaxTokens && !s.angles {
		return 0, fmt.Sprintf("one policy is longer than %d words and signs", MaxTokens)
	}
	switch c {
	case '-', '!':
		if s.un++; s.un > maxUnary {
			return 0, fmt.Sprintf("more than %d signs in a row", maxUnary)
		}
		return 1, ""
	case '.':
		if s.dots++; s.dots > maxDots {
			return 0, fmt.Sprintf("more than %d members in a row", maxDots)
		}
		s.afterDot = true
		return 1, ""
	}
	s.un = 0
	if wordByte(c) {
		if !s.afterDot { // a new chain begins
			s.dots = 0
		}
		s.afterDot = false
		n = 1
		for n < len(text) && wordByte(text[n]) {
			n++
		}
		if text[:n] == "if" {
			if s.ifs++; s.ifs > MaxNesting {
				return 0, fmt.Sprintf("more than %d if expressions in one policy", MaxNesting)
			}
		}
		return n, ""
	}
	s.afterDot = false
	n = 1
	switch c {
	case '"':
		for n < len(text) && text[n] != '"' {
			if text[n] == '\\' {
				n++
			}
			n++
		}
		return min(n+1, len(text)), "" // an open string is the parser's to report
	case '(', '[', '{':
		s.depth++
	case ')', ']', '}':
		s.depth = max(0, s.depth-1)
	case '<':
		if s.angles {
			s.depth++
		}
	case '>':
		if s.angles {
			s.depth = max(0, s.depth-1)
		}
	case ';':
		if !s.angles {
			s.tokens, s.ifs, s.depth = 0, 0, 0
		}
	}
	if s.depth > MaxNesting {
		return 0, fmt.Sprintf("nested deeper than %d", MaxNesting)
	}
	return n, ""
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// ValidName reports whether s may name a role, a document or a group of
// policies: letters, digits and . _ - inside, at most 128 bytes. The separators
// ':' and '#' stay free for generated policy ids.
func ValidName(s string) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 || !wordByte(c) && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}
