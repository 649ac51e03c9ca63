// Package config reads gatehouse.yaml and its environment, checks the whole and
// turns its rules into the pipeline's. It opens nothing but the files that the
// two name, and knows no database.
package config

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// Config is gatehouse.yaml. Its comments are the reference manual; `gatehouse
// config schema` prints the same as a JSON Schema. Unknown members, duplicates
// and second documents are errors. Every scalar can be overridden from the
// environment: GATEHOUSE_STORE_DSN sets store.dsn, and GATEHOUSE_STORE_DSN_FILE
// reads it from a file, which is how secrets should come.
type Config struct {
	// Issuer is the public base URL of the auth listener, without a trailing
	// slash. It is the issuer of realm main; other realms are at
	// ISSUER/realms/NAME. Tokens name it, so it must not change lightly.
	Issuer string `json:"issuer" doc:"Public base URL of the auth listener; the issuer of realm main."`
	// Data is the directory for the database, the master key and backups.
	Data  string `json:"data" doc:"Directory for the database and the master key."`
	Store Store  `json:"store,omitempty" doc:"Where everything is stored."`
	// MasterKeyFile holds the key that seals private keys at rest; DATA/master.key
	// when empty. `gatehouse init` makes it. Keep a copy apart from backups.
	MasterKeyFile string `json:"master_key_file,omitempty" doc:"Key that seals secrets at rest; DATA/master.key when empty."`
	Listen        Listen `json:"listen" doc:"Where Gatehouse listens."`
	// TrustedProxies are addresses or networks whose X-Forwarded-* lines are
	// believed. Empty trusts nobody.
	TrustedProxies []string  `json:"trusted_proxies,omitempty" doc:"Networks whose X-Forwarded-* lines are believed. Empty trusts nobody."`
	Log            Log       `json:"log,omitempty" doc:"The operator's log (not the audit log)."`
	Audit          Audit     `json:"audit,omitempty" doc:"The audit log."`
	Passwords      Passwords `json:"passwords,omitempty" doc:"Cost of password hashing."`
	Limits         Limits    `json:"limits,omitempty" doc:"Requests per client address to Gatehouse's own endpoints."`
	// KeyPrefix begins every API key: ghk_live_…
	KeyPrefix string              `json:"key_prefix,omitempty" doc:"How API keys begin; ghk when empty." pattern:"^[a-z][a-z0-9]{1,9}$"`
	Gateway   Gateway             `json:"gateway,omitempty" doc:"Bounds and defaults of the gateway, for all routes."`
	Upstreams map[string]Upstream `json:"upstreams,omitempty" doc:"APIs behind the gateway, by name."`
	Routes    []Route             `json:"routes,omitempty" doc:"What may be called, and by whom. What no route matches does not exist."`

	// Now is the clock; time.Now when nil. It is no setting: no file names it.
	Now func() time.Time `json:"-"`
}

// Store says where everything is stored.
type Store struct {
	// Driver is "sqlite" (default: DATA/gatehouse.db) or "postgres".
	Driver string `json:"driver,omitempty" enum:"sqlite,postgres" doc:"sqlite (default) or postgres."`
	// DSN of PostgreSQL, "postgres://user:password@host/db". Give it through
	// GATEHOUSE_STORE_DSN_FILE rather than in the file.
	DSN string `json:"dsn,omitempty" doc:"PostgreSQL connection string; better through GATEHOUSE_STORE_DSN_FILE."`
}

// Listen says where Gatehouse listens.
type Listen struct {
	Auth    Listener `json:"auth" doc:"Tokens, keys, management API."`
	Gateway Listener `json:"gateway,omitempty" doc:"The APIs behind the gateway, and forward-auth."`
	Metrics Listener `json:"metrics,omitempty" doc:"Prometheus metrics and health; keep it private."`
}

// Listener is one listener; an empty address does not listen.
type Listener struct {
	Address string `json:"address,omitempty" doc:"host:port; empty does not listen."`
	// CertFile and KeyFile switch TLS on; both are read again when they change.
	CertFile string `json:"cert_file,omitempty" doc:"TLS certificate chain (PEM); read again when it changes."`
	KeyFile  string `json:"key_file,omitempty" doc:"TLS private key (PEM)."`
}

// Log sets the operator's log, on standard error.
type Log struct {
	Level  string `json:"level,omitempty" enum:"debug,info,warn,error" doc:"info when empty."`
	Format string `json:"format,omitempty" enum:"text,json" doc:"text when empty."`
}

// Audit sets the audit log.
type Audit struct {
	// Overflow says what happens to requests when decision events come faster
	// than they can be stored: "block" (default) makes requests wait, and after
	// five seconds refuses them with 503, so that nothing passes unrecorded; "drop"
	// lets them pass, counts what was lost and records the count.
	Overflow string `json:"overflow,omitempty" enum:"block,drop" doc:"block (default) or drop; drops are counted and recorded."`
	// Queue is how many decision events may wait; 8192.
	Queue int `json:"queue,omitempty" minimum:"16" maximum:"1048576" doc:"Decision events that may wait; 8192 when empty."`
	// File, when set, also gets every event as a JSON line.
	File string `json:"file,omitempty" doc:"Also write each event as a JSON line to this file."`
}

