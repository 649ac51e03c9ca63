package authz

import (
	"context"
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

// Check tells whether the realm's rules would still load with the change. Give
// it the transaction that will write: then no other change can come between, and
// what was committed always loads. The error is Unprocessable "policy_invalid"
// with what is wrong in Fields, keyed by place, or the error of the store.
func Check(ctx context.Context, r Rules, realm string, c Candidate, reuse *policy.Set) error {
	if c.PutRole != nil && policy.IsBuiltinRole(c.PutRole.Name) || policy.IsBuiltinRole(c.DeleteRole) {
		return gatehouse.E(gatehouse.Denied, "role_built_in", "Built-in roles cannot be changed or removed.")
	}
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
		// A disabled document is compiled too: switching it on later must not fail.
		doc := *c.PutPolicy
		doc.Disabled = false
		in.Documents = slices.DeleteFunc(in.Documents, func(x policy.Document) bool { return x.ID == doc.ID })
		in.Documents = append(in.Documents, doc)
	}
	if c.PutSchema != nil {
		in.Schema = c.PutSchema
	}
	_, err = policy.Compile(in)
	return Invalid(err)
}

// Check is [Check] on what is stored now, for trying a change without writing.
func (d *Decider) Check(ctx context.Context, realm string, c Candidate) error {
	return Check(ctx, d.store, realm, c, d.Set(realm))
}

// Invalid turns the error of policy.Compile into one that may be shown to whoever
// wrote the policies; nil stays nil.
func Invalid(err error) error {
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
