package enforce

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Route says what one pattern accepts, needs and limits. A route that requires
// nothing (no Anonymous, Authenticated, Scopes, Roles or Action) denies.
type Route struct {
	ID       string // shown in events; the pattern when empty
	Host     string // "" matches every host
	Pattern  string // net/http ServeMux pattern without host: "GET /documents/{id}"
	Upstream string // name of the upstream (gateway only)
	Realm    string // realm whose credentials count

	// Schemes that are accepted; empty accepts every scheme of first-party and
	// trusted credentials.
	Schemes     []gatehouse.Scheme
	Environment gatehouse.Environment // keys of the other environment are refused; "" is live

	Anonymous     bool     // may be called without a credential; a wrong one is still refused
	Authenticated bool     // any authenticated caller
	Scopes        []string // all of them
	Roles         []string // any of them, inherited roles count
	// Action is asked of the policies, on Resource.
	Action   string
	Resource *ResourceRule
	// HideExistence answers 404 where 403 would tell that something exists.
	HideExistence bool

	MaxBodyBytes int64         // 0: the gateway's default
	Timeout      time.Duration // whole exchange, streams excepted; 0: the gateway's default
	IdleTimeout  time.Duration // how long it may stand still (gateway only); 0: the gateway's default
	// StreamLifetime is the longest life of a stream (gateway only); 0: the gateway's default.
	StreamLifetime time.Duration
	ContentTypes   []string // of request bodies; empty accepts any
	RateAddress    Rate     // per client address
	RatePrincipal  Rate     // per principal
	CORS           *CORS
	// Filter drops the elements of a JSON list answer that the caller may not read.
	Filter *ListFilter
}

// Rate allows Limit requests per Window; the zero Rate does not limit.
type Rate struct {
	Limit  int
	Window time.Duration
	Burst  int // 0: Limit
}

// ResourceRule builds the resource of the decision.
type ResourceRule struct {
	Type string
	// ID is a template over path parameters: "{id}". With Source "body" it may
	// be empty.
	ID string
	// Source of the attributes: "" none, "upstream" (Fetch is asked), "body"
	// (the request's JSON body), "stored" (entities pushed to Gatehouse).
	Source string
	// Fetch is the upstream path template for Source "upstream", "/documents/{id}".
	Fetch string
	// MaxAge lets a fetched entity be used again for that long; 0 fetches each time.
	MaxAge time.Duration
	// Attributes: Cedar attribute → JSON member. Empty takes all scalar members.
	Attributes map[string]string
	// Entities: Cedar attribute → entity type, for members that hold an id of
	// an entity ("owner": "User").
	Entities map[string]string
	// Static attributes that every such resource has. What they hold must not be
	// changed after SetRoutes.
	Static map[string]any
}

// ListFilter filters an answer's JSON array.
type ListFilter struct {
	Items    string // "" when the body itself is the array, else the member name
	IDMember string
	Action   string
	Resource ResourceRule // Source is ignored: the element itself is the source
}

// CORS of a route.
type CORS struct {
	Origins     []string // exact; "*" only without Credentials
	Methods     []string
	Headers     []string
	Expose      []string
	Credentials bool
	MaxAge      time.Duration
}
