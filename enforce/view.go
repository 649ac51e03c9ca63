package enforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// What a route does while the view is too old, as Route.Stale says; "" is [StaleRefuse].
const (
	StaleRefuse = "refuse"
	StaleAsk    = "ask"
	StaleServe  = "serve"
)

// minStaleness is the smallest bound of a route: at rest nodes hear from each other every
// second or two.
const minStaleness = 2 * time.Second

// askTime bounds the question of a request to the database.
const askTime = 2 * time.Second

// View tells whether what this process knows of its database was too old at a moment;
// *staleness.Watch is one. It is asked at each request, so it answers from memory.
type View interface {
	// Stale reports whether the view was older than limit; 0 is the limit of the
	// configuration.
	Stale(at time.Time, limit time.Duration) bool
	// Served and Asked note that a request was answered all the same, by what was known and
	// by asking. Served tells how old that was.
	Served(at time.Time) (age time.Duration)
	Asked()
}

// ErrStale is the answer of a process that does not know what was changed lately: it
// might let somebody in whose access has ended.
var ErrStale = stale()

func stale() *gatehouse.Error {
	e := gatehouse.E(gatehouse.Unavailable, "stale_view", "This node has not heard from its database for too long to answer. Another one may.")
	e.RetryAfter = time.Second
	return e
}

// current refuses what would be answered by a view that was too old when the request
// came, or does what the route says instead. Who asked before something was changed may be
// answered by what was before.
func (p *Pipeline) current(x *Exchange, _ *http.Request) error {
	if p.cfg.View == nil || x.needsNoView() || !p.cfg.View.Stale(x.start, x.route.MaxStaleness) {
		return nil
	}
	switch x.route.Stale {
	case StaleServe:
		age := p.cfg.View.Served(x.start)
		x.pass("view", "stale_served", fmt.Sprintf("what was known was %v old", age.Round(time.Millisecond)))
		return nil
	case StaleAsk:
		k, _ := authn.KindOf(x.presented.Scheme)
		switch {
		case x.presented.None():
			return ErrStale.With(errors.New("there is no credential to ask the database about"))
		case k.StandIn:
			return ErrStale.With(errors.New("a ticket is used up before the database can be asked about what it stands for"))
		case p.cfg.Asking != nil:
			x.asks = true
			return nil
		}
	}
	return ErrStale
}

// ask has the database say whose the credential is, and whether it has ended: nothing of
// that comes from the view.
func (p *Pipeline) ask(x *Exchange, rule authn.Rule) (*gatehouse.Principal, error) {
	ctx, cancel := context.WithTimeout(x.ctx, askTime)
	defer cancel()
	rule.Uncounted = true // the first look at it was counted
	principal, err := p.cfg.Asking.Authenticate(ctx, x.route.Realm, x.presented, rule)
	switch {
	case ctx.Err() != nil, err != nil && gatehouse.KindOf(err) != gatehouse.Unauthenticated:
		return nil, ErrStale.With(errors.Join(err, ctx.Err())) // nobody knows
	case err != nil:
		return nil, err
	}
	p.cfg.View.Asked()
	x.pass("view", "stale_asked", "")
	return principal, nil
}

// checkStale checks what a route does while the view is too old.
func checkStale(c *compiled) error {
	switch c.Stale {
	case "", StaleRefuse, StaleAsk, StaleServe:
	default:
		return fmt.Errorf("stale %q is none of refuse, ask and serve", c.Stale)
	}
	if c.MaxStaleness != 0 && c.MaxStaleness < minStaleness {
		return fmt.Errorf("max_staleness: at least %v, or nothing", minStaleness)
	}
	return nil
}

// tolerance orders what routes do while the view is too old.
func tolerance(stale string) int {
	switch stale {
	case StaleAsk:
		return 1
	case StaleServe:
		return 2
	}
	return 0
}

// needsNoView: nothing in the answer depends on the database. The route lets everybody in
// and asks no policy, and nobody presented a credential that would have to be checked.
func (x *Exchange) needsNoView() bool {
	return x.route.Anonymous && x.route.Action == "" && x.route.Filter == nil && x.presented.None()
}
