package enforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// Authenticator verifies presented credentials; *authn.Authenticator is one.
type Authenticator interface {
	Authenticate(ctx context.Context, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error)
	Supports(s gatehouse.Scheme) bool
}

// Decider is the decision point; *authz.Decider is one. Every failure is a
// denial in its answer, or an error of Roles.
type Decider interface {
	Decide(ctx context.Context, r gatehouse.AccessRequest) gatehouse.Decision
	// Roles returns the roles that the principal holds now, inherited ones too.
	Roles(ctx context.Context, p *gatehouse.Principal) ([]string, error)
}

// Resolver fetches the attributes of a resource from a route's upstream. path
// is the route's Fetch template with the parameters filled in and escaped. A
// resource that does not exist is an error that matches gatehouse.NotFound.
type Resolver interface {
	FetchEntity(ctx context.Context, route *Route, path string) (map[string]any, error)
}

// Recorder takes the finished event of each request; *audit.Recorder is one.
type Recorder interface{ Record(e *gatehouse.Event) }

// admitter is a [Recorder] that may have no room. It is asked when everything
// else allows a request: an error refuses it. What it admitted is recorded with
// RecordAdmitted, which must not fail for want of room.
type admitter interface {
	Admit(ctx context.Context) error
	RecordAdmitted(e *gatehouse.Event)
}

// Config of a [Pipeline]. Authenticator, Decider, Recorder and Limiter are
// required.
type Config struct {
	Authenticator Authenticator
	Decider       Decider
	Recorder      Recorder
	Limiter       *limit.Limiter
	// Proofs verifies what bound tokens are presented with; nil: they are refused.
	Proofs Prover
	// View is what the answers follow from, where it can get too old; nil: it cannot.
	View View
	// Asking verifies credentials by the database alone, and nothing by the view; nil: routes
	// that ask refuse.
	Asking Authenticator
	// Issuer and Audience say who issues the tokens of a realm, and for whom they are where nobody is named ("" for what is no address): for
	// the metadata of protected resources, of which there are none where either is nil.
	Issuer   func(realm string) string
	Audience func(ctx context.Context, realm string) string
	// Resolver is needed by routes whose resource comes from the upstream;
	// without it SetRoutes refuses them.
	Resolver Resolver
	Proxies  *web.Proxies // nil trusts nobody
	// Title is what a 401 shows as realm; nil: the realm's name.
	Title func(realm string) string
	// MaxDecisionBody bounds a body that a decision needs: 64 KiB when 0.
	MaxDecisionBody int64
	Now             func() time.Time // nil: time.Now
}

// DefaultDecisionBody bounds what a route with Source "body" reads.
const DefaultDecisionBody = 64 << 10

// Pipeline enforces the current routes. It is safe for concurrent use.
type Pipeline struct {
	cfg        Config
	admitter   admitter // the recorder, when it is one
	sameOrigin *http.CrossOriginProtection
	routes     atomic.Pointer[table]
}

