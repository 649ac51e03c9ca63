package enforce

import (
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// extract finds the one credential that is presented.
func (p *Pipeline) extract(x *Exchange, r *http.Request) error {
	presented, err := x.route.reader.Read(r, x.table.proxies.Scheme(r) == "https")
	x.foreign = x.route.reader.Foreign(r.Header)
	x.event.Actor.Scheme = presented.Scheme
	x.event.Actor.Credential = presented.ID
	if err != nil {
		return err
	}
	x.presented = presented
	x.subprotocol = x.route.reader.TakeSubprotocol(r)
	if presented.By == authn.ByQuery {
		x.inURL = true
		x.target = authn.TicketTarget(r.Method, r)
		x.route.reader.TakeTicket(r)
	}
	code := string(presented.Scheme)
	if presented.None() {
		code = "none"
	}
	x.pass("extract", code, presented.ID)
	return nil
}

// limitAddress bounds what one client address may ask of the route.
func (p *Pipeline) limitAddress(x *Exchange, _ *http.Request) error {
	if x.route.RateAddress.IsZero() {
		return nil
	}
	res := p.cfg.Limiter.AllowAddress(x.route.scopeAddress, x.address, x.route.RateAddress)
	return x.limited(0, limit.Item{Name: "address", Rate: x.route.RateAddress, Result: res})
}

// limitPrincipal bounds what one principal may ask of the route. An anonymous
// caller is bounded by its address alone.
func (p *Pipeline) limitPrincipal(x *Exchange, _ *http.Request) error {
	if x.route.RatePrincipal.IsZero() || !x.principal.Authenticated() {
		return nil
	}
	res := p.cfg.Limiter.AllowIn(x.route.scopePrincipal, x.principal.ID, x.route.RatePrincipal)
	return x.limited(1, limit.Item{Name: "principal", Rate: x.route.RatePrincipal, Result: res})
}

func (x *Exchange) limited(i int, item limit.Item) error {
	x.limits[i] = item
	if item.Result.OK {
		return nil
	}
	e := *gatehouse.ErrRateLimited
	e.Cause = fmt.Errorf("at most %d in %s by %s", item.Rate.Limit, item.Rate.Window, item.Name)
	e.RetryAfter = item.Result.RetryAfter
	return &e
}

// authenticate makes the presented credential a principal. Only a request that
// presents nothing may be anonymous, and only where the route allows it; a
// credential that fails never becomes "anonymous".
func (p *Pipeline) authenticate(x *Exchange, _ *http.Request) error {
	if x.presented.None() {
		if !x.route.Anonymous || x.point.Tickets {
			return x.route.missing
		}
		x.principal = &gatehouse.Principal{Realm: x.route.Realm, Kind: gatehouse.KindAnonymous}
		x.event.Actor.Kind = gatehouse.KindAnonymous
		x.pass("authenticate", "anonymous", "")
		return nil
	}
	rule := authn.Rule{
		Schemes: x.route.accepts, Environment: x.route.Environment, Secure: x.secure, Address: x.address, Target: x.target,
		Uncounted: x.before != nil, // whoever keeps a stream open has used the credential once
		Proves:    true,
	}
	rule.Audience = x.route.Audience
	principal, err := p.cfg.Authenticator.Authenticate(x.ctx, x.route.Realm, x.presented, rule)
	if err == nil && x.asks {
		principal, err = p.ask(x, rule)
	}
	if err != nil {
		return err
	}
	// An authenticator with a hole in it must not make the route public.
	if !principal.Authenticated() || principal.Realm != x.route.Realm {
		return gatehouse.ErrInternal
	}
	x.principal = principal
	x.event.Actor = gatehouse.Actor{Kind: principal.Kind, ID: principal.ID, Name: principal.Name,
		Credential: principal.CredentialID, Scheme: principal.Scheme}
	x.ctx = gatehouse.WithPrincipal(x.ctx, principal)
	x.pass("authenticate", string(principal.Scheme), principal.ID)
	return nil
}
