package authz

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// counted counts the reads of all of a realm's policies.
type counted struct {
	*world
	all int
}

func (c *counted) Policies(ctx context.Context, realm string) ([]policy.Document, error) {
	c.all++
	return c.world.Policies(ctx, realm)
}

// TestOnePolicy: a change of one document reads and compiles that document alone,
// is in force when Apply returns, and is judged anew when the schema changed
// meanwhile.
func TestOnePolicy(t *testing.T) {
	c := &counted{world: newWorld()}
	d, err := New(t.Context(), Config{Store: c, Directory: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	begun := c.all
	r := gatehouse.AccessRequest{Principal: who("main", "alice"), Action: "read", Resource: document("alice", "red", "private")}
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Fatalf("%+v", got)
	}
	doc := policy.Document{Realm: "main", ID: "closed", Text: `forbid(principal, action, resource is Document);`}
	p, err := d.Prepare("main", Candidate{PutPolicy: &doc})
	if err != nil {
		t.Fatal(err)
	}
	c.set(func() { c.docs["main"] = append(c.docs["main"], doc) })
	if err := p.Confirm(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "closed"})
	if got := d.Decide(t.Context(), r); got.Allowed || got.Code != policy.CodeForbidden {
		t.Fatalf("%+v", got)
	}
	c.set(func() {
		c.docs["main"] = slices.DeleteFunc(c.docs["main"], func(x policy.Document) bool { return x.ID == "closed" })
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "closed"})
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Fatalf("%+v", got)
	}
	if p, err = d.Prepare("main", Candidate{DeletePolicy: "documents"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(t.Context(), c); err != nil {
		t.Error(err)
	}
	if c.all != begun {
		t.Errorf("all policies were read %d times", c.all-begun)
	}
	// Another schema was stored after the document was judged.
	_, err = d.Prepare("main", Candidate{PutPolicy: &policy.Document{ID: "late", Text: `forbid(principal is Service, action, resource is Document) when { resource.team == "red" };`}})
	if err == nil { // team is optional in the schema of the examples
		t.Fatal("a policy that does not fit the schema was taken")
	}
	p, err = d.Prepare("main", Candidate{PutPolicy: &policy.Document{ID: "late", Text: `forbid(principal is Service, action, resource is Document);`}})
	if err != nil {
		t.Fatal(err)
	}
	c.set(func() {
		c.schemas["main"] = policy.Schema{Text: "entity User; entity Document; action read appliesTo { principal: [User], resource: [Document] };"}
	})
	if err := p.Confirm(t.Context(), c); gatehouse.CodeOf(err) != "policy_invalid" {
		t.Errorf("judged by the schema of before: %v", err)
	}
	// The store fails while the change is applied: nothing of before stays in force.
	c.set(func() { c.rules = gatehouse.Unavailable })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicPolicy, Realm: "main", ID: "documents"})
	if got := d.Decide(t.Context(), r); got.Allowed || got.Code != CodePolicyUnavailable {
		t.Errorf("%+v", got)
	}
	// Rules that do not load can be mended by taking a document away.
	p, err = d.Prepare("main", Candidate{DeletePolicy: "documents"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Confirm(t.Context(), c); err != nil {
		t.Error(err)
	}
}
