package gatehouse

// AccessRequest is one question to the decision point: may this principal do
// this action on this resource, in the request that the context.Context tells of
// ([WithRequest])?
type AccessRequest struct {
	Principal *Principal
	Action    string // Cedar action id, such as "read"
	Resource  Resource
	// Simulated facts take the place of the request's own, for an operator who asks
	// what would be decided elsewhere or at another time. Names and values are those
	// of policy.Facts. An enforcement point leaves it nil: whoever could set "scopes"
	// or "address" from a request would write his own permission.
	Simulated map[string]any
}

// Resource names what is acted on, with the attributes that policies may read.
type Resource struct {
	Type       string // Cedar entity type, such as "Document"
	ID         string
	Attributes map[string]any
	Parents    []EntityRef
	// Constant promises that nobody changes Attributes as long as this map exists,
	// so that decisions about it may be remembered. What a route gives all its
	// resources is constant; what was read from a request or an upstream is not.
	Constant bool
}

// EntityRef names a Cedar entity.
type EntityRef struct{ Type, ID string }

// Decision is the answer to an [AccessRequest]. The zero value denies. Its lists
// are for reading: others who asked the same may hold them too.
type Decision struct {
	Allowed bool
	// Code says in one stable word why: "permitted", "no_permit", "forbidden",
	// "evaluation_error", "insufficient_scope", "role_required",
	// "unauthenticated", "environment_mismatch", …
	Code string
	// Reasons are the policies that decided, sorted by ID.
	Reasons []Reason
	// Errors are evaluation errors, sorted; any error denies.
	Errors []string
	// Missing tells what would have allowed it, where that is known: scopes,
	// roles, actions.
	Missing []string
}

// Reason is one policy that took part in a decision.
type Reason struct {
	PolicyID string `json:"policy"`
	Effect   string `json:"effect"` // "permit" or "forbid"
	Note     string `json:"note,omitempty"`
}
