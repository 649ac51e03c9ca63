// Package config reads gatehouse.yaml and its environment and checks the whole.
// It opens nothing but the files that the two name, and knows no database.
//
// A key is one field with its tags. Reading, checking, defaults, the JSON Schema
// and the reference page come from them, so that to add a key is to add a field
// and to use it:
//
//   - json: the key
//   - doc: one sentence for the reference; 'single quotes' become code
//   - default: what an absent key has
//   - required: "true" for a key that must be there
//   - enum, pattern, minimum, maximum: what a value must be; bounds of durations
//     are durations
//   - form: base_url, network, host_port or path, for texts that are more
//     than texts; a path is relative to the file's directory
//   - secret: "true" for a value that no message may show
//   - reload: what a reload does with another value: "live" takes it, "restart" leaves
//     it to the next start, "replace" takes it unless the key was empty or would be
//     now. A group says nothing; a list or map says it for all that is in it
package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// Config is gatehouse.yaml; docs/configuration.md is its reference. Unknown
// members, duplicates and second documents are errors. Every scalar can be
// overridden from the environment: GATEHOUSE_STORE_DSN sets store.dsn, and
// GATEHOUSE_STORE_DSN_FILE reads it from a file, which is how secrets should come.
type Config struct {
	// Issuer names tokens, so it must not change lightly. Realms other than main
	// are at ISSUER/realms/NAME.
	Issuer         string                      `json:"issuer" required:"true" form:"base_url" reload:"restart" doc:"Public base URL of the auth listener, without a trailing slash; the issuer of realm main. Tokens name it: choose it once."`
	RealmIssuers   map[string]string           `json:"realm_issuers,omitempty" form:"base_url" reload:"restart" doc:"Realms at hosts of their own, by name: their public base URL, without a path. Such a realm is found there alone, by its users and by what checks its tokens; the management API stays where it is."`
	Data           string                      `json:"data" default:"data" form:"path" reload:"restart" doc:"Directory for the database, the master key and backups."`
	Store          Store                       `json:"store,omitempty" doc:"Where everything is stored."`
	MasterKeyFile  string                      `json:"master_key_file,omitempty" form:"path" reload:"restart" doc:"Key that seals secrets at rest; 'master.key' in 'data' when empty. Keep a copy apart from backups."`
	Listen         Listen                      `json:"listen" doc:"Where Gatehouse listens."`
	TrustedProxies []string                    `json:"trusted_proxies,omitempty" form:"network" reload:"live" doc:"Addresses or networks whose X-Forwarded-* lines are believed. Empty trusts nobody. No listener is a UNIX socket."`
	Log            Log                         `json:"log,omitempty" doc:"The operator's log, on standard error (not the audit log)."`
	Audit          Audit                       `json:"audit,omitempty" doc:"The audit log."`
	Disk           Disk                        `json:"disk,omitempty" doc:"When to warn that the disk fills."`
	Passwords      Passwords                   `json:"passwords,omitempty" doc:"Cost of password hashing, and the list of breached ones."`
	Limits         Limits                      `json:"limits,omitempty" doc:"Requests per client address to Gatehouse's own endpoints, and where the nodes count those and the rates of routes."`
	Mail           Mail                        `json:"mail,omitempty" doc:"Messages to people: by which server they are sent."`
	Pages          Pages                       `json:"pages,omitempty" doc:"The pages that people see in a browser."`
	LDAP           map[string]LDAP             `json:"ldap,omitempty" reload:"restart" doc:"Directories that have passwords of people, by the name of the realm."`
	KeyPrefix      string                      `json:"key_prefix,omitempty" default:"ghk" pattern:"^[a-z][a-z0-9]{1,9}$" reload:"restart" doc:"How API keys begin: 'ghk_live_…'. Not gha, ghc, gho, ghr, ghs or ght, which other credentials have."`
	HelloPage      string                      `json:"hello_page,omitempty" enum:"show,hide" default:"show" reload:"live" doc:"Whether a browser that opens '/' of the auth listener, or of the gateway where no route matches it, sees a page that says what runs there; 'hide' answers 404."`
	Gateway        Gateway                     `json:"gateway,omitempty" doc:"Bounds and defaults of the gateway, for all routes."`
	Shutdown       Shutdown                    `json:"shutdown,omitempty" doc:"How a server stops that is told to (SIGTERM)."`
	Upstreams      map[string]gateway.Upstream `json:"upstreams,omitempty" reload:"live" doc:"APIs behind the gateway, by name."`
	Routes         []enforce.Route             `json:"routes,omitempty" reload:"live" doc:"What may be called, and by whom: anonymous, authenticated, scopes, roles or action. What no route matches does not exist."`

	ClientCertificates ClientCertificates `json:"client_certificates,omitempty" doc:"Certificates of clients: where they come from."`

	// file and at say where each key stands, for problems that only a start finds;
	// environ is the environment that was laid over the file.
	file    string
	at      map[string]place
	environ []string

	// Now is the clock; time.Now when nil. It is no setting: no file names it.
	Now func() time.Time `json:"-"`
	// Fetches widens what is fetched at addresses that clients name. It is no setting: the demo for the conformance suite
	// alone has its clients on this machine.
	Fetches Fetches `json:"-"`
	// Lenient asks no more of clients that register themselves than OpenID Connect does. It is no setting either, and for the same demo:
	// the suite's plans for OpenID Connect send no challenge, and name the token endpoint in assertions.
	Lenient bool `json:"-"`
	// Version is that of the program, for the record: what the build noted when empty.
	// It is no setting either.
	Version string `json:"-"`
}

