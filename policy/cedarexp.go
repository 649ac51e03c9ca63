package policy

// Every use of cedar-go's experimental packages (x/exp, no promise of
// compatibility) is in this file, so that an upgrade is read in one place.

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	xeval "github.com/cedar-policy/cedar-go/x/exp/eval"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	sast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// compiledSchema is a resolved schema with what evaluation asks of it.
type compiledSchema struct {
	text      string
	validator *validate.Validator
	actions   map[cedar.EntityUID]cedar.Entity // parents flattened
	below     map[cedar.EntityUID][]cedar.EntityUID
	applies   map[cedar.EntityUID]*resolved.AppliesTo
	entities  map[cedar.EntityType]resolved.Entity
	base      int64 // what checking any policy costs, see cost
}

// compileSchema parses and resolves text.
func compileSchema(text string) (*compiledSchema, *Problem) {
	fault := func(err error) *Problem {
		p := &Problem{Source: "schema", Message: err.Error()}
		p.Line, p.Column, p.Message = splitPosition(p.Message)
		return p
	}
	if p := scanText(text, MaxSchemaBytes, true); p != nil {
		p.Source = "schema"
		return nil, p
	}
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(text)); err != nil {
		return nil, fault(err)
	}
	if n := expandedSize(s.AST()); n > maxSchemaTypes {
		// Common types are inlined; a few lines of types made of two of the one
		// before would grow beyond any memory.
		return nil, &Problem{Source: "schema", Message: fmt.Sprintf("more than %d types after common types are expanded", maxSchemaTypes)}
	}
	r, err := s.Resolve()
	if err != nil {
		return nil, fault(err)
	}
	envs := 0
	for _, a := range r.Actions {
		if a.AppliesTo != nil {
			envs += len(a.AppliesTo.Principals) * len(a.AppliesTo.Resources)
		}
	}
	if envs > maxSchemaEnvs {
		return nil, &Problem{Source: "schema", Message: fmt.Sprintf("more than %d combinations of action, principal type and resource type", maxSchemaEnvs)}
	}
	c := &compiledSchema{
		text: text, validator: validate.New(r, validate.WithStrict()),
		actions: make(map[cedar.EntityUID]cedar.Entity, len(r.Actions)), below: map[cedar.EntityUID][]cedar.EntityUID{},
		applies: make(map[cedar.EntityUID]*resolved.AppliesTo, len(r.Actions)), entities: r.Entities,
	}
	c.base = int64(envs)
	for uid, a := range r.Actions {
		above := map[cedar.EntityUID]bool{}
		climbActions(r, uid, above)
		parents := make([]cedar.EntityUID, 0, len(above))
		for p := range above {
			parents = append(parents, p)
			c.below[p] = append(c.below[p], uid)
		}
		c.actions[uid] = cedar.Entity{UID: uid, Parents: cedar.NewEntityUIDSet(parents...)}
		c.applies[uid] = a.AppliesTo
		if a.AppliesTo != nil {
			c.base += int64(len(a.AppliesTo.Context))
		}
	}
	return c, nil
}

func climbActions(r *resolved.Schema, uid cedar.EntityUID, above map[cedar.EntityUID]bool) {
	for p := range r.Actions[uid].Entity.Parents.All() {
		if !above[p] {
			above[p] = true
			climbActions(r, p, above)
		}
	}
}

// expandedSize counts the types of a schema as they will be after every common
// type is replaced by its definition, stopping above the limit.
func expandedSize(s *sast.Schema) int {
	common := map[string]sast.IsType{}
	spaces := map[string]sast.Namespace{"": {Entities: s.Entities, Actions: s.Actions, CommonTypes: s.CommonTypes}}
	for name, ns := range s.Namespaces {
		spaces[string(name)] = ns
	}
	for name, ns := range spaces {
		for t, def := range ns.CommonTypes {
			common[qualified(name, string(t))] = def.Type
		}
	}
	known := map[string]int{}
	var size func(space string, t sast.IsType) int
	size = func(space string, t sast.IsType) int {
		n := 1
		switch t := t.(type) {
		case sast.SetType:
			n += size(space, t.Element)
		case sast.RecordType:
			for _, a := range t {
				if n += size(space, a.Type); n > maxSchemaTypes {
					break
				}
			}
		case sast.TypeRef:
			name := qualified(space, string(t))
			if _, ok := common[name]; !ok {
				name = string(t)
			}
			def, ok := common[name]
			if !ok {
				return 1
			}
			if v, seen := known[name]; seen {
				return v
			}
			known[name] = 1 // a cycle is Resolve's to report
			sub := ""
			if i := strings.LastIndex(name, "::"); i >= 0 {
				sub = name[:i]
			}
			n = size(sub, def)
			known[name] = n
		}
		return min(n, maxSchemaTypes+1)
	}
	total := 0
	for name, ns := range spaces {
		for _, def := range ns.CommonTypes {
			total += size(name, def.Type)
		}
		for _, e := range ns.Entities {
			total += size(name, e.Shape) + 1
			if e.Tags != nil {
				total += size(name, e.Tags)
			}
		}
		for _, a := range ns.Actions {
			total++
			if a.AppliesTo != nil && a.AppliesTo.Context != nil {
				total += size(name, a.AppliesTo.Context)
			}
		}
		if total > maxSchemaTypes {
			return total
		}
	}
	return total
}

