package enforce

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// Route says what one pattern accepts, needs and limits. A route that requires
// nothing (no Anonymous, Authenticated, Scopes, Roles or Action) denies.
//
// It is also a route of gatehouse.yaml: the tags name the keys, and say what the
// reference and the check say of them (see server/config).
type Route struct {
	ID       string `json:"id,omitempty" doc:"Name in the log; host and match when empty."`
	Host     string `json:"host,omitempty" doc:"Host name; empty matches every host."`
	Pattern  string `json:"match" required:"true" doc:"Pattern of net/http: 'GET /documents/{id}', '/files/{path...}'. A path alone takes every method."`
	Upstream string `json:"upstream,omitempty" doc:"Name of the upstream; the only one when there is one."`
	Realm    string `json:"realm,omitempty" default:"main" doc:"Realm whose credentials count."`

	Schemes     []gatehouse.Scheme    `json:"schemes,omitempty" doc:"Accepted kinds of credentials: basic, api_key, jwt, opaque, session; all but session when empty."`
	Audience    string                `json:"audience,omitempty" doc:"For whom tokens must be, one of the realm's audiences: 'https://api.example/mcp'; its issuer or its default audience when empty. Where it is the address of the API, its metadata is published there (RFC 9728)."`
	Credentials []string              `json:"credentials,omitempty" doc:"Header lines that carry a credential: 'Authorization', and of any other name an API key; both Authorization and X-API-Key when empty, 'none' on an anonymous route reads none. Lines that are not read go on to the API, unless they hold a credential of Gatehouse."`
	KeyScheme   string                `json:"key_scheme,omitempty" doc:"Auth-scheme in Authorization whose value is an API key, beside Bearer: 'ApiKey'."`
	KeyAsUser   bool                  `json:"key_as_user,omitempty" doc:"Accept an API key as user name of Basic with an empty password: 'curl -u KEY:'."`
	Subprotocol string                `json:"subprotocol,omitempty" doc:"Name of a WebSocket subprotocol after which a page sends a token or key: 'gatehouse.bearer' accepts 'gatehouse.bearer.TOKEN'. It ends here."`
	Ticket      string                `json:"ticket,omitempty" doc:"Query parameter that carries a one-time ticket from 'POST /.gatehouse/ticket' and the path: 'ticket'. For GET."`
	QueryNames  []string              `json:"query_names,omitempty" doc:"Query parameters of the API that are named like a credential ('token'). Anonymous routes allow all; a credential of Gatehouse is refused in any."`
	Environment gatehouse.Environment `json:"environment,omitempty" enum:"live,test" default:"live" doc:"Which API keys count; those of the other environment are refused."`

	Closed        bool          `json:"closed,omitempty" doc:"Nobody may call: answered as if it did not exist. Keeps its paths from every route that is not more specific."`
	Anonymous     bool          `json:"anonymous,omitempty" doc:"May be called without a credential; a wrong one is still refused."`
	Authenticated bool          `json:"authenticated,omitempty" doc:"Any authenticated caller."`
	Scopes        []string      `json:"scopes,omitempty" doc:"All of these scopes."`
	AnyOf         []Requirement `json:"any_of,omitempty" doc:"Alternatives; one of them must be met, beside schemes and scopes."`
	Roles         []string      `json:"roles,omitempty" doc:"Any of these roles; inherited ones count."`
	ACR           string        `json:"acr,omitempty" doc:"Least level of the sign-in: aal1, aal2, aal3; or the name of another issuer's. API keys have none."`
	MaxAuthAge    time.Duration `json:"max_auth_age,omitempty" minimum:"0s" doc:"How long ago the person may have signed in, at least 1m; any time when empty. API keys have none."`
	Proof         string        `json:"proof,omitempty" enum:"bound,nonce" doc:"Only tokens that are bound: to a key, with a DPoP proof, or to a client certificate; nonce demands that a DPoP proof holds a nonce of Gatehouse. When empty, bound tokens need a proof, and others none."`
	Action        string        `json:"action,omitempty" doc:"Action that the policies must permit on the resource."`
	Resource      *ResourceRule `json:"resource,omitempty" doc:"What the action is done to."`
	HideExistence bool          `json:"hide_existence,omitempty" doc:"Answer 404 where 403 would tell that something exists."`

	MaxBodyBytes   int64         `json:"max_body_bytes,omitempty" minimum:"0" doc:"Bytes of a request's body; 'gateway.max_body_bytes' when 0."`
	Timeout        time.Duration `json:"timeout,omitempty" minimum:"0s" doc:"Bound of the whole exchange, streams excepted; 'gateway.timeout' when empty."`
	IdleTimeout    time.Duration `json:"idle_timeout,omitempty" minimum:"0s" doc:"How long it may stand still; 'gateway.idle_timeout' when empty."`
	StreamLifetime time.Duration `json:"stream_lifetime,omitempty" minimum:"0s" doc:"Longest life of a stream; 'gateway.stream_lifetime' when empty."`
	ContentTypes   []string      `json:"content_types,omitempty" doc:"Accepted types of request bodies; any when empty."`
	RateAddress    limit.Rate    `json:"rate_address,omitempty" doc:"Requests per client address; unlimited when empty."`
	RatePrincipal  limit.Rate    `json:"rate_principal,omitempty" doc:"Requests per principal; unlimited when empty."`
	CORS           *CORS         `json:"cors,omitempty" doc:"Which browser origins may call; 'gateway.cors' when absent. '{origins: []}' lets none, whatever that says."`
	EncodedSlashes bool          `json:"encoded_slashes,omitempty" doc:"Accept %2F within a segment of the path, and forward it as it is: only for APIs that tell it from a slash."`
	Filter         *ListFilter   `json:"filter,omitempty" doc:"Drop the elements of a JSON list that the caller may not see."`

	// Stale and MaxStaleness say what to do while this node does not know what others changed.
	Stale        string        `json:"stale,omitempty" enum:"refuse,ask,serve" default:"refuse" doc:"While this node's view of the database is too old: refuse with 503, ask the database of each credential whether it has ended, or serve by what was known, which is recorded."`
	MaxStaleness time.Duration `json:"max_staleness,omitempty" minimum:"0s" doc:"How old that view may get here, at least 2s; 'store.max_staleness' when empty."`

	// StrictPaths says that the program behind tells paths apart that differ in letter
	// case, a slash at the end or a suffix. Without it, a path that could be meant for
	// a stricter route by a program that does not is refused. In gatehouse.yaml it is
	// said of the upstream.
	StrictPaths bool `json:"-"`
}

