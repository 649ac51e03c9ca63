package gatehouse

import "time"

// Outcome of an event.
type Outcome string

const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure" // tried and refused: wrong password, denied
	OutcomeError   Outcome = "error"   // something broke; treated as refused
)

// Actor is who did something, as far as it is known. Never a secret.
type Actor struct {
	Kind       PrincipalKind `json:"kind,omitempty"`
	ID         string        `json:"id,omitempty"`
	Name       string        `json:"name,omitempty"`
	Credential string        `json:"credential,omitempty"` // credential id
	Scheme     Scheme        `json:"scheme,omitempty"`
}

// Target is what something was done to.
type Target struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
}

// Event is one record of the audit log: who did what to what, with which
// outcome and why. Events of a change are written in the transaction of the
// change; events of decisions go through a bounded queue (audit.Recorder).
//
// No field may hold a secret, a token, a password or a raw credential.
type Event struct {
	ID        string    `json:"id"` // "evt_…"; set by the log when empty
	Time      time.Time `json:"time"`
	Realm     string    `json:"realm"`
	Kind      string    `json:"kind"` // dotted, closed set: "user.create", "key.revoke", "request.decide"
	Actor     Actor     `json:"actor,omitzero"`
	Target    Target    `json:"target,omitzero"`
	Outcome   Outcome   `json:"outcome"`
	Reason    string    `json:"reason,omitempty"` // stable code
	RequestID string    `json:"request_id,omitempty"`
	Address   string    `json:"address,omitempty"`
	Method    string    `json:"method,omitempty"`
	Host      string    `json:"host,omitempty"`
	Path      string    `json:"path,omitempty"` // without query
	Route     string    `json:"route,omitempty"`
	Status    int       `json:"status,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
	// Micros is how long the whole request took, in microseconds.
	Micros int64 `json:"micros,omitempty"`
	// Chain is the decision chain of a request, step by step.
	Chain []Step `json:"chain,omitempty"`
	// Detail holds further facts; keys are snake_case, values short.
	Detail map[string]string `json:"detail,omitempty"`
}

// Step is one link of the chain from credential to rule, for `explain`.
type Step struct {
	Name    string   `json:"step"` // receive match extract authenticate authorize limit forward
	Outcome Outcome  `json:"outcome"`
	Code    string   `json:"code,omitempty"`
	Note    string   `json:"note,omitempty"`
	Reasons []Reason `json:"reasons,omitempty"`
}
