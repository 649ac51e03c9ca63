package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
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
	// Stored says that all of this was accepted before. The bounds are twice as wide
	// then: two changes at once may each have kept to them, and a realm must load.
	Stored bool
}

// Set is a compiled set of policies. It is immutable and safe for concurrent
// use. A nil or zero Set denies everything.
type Set struct {
	byID     layered[string, *compiled]
	docs     layered[string, *compiledDocument]
	count    int // policies
	bytes    int // texts of all documents
	cost     int64
	index    *index
	roles    *hierarchy
	schema   *compiledSchema
	entities map[cedar.EntityUID]cedar.Entity // roles
	reads    contextReads
	// contextNames are the context attributes that some policy reads; nil when
	// one uses the context as a whole.
	contextNames []string
}

// compiled is one policy.
type compiled struct {
	id     cedar.PolicyID
	note   string
	source string
	policy *cedar.Policy
}

// compiledDocument is one document; a disabled one has no policies.
type compiledDocument struct {
	Document
	schema   *compiledSchema // that it was checked against
	policies []*compiled
	cost     int64 // of checking it
}

// contextReads counts the policies that read each attribute of the context.
type contextReads struct {
	names map[string]int
	whole int // that use the context as a whole
}

func (c *contextReads) add(p *compiled, n int) {
	names := map[string]bool{}
	if contextUse(p.policy, names) {
		c.whole += n
	}
	for name := range names {
		if c.names[name] += n; c.names[name] == 0 {
			delete(c.names, name)
		}
	}
}

// list returns the attributes that are read, sorted; nil when some policy uses the
// context as a whole.
func (c *contextReads) list() []string {
	if c.whole > 0 {
		return nil
	}
	out := make([]string, 0, len(c.names))
	for n := range c.names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Compile checks and compiles everything, or nothing: the error is [Problems].
func Compile(in Input) (*Set, error) {
	c := compiler{set: &Set{byID: newLayered[string, *compiled](len(in.Documents)), docs: newLayered[string, *compiledDocument](len(in.Documents)),
		reads: contextReads{names: map[string]int{}}}, reuse: in.Reuse, strict: in.CheckFacts, stored: in.Stored}
	if in.Schema != nil && strings.TrimSpace(in.Schema.Text) != "" {
		if c.reuse != nil && c.reuse.schema != nil && c.reuse.schema.text == in.Schema.Text {
			c.set.schema = c.reuse.schema
		} else if s, p := compileSchema(in.Schema.Text); p != nil {
			c.problems = Problems{*p} // what else is wrong is told too, without a schema
		} else {
			c.set.schema = s
			if in.CheckFacts {
				c.problems = s.checkFacts()
			}
		}
	}
	h, ordered, problems := newHierarchy(in.Roles)
	if len(problems) > 0 {
		c.problems, ordered = append(c.problems, problems...), nil
	}
	c.set.roles = h
	c.set.index = newIndex(c.set.schema)
	for _, r := range ordered {
		policies := rolePolicies(r)
		c.check(policies)
		c.add(policies)
	}
	c.documents(in.Documents, "", "policy ")
	c.documents(in.BuiltIn, "gatehouse:", "built-in policy ")
	c.finish()
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.set, nil
}

// Replace returns a set in which d has taken the place of the document of its
// name, or in which that document is gone when d is nil. Only d is compiled, and
// not even d if tried, which may be nil, or s has it already; s stays as it is.
// stored says that d was accepted before, see [Input]; else it must fit [Facts].
// The error is [Problems].
func (s *Set) Replace(id string, d *Document, tried *Set, stored bool) (*Set, error) {
	next := *s
	next.byID, next.docs, next.index = s.byID.fork(), s.docs.fork(), s.index.fork()
	next.reads.names = maps.Clone(s.reads.names)
	c := compiler{set: &next, reuse: s, strict: !stored, stored: stored}
	if tried != nil && tried.schema == s.schema {
		c.reuse = tried
	}
	if old, ok := next.docs.get(id); ok && old != nil {
		c.remove(old)
		next.docs.set(id, nil)
	}
	if d != nil {
		c.documents([]Document{*d}, "", "policy ")
	}
	c.finish()
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &next, nil
}

type compiler struct {
	set      *Set
	reuse    *Set
	strict   bool // see Input.CheckFacts
	stored   bool // see Input.Stored
	problems Problems
	tooMuch  bool // said once; nothing more is checked
}

func (c *compiler) bound(n int) int {
	if c.stored {
		return 2 * n
	}
	return n
}

func (c *compiler) problem(p Problem) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, p)
	}
}

func (c *compiler) documents(docs []Document, prefix, source string) {
	docs = slices.Clone(docs)
	sorted.Slice(docs, func(a, b Document) int { return cmp.Compare(a.ID, b.ID) })
	for i, d := range docs {
		src := source + clip(d.ID)
		c.set.bytes += len(d.Text)
		switch {
		case !ValidName(d.ID):
			c.problem(Problem{Source: src, Message: fmt.Sprintf("the name may have letters, digits and . _ - only, not begin with . or -, and have at most %d characters", maxNameBytes)})
		case i > 0 && docs[i-1].ID == d.ID:
			c.problem(Problem{Source: src, Message: "two documents have this name"})
		case c.set.bytes > c.bound(MaxTextBytes):
			c.problem(Problem{Source: src, Message: fmt.Sprintf("all documents together are longer than %d bytes", MaxTextBytes)})
			return
		default:
			c.document(d, prefix+d.ID, src)
		}
	}
}

