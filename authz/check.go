package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Candidate is a change of a realm's rules that is to be tried. Every field may
// be empty.
type Candidate struct {
	PutRole      *policy.Role
	DeleteRole   string
	PutPolicy    *policy.Document
	DeletePolicy string
	PutSchema    *policy.Schema
}

// Prepared is a change that was tried against the rules in force. Confirm it in
// the transaction that stores it.
type Prepared struct {
	realm  string
	change Candidate
	base   *policy.Set // that was in force
	judged bool        // the change was tried on base
	later  bool        // a Batch confirms all of its changes at once
}

// Prepare tries a change outside of any transaction. For one policy document it
// compiles just that one. The error is Unprocessable "policy_invalid" with what is
// wrong in Fields, keyed by place, or Denied "role_built_in".
func (d *Decider) Prepare(realm string, c Candidate) (*Prepared, error) {
	if c.builtIn() {
		return nil, errBuiltIn()
	}
	p := &Prepared{realm: realm, change: c}
	snap := (*d.realms.Load())[realm]
	if snap == nil || snap.set == nil {
		return p, nil
	}
	p.base = snap.set
	if id, doc := c.document(); id != "" {
		next, err := snap.set.Replace(id, doc, nil, false)
		if err != nil {
			return nil, invalid(err)
		}
		snap.tried.Store(next)
		p.judged = true
	}
	return p, nil
}

// document returns the one document that c changes, when it changes nothing else.
func (c *Candidate) document() (id string, doc *policy.Document) {
	switch {
	case c.PutRole != nil || c.DeleteRole != "" || c.PutSchema != nil || c.PutPolicy != nil && c.DeletePolicy != "":
		return "", nil
	case c.PutPolicy != nil:
		return c.PutPolicy.ID, c.compilable()
	}
	return c.DeletePolicy, nil
}

// compilable is the document to put, enabled: switching it on later must not fail.
func (c *Candidate) compilable() *policy.Document {
	doc := *c.PutPolicy
	doc.Disabled = false
	return &doc
}

// Confirm tells whether the realm's rules still load with the change. Give it the
// transaction that wrote it: then no other change can come between, and what is
// committed always loads. Errors are those of Prepare, or of the store.
func (p *Prepared) Confirm(ctx context.Context, r Rules) error {
	switch {
	case p.later:
		return nil
	case p.judged:
		// The schema is all that a document is judged by.
		now, err := schemaText(ctx, r, p.realm)
		if err != nil || now == p.base.SchemaText() {
			return err
		}
	case p.base == nil && p.change.DeletePolicy != "" && p.change == (Candidate{DeletePolicy: p.change.DeletePolicy}):
		return nil // rules that do not load are mended by taking something away, and by nothing beside
	}
	return check(ctx, r, p.realm, p.change, p.base)
}

func schemaText(ctx context.Context, r Rules, realm string) (string, error) {
	s, err := r.Schema(ctx, realm)
	if errors.Is(err, gatehouse.NotFound) {
		return "", nil
	}
	return s.Text, err
}

// check compiles the realm's rules with the change.
func check(ctx context.Context, r Rules, realm string, c Candidate, reuse *policy.Set) error {
	in, err := readRules(ctx, r, realm)
	if err != nil {
		return err
	}
	in.Reuse, in.CheckFacts = reuse, c.PutPolicy != nil || c.PutSchema != nil
	if c.DeleteRole != "" {
		in.Roles = slices.DeleteFunc(in.Roles, func(x policy.Role) bool { return x.Name == c.DeleteRole })
	}
	if c.PutRole != nil {
		in.Roles = slices.DeleteFunc(in.Roles, func(x policy.Role) bool { return x.Name == c.PutRole.Name })
		in.Roles = append(in.Roles, *c.PutRole)
	}
	if c.DeletePolicy != "" {
		in.Documents = slices.DeleteFunc(in.Documents, func(x policy.Document) bool { return x.ID == c.DeletePolicy })
	}
	if c.PutPolicy != nil {
		in.Documents = slices.DeleteFunc(in.Documents, func(x policy.Document) bool { return x.ID == c.PutPolicy.ID })
		in.Documents = append(in.Documents, *c.compilable())
	}
	if c.PutSchema != nil {
		in.Schema = c.PutSchema
	}
	_, err = policy.Compile(in)
	return invalid(err)
}

// invalid turns the error of policy.Compile into one that may be shown to whoever
// wrote the policies; nil stays nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	e := gatehouse.E(gatehouse.Unprocessable, "policy_invalid", "The roles, policies and schema do not fit together.")
	if problems, ok := err.(policy.Problems); ok {
		e.Fields = make(map[string]string, len(problems))
		for i, p := range problems {
			place := p.Source
			if p.Line > 0 {
				place += fmt.Sprintf(":%d:%d", p.Line, p.Column)
			}
			if p.Policy != "" {
				place += " (" + p.Policy + ")"
			}
			if _, taken := e.Fields[place]; taken {
				place += fmt.Sprintf(" [%d]", i+1)
			}
			e.Fields[place] = p.Message
		}
	}
	return e.With(err)
}
