package config

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
)

var prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9]{1,9}$`)

// Validate checks everything that can be checked without starting, and returns
// all problems at once, each beginning with the member it is about.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if err := CheckBaseURL(c.Issuer); err != nil {
		bad("issuer: %w", err)
	}
	switch c.Store.Driver {
	case "sqlite":
		if c.Store.DSN != "" {
			bad("store.dsn: only for postgres; SQLite keeps its file in data")
		}
	case "postgres":
		if c.Store.DSN == "" {
			bad("store.dsn: needed for postgres")
		}
	default:
		bad("store.driver: sqlite or postgres")
	}
	c.validateListeners(bad)
	if _, err := parseNetworks(c.TrustedProxies); err != nil {
		bad("trusted_proxies: %w", err)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level: debug, info, warn or error")
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		bad("log.format: text or json")
	}
	if !slices.Contains([]string{"block", "drop"}, c.Audit.Overflow) {
		bad("audit.overflow: block or drop")
	}
	if c.Audit.Queue < 16 || c.Audit.Queue > 1<<20 {
		bad("audit.queue: 16 to 1048576")
	}
	for name, rate := range map[string]string{"tokens": c.Limits.Tokens, "admin": c.Limits.Admin} {
		if _, err := ParseRate(rate); err != nil {
			bad("limits.%s: %w", name, err)
		}
	}
	if c.Passwords.Parallel < 0 || c.Passwords.Parallel > 64 {
		bad("passwords.parallel: 0 to 64")
	}
	if !prefixPattern.MatchString(c.KeyPrefix) || slices.Contains([]string{"ght", "ghr"}, c.KeyPrefix) {
		bad("key_prefix: a letter, then 1 to 9 letters or digits; not ght or ghr")
	}
	options := c.Gateway.Options()
	if err := options.Validate(); err != nil {
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() { //nolint:errorlint // errors.Join made it
			bad("gateway.%w", err)
		}
	}
	names := make([]string, 0, len(c.Upstreams))
	for name, u := range c.Upstreams {
		names = append(names, name)
		if err := CheckBaseURL(u.URL); err != nil {
			bad("upstreams.%s.url: %w", name, err)
		}
		for h, what := range u.Headers {
			if !slices.Contains([]string{"subject", "username", "roles", "scopes", "realm", "client", "credential"}, what) {
				bad("upstreams.%s.headers.%s: subject, username, roles, scopes, realm, client or credential", name, h)
			}
		}
	}
	sort.Strings(names)
	for i, r := range c.Routes {
		if _, err := r.Pipeline(names); err != nil {
			bad("routes[%d] (%s): %w", i, r.Match, err)
		}
	}
	if len(c.Routes) > 0 && c.Listen.Gateway.Address == "" {
		bad("listen.gateway.address: needed when there are routes")
	}
	return errors.Join(errs...)
}

func (c *Config) validateListeners(bad func(string, ...any)) {
	for name, l := range map[string]Listener{"auth": c.Listen.Auth, "gateway": c.Listen.Gateway, "metrics": c.Listen.Metrics} {
		if (l.CertFile == "") != (l.KeyFile == "") {
			bad("listen.%s: cert_file and key_file belong together", name)
		}
		if l.Address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.Address); err != nil {
			bad("listen.%s.address: host:port, such as 127.0.0.1:8080", name)
		}
	}
	if c.Listen.Auth.Address == "" {
		bad("listen.auth.address: needed")
	}
}

// CheckBaseURL accepts an absolute http or https URL that can be a base: no
// query, no fragment, no user, no trailing slash.
func CheckBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("needed")
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return errors.New("an absolute http:// or https:// URL")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.ForceQuery:
		return errors.New("no query, fragment or user name")
	case strings.HasSuffix(s, "/"):
		return errors.New("no trailing slash")
	}
	return nil
}

func parseNetworks(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", s)
		}
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

// Options turns the bounds and defaults of the gateway into its own.
func (g Gateway) Options() gateway.Options {
	out := gateway.Options{MaxBodyBytes: g.MaxBodyBytes, IdleTimeout: time.Duration(g.IdleTimeout), Timeout: time.Duration(g.Timeout),
		MaxHeaderBytes: g.MaxHeaderBytes, MaxHeaderLines: g.MaxHeaderLines, MaxListBytes: g.MaxListBytes,
		StreamLifetime: time.Duration(g.StreamLifetime), StreamTypes: g.StreamTypes, StreamCheck: time.Duration(g.StreamCheck),
		StripHeaders: g.StripHeaders}
	if len(g.ResponseHeaders) > 0 {
		out.ResponseHeaders = http.Header{}
		for name, value := range g.ResponseHeaders {
			out.ResponseHeaders.Set(name, value)
		}
	}
	return out
}

// nobody reports that a route has no origins on purpose, where gateway.cors has some.
func (c *CORS) nobody() bool {
	return len(c.Origins)+len(c.Methods)+len(c.Headers)+len(c.Expose) == 0 && !c.Credentials && c.MaxAge == 0
}

// route turns the configuration of a route into the pipeline's.
func (r Route) Pipeline(upstreams []string) (enforce.Route, error) {
	out := enforce.Route{ID: r.ID, Host: r.Host, Pattern: r.Match, Upstream: r.Upstream, Realm: r.Realm,
		Environment: gatehouse.Environment(r.Environment), Anonymous: r.Anonymous, Authenticated: r.Authenticated,
		Scopes: r.Scopes, Roles: r.Roles, Action: r.Action, HideExistence: r.HideExistence, MaxBodyBytes: r.MaxBodyBytes,
		Timeout: time.Duration(r.Timeout), IdleTimeout: time.Duration(r.IdleTimeout),
		StreamLifetime: time.Duration(r.StreamLifetime), ContentTypes: r.ContentTypes}
	if out.ID == "" {
		out.ID = r.Match
	}
	if out.Realm == "" {
		out.Realm = gatehouse.MainRealm
	}
	if out.Environment == "" {
		out.Environment = gatehouse.EnvironmentLive
	}
	if out.Upstream == "" && len(upstreams) == 1 {
		out.Upstream = upstreams[0]
	}
	if !slices.Contains(upstreams, out.Upstream) {
		return out, errors.New("upstream: names none of the upstreams")
	}
	for _, s := range r.Schemes {
		scheme := gatehouse.Scheme(s)
		if _, known := authn.KindOf(scheme); !known {
			return out, fmt.Errorf("schemes: %q is none of %v", s, authn.Schemes(nil))
		}
		out.Schemes = append(out.Schemes, scheme)
	}
	var err error
	if out.RateAddress, err = ParseRate(r.RateAddress); err != nil {
		return out, fmt.Errorf("rate_address: %w", err)
	}
	if out.RatePrincipal, err = ParseRate(r.RatePrincipal); err != nil {
		return out, fmt.Errorf("rate_principal: %w", err)
	}
	if r.Resource != nil {
		rule := r.Resource.rule()
		out.Resource = &rule
	}
	if out.Action != "" && out.Resource == nil {
		return out, errors.New("resource: an action needs a resource")
	}
	if r.CORS != nil && !r.CORS.nobody() {
		out.CORS = &enforce.CORS{Origins: r.CORS.Origins, Methods: r.CORS.Methods, Headers: r.CORS.Headers,
			Expose: r.CORS.Expose, Credentials: r.CORS.Credentials, MaxAge: time.Duration(r.CORS.MaxAge)}
	}
	if r.Filter != nil {
		out.Filter = &enforce.ListFilter{Items: r.Filter.Items, IDMember: r.Filter.IDMember, Action: r.Filter.Action, Resource: r.Filter.Resource.rule()}
	}
	if !r.Anonymous && !r.Authenticated && len(r.Scopes) == 0 && len(r.Roles) == 0 && r.Action == "" {
		return out, errors.New("says nobody may call: set anonymous, authenticated, scopes, roles or action")
	}
	return out, nil
}

func (r Resource) rule() enforce.ResourceRule {
	rule := enforce.ResourceRule{Type: r.Type, ID: r.ID, Source: r.Source, Fetch: r.Fetch, MaxAge: time.Duration(r.MaxAge),
		Attributes: r.Attributes, Entities: r.Entities}
	if len(r.Static) > 0 {
		rule.Static = make(map[string]any, len(r.Static))
		for k, v := range r.Static {
			rule.Static[k] = v
		}
	}
	return rule
}

// ParseRate reads "100/1m": so many requests in so long.
func ParseRate(s string) (enforce.Rate, error) {
	if s == "" {
		return enforce.Rate{}, nil
	}
	count, window, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	w := strings.TrimSpace(window)
	if w == "s" || w == "m" || w == "h" {
		w = "1" + w
	}
	d, err2 := time.ParseDuration(w)
	if !ok || err != nil || err2 != nil || n <= 0 || d <= 0 {
		return enforce.Rate{}, errors.New("requests/window, such as 100/1m")
	}
	return enforce.Rate{Limit: n, Window: d}, nil
}