// Fetches says where fetches at addresses of clients may lead; the zero value is public addresses that the system's authorities vouch for.
type Fetches struct {
	AllowPrivate bool
	RootCAs      *x509.CertPool // nil: those of the system
}

// HelloHide is the HelloPage that shows none.
const HelloHide = "hide"

// Store says where everything is stored.
type Store struct {
	Driver string `json:"driver,omitempty" enum:"sqlite,postgres" default:"sqlite" reload:"restart" doc:"sqlite keeps 'gatehouse.db' in 'data'."`
	DSN    string `json:"dsn,omitempty" reload:"restart" doc:"PostgreSQL's connection string, 'postgres://user:password@host/db'; better through GATEHOUSE_STORE_DSN_FILE."`
	// MaxStaleness is for staleness.Watch.
	MaxStaleness time.Duration `json:"max_staleness,omitempty" minimum:"2s" default:"5s" reload:"live" doc:"PostgreSQL only: how old a node's view of the database may get before it refuses with 503 what it would answer by it, lest it let somebody in whose access ended on another node."`
	Alone        string        `json:"alone,omitempty" default:"5m" reload:"restart" doc:"PostgreSQL only: how long a node that is the only one goes on while the database is away, a duration or 'forever'; '0s' not at all. A node that starts while another one may be going on so waits for as long."`
}

// AloneFor is what Alone says.
func (s Store) AloneFor() (time.Duration, error) {
	if s.Alone == "forever" {
		return staleness.Forever, nil
	}
	d, err := duration.Parse(s.Alone)
	switch {
	case err != nil:
		return 0, errors.New("'forever', or " + duration.Form)
	case d < 0 || d > maxAlone:
		return 0, fmt.Errorf("from 0s to %s, or 'forever'", duration.Format(maxAlone))
	}
	return d, nil
}

// maxAlone is more than anybody means who does not mean for ever.
const maxAlone = 10_000 * time.Hour