// Passwords bounds the cost of password hashing.
type Passwords struct {
	// Parallel is how many hashes run at once; the number of CPUs when 0. Each
	// takes 19 MiB and about 40 ms.
	Parallel int `json:"parallel,omitempty" minimum:"0" maximum:"64" doc:"Hashes at once, 19 MiB each; number of CPUs when 0."`
	// Queue is how many attempts may wait for a turn; 64. Beyond it they are
	// answered 503 at once.
	Queue int `json:"queue,omitempty" minimum:"0" maximum:"10000" doc:"Attempts that may wait; 64 when 0."`
}

// Limits bounds, per client address, what the auth listener answers.
type Limits struct {
	Tokens string `json:"tokens,omitempty" doc:"POST and DELETE /tokens, refresh: 600/1m when empty."`
	Admin  string `json:"admin,omitempty" doc:"The management API: 1200/1m when empty."`
}

// Gateway holds the bounds and defaults of the gateway.
type Gateway struct {
	// IdleTimeout bounds how long an exchange may stand still: the wait for the
	// API's answer, and each pause in what comes from the caller or the API. What
	// flows is not cut by it, and streams are excepted.
	IdleTimeout Duration `json:"idle_timeout,omitempty" doc:"How long an exchange may stand still, streams excepted; 60s when empty."`
	// Timeout bounds the whole exchange, whether it flows or not. Streams are
	// excepted.
	Timeout        Duration `json:"timeout,omitempty" doc:"Bound of a whole exchange, streams excepted; none when empty."`
	MaxBodyBytes   int64    `json:"max_body_bytes,omitempty" minimum:"0" doc:"Of a request's body; 10 MiB when 0."`
	MaxHeaderBytes int      `json:"max_header_bytes,omitempty" minimum:"0" maximum:"65536" doc:"Of a request's header; 32 KiB when 0."`
	MaxHeaderLines int      `json:"max_header_lines,omitempty" minimum:"0" maximum:"1000" doc:"Lines of a request's header; 100 when 0."`
	MaxListBytes   int64    `json:"max_list_bytes,omitempty" minimum:"0" doc:"Of an answer whose list is filtered; 8 MiB when 0."`
	// StreamLifetime bounds WebSockets and answers of a stream type.
	StreamLifetime Duration `json:"stream_lifetime,omitempty" doc:"Longest life of a WebSocket or other stream; 1h when empty."`
	// StreamCheck is how often whatever is still open is judged again.
	StreamCheck Duration `json:"stream_check,omitempty" doc:"How often what is still open is judged again; 5s when empty."`
	// StreamTypes are media types of answers without a natural end, beside those
	// that are known as such (server-sent events, gRPC, JSON lines and the like).
	StreamTypes []string `json:"stream_types,omitempty" doc:"Further media types of answers without a natural end: application/vnd.log."`
	// StripHeaders names request headers that callers may not set, in any spelling.
	StripHeaders []string `json:"strip_headers,omitempty" doc:"Further request headers that callers may not set."`
	// ResponseHeaders are set on forwarded answers that lack them.
	ResponseHeaders map[string]string `json:"response_headers,omitempty" doc:"Set on forwarded answers that lack them: header name → value."`
	CORS            *CORS             `json:"cors,omitempty" doc:"Which browser origins may call routes that have no cors of their own."`
}

// Upstream is an API behind the gateway.
type Upstream struct {
	URL string `json:"url" doc:"http:// or https:// base URL."`
	// PassAuthorization forwards the caller's Authorization line too. Off: the
	// upstream gets the signed assertion instead.
	PassAuthorization bool `json:"pass_authorization,omitempty" doc:"Forward the caller's credential too (off: only the signed assertion)."`
	// PlainHeaders adds X-Gatehouse-Subject, -Username, -Roles and -Scopes.
	PlainHeaders bool `json:"plain_headers,omitempty" doc:"Add X-Gatehouse-Subject, -Username, -Roles and -Scopes."`
	// Headers names further plain lines: header → subject, username, roles,
	// scopes, realm, client or credential.
	Headers map[string]string `json:"headers,omitempty" doc:"Further identity lines: header name → subject|username|roles|scopes|realm|client|credential."`
	// PreserveHost sends the Host that the caller used, in place of the URL's.
	PreserveHost bool `json:"preserve_host,omitempty" doc:"Send the Host that the caller used, in place of the URL's."`
	// DropCookies removes the Cookie line.
	DropCookies bool `json:"drop_cookies,omitempty" doc:"Remove the Cookie line."`
	// HTTP2 speaks HTTP/2 without TLS (h2c) to an http:// upstream.
	HTTP2 bool `json:"http2,omitempty" doc:"Speak HTTP/2 without TLS to an http:// upstream."`
	// CAFile verifies an https:// upstream instead of the system's roots.
	CAFile string `json:"ca_file,omitempty" doc:"CA certificates (PEM) for an https:// upstream."`
}

