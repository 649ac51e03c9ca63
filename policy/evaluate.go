package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Codes of the decisions made here.
const (
	CodePermitted = "permitted"
	CodeNoPermit  = "no_permit"
	CodeForbidden = "forbidden"
	// CodeEvaluationError: a policy that had to be looked at could not be
	// evaluated, or what it needed could not be had or has the wrong type.
	CodeEvaluationError = "evaluation_error"
)

// Source gives entities that policies reach for: what an attribute refers to,
// the parents of parents. Lookups are made only when a policy needs one, at most
// 500 in a decision.
type Source interface {
	// Entity returns an entity, or false when there is none. An error denies.
	Entity(ref gatehouse.EntityRef) (Entity, bool, error)
}

// Request is one question.
type Request struct {
	Principal Entity
	Action    string // "read", or Space::Action::"read"
	Resource  Entity
	// Context holds values as [NewEntity] describes. Only what some policy reads
	// is converted.
	Context map[string]any
	Source  Source // may be nil
}

const maxLookups = 500

// Evaluate decides. Reasons are the policies that decided, sorted by id: the
// permits of a permission, the forbids of a refusal.
func (s *Set) Evaluate(r Request) gatehouse.Decision {
	var e evaluation
	return e.run(s, &r)
}

// evaluation is the working state of one decision.
type evaluation struct {
	g    getter
	req  cedar.Request
	cand candidates
	full bool // scan every policy; tests compare both ways
}

func (e *evaluation) run(s *Set, r *Request) (d gatehouse.Decision) {
	if s == nil || s.index == nil {
		return gatehouse.Decision{Code: CodeNoPermit}
	}
	defer func() {
		if v := recover(); v != nil { // nothing that breaks may end up allowing
			d = failed(errors.New("the evaluation failed"))
		}
	}()
	if code, err := e.prepare(s, r); err != nil {
		d = failed(err)
		d.Code = code
		return d
	}
	var verdict cedar.Decision
	var diag cedar.Diagnostic
	if e.full {
		verdict, diag = cedar.Authorize(everything{s}, &e.g, e.req)
	} else {
		if err := e.find(s, r.Principal.kept); err != nil {
			return failed(err)
		}
		verdict, diag = cedar.Authorize(&e.cand, &e.g, e.req)
	}
	return s.decision(verdict, diag, e.g.err)
}

// find chooses the policies that can match, with what is remembered of the
// principal when nothing but the set had to be asked for it.
func (e *evaluation) find(s *Set, k *kept) error {
	if f := k.under(s); f != nil {
		e.cand.principals = f.keys
	} else {
		if err := s.index.findPrincipal(&e.cand, &e.g, e.req); err != nil {
			return err
		}
		if k != nil && e.g.asked == 0 {
			k.principal.Store(&principalFacts{set: s, keys: slices.Clone(e.cand.principals)})
		}
	}
	return s.index.findOthers(&e.cand, &e.g, e.req)
}

// prepare converts and checks the request.
func (e *evaluation) prepare(s *Set, r *Request) (code string, err error) {
	action, err := actionUID(r.Action)
	if err != nil {
		return CodeEvaluationError, err
	}
	if r.Principal.e.UID.Type == "" || r.Resource.e.UID.Type == "" {
		return CodeEvaluationError, errors.New("principal or resource is missing")
	}
	e.req = cedar.Request{Principal: r.Principal.e.UID, Action: action, Resource: r.Resource.e.UID}
	e.g = getter{set: s, principal: &r.Principal.e, resource: &r.Resource.e, source: r.Source}
	if s.schema != nil {
		if err := s.schema.conformsRequest(e.req.Principal.Type, action, e.req.Resource.Type); err != nil {
			return CodeNoPermit, err // no policy that validated can match it
		}
		if r.Principal.kept.under(s) == nil {
			if err := s.schema.conformsEntity(&r.Principal.e); err != nil {
				return CodeEvaluationError, err
			}
		}
		if e.req.Resource != e.req.Principal {
			if err := s.schema.conformsEntity(&r.Resource.e); err != nil {
				return CodeEvaluationError, err
			}
		}
	}
	if e.req.Context, err = s.context(r.Context); err != nil {
		return CodeEvaluationError, fmt.Errorf("context: %w", err)
	}
	if s.schema != nil {
		if err := s.schema.conformsContext(action, e.req.Context, s.contextNames); err != nil {
			return CodeEvaluationError, err
		}
	}
	return "", nil
}