// Listen says where Gatehouse listens.
type Listen struct {
	Auth    Listener `json:"auth" doc:"Tokens, keys, management API; must have an address."`
	Gateway Listener `json:"gateway,omitempty" doc:"The APIs behind the gateway, and forward-auth."`
	MTLS    Listener `json:"mtls,omitempty" doc:"The endpoints of tokens once more, for clients with certificates: its TLS asks for one, which the auth listener never does, since browsers would ask people for theirs. Goes with 'client_certificates.url'."`
	Metrics Listener `json:"metrics,omitempty" doc:"Prometheus metrics and health; keep it private."`
}

// Listener is one listener; an empty address does not listen.
type Listener struct {
	Address  string `json:"address,omitempty" form:"host_port" reload:"restart" doc:"'host:port'; empty does not listen."`
	CertFile string `json:"cert_file,omitempty" form:"path" reload:"replace" doc:"TLS certificate chain (PEM); read again when it changes."`
	KeyFile  string `json:"key_file,omitempty" form:"path" reload:"replace" doc:"TLS private key (PEM)."`
}

// ClientCertificates says where those of clients come from (RFC 8705).
type ClientCertificates struct {
	URL         string `json:"url,omitempty" form:"base_url" reload:"restart" doc:"Public base URL of 'listen.mtls', or of a proxy that asks for certificates: in metadata, the addresses below it are 'mtls_endpoint_aliases'."`
	FromProxies bool   `json:"from_proxies,omitempty" reload:"restart" doc:"Believe what 'trusted_proxies' say in the lines Client-Cert and Client-Cert-Chain (RFC 9440). Each of them must remove those lines from every request, or clients say by them what they like."`
	Gateway     bool   `json:"gateway,omitempty" reload:"restart" doc:"Have the TLS of 'listen.gateway' ask for certificates, and take none as well. Browsers then ask people who have some."`
}

// Taken reports whether a client certificate can come to the endpoints of tokens.
func (c ClientCertificates) Taken() bool { return c.URL != "" || c.FromProxies }

// Log sets the operator's log.
type Log struct {
	Level  string `json:"level,omitempty" enum:"debug,info,warn,error" default:"info" reload:"live" doc:"What is told, and worse."`
	Format string `json:"format,omitempty" enum:"text,json" default:"text" reload:"live" doc:"How a line looks."`
}

// Audit sets the audit log.
type Audit struct {
	Overflow string `json:"overflow,omitempty" enum:"block,drop" default:"block" reload:"live" doc:"When decision events come faster than they can be stored: block makes requests wait, and refuses them with 503 after five seconds, so that nothing passes unrecorded; drop lets them pass, and records how many were lost."`
	Queue    int    `json:"queue,omitempty" minimum:"16" maximum:"1048576" default:"8192" reload:"live" doc:"Decision events that may wait."`
	File     string `json:"file,omitempty" form:"path" reload:"restart" doc:"Also write each event as a JSON line to this file."`
	// Retention 0 keeps everything.
	Retention time.Duration `json:"retention,omitempty" minimum:"0s" reload:"restart" doc:"How long events are kept, such as '400d', at least '24h'; for good when empty. Older ones are removed from the beginning of the log, decisions and changes alike, and 'gatehouse audit verify' still proves the rest."`
	// Refusals and RefusalsPerMinute are for audit.Refusals.
	Refusals          string `json:"refusals,omitempty" enum:"count,each" default:"count" reload:"live" doc:"Refusals of callers who never authenticated: count records the first ones of a minute one by one, then how many more there were, for each reason and network; each records all of them one by one, and lets anybody fill the disk."`
	RefusalsPerMinute int    `json:"refusals_per_minute,omitempty" minimum:"1" maximum:"100000" default:"30" reload:"live" doc:"How many of those are recorded one by one in a minute, for one reason and network (an IPv4 address, an IPv6 /64); ten times as many for all networks together."`
}