func qualified(space, name string) string {
	if space == "" {
		return name
	}
	return space + "::" + name
}

// check type-checks one policy. The validator is experimental: a panic in it is
// a policy that does not validate.
func (c *compiledSchema) check(p *cedar.Policy) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the validator failed on this policy")
		}
	}()
	return c.validator.Policy("", (*xast.Policy)(p.AST()))
}

// cost estimates the work of check in steps of roughly a hundred nanoseconds.
// The validator types a policy once for every combination of action, principal
// and resource type that its scope admits, and remembers each `has` in a list
// that it compares and copies at every &&: the cube of their number.
func (c *compiledSchema) cost(p *cedar.Policy) int64 {
	var nodes, has int64
	for _, cond := range p.AST().Conditions {
		xast.Inspect(xast.NewNode(cond.Body), func(n xast.IsNode) bool {
			nodes++
			switch n.(type) {
			case xast.NodeTypeHas, xast.NodeTypeHasTag:
				has++
			}
			return true
		})
	}
	principal, resource, actions, inP, inR := scopes(p)
	width := func(k scopeKey, in bool, types []cedar.EntityType) int64 {
		switch {
		case k.kind == scopeAny || in:
			return int64(len(types))
		case k.kind == scopeEntity:
			k.typ = k.uid.Type
		}
		if slices.Contains(types, k.typ) {
			return 1
		}
		return 0
	}
	var envs int64
	count := func(uid cedar.EntityUID) {
		if to := c.applies[uid]; to != nil {
			envs += width(principal, inP, to.Principals) * width(resource, inR, to.Resources)
		}
	}
	if actions == nil {
		for uid := range c.applies {
			count(uid)
		}
	}
	for _, a := range actions {
		count(a)
		for _, b := range c.below[a] {
			count(b)
		}
	}
	return c.base + envs*(nodes+has*has*has+1)
}

// conformsRequest reports whether the action exists and applies to the types.
func (c *compiledSchema) conformsRequest(principal cedar.EntityType, action cedar.EntityUID, resource cedar.EntityType) error {
	to, ok := c.applies[action]
	switch {
	case !ok:
		return fmt.Errorf("schema: no action %s", action)
	case to == nil || !slices.Contains(to.Principals, principal):
		return fmt.Errorf("schema: %s does not apply to principals of type %s", action, principal)
	case !slices.Contains(to.Resources, resource):
		return fmt.Errorf("schema: %s does not apply to resources of type %s", action, resource)
	}
	return nil
}

// conformsEntity checks the declared attributes of an entity of a declared
// type. Attributes beyond the schema pass: no policy that validated reads them.
func (c *compiledSchema) conformsEntity(e *cedar.Entity) error {
	t, ok := c.entities[e.UID.Type]
	if !ok {
		return nil // nothing that validated can look at it
	}
	if err := conformsRecord(e.Attributes, t.Shape); err != nil {
		return fmt.Errorf("schema: %s: %w", e.UID, err)
	}
	return nil
}

// conformsContext checks the attributes of names (all when nil) that policies read.
func (c *compiledSchema) conformsContext(action cedar.EntityUID, ctx cedar.Record, names []string) error {
	shape := c.applies[action].Context
	if names == nil {
		return conformsRecord(ctx, shape)
	}
	for _, name := range names {
		attr, declared := shape[types.String(name)]
		v, has := ctx.Get(types.String(name))
		switch {
		case !declared:
		case has:
			if err := conformsValue(v, attr.Type); err != nil {
				return fmt.Errorf("schema: context.%s: %w", name, err)
			}
		case !attr.Optional:
			return fmt.Errorf("schema: context.%s is missing", name)
		}
	}
	return nil
}

