package enforce

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Rules are routes made ready, with the proxies that are trusted and where resources
// come from. They are immutable and safe for concurrent use. Whoever has other parts
// that change together with the routes begins each request with the Rules beside them.
type Rules struct {
	p     *Pipeline
	table *table
}

// Prepare makes rules of routes, or says of every route what is wrong. They are not in
// force yet.
func (p *Pipeline) Prepare(routes []Route, proxies *web.Proxies, resolver Resolver) (*Rules, error) {
	with := &Pipeline{cfg: p.cfg}
	with.cfg.Proxies, with.cfg.Resolver = proxies, resolver
	t, err := with.compile(routes)
	if err != nil {
		return nil, err
	}
	return &Rules{p, t}, nil
}

// Enforce puts rules in force, which this pipeline prepared: what is open is judged
// again by them, and what [Pipeline.Begin] begins.
func (p *Pipeline) Enforce(r *Rules) { p.routes.Store(r.table) }

// Begin is [Pipeline.Begin] of a request that is judged first by these rules.
func (r *Rules) Begin(at Point, req *http.Request) *Exchange { return r.p.begin(r.table, at, req) }

// Match is [Pipeline.Match] by these rules.
func (r *Rules) Match(req *http.Request) *Route { return r.table.match(req) }

// FilterList is [Pipeline.FilterList].
func (r *Rules) FilterList(ctx context.Context, x *Exchange, v Verdict, body []byte) ([]byte, error) {
	return r.p.FilterList(ctx, x, v, body)
}

// TakesSessions reports whether req would be judged by a route of realm that accepts browser
// sessions.
func (r *Rules) TakesSessions(req *http.Request, realm string) bool {
	c, err := r.table.route(req)
	return err == nil && c != nil && c.sessions && c.Realm == realm
}

// Unclaimed reports whether no route of any kind, a closed one among them, says
// anything of req: nobody configured what is to be answered there. A request that more
// than one program could read is claimed.
func (r *Rules) Unclaimed(req *http.Request) bool {
	if unfitRequest(req) != nil {
		return false
	}
	return r.table.find(canonicalHost(req.Host), req.Method, req.URL.EscapedPath()) == nil
}
