package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/document"
)

// documentFetches is how many documents of clients one address may have fetched that are not known already.
var documentFetches = limit.Rate{Limit: 60, Window: 10 * time.Minute}

// describedClients finds clients by their documents.
func (s *Server) describedClients() (*document.Source, error) {
	fetches := s.cfg.Fetches
	guarded := egress.New(egress.Config{MaxBytes: document.MaxBytes, AllowPrivate: fetches.AllowPrivate, RootCAs: fetches.RootCAs})
	s.closers = append(s.closers, func(context.Context) { guarded.Close() })
	return document.New(document.Config{Fetcher: guarded, Clients: s.admin.Clients, Realm: s.clients.Realm, Special: fetches.AllowPrivate, Logger: s.log, Now: s.now,
		Stored: func(ctx context.Context, realm, id string) (client.Client, error) {
			return s.clients.stored.Get(ctx, clientName(realm, id))
		},
		Allow: func(_ context.Context, address string) (time.Duration, bool) {
			addr, _ := netip.ParseAddr(address)
			res := s.limiter.AllowAddress("client documents", addr, documentFetches)
			return res.RetryAfter, res.OK
		}})
}
