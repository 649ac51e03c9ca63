package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
	"github.com/gatehouse-auth/gatehouse/store"
)

// wireStaleness begins to watch how old the view of the database is, where other processes
// may change what is in it, and returns once it is young.
func (s *Server) wireStaleness(ctx context.Context) error {
	if s.db.Driver() == store.DriverPostgres {
		s.staleness = staleness.New(staleness.Config{Age: s.db.Age, Now: s.now, Limit: s.cfg.Store.MaxStaleness, Logger: s.log})
	}
	s.jobs = append(s.jobs, job{name: "age of the view", run: s.staleness.Run})
	return s.staleness.Await(ctx)
}

// enforcedView is the view as the pipeline asks for it.
func (s *Server) enforcedView() enforce.View {
	if s.staleness == nil {
		return nil
	}
	return s.staleness
}

// stale reports whether nothing may be answered that follows from the database.
func (s *Server) stale() bool { return s.staleness.Stale(s.now(), 0) }

// current is the readiness of a node whose view is young enough.
func (s *Server) current(context.Context) error {
	if s.stale() {
		return enforce.ErrStale.With(fmt.Errorf("what is known of the database is %v old", s.db.Age().Round(time.Millisecond)))
	}
	return nil
}

// refuseStale has h answer only while the view is young enough: it issues and checks
// credentials, and publishes keys and what was revoked. The pages that say nothing of the
// database are answered always.
func (s *Server) refuseStale(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stale() && r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/errors/") {
			s.problems.Write(w, r, enforce.ErrStale)
			return
		}
		h.ServeHTTP(w, r)
	})
}
