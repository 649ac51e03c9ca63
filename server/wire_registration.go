package server

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/registration"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// registrations makes the endpoint at which clients register themselves, and what removes those that nobody uses.
func (s *Server) registrations() (*registration.Handler, error) {
	run, err := store.Run[clients.TokenPurger](s.db)
	if err != nil {
		return nil, err
	}
	unused := &clients.Expiry{Service: s.admin.Clients, Unused: s.db, Run: run, Logger: s.log, Now: s.now}
	s.jobs = append(s.jobs, job{name: "unused clients", lease: "unused clients", run: unused.Loop})
	return registration.New(registration.Config{Clients: s.admin.Clients, Issuer: s.realmIssuer, Realm: s.clients.Realm,
		Secure:   func(r *http.Request) bool { return s.live.Load().proxies.Secure(r) },
		AllowNew: s.allow("client registrations", func(l config.Limits) limit.Rate { return l.Registrations }),
		Allow:    s.allow("tokens", func(l config.Limits) limit.Rate { return l.Tokens }), Problems: s.problems})
}
