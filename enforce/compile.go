package enforce

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// compiled is a route that was checked, with what can be prepared.
type compiled struct {
	Route
	pattern        pattern
	folded         pattern // as it is compared without regard to letter case
	wildcards      []string
	ways           []Requirement      // how a caller can meet what is asked of schemes and scopes
	accepts        []gatehouse.Scheme // by any of them; empty is all
	stricter       map[*compiled]bool // see rivals
	fallback       bool               // some of them have to be looked for with every request
	besideClosed   bool               // a closed route overlaps it
	id, fetch      template
	scopeAddress   string
	scopePrincipal string
	reasons        []gatehouse.Reason // of a route that asks no policy
	asked          string             // of callers, in words, for the record of a refusal
	stepUp         error              // the answer to a caller who has to sign in with more, or again
	missing        error              // the answer to a caller without a credential
	reader         *authn.Reader
	sessions       bool           // browser sessions are among what it accepts
	static         map[string]any // of a resource that has no other attributes; never nil
}

// maxRoutes bounds a table; conflicts are looked for in pairs.
const maxRoutes = 10_000

// RouteError is what is wrong with one route of a list.
type RouteError struct {
	Index int    // in the list
	Name  string // as its events would show it
	// Beside is the id of the route that stands in its way; empty where it is wrong
	// by itself.
	Beside string
	Err    error
}

// conflict is an error of two routes that match the same requests.
type conflict struct{ with *compiled }

func (c *conflict) Error() string {
	return fmt.Sprintf("it matches requests that %s matches too, and neither is more specific", name(&c.with.Route))
}

// Error implements error.
func (e *RouteError) Error() string {
	return fmt.Sprintf("route %d (%s): %v", e.Index+1, e.Name, e.Err)
}

// Unwrap returns what is wrong.
func (e *RouteError) Unwrap() error { return e.Err }

// CheckRoutes checks routes as [Pipeline.SetRoutes] of a gateway does, and
// returns a [RouteError] for each that is wrong, joined. It starts nothing.
func CheckRoutes(routes []Route) error {
	gateway := &Pipeline{cfg: Config{Authenticator: everyScheme{}, Resolver: anyResource{}}}
	_, err := gateway.compile(routes)
	return err
}

// everyScheme and anyResource stand for a gateway's parts while routes are only
// checked: they are asked for nothing else.
type (
	everyScheme struct{ Authenticator }
	anyResource struct{ Resolver }
)

func (everyScheme) Supports(gatehouse.Scheme) bool { return true }