// New checks cfg. Without routes, every request is refused with 404.
func New(cfg Config) (*Pipeline, error) {
	if cfg.Authenticator == nil || cfg.Decider == nil || cfg.Recorder == nil || cfg.Limiter == nil {
		return nil, errors.New("enforce: Authenticator, Decider, Recorder and Limiter are required")
	}
	if cfg.MaxDecisionBody <= 0 {
		cfg.MaxDecisionBody = DefaultDecisionBody
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Title == nil {
		cfg.Title = func(realm string) string { return realm }
	}
	p := &Pipeline{cfg: cfg, sameOrigin: http.NewCrossOriginProtection()}
	p.admitter, _ = cfg.Recorder.(admitter)
	none := newTable()
	none.proxies = cfg.Proxies
	p.routes.Store(none)
	return p, nil
}

// SetRoutes replaces all routes at once, or none of them: the error names every
// route that is wrong and, for a conflict, both. Requests that are being judged
// keep the routes they began with.
func (p *Pipeline) SetRoutes(routes []Route) error {
	r, err := p.Prepare(routes, p.cfg.Proxies, p.cfg.Resolver)
	if err != nil {
		return err
	}
	p.Enforce(r)
	return nil
}

// RouteIDs returns the ids of the routes in force, as events show them.
func (p *Pipeline) RouteIDs() []string {
	all := p.routes.Load().all
	ids := make([]string, len(all))
	for i, c := range all {
		ids[i] = c.ID
	}
	return ids
}

// step is one link of the pipeline. It returns nil to go on; an error ends the
// request with a denial. A step never calls another.
type step struct {
	name string
	run  func(p *Pipeline, x *Exchange, r *http.Request) error
	// again: it is judged again while the request is being answered, by the routes,
	// accounts, roles and policies of then. The others are about what cannot change
	// (the credential is the one that was presented), or count, or record.
	again bool
}

// steps is the order in which a request is judged. The limit by address stands
// before anything costly; the one by principal needs to know who calls, and counts nobody who only has his token. What is known
// of the database must be young before anything is concluded from it. Whether
// there is room in the record is asked last, of what would otherwise pass.
var steps = [...]step{
	{"match", (*Pipeline).match, true},
	{"extract", (*Pipeline).extract, false},
	{"origin", (*Pipeline).origin, true},
	{"limit", (*Pipeline).limitAddress, false},
	{"view", (*Pipeline).current, true},
	{"authenticate", (*Pipeline).authenticate, true},
	{"prove", (*Pipeline).prove, false},
	{"limit", (*Pipeline).limitPrincipal, false},
	{"authorize", (*Pipeline).requirements, true},
	{"authorize", (*Pipeline).fits, true},
	{"body", (*Pipeline).body, false},
	{"authorize", (*Pipeline).policies, true},
	{"record", (*Pipeline).admit, false},
}

// admit refuses what could not be recorded.
func (p *Pipeline) admit(x *Exchange, _ *http.Request) error {
	if p.admitter == nil || !x.decision.Allowed {
		return nil
	}
	if err := p.admitter.Admit(x.ctx); err != nil {
		return err
	}
	x.admitted = true
	return nil
}

// Check runs every step up to the decision and returns the verdict. It may read
// and replace r.Body (the bytes stay the same) and sets the path values of r.
// Whatever goes wrong, a panic included, is a denial. It is to be called once
// for an exchange; a second call denies.
func (p *Pipeline) Check(x *Exchange, r *http.Request) (v Verdict) {
	defer func() {
		if value := recover(); value != nil {
			err := gatehouse.ErrInternal.With(fmt.Errorf("panic: %v\n%s", value, debug.Stack()))
			x.fail("enforce", err)
			v = x.verdict(err)
		}
	}()
	if x.checked {
		return x.verdict(gatehouse.ErrInternal.With(errors.New("enforce: an exchange was checked twice")))
	}
	x.checked = true
	x.ctx = x.Context(r)
	for i := range steps {
		if err := steps[i].run(p, x, r); err != nil {
			e := web.Classify(err)
			x.fail(steps[i].name, e)
			p.challenge(x, r, e)
			return x.verdict(e)
		}
	}
	// Every step passed. Only the authorize steps can have allowed it.
	if !x.decision.Allowed {
		return x.verdict(errDenied)
	}
	x.allowed = true
	return x.verdict(nil)
}

// Match returns the route that r would be judged by, without judging it, or nil
// when there is none. It is for questions about the route itself, such as a CORS
// preflight; it is no permission.
func (p *Pipeline) Match(r *http.Request) *Route { return p.routes.Load().match(r) }

// challenge adds the WWW-Authenticate lines that a 401 must have and a 403 for
// missing scopes should have (RFC 6750 §3).
func (p *Pipeline) challenge(x *Exchange, r *http.Request, e *gatehouse.Error) {
	if x.route == nil {
		return
	}
	challenges := x.route.reader.Challenges
	if x.route.Proof != "" || authn.WantsProof(x.presented, e) {
		challenges = x.route.reader.ProofChallenges
	}
	var lines []string
	switch {
	case e.Kind == gatehouse.Unauthenticated:
		lines = challenges(p.cfg.Title(x.route.Realm), x.route.accepts, e)
	case e.Code == gatehouse.ErrInsufficientScope.Code:
		lines = challenges(p.cfg.Title(x.route.Realm), x.route.accepts, e, x.route.scopesAsked(x.principal)...)
	}
	if len(lines) > 0 {
		p.pointTo(x, r, e, lines)
		x.setHeader("Www-Authenticate", lines...)
	}
}