// Route is one rule of the gateway. It must say who may call: anonymous,
// authenticated, scopes, roles or action.
type Route struct {
	ID       string `json:"id,omitempty" doc:"Name in the log; the match when empty."`
	Match    string `json:"match" doc:"net/http pattern: 'GET /documents/{id}', '/files/{path...}'."`
	Host     string `json:"host,omitempty" doc:"Host name; empty matches every host."`
	Upstream string `json:"upstream,omitempty" doc:"Name of the upstream; the only one when there is one."`
	Realm    string `json:"realm,omitempty" doc:"Realm whose credentials count; main when empty."`

	Schemes     []string `json:"schemes,omitempty" doc:"Accepted: basic, api_key, jwt, opaque; all when empty."`
	Environment string   `json:"environment,omitempty" enum:"live,test" doc:"Which API keys count; live when empty."`

	Anonymous      bool        `json:"anonymous,omitempty" doc:"May be called without a credential."`
	Authenticated  bool        `json:"authenticated,omitempty" doc:"Any authenticated caller."`
	Scopes         []string    `json:"scopes,omitempty" doc:"All of these scopes."`
	Roles          []string    `json:"roles,omitempty" doc:"Any of these roles."`
	Action         string      `json:"action,omitempty" doc:"Action that the policies must permit on the resource."`
	Resource       *Resource   `json:"resource,omitempty" doc:"What the action is done to."`
	HideExistence  bool        `json:"hide_existence,omitempty" doc:"Answer 404 in place of 403."`
	MaxBodyBytes   int64       `json:"max_body_bytes,omitempty" minimum:"0" doc:"10 MiB when 0."`
	Timeout        Duration    `json:"timeout,omitempty" doc:"Bound of the whole exchange, streams excepted; gateway.timeout when empty."`
	IdleTimeout    Duration    `json:"idle_timeout,omitempty" doc:"How long it may stand still; gateway.idle_timeout when empty."`
	StreamLifetime Duration    `json:"stream_lifetime,omitempty" doc:"Longest life of a stream; gateway.stream_lifetime when empty."`
	ContentTypes   []string    `json:"content_types,omitempty" doc:"Accepted types of request bodies; any when empty."`
	RateAddress    string      `json:"rate_address,omitempty" doc:"Per client address: 100/1m."`
	RatePrincipal  string      `json:"rate_principal,omitempty" doc:"Per principal: 600/1m."`
	CORS           *CORS       `json:"cors,omitempty" doc:"Which browser origins may call."`
	Filter         *ListFilter `json:"filter,omitempty" doc:"Drop elements of a JSON list that the caller may not see."`
}

// Resource builds the resource that the policies judge.
type Resource struct {
	Type       string            `json:"type" doc:"Entity type: Document."`
	ID         string            `json:"id,omitempty" doc:"Template over path parameters: '{id}'."`
	Source     string            `json:"source,omitempty" enum:"upstream,body,stored" doc:"Where its attributes come from."`
	Fetch      string            `json:"fetch,omitempty" doc:"Upstream path for source upstream: '/documents/{id}'."`
	MaxAge     Duration          `json:"max_age,omitempty" doc:"How long a fetched resource may be used again; 0 asks each time."`
	Attributes map[string]string `json:"attributes,omitempty" doc:"Attribute → JSON member; all scalar members when empty."`
	Entities   map[string]string `json:"entities,omitempty" doc:"Attribute → entity type, for members that hold ids: owner: User."`
	Static     map[string]string `json:"static,omitempty" doc:"Attributes that every such resource has."`
}

// ListFilter drops elements of a JSON list answer.
type ListFilter struct {
	Items    string   `json:"items,omitempty" doc:"Member that holds the list; empty when the body is the list."`
	IDMember string   `json:"id_member" doc:"Member that holds an element's id."`
	Action   string   `json:"action" doc:"Action that must be permitted on each element."`
	Resource Resource `json:"resource" doc:"How an element becomes a resource."`
}

// CORS says which browser origins may call.
type CORS struct {
	Origins     []string `json:"origins" doc:"Exact origins: https://app.example."`
	Methods     []string `json:"methods,omitempty" doc:"Methods beyond GET, HEAD and POST."`
	Headers     []string `json:"headers,omitempty" doc:"Request headers that scripts may set."`
	Expose      []string `json:"expose,omitempty" doc:"Response headers that scripts may read."`
	Credentials bool     `json:"credentials,omitempty" doc:"Allow credentials; needs exact origins."`
	MaxAge      Duration `json:"max_age,omitempty" doc:"How long a preflight may be cached."`
}

// Duration is a time.Duration that is written "15m" in files.
type Duration time.Duration

// UnmarshalText reads "15m", "24h", "90d".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := duration.Parse(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML reads the same form from a configuration file.
func (d *Duration) UnmarshalYAML(decode func(any) error) error {
	var s string
	if err := decode(&s); err != nil {
		return fmt.Errorf("not a duration such as 15m or 24h")
	}
	return d.UnmarshalText([]byte(s))
}

// MarshalText writes the form of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
