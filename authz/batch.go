package authz

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Batch judges several changes of a realm's rules as one: what lies between the first
// and the last need not fit together, what is committed must. The zero value is ready;
// make a new one for every run of a transaction.
type Batch struct{ changes []Candidate }

// Prepare notes a change. The error is that of [Decider.Prepare] for a built-in role.
func (b *Batch) Prepare(realm string, c Candidate) (*Prepared, error) {
	if c.builtIn() {
		return nil, errBuiltIn()
	}
	b.changes = append(b.changes, c)
	return &Prepared{realm: realm, change: c, later: true}, nil
}

// Confirm tells whether the realm's rules load with all changes that were noted. Give
// it the transaction that wrote them. The error is that of [Prepared.Confirm].
func (b *Batch) Confirm(ctx context.Context, r Rules, realm string) error {
	if len(b.changes) == 0 {
		return nil
	}
	in, err := readRules(ctx, r, realm)
	if err != nil {
		return err
	}
	for _, c := range b.changes {
		in.CheckFacts = in.CheckFacts || c.PutPolicy != nil || c.PutSchema != nil
		for i := range in.Documents {
			if c.PutPolicy != nil && c.PutPolicy.ID == in.Documents[i].ID {
				in.Documents[i] = *c.compilable()
			}
		}
	}
	_, err = policy.Compile(in)
	return invalid(err)
}

func (c *Candidate) builtIn() bool {
	return c.PutRole != nil && policy.IsBuiltinRole(c.PutRole.Name) || policy.IsBuiltinRole(c.DeleteRole)
}

func errBuiltIn() error {
	return gatehouse.E(gatehouse.Denied, "role_built_in", "Built-in roles cannot be changed or removed.")
}
