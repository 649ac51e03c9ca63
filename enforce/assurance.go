package enforce

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// Assurance is what a route asks of how somebody signed in. The zero value asks nothing.
type Assurance struct {
	ACR    string        // least level, or the one name that another issuer gives it
	MaxAge time.Duration // since the person last proved who he is; 0: any
}

// minAuthAge is the shortest max_auth_age: whoever is sent to sign in must be able to come back in time.
const minAuthAge = time.Minute

// authSkew is by how much the clock of another issuer may be ahead.
const authSkew = time.Minute

// Met reports whether p signed in as a asks, and not too long before now. What was no sign-in of a person (an
// API key) has neither level nor time, and meets nothing that is asked.
func (a Assurance) Met(p *gatehouse.Principal, now time.Time) bool {
	return a.hasLevel(p) && a.isFresh(p, now)
}

func (a Assurance) hasLevel(p *gatehouse.Principal) bool {
	return a.ACR == "" || p.Authenticated() && reaches(p.ACR, a.ACR)
}

func (a Assurance) isFresh(p *gatehouse.Principal, now time.Time) bool {
	return a.MaxAge == 0 || p.Authenticated() && !p.AuthTime.IsZero() && now.Sub(p.AuthTime) <= a.MaxAge && p.AuthTime.Sub(now) <= authSkew
}

// reaches reports whether a sign-in at the level acr is enough where least is asked for. Ours are in order;
// what another issuer calls its own is that and nothing else.
func reaches(acr, least string) bool {
	return acr == least || level(acr) > level(least) && level(least) > 0
}

func level(acr string) int {
	switch acr {
	case gatehouse.AAL1:
		return 1
	case gatehouse.AAL2:
		return 2
	case gatehouse.AAL3:
		return 3
	}
	return 0
}

// asksAsMuchAs reports whether whoever meets a meets o.
func (a Assurance) asksAsMuchAs(o Assurance) bool {
	return (o.ACR == "" || reaches(a.ACR, o.ACR)) && (o.MaxAge == 0 || a.MaxAge > 0 && a.MaxAge <= o.MaxAge)
}

func (r *Route) assurance() Assurance { return Assurance{ACR: r.ACR, MaxAge: r.MaxAuthAge} }

func checkAssurance(c *compiled) error {
	a := c.assurance()
	switch {
	case a == Assurance{}:
		return nil
	case c.Closed || c.Anonymous:
		return errors.New("acr and max_auth_age ask how somebody signed in; a route that is closed or anonymous asks nobody")
	case len(a.ACR) > 128 || strings.ContainsFunc(a.ACR, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }):
		return errors.New("acr is one name without spaces and quotes, of at most 128 characters")
	case a.MaxAge != 0 && a.MaxAge < minAuthAge:
		return fmt.Errorf("max_auth_age: at least %v, or nothing", minAuthAge)
	}
	c.stepUp = authn.StepUp(a.ACR, a.MaxAge)
	return nil
}

// assured checks how the caller signed in. What is open is cut when the route has come to ask for a higher level, and
// not because time goes by: it was fresh when it began.
func (p *Pipeline) assured(x *Exchange) error {
	a, now := x.route.assurance(), x.start
	if x.before != nil {
		now = x.before.start
	}
	if a.Met(x.principal, now) {
		return nil
	}
	x.decision = gatehouse.Decision{Code: authn.CodeStepUp}
	return x.route.stepUp
}

// Assurance is what would be asked of how somebody signed in who sends req.
func (r *Rules) Assurance(req *http.Request) Assurance {
	c, err := r.table.route(req)
	if err != nil || c == nil {
		return Assurance{}
	}
	return c.assurance()
}