// compile checks all routes and builds the table.
func (p *Pipeline) compile(routes []Route) (*table, error) {
	if len(routes) > maxRoutes {
		return nil, fmt.Errorf("enforce: %d routes are more than %d", len(routes), maxRoutes)
	}
	t := newTable()
	t.proxies, t.resolver = p.cfg.Proxies, p.cfg.Resolver
	ids := map[string]bool{}
	var errs []error
	for i := range routes {
		c, err := p.compileRoute(routes[i])
		if err == nil && ids[c.ID] {
			err = errors.New("another route has the same id")
		}
		if err == nil {
			err = t.add(c)
		}
		if err != nil {
			wrong := &RouteError{Index: i, Name: name(&routes[i]), Err: err}
			var two *conflict
			if errors.As(err, &two) {
				wrong.Beside = two.with.ID
			}
			errs = append(errs, wrong)
			continue
		}
		ids[c.ID] = true
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	rivals(t.all)
	return t, nil
}

func name(r *Route) string {
	n := r.Pattern
	if r.Host != "" {
		n += " on " + r.Host
	}
	if r.ID != "" && r.ID != r.Pattern {
		n = r.ID + ": " + n
	}
	return n
}

// compileRoute checks one route. What it lets through is enforced as written;
// anything that could be meant in two ways is refused.
func (p *Pipeline) compileRoute(r Route) (*compiled, error) {
	c := &compiled{Route: r}
	var err error
	if c.pattern, err = parsePattern(r.Pattern); err != nil {
		return nil, err
	}
	c.folded, c.wildcards = c.pattern.fold(), c.pattern.names()
	c.ID = r.LogID()
	if c.Realm == "" {
		c.Realm = gatehouse.MainRealm
	}
	c.Host = canonicalHost(r.Host)
	if r.Host != "" && (c.Host == "" || strings.ContainsAny(c.Host, "/* ,@")) {
		return nil, errors.New("the host must be one host name, without wildcards")
	}
	for _, check := range []func(*compiled) error{p.checkAccess, checkAssurance, checkAudience, p.checkCarriers, p.checkResource, checkLimits, checkProof, checkStale, checkCORS, checkFilter} {
		if err := check(c); err != nil {
			return nil, err
		}
	}
	c.asked, c.missing = askedBy(c), credentialMissing(c)
	return c, nil
}

func (p *Pipeline) checkAccess(c *compiled) error {
	if c.Closed {
		if c.Anonymous || c.Authenticated || len(c.Schemes)+len(c.Scopes)+len(c.AnyOf)+len(c.Roles) > 0 || c.Action != "" || c.Resource != nil || c.Filter != nil {
			return errors.New("closed contradicts everything that says who may call")
		}
		return nil
	}
	if !c.requiresSomething() {
		return errors.New("it does not say who may call: anonymous, authenticated, scopes, any_of, roles or action")
	}
	if c.Anonymous && (c.Authenticated || len(c.Scopes) > 0 || len(c.AnyOf) > 0 || len(c.Roles) > 0) {
		return errors.New("anonymous contradicts authenticated, scopes, any_of and roles")
	}
	if err := p.checkWays(c); err != nil {
		return err
	}
	switch c.Environment {
	case "", gatehouse.EnvironmentLive, gatehouse.EnvironmentTest:
	default:
		return fmt.Errorf("environment %q is neither live nor test", c.Environment)
	}
	if slices.Contains(c.Roles, "") {
		return errors.New("roles need names")
	}
	if c.Action == "" {
		switch {
		case c.Resource != nil:
			return errors.New("a resource without an action decides nothing")
		case c.HideExistence:
			return errors.New("hide_existence needs an action on a resource")
		}
		c.reasons = accessReasons(&c.Route)
	} else if c.Resource == nil {
		return errors.New("an action needs a resource")
	}
	return nil
}

// checkWays checks schemes and scopes, those of alternatives too.
func (p *Pipeline) checkWays(c *compiled) error {
	for _, a := range append([]Requirement{{Schemes: c.Schemes, Scopes: c.Scopes}}, c.AnyOf...) {
		for _, s := range a.Schemes {
			if k, known := authn.KindOf(s); !known || k.StandIn {
				return fmt.Errorf("scheme %q is not known", s)
			}
			if !p.cfg.Authenticator.Supports(s) {
				return fmt.Errorf("scheme %q is not available", s)
			}
		}
		if slices.Contains(a.Scopes, "") || slices.Contains(a.Scopes, gatehouse.ScopeAll) {
			return errors.New(`scopes need names, and "*" is none`)
		}
	}
	for i, a := range c.AnyOf {
		if _, ok := narrow(c.Schemes, a.Schemes); !ok {
			return fmt.Errorf("any_of: no credential can meet alternative %d: the route itself accepts other schemes", i+1)
		}
	}
	c.ways = c.alternatives()
	c.accepts = acceptedBy(c.ways)
	c.sessions = c.AcceptsSessions()
	if c.sessions && len(c.accepts) == 0 { // one way takes all that need not be named, and another one sessions
		c.accepts = authn.Schemes(nil)
	}
	return nil
}

// accessReasons is what the record shows for a route that asks no policy.
func accessReasons(r *Route) []gatehouse.Reason {
	rule := "authenticated"
	switch {
	case r.Anonymous:
		rule = "anonymous"
	case len(r.Roles) > 0 && len(r.Scopes) > 0:
		rule = "scopes and roles"
	case len(r.Roles) > 0:
		rule = "roles"
	case len(r.Scopes) > 0:
		rule = "scopes"
	case len(r.AnyOf) > 0:
		rule = "any_of"
	}
	return []gatehouse.Reason{{PolicyID: "route:" + r.ID, Effect: "permit", Note: rule}}
}

func (p *Pipeline) checkResource(c *compiled) error {
	rule := c.Resource
	if rule == nil {
		return nil
	}
	if rule.Type == "" {
		return errors.New("the resource needs a type")
	}
	var err error
	if c.id, err = parseTemplate(rule.ID, c.wildcards); err != nil {
		return fmt.Errorf("resource id: %w", err)
	}
	if (rule.Fetch != "") != (rule.Source == sourceUpstream) {
		return errors.New(`fetch belongs to source "upstream", and only there`)
	}
	if c.static = maps.Clone(rule.Static); c.static == nil {
		c.static = map[string]any{} // nil would mean "look it up"
	}
	for attr := range rule.Entities {
		if len(rule.Attributes) > 0 && rule.Attributes[attr] == "" {
			return fmt.Errorf("entities: %q is not among the attributes", attr)
		}
	}
	switch rule.Source {
	case sourceNone, sourceBody:
	case sourceStored:
		if rule.ID == "" || len(rule.Static) > 0 || len(rule.Attributes) > 0 || len(rule.Entities) > 0 {
			return errors.New(`source "stored" needs an id, and takes its attributes from the stored entity alone`)
		}
	case sourceUpstream:
		if p.cfg.Resolver == nil {
			return errors.New(`source "upstream" needs a gateway`)
		}
		if !strings.HasPrefix(rule.Fetch, "/") || strings.Contains(rule.Fetch, "#") {
			return errors.New("fetch must be a path, with a query or without, and without a fragment")
		}
		if c.fetch, err = parseTemplate(rule.Fetch, c.wildcards); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
	default:
		return fmt.Errorf("source %q is not known", rule.Source)
	}
	return nil
}

func checkLimits(c *compiled) error {
	if err := errors.Join(c.RateAddress.Validate(), c.RatePrincipal.Validate()); err != nil {
		return err
	}
	if c.MaxBodyBytes < 0 || c.Timeout < 0 || c.IdleTimeout < 0 || c.StreamLifetime < 0 {
		return errors.New("bounds must not be negative")
	}
	// The realm is part of the scope: ids of principals are unique within one.
	c.scopeAddress, c.scopePrincipal = "address\x00"+c.Realm+"\x00"+c.ID, "principal\x00"+c.Realm+"\x00"+c.ID
	return nil
}

func checkFilter(c *compiled) error {
	f := c.Filter
	if f == nil {
		return nil
	}
	if f.Action == "" || f.IDMember == "" || f.Resource.Type == "" {
		return errors.New("filter: it needs an action, the member that holds the id, and a resource type")
	}
	return nil
}