// LogID is the id under which events and metrics have the route: its own, or host and
// pattern.
func (r *Route) LogID() string {
	switch {
	case r.ID != "":
		return r.ID
	case r.Host != "":
		return r.Host + " " + r.Pattern
	}
	return r.Pattern
}

// Requirement is one alternative of a route.
type Requirement struct {
	Schemes []gatehouse.Scheme `json:"schemes,omitempty" doc:"Accepted kinds of credentials; all when empty."`
	Scopes  []string           `json:"scopes,omitempty" doc:"All of these scopes."`
}

// ResourceRule builds the resource of the decision.
type ResourceRule struct {
	Type   string `json:"type" required:"true" doc:"Entity type: Document."`
	ID     string `json:"id,omitempty" doc:"Template over path parameters: '{id}'. With source body it may be empty."`
	Source string `json:"source,omitempty" enum:"upstream,body,stored" doc:"Where its attributes come from: the upstream's answer to fetch, the request's JSON body, or entities stored in Gatehouse; nowhere when empty."`
	Fetch  string `json:"fetch,omitempty" doc:"Upstream path for source upstream: '/documents/{id}'."`
	// MaxAge lets a fetched entity be used again for that long.
	MaxAge     time.Duration     `json:"max_age,omitempty" minimum:"0s" doc:"How long a fetched resource may be used again; 0s asks each time."`
	Attributes map[string]string `json:"attributes,omitempty" doc:"Attribute: JSON member; all scalar members when empty."`
	Entities   map[string]string `json:"entities,omitempty" doc:"Attribute: entity type, for members that hold ids: 'owner: User'."`
	// Static attributes must not be changed after SetRoutes.
	Static map[string]any `json:"static,omitempty" doc:"Attribute: text that every such resource has."`
}

// ListFilter drops elements of a JSON list answer.
type ListFilter struct {
	Items    string `json:"items,omitempty" doc:"Member that holds the list; empty when the body is the list."`
	IDMember string `json:"id_member" required:"true" doc:"Member that holds an element's id."`
	Action   string `json:"action" required:"true" doc:"Action that must be permitted on each element."`
	// Source of the resource is ignored: the element itself is the source.
	Resource ResourceRule `json:"resource" doc:"How an element becomes a resource."`
}
