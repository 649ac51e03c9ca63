package server

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/store"
)

// WithClock gives the demo another clock.
func (c DemoConfig) WithClock(now func() time.Time) DemoConfig { c.clock = now; return c }

// AddRoutes serves further routes of the demo's API.
func (d *Demo) AddRoutes(routes ...enforce.Route) error {
	for i := range routes {
		routes[i].Upstream = "documents"
	}
	return d.server.pipeline.SetRoutes(append(d.server.cfg.Routes[:len(d.server.cfg.Routes):len(d.server.cfg.Routes)], routes...))
}

// Database is the store of a server.
func Database(s *Server) *store.DB { return s.db }
