package enforce

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// View tells whether what this process knows of its database was too old at a moment;
// *staleness.Watch is one. It is asked at each request, so it answers from memory.
type View interface {
	// Stale reports whether the view was older than limit; 0 is the limit of the
	// configuration.
	Stale(at time.Time, limit time.Duration) bool
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
// came. Who asked before something was changed may be answered by what was before.
func (p *Pipeline) current(x *Exchange, _ *http.Request) error {
	if p.cfg.View == nil || x.needsNoView() || !p.cfg.View.Stale(x.start, 0) {
		return nil
	}
	return ErrStale
}

// needsNoView: nothing in the answer depends on the database. The route lets everybody in
// and asks no policy, and nobody presented a credential that would have to be checked.
func (x *Exchange) needsNoView() bool {
	return x.route.Anonymous && x.route.Action == "" && x.route.Filter == nil && x.presented.None()
}
