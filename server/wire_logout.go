package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/logout"
	"github.com/gatehouse-auth/gatehouse/store"
)

// wireLogout makes who tells clients of sign-ins that have ended.
func (s *Server) wireLogout(context.Context) error {
	run, err := store.Run[logout.Settling](s.db)
	if err != nil {
		return err
	}
	guarded := egress.New(egress.Config{MaxBytes: logoutBytes, AllowPrivate: s.cfg.Fetches.AllowPrivate, RootCAs: s.cfg.Fetches.RootCAs})
	private := egress.New(egress.Config{MaxBytes: logoutBytes, AllowPrivate: true})
	s.closers = append(s.closers, func(context.Context) { guarded.Close(); private.Close() })
	sender := logout.New(logout.Config{Store: s.db, Run: run, Client: s.client, Signer: s.ring.SignerOf, Issuer: s.realmIssuer, Logger: s.log, Now: s.now,
		Post: func(ctx context.Context, c client.Client, address string, form url.Values) (int, error) {
			by := guarded
			if c.Metadata.AllowPrivateAddress {
				by = private
			}
			status, _, err := by.Post(ctx, address, http.Header{}, form)
			return status, err
		}})
	s.jobs = append(s.jobs, job{name: "ends of sign-ins", lease: "ends of sign-ins", run: sender.Work})
	return nil
}

// client finds a client, also one that is known by its document.
func (s *Server) client(ctx context.Context, realm, id string) (client.Client, error) {
	return s.clients.Client(ctx, realm, id)
}

// logoutBytes bounds what is read of a client's answer, of which nothing is used.
const logoutBytes = 64 << 10

// sessionClients are the clients that were told of a session, and want to be told of its end, as they are stored.
func (s *Server) sessionClients(ctx context.Context, realm, session string) (out []client.Client, err error) {
	ids, err := s.db.SessionClients(ctx, realm, session)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		c, err := s.db.Client(ctx, realm, id)
		if errors.Is(err, gatehouse.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