// Disk sets when the operator is warned that the disk fills.
type Disk struct {
	WarnBytes   int64         `json:"warn_bytes,omitempty" minimum:"0" default:"1073741824" reload:"live" doc:"Warn when fewer bytes are free where 'data', or 'audit.file', is; 0 asks for no number."`
	WarnPercent int           `json:"warn_percent,omitempty" minimum:"0" maximum:"100" default:"5" reload:"live" doc:"Warn when a smaller part of the disk is free; 0 asks for no part."`
	Interval    time.Duration `json:"interval,omitempty" minimum:"1s" maximum:"1h" default:"30s" reload:"restart" doc:"How often the free space is looked at."`
}

// Passwords bounds the cost of password hashing.
type Passwords struct {
	Parallel int `json:"parallel,omitempty" minimum:"0" maximum:"64" reload:"restart" doc:"Hashes at once, 19 MiB and about 40 ms each; the number of CPUs when 0."`
	Queue    int `json:"queue,omitempty" minimum:"1" maximum:"10000" default:"64" reload:"restart" doc:"Attempts that may wait for a turn; beyond them the answer is 503 at once. As many again may wait with a browser in which the account has signed in; they go first."`
	// MaxWait is for credential.HasherConfig.
	MaxWait time.Duration `json:"max_wait,omitempty" minimum:"100ms" maximum:"5s" default:"5s" reload:"restart" doc:"How long one of them waits at most; then the answer is 503, with the time after which to try again."`
	// BreachedFile is for breached.Open.
	BreachedFile string `json:"breached_file,omitempty" form:"path" reload:"live" doc:"Filter of passwords known from data breaches, made by 'gatehouse breached build': a new password that is in it is refused, a login with one is recorded."`
	BreachedURL  string `json:"breached_url,omitempty" form:"base_url" reload:"live" doc:"Server with the range protocol of Have I Been Pwned, such as 'https://api.pwnedpasswords.com', that is asked about new passwords; it learns five digits of a hash. Empty asks nobody."`
}

// Pages says what is different on the pages for people.
type Pages struct {
	// Overrides is for pages.ReadOverrides.
	Overrides string `json:"overrides,omitempty" form:"path" reload:"live" doc:"Directory with texts and templates that take the place of the program's ('gatehouse ui export' writes those to begin with); read again by every reload. One that would not work is refused."`
}

// Limits bounds, per client address, what the auth listener answers, and says where every
// rate is counted.
type Limits struct {
	Tokens        limit.Rate `json:"tokens,omitempty" default:"600/1m" reload:"live" doc:"POST and DELETE /tokens, refresh, forms of the pages for people."`
	Admin         limit.Rate `json:"admin,omitempty" default:"1200/1m" reload:"live" doc:"The management API."`
	Registrations limit.Rate `json:"registrations,omitempty" default:"30/1h" reload:"live" doc:"Links to make an account that are asked for at /register, where a realm is open, and clients that register themselves: of one address (of IPv6 a /64), each."`
	Questions     limit.Rate `json:"questions,omitempty" default:"20/10m" reload:"live" doc:"Requests by which programs have one person asked (CIBA); more are refused."`
	Redis         Redis      `json:"redis,omitempty" doc:"Where all nodes count together; without it each counts its share of every limit."`
}

// Shutdown sets how a server stops. From SIGTERM on /readyz answers 503; what comes
// next waits for Delay, and then has Grace.
type Shutdown struct {
	Delay time.Duration `json:"delay,omitempty" minimum:"0s" maximum:"1h" reload:"live" doc:"How long it goes on as before but for '/readyz', which answers 503: longer than a load balancer needs to notice. Nothing when empty, which is right without one."`
	Grace time.Duration `json:"grace,omitempty" minimum:"0s" maximum:"1h" default:"20s" reload:"live" doc:"How long requests then have to end, when no new connections are taken any more. WebSockets and other streams are cut at its end."`
}

// Gateway holds the bounds and defaults of the gateway.
type Gateway struct {
	gateway.Options
	CORS *enforce.CORS `json:"cors,omitempty" reload:"live" doc:"Which browser origins may call routes that have no cors of their own."`
}
