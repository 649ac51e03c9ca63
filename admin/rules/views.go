package rules

import (
	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Question is an access question to explain.
type Question struct {
	Principal string         `json:"principal" doc:"Id or username of a user or service of the realm; empty asks for an anonymous caller"`
	Action    string         `json:"action"`
	Resource  Resource       `json:"resource"`
	Context   map[string]any `json:"context,omitempty" doc:"Facts of the request to assume, such as address, method or time; what is left out is unknown, and time is now"`
	// Policies are tried without being stored.
	Policies map[string]string `json:"policies,omitempty" doc:"Texts of policy documents by id, to be tried beside those stored or in place of those of the same id; nothing is stored"`
}

// Resource is what the question is about.
type Resource struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Parents    []EntityRef    `json:"parents,omitempty"`
}

// EntityRef names an entity.
type EntityRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Answer is a decision with its reasons.
type Answer struct {
	Allowed bool               `json:"allowed"`
	Code    string             `json:"code"`
	Reasons []gatehouse.Reason `json:"reasons"`
	Errors  []string           `json:"errors"`
	Missing []string           `json:"missing"`
	// Considered is how many policies could apply by their scope, of Total.
	Considered int            `json:"considered" doc:"How many policies could apply by their scope"`
	Total      int            `json:"total" doc:"How many policies there are"`
	Policies   []policy.Trace `json:"policies" doc:"The policies that matched or failed, then the permits that came nearest, with what they lack"`
}

// RoleInput is what a role is replaced with.
type RoleInput struct {
	Description string              `json:"description,omitempty"`
	Parents     []string            `json:"parents,omitempty" doc:"Roles whose permissions it holds too"`
	Permissions []policy.Permission `json:"permissions,omitempty"`
}

// Role is the role of that name.
func (r RoleInput) Role(name string) policy.Role {
	return policy.Role{Name: name, Description: r.Description, Parents: r.Parents, Permissions: r.Permissions}
}

// PolicyInput is what a policy document is replaced with.
type PolicyInput struct {
	Text     string `json:"text" doc:"Cedar policies"`
	Disabled bool   `json:"disabled,omitempty"`
}

// SchemaInput is what a schema is replaced with.
type SchemaInput struct {
	Text string `json:"text" doc:"Cedar schema in the readable syntax; empty removes it"`
}

// EntityInput is what an entity is replaced with.
type EntityInput struct {
	Attributes map[string]any     `json:"attributes,omitempty"`
	Parents    []policy.ParentRef `json:"parents,omitempty"`
}
