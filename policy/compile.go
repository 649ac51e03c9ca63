package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"

	"github.com/gatehouse-auth/gatehouse"
)

// The entity types that Gatehouse itself gives meaning to.
const (
	typeRole = "Role"

	TypeUser      = "User"
	TypeService   = "Service"
	TypeClient    = "Client"
	TypeAnonymous = "Anonymous"
	TypeRole      = typeRole
	TypeGroup     = "Group"
)

type astPolicy = ast.Policy

// Input is what a [Set] is compiled from.
type Input struct {
	Roles     []Role
	Documents []Document // disabled ones are skipped
	Schema    *Schema    // nil or empty text: policies are not type-checked
	// BuiltIn documents are compiled like Documents; their policies are called
	// "gatehouse:<id>#…", which no document of a realm can be.
	BuiltIn []Document
	// Reuse may be a set compiled before: documents whose text and schema did
	// not change are taken from it.
	Reuse *Set
	// CheckFacts refuses a schema and documents that do not fit [Facts]. Whoever
	// stores a change sets it. Loading what was stored does not: a policy from
	// before this check is better ineffective, and said to be, than a realm that
	// denies everything. What is taken from Reuse is not checked again.
	CheckFacts bool
}

// Set is a compiled set of policies. It is immutable and safe for concurrent
// use. A nil or zero Set denies everything.
type Set struct {
	policies []compiled
	byID     map[string]int32
	index    *index
	roles    *hierarchy
	schema   *compiledSchema
	entities map[cedar.EntityUID]cedar.Entity // roles
	docs     map[string]compiledDocument
	// contextNames are the context attributes that some policy reads; nil when
	// one uses the context as a whole.
	contextNames []string
}

type compiled struct {
	id     cedar.PolicyID
	note   string
	source string
	policy *cedar.Policy
}

type namedPolicy struct {
	id, source, note string
	policy           *cedar.Policy
}

type compiledDocument struct {
	text, schema string
	policies     []namedPolicy
}

// Compile checks and compiles everything, or nothing: the error is [Problems].
func Compile(in Input) (*Set, error) {
	c := compiler{set: &Set{byID: map[string]int32{}, docs: map[string]compiledDocument{}}, reuse: in.Reuse, strict: in.CheckFacts}
	if in.Schema != nil && strings.TrimSpace(in.Schema.Text) != "" {
		if c.reuse != nil && c.reuse.schema != nil && c.reuse.schema.text == in.Schema.Text {
			c.set.schema = c.reuse.schema
		} else if s, p := compileSchema(in.Schema.Text); p != nil {
			return nil, Problems{*p}
		} else {
			c.set.schema = s
			if in.CheckFacts {
				c.problems = s.checkFacts()
			}
		}
	}
	h, ordered, problems := newHierarchy(in.Roles)
	if len(problems) > 0 {
		return nil, problems
	}
	c.set.roles = h
	for _, r := range ordered {
		policies := rolePolicies(r)
		c.check(policies)
		c.add(policies)
	}
	c.documents(in.Documents, "", "policy ")
	c.documents(in.BuiltIn, "gatehouse:", "built-in policy ")
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.finish()
}

type compiler struct {
	set      *Set
	reuse    *Set
	strict   bool // see Input.CheckFacts
	problems Problems
	bytes    int
	cost     int64
}

func (c *compiler) problem(p Problem) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, p)
	}
}

func (c *compiler) documents(docs []Document, prefix, source string) {
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b Document) int { return cmp.Compare(a.ID, b.ID) })
	for i, d := range docs {
		src := source + clip(d.ID)
		c.bytes += len(d.Text)
		switch {
		case !ValidName(d.ID):
			c.problem(Problem{Source: src, Message: fmt.Sprintf("the name may have letters, digits and . _ - only, at most %d", maxNameBytes)})
		case i > 0 && docs[i-1].ID == d.ID:
			c.problem(Problem{Source: src, Message: "two documents have this name"})
		case c.bytes > MaxTextBytes:
			c.problem(Problem{Source: src, Message: fmt.Sprintf("all documents together are longer than %d bytes", MaxTextBytes)})
			return
		case !d.Disabled:
			c.document(d, prefix+d.ID, src)
		}
	}
}

func (c *compiler) document(d Document, id, source string) {
	schema := ""
	if c.set.schema != nil {
		schema = c.set.schema.text
	}
	if c.reuse != nil {
		if old, ok := c.reuse.docs[id]; ok && old.text == d.Text && old.schema == schema {
			c.set.docs[id] = old
			c.add(old.policies)
			return
		}
	}
	policies, problem := parseDocument(d.Text, id, source)
	if problem != nil {
		c.problem(*problem)
		return
	}
	c.check(policies)
	if c.strict {
		c.checkFacts(policies)
	}
	c.set.docs[id] = compiledDocument{text: d.Text, schema: schema, policies: policies}
	c.add(policies)
}

