package server

import (
	"context"
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
	s := d.server
	cfg := s.live.Load().cfg
	cfg.Routes = append(cfg.Routes[:len(cfg.Routes):len(cfg.Routes)], routes...)
	next, err := s.makeLive(cfg, s.made)
	if err == nil {
		s.takeOver(context.Background(), next)
	}
	return err
}

// Database is the store of a server.
func Database(s *Server) *store.DB { return s.db }