// document adds one document; id is its name with the prefix of its kind.
func (c *compiler) document(d Document, id, source string) {
	doc := &compiledDocument{Document: d, schema: c.set.schema}
	if !d.Disabled {
		if c.reuse != nil {
			if old, ok := c.reuse.docs.get(id); ok && old != nil && !old.Disabled && old.Text == d.Text && old.schema == c.set.schema {
				doc = old
			}
		}
		if doc.policies == nil {
			var problem *Problem
			if doc.policies, problem = parseDocument(d.Text, id, source); problem != nil {
				c.problem(*problem)
				return
			}
			doc.cost = c.check(doc.policies)
			if c.strict {
				c.checkFacts(doc.policies)
			}
		} else {
			c.spend(doc.cost, doc.policies[0])
		}
	}
	c.set.docs.set(id, doc)
	c.add(doc.policies)
}

// remove takes a document out of a set that is being changed.
func (c *compiler) remove(doc *compiledDocument) {
	s := c.set
	s.bytes -= len(doc.Text)
	s.cost -= doc.cost
	s.count -= len(doc.policies)
	for _, p := range doc.policies {
		s.byID.set(string(p.id), nil)
		s.reads.add(p, -1)
	}
	s.index.remove(doc.policies)
}

// parseDocument parses a text and names its policies.
func parseDocument(text, id, source string) ([]*compiled, *Problem) {
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
	out := make([]*compiled, len(list))
	seen := make(map[string]bool, len(list))
	for i, p := range list {
		notes := p.Annotations()
		name := id
		if given := string(notes["id"]); given != "" {
			if !ValidName(given) {
				return nil, at(p, source, "the @id may have letters, digits and . _ - only, and not begin with . or -")
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
		out[i] = &compiled{id: cedar.PolicyID(name), source: source, note: clipNote(note), policy: p}
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

// check type-checks policies when there is a schema, and returns what that cost.
func (c *compiler) check(policies []*compiled) (cost int64) {
	if c.set.schema == nil {
		return 0
	}
	for _, p := range policies {
		if len(c.problems) >= maxProblems || c.tooMuch {
			return cost
		}
		n := c.set.schema.cost(p.policy)
		cost += n
		if !c.spend(n, p) {
			return cost
		}
		if err := c.set.schema.check(p.policy); err != nil {
			c.problem(p.problem(oneLine(err.Error())))
		}
	}
	return cost
}

// spend counts work that loading the set takes, whether or not it was saved this
// time: what was stored piece by piece must load in one go after a restart.
func (c *compiler) spend(cost int64, p *compiled) bool {
	c.set.cost += cost
	if c.set.cost > int64(c.bound(maxCheckCost)) && !c.tooMuch {
		c.tooMuch = true
		c.problem(p.problem("checking this set against the schema takes too long; use fewer `has` in one policy, or narrower scopes"))
	}
	return !c.tooMuch
}

// problem is what is wrong with p.
func (p *compiled) problem(message string) Problem {
	pos := p.policy.Position()
	return Problem{Source: p.source, Policy: string(p.id), Line: pos.Line, Column: pos.Column, Message: message}
}

func (c *compiler) add(policies []*compiled) {
	s := c.set
	for _, p := range policies {
		if s.count >= c.bound(MaxPolicies) {
			if len(c.problems) == 0 || c.problems[len(c.problems)-1].Source != "policies" {
				c.problem(Problem{Source: "policies", Message: fmt.Sprintf("more than %d policies", MaxPolicies)})
			}
			return
		}
		if other, _ := s.byID.get(string(p.id)); other != nil {
			c.problem(Problem{Source: p.source, Policy: string(p.id), Message: "two policies have this id"})
			continue
		}
		s.byID.set(string(p.id), p)
		s.count++
		s.reads.add(p, 1)
		s.index.add(p)
	}
}

// finish builds what evaluation needs beside the policies.
func (c *compiler) finish() {
	s := c.set
	s.contextNames = s.reads.list()
	if s.index.full() {
		c.problem(Problem{Source: "policies", Message: "too many different names in the scopes of policies"})
	}
	if s.entities != nil {
		return // roles did not change
	}
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
}

// Len returns how many policies the set has.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return s.count
}

// SchemaText returns the schema's text, or "" when there is none.
func (s *Set) SchemaText() string {
	if s == nil || s.schema == nil {
		return ""
	}
	return s.schema.text
}

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
	p, _ := s.byID.get(id)
	if p == nil {
		return "", false
	}
	return string(p.policy.MarshalCedar()), true
}

// policies yields every policy.
func (s *Set) policies(yield func(*compiled) bool) {
	s.byID.all(func(_ string, p *compiled) bool { return p == nil || yield(p) })
}

// PolicyIDs returns the ids of all policies, sorted.
func (s *Set) PolicyIDs() []string {
	if s == nil {
		return nil
	}
	out := make([]string, 0, s.count)
	for p := range s.policies {
		out = append(out, string(p.id))
	}
	slices.Sort(out)
	return out
}

// reason describes policy i as a [gatehouse.Reason].
func (s *Set) reason(id cedar.PolicyID) gatehouse.Reason {
	r := gatehouse.Reason{PolicyID: string(id)}
	if p, _ := s.byID.get(r.PolicyID); p != nil {
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