// parseDocument parses a text and names its policies.
func parseDocument(text, id, source string) ([]namedPolicy, *Problem) {
	if p := scanText(text, MaxDocumentBytes, false); p != nil {
		p.Source = source
		return nil, p
	}
	list, err := cedar.NewPolicyListFromBytes(id, []byte(text))
	if err != nil {
		p := &Problem{Source: source}
		p.Line, p.Column, p.Message = splitPosition(err.Error())
		return nil, p
	}
	if len(list) == 0 {
		return nil, &Problem{Source: source, Message: "the document holds no policy"}
	}
	out := make([]namedPolicy, len(list))
	seen := make(map[string]bool, len(list))
	for i, p := range list {
		notes := p.Annotations()
		name := id
		if given := string(notes["id"]); given != "" {
			if !ValidName(given) {
				return nil, at(p, source, "the @id may have letters, digits and . _ - only")
			}
			name = id + "#" + given
		} else if len(list) > 1 {
			name = fmt.Sprintf("%s#%d", id, i+1)
		}
		if seen[name] {
			return nil, at(p, source, "two policies have this @id")
		}
		seen[name] = true
		note := string(notes["reason"])
		if note == "" {
			note = string(notes["description"])
		}
		out[i] = namedPolicy{id: name, source: source, note: clipNote(note), policy: p}
	}
	return out, nil
}

func at(p *cedar.Policy, source, message string) *Problem {
	pos := p.Position()
	return &Problem{Source: source, Line: pos.Line, Column: pos.Column, Message: message}
}

func clipNote(s string) string {
	const limit = 300
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// check type-checks policies when there is a schema.
func (c *compiler) check(policies []namedPolicy) {
	if c.set.schema == nil || c.cost >= maxCheckCost {
		return
	}
	for _, p := range policies {
		if len(c.problems) >= maxProblems {
			return
		}
		pos := p.policy.Position()
		if c.cost += c.set.schema.cost(p.policy); c.cost > maxCheckCost {
			c.problem(Problem{Source: p.source, Policy: p.id, Line: pos.Line, Column: pos.Column,
				Message: "checking this set against the schema takes too long; use fewer `has` in one policy, or narrower scopes"})
			c.cost = maxCheckCost // said once; nothing more is checked
			return
		}
		if err := c.set.schema.check(p.policy); err != nil {
			c.problem(Problem{Source: p.source, Policy: p.id, Line: pos.Line, Column: pos.Column, Message: oneLine(err.Error())})
		}
	}
}

func (c *compiler) add(policies []namedPolicy) {
	for _, p := range policies {
		if len(c.set.policies) >= MaxPolicies {
			if len(c.problems) == 0 || c.problems[len(c.problems)-1].Source != "policies" {
				c.problem(Problem{Source: "policies", Message: fmt.Sprintf("more than %d policies", MaxPolicies)})
			}
			return
		}
		if _, clash := c.set.byID[p.id]; clash {
			c.problem(Problem{Source: p.source, Policy: p.id, Message: "two policies have this id"})
			continue
		}
		c.set.byID[p.id] = int32(len(c.set.policies))
		c.set.policies = append(c.set.policies, compiled{id: cedar.PolicyID(p.id), note: p.note, source: p.source, policy: p.policy})
	}
}

// finish builds what evaluation needs beside the policies.
func (c *compiler) finish() (*Set, error) {
	s := c.set
	s.entities = make(map[cedar.EntityUID]cedar.Entity, len(s.roles.closure))
	for name, above := range s.roles.closure {
		uid := cedar.NewEntityUID(typeRole, cedar.String(name))
		parents := make([]cedar.EntityUID, 0, len(above))
		for _, p := range above {
			if p != name {
				parents = append(parents, cedar.NewEntityUID(typeRole, cedar.String(p)))
			}
		}
		e := cedar.Entity{UID: uid}
		if len(parents) > 0 {
			e.Parents = cedar.NewEntityUIDSet(parents...)
		}
		s.entities[uid] = e
	}
	names, whole := map[string]bool{}, false
	for _, p := range s.policies {
		whole = contextUse(p.policy, names) || whole
	}
	if !whole {
		s.contextNames = make([]string, 0, len(names))
		for n := range names {
			s.contextNames = append(s.contextNames, n)
		}
		slices.Sort(s.contextNames)
	}
	var err error
	if s.index, err = newIndex(s.policies, s.schema); err != nil {
		return nil, Problems{{Source: "policies", Message: err.Error()}}
	}
	return s, nil
}

// Len returns how many policies the set has.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.policies)
}

// HasSchema reports whether requests are checked against a schema.
func (s *Set) HasSchema() bool { return s != nil && s.schema != nil }

// ContextNames returns the context attributes that policies read, sorted, and
// false when some policy uses the context as a whole, so that all are needed.
func (s *Set) ContextNames() ([]string, bool) {
	if s == nil {
		return nil, true
	}
	return s.contextNames, s.contextNames != nil
}

// PolicyText returns the normal form of a policy, without comments.
func (s *Set) PolicyText(id string) (string, bool) {
	if s == nil {
		return "", false
	}
	i, ok := s.byID[id]
	if !ok {
		return "", false
	}
	return string(s.policies[i].policy.MarshalCedar()), true
}

// PolicyIDs returns the ids of all policies, sorted.
func (s *Set) PolicyIDs() []string {
	if s == nil {
		return nil
	}
	out := make([]string, 0, len(s.policies))
	for id := range s.byID {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// reason describes policy i as a [gatehouse.Reason].
func (s *Set) reason(id cedar.PolicyID) gatehouse.Reason {
	r := gatehouse.Reason{PolicyID: string(id)}
	if i, ok := s.byID[r.PolicyID]; ok {
		p := &s.policies[i]
		r.Note, r.Effect = p.note, effect(p.policy)
	}
	return r
}

func effect(p *cedar.Policy) string {
	if p.Effect() == cedar.Permit {
		return "permit"
	}
	return "forbid"
}