// context converts what policies read of m.
func (s *Set) context(m map[string]any) (cedar.Record, error) {
	var c converter
	if s.contextNames == nil {
		return c.record(m, 1)
	}
	var out cedar.RecordMap
	for _, name := range s.contextNames {
		v := m[name]
		if v == nil {
			continue
		}
		x, err := c.value(v, 2)
		if err != nil {
			return cedar.Record{}, fmt.Errorf("%s: %w", name, err)
		}
		if out == nil {
			out = make(cedar.RecordMap, len(s.contextNames))
		}
		out[cedar.String(name)] = x
	}
	if out == nil {
		return cedar.Record{}, nil
	}
	return cedar.NewRecord(out), nil
}

func failed(err error) gatehouse.Decision {
	return gatehouse.Decision{Code: CodeEvaluationError, Errors: []string{err.Error()}}
}

// decision puts Cedar's verdict into ours; any error denies.
func (s *Set) decision(verdict cedar.Decision, diag cedar.Diagnostic, lookup error) gatehouse.Decision {
	d := gatehouse.Decision{Code: CodeNoPermit}
	if n := len(diag.Reasons); n > 0 {
		d.Reasons = make([]gatehouse.Reason, n)
		for i, r := range diag.Reasons {
			d.Reasons[i] = s.reason(r.PolicyID)
		}
		if n > 1 {
			sorted.Slice(d.Reasons, func(a, b gatehouse.Reason) int { return strings.Compare(a.PolicyID, b.PolicyID) })
		}
		if verdict == cedar.Deny {
			d.Code = CodeForbidden
		}
	}
	if len(diag.Errors) > 0 || lookup != nil {
		d.Code = CodeEvaluationError
		for _, e := range diag.Errors {
			d.Errors = append(d.Errors, "policy "+string(e.PolicyID)+": "+e.Message)
		}
		if lookup != nil {
			d.Errors = append(d.Errors, lookup.Error())
		}
		slices.Sort(d.Errors)
		return d
	}
	if verdict == cedar.Allow {
		d.Code, d.Allowed = CodePermitted, true
	}
	return d
}

// getter gives Cedar the entities of one request. Roles and actions come from
// the set alone: a request or a pushed entity must not be able to redefine them.
// When the principal is also the resource, the principal's attributes count.
type getter struct {
	set                 *Set
	principal, resource *cedar.Entity
	source              Source
	loaded              map[cedar.EntityUID]loaded
	asked               int // times that the answer came from the request or the source, and not from principal or set
	err                 error
}

type loaded struct {
	e  cedar.Entity
	ok bool
}

// Get implements cedar.EntityGetter.
func (g *getter) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	switch {
	case uid == g.principal.UID:
		return *g.principal, true
	case uid.Type == typeRole:
		e, ok := g.set.entities[uid]
		return e, ok
	case isActionType(uid.Type):
		if g.set.schema == nil {
			return cedar.Entity{}, false
		}
		e, ok := g.set.schema.actions[uid]
		return e, ok
	}
	g.asked++
	switch {
	case uid == g.resource.UID:
		return *g.resource, true
	case g.source == nil || g.err != nil:
		return cedar.Entity{}, false
	}
	if l, ok := g.loaded[uid]; ok {
		return l.e, l.ok
	}
	if len(g.loaded) >= maxLookups {
		g.err = fmt.Errorf("more than %d entities were looked up", maxLookups)
		return cedar.Entity{}, false
	}
	e, ok, err := g.source.Entity(gatehouse.EntityRef{Type: string(uid.Type), ID: string(uid.ID)})
	if err == nil && ok {
		if e.e.UID != uid {
			err = errors.New("the source answered with another entity")
		} else if g.set.schema != nil {
			err = g.set.schema.conformsEntity(&e.e)
		}
	}
	if err != nil {
		// The policy goes on without the entity; the decision is a denial whatever
		// it finds, so a failing lookup can never turn a forbid off.
		g.err = fmt.Errorf("entity %s: %w", uid, err)
		return cedar.Entity{}, false
	}
	if g.loaded == nil {
		g.loaded = make(map[cedar.EntityUID]loaded, 4)
	}
	g.loaded[uid] = loaded{e.e, ok}
	return e.e, ok
}
