package policy

import "time"

// Role is RBAC data; it is compiled into Cedar policies. A role holds the
// permissions of its parents too.
type Role struct {
	Realm       string       `json:"realm"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Parents     []string     `json:"parents,omitempty"`
	Permissions []Permission `json:"permissions,omitempty"`
	UpdatedAt   time.Time    `json:"updated_at"`
}

// Permission allows actions on every resource of a type.
type Permission struct {
	Actions      []string `json:"actions"`       // "*" for all
	ResourceType string   `json:"resource_type"` // "*" for all
}

// Document is one stored policy text in the Cedar language; it may hold several
// policies. Their ids are "<ID>", or "<ID>#1"… when there are several.
type Document struct {
	Realm     string    `json:"realm"`
	ID        string    `json:"id"`
	Text      string    `json:"text"`
	Disabled  bool      `json:"disabled"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Schema is a realm's Cedar schema, in the human-readable syntax.
type Schema struct {
	Realm     string    `json:"realm"`
	Text      string    `json:"text"`
	UpdatedAt time.Time `json:"updated_at"`
}

// EntityRecord is an entity pushed through the management API.
type EntityRecord struct {
	Realm      string         `json:"realm"`
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Parents    []ParentRef    `json:"parents,omitempty"`
	UpdatedAt  time.Time      `json:"updated_at"`
}

// ParentRef names a parent entity.
type ParentRef struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}