func conformsRecord(r cedar.Record, shape resolved.RecordType) error {
	for name, attr := range shape {
		v, ok := r.Get(name)
		if !ok {
			if attr.Optional {
				continue
			}
			return fmt.Errorf("attribute %s is missing", name)
		}
		if err := conformsValue(v, attr.Type); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

func conformsValue(v cedar.Value, want resolved.IsType) error {
	ok := false
	switch want := want.(type) {
	case resolved.StringType:
		_, ok = v.(types.String)
	case resolved.LongType:
		_, ok = v.(types.Long)
	case resolved.BoolType:
		_, ok = v.(types.Boolean)
	case resolved.EntityType:
		uid, isEntity := v.(types.EntityUID)
		ok = isEntity && uid.Type == types.EntityType(want)
	case resolved.RecordType:
		if r, isRecord := v.(types.Record); isRecord {
			return conformsRecord(r, want)
		}
	case resolved.SetType:
		s, isSet := v.(types.Set)
		if ok = isSet; ok {
			for x := range s.All() {
				if err := conformsValue(x, want.Element); err != nil {
					return err
				}
			}
		}
	case resolved.ExtensionType:
		switch v.(type) {
		case types.IPAddr:
			ok = want == "ipaddr"
		case types.Decimal:
			ok = want == "decimal"
		case types.Datetime:
			ok = want == "datetime"
		case types.Duration:
			ok = want == "duration"
		}
	}
	if !ok {
		return errors.New("the value has not the declared type")
	}
	return nil
}

// typeText writes a resolved type as a schema would.
func typeText(t resolved.IsType) string {
	switch t := t.(type) {
	case resolved.StringType:
		return "String"
	case resolved.LongType:
		return "Long"
	case resolved.BoolType:
		return "Bool"
	case resolved.EntityType:
		return string(t)
	case resolved.SetType:
		return "Set<" + typeText(t.Element) + ">"
	case resolved.ExtensionType:
		return string(t)
	case resolved.RecordType:
		return "{…}"
	}
	return "an unknown type"
}

// scopeKind says what a scope is tied to: nothing, a type, or an entity and what
// is below it.
type scopeKind uint8

const (
	scopeAny scopeKind = iota
	scopeType
	scopeEntity // == and in alike: the entity or an ancestor has this name
)

type scopeKey struct {
	kind scopeKind
	typ  cedar.EntityType
	uid  cedar.EntityUID
}

// scopes returns what a policy's scope is tied to. actions is nil for every
// action; in `action in G` G itself stands for its members, which the schema
// knows. inAncestor tells that principal or resource may match by an ancestor.
func scopes(p *cedar.Policy) (principal, resource scopeKey, actions []cedar.EntityUID, inPrincipal, inResource bool) {
	a := (*xast.Policy)(p.AST())
	principal, inPrincipal = scopeOf(a.Principal)
	resource, inResource = scopeOf(a.Resource)
	switch s := a.Action.(type) {
	case xast.ScopeTypeEq:
		actions = []cedar.EntityUID{s.Entity}
	case xast.ScopeTypeIn:
		actions = []cedar.EntityUID{s.Entity}
	case xast.ScopeTypeInSet:
		actions = append([]cedar.EntityUID{}, s.Entities...) // empty, not nil: matches no action
	}
	return principal, resource, actions, inPrincipal, inResource
}

// actionScopeIsEq tells `action == A` (which no member of a group A matches)
// from `action in A`.
func actionScopeIsEq(p *cedar.Policy) bool {
	_, eq := p.AST().Action.(xast.ScopeTypeEq)
	return eq
}

func scopeOf(n xast.IsScopeNode) (k scopeKey, in bool) {
	switch s := n.(type) {
	case xast.ScopeTypeEq:
		return scopeKey{kind: scopeEntity, uid: s.Entity}, false
	case xast.ScopeTypeIn:
		return scopeKey{kind: scopeEntity, uid: s.Entity}, true
	case xast.ScopeTypeIs:
		return scopeKey{kind: scopeType, typ: s.Type}, false
	case xast.ScopeTypeIsIn:
		return scopeKey{kind: scopeEntity, uid: s.Entity}, true
	}
	return scopeKey{}, false // unknown kinds go where they are always looked at
}

// contextUse adds the context attributes that a policy reads to names; it
// reports true when the policy uses the context as a whole.
func contextUse(p *cedar.Policy, names map[string]bool) (whole bool) {
	visit := func(n xast.IsNode) bool {
		var arg xast.IsNode
		var name string
		switch n := n.(type) {
		case xast.NodeTypeAccess:
			arg, name = n.Arg, string(n.Value)
		case xast.NodeTypeHas:
			arg, name = n.Arg, string(n.Value)
		case xast.NodeTypeVariable:
			whole = whole || n.Name == "context"
			return false
		default:
			return true
		}
		if v, ok := arg.(xast.NodeTypeVariable); ok && v.Name == "context" {
			names[name] = true
			return false
		}
		return true
	}
	for _, c := range p.AST().Conditions {
		xast.Inspect(xast.NewNode(c.Body), visit)
	}
	return whole
}

// part is a piece of a policy that can be evaluated by itself, for [Set.Explain].
type part struct {
	name string // "principal", "action", "resource", "when", "unless"
	text string
	node xast.IsNode
	want bool // false for unless
}

// parts splits a policy into its scope and the terms of its conditions.
func parts(p *cedar.Policy) []part {
	a := (*xast.Policy)(p.AST())
	var out []part
	scope := func(name string, alone *xast.Policy, all bool) {
		if !all {
			out = append(out, part{name: name, text: scopeText(alone, name), node: xeval.PolicyToNode(alone).AsIsNode(), want: true})
		}
	}
	_, all := a.Action.(xast.ScopeTypeAll)
	scope("action", &xast.Policy{Principal: xast.ScopeTypeAll{}, Action: a.Action, Resource: xast.ScopeTypeAll{}}, all)
	_, all = a.Resource.(xast.ScopeTypeAll)
	scope("resource", &xast.Policy{Principal: xast.ScopeTypeAll{}, Action: xast.ScopeTypeAll{}, Resource: a.Resource}, all)
	_, all = a.Principal.(xast.ScopeTypeAll)
	scope("principal", &xast.Policy{Principal: a.Principal, Action: xast.ScopeTypeAll{}, Resource: xast.ScopeTypeAll{}}, all)
	for _, c := range a.Conditions {
		if c.Condition == xast.ConditionUnless {
			out = append(out, part{name: "unless", text: nodeText(c.Body), node: c.Body})
			continue
		}
		for _, term := range conjuncts(c.Body, nil) {
			out = append(out, part{name: "when", text: nodeText(term), node: term, want: true})
		}
	}
	return out
}

func conjuncts(n xast.IsNode, out []xast.IsNode) []xast.IsNode {
	if and, ok := n.(xast.NodeTypeAnd); ok {
		return conjuncts(and.Right, conjuncts(and.Left, out))
	}
	return append(out, n)
}

// holds evaluates the part; an error that Cedar would report is returned.
func (pt part) holds(g cedar.EntityGetter, r cedar.Request) (bool, error) {
	v, err := xeval.Eval(pt.node, xeval.Env{Entities: g, Principal: r.Principal, Action: r.Action, Resource: r.Resource, Context: r.Context})
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Boolean)
	if !ok {
		return false, errors.New("the condition is not a truth value")
	}
	return bool(b) == pt.want, nil
}

var (
	spaces       = regexp.MustCompile(`\s+`)
	sourceMarker = regexp.MustCompile(`(?:parse error at )?(?:<input>|[A-Za-z0-9_.-]*)?:(\d+):(\d+):? ?`)
)

// nodeText prints an expression through a policy that has only that condition.
func nodeText(n xast.IsNode) string {
	p := xast.Permit()
	p.Conditions = []xast.ConditionType{{Condition: xast.ConditionWhen, Body: n}}
	text := string(cedar.NewPolicyFromAST((*astPolicy)(p)).MarshalCedar())
	if i, j := strings.Index(text, "when {"), strings.LastIndexByte(text, '}'); i >= 0 && j > i {
		text = text[i+len("when {") : j]
	}
	return oneLine(text)
}

func scopeText(p *xast.Policy, name string) string {
	text := string(cedar.NewPolicyFromAST((*astPolicy)(p)).MarshalCedar())
	if i, j := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')'); i >= 0 && j > i {
		text = text[i+1 : j]
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(strings.TrimSpace(line), ","); strings.HasPrefix(line, name+" ") {
			return oneLine(line)
		}
	}
	return oneLine(text)
}

func oneLine(s string) string { return strings.TrimSpace(spaces.ReplaceAllString(s, " ")) }

// splitPosition takes the first line:column out of a parser's message.
func splitPosition(msg string) (line, column int, rest string) {
	msg = strings.TrimPrefix(msg, "parser error: ")
	m := sourceMarker.FindStringSubmatchIndex(msg)
	if m == nil {
		return 0, 0, msg
	}
	line, _ = strconv.Atoi(msg[m[2]:m[3]])
	column, _ = strconv.Atoi(msg[m[4]:m[5]])
	return line, column, oneLine(msg[:m[0]] + " " + msg[m[1]:])
}
