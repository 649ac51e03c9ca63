package server

import (
	"context"
	"crypto/tls"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/counters"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// noteLimits is the note of /readyz while the server that counts for all nodes is away.
const noteLimits = "limits_local"

// wireLimits makes what counts requests: for all nodes together where there is a server for
// it, which need not answer for this one to start, and else this node's share.
func (s *Server) wireLimits(ctx context.Context) error {
	cfg := limit.Config{Nodes: s.db.LiveNodes, Now: s.now}
	if r := s.cfg.Limits.Redis; r.URL != "" {
		at, err := r.Server()
		if err != nil {
			return err
		}
		secret, err := s.secret(ctx, settingCountersKey, countersKeySize)
		if err != nil {
			return err
		}
		s.counters = counters.New(counters.Config{Address: at.Address, TLS: s.made.countersTLS, Username: r.Username, Password: gatehouse.Secret(r.Password),
			Database: at.Database, Prefix: r.Prefix, Secret: secret, Timeout: r.Timeout, Logger: s.log})
		s.counters.Connect(ctx) // so that the first request is counted there
		s.jobs = append(s.jobs, job{name: "server of the limits", run: s.counters.Run})
		cfg.Shared = s.counters
	}
	s.limiter = limit.New(cfg)
	s.jobs = append(s.jobs, job{name: "rate limits", run: s.limiter.Run})
	return nil
}

// limitsAway reports that there is a server that counts for all nodes, and that it is away.
func (s *Server) limitsAway() bool { return s.counters != nil && s.counters.Away() }

// countersTLS is how the server that counts is verified: always, where it is reached by TLS;
// nil otherwise. ours is what it is shown when it asks who comes; nil where there is nothing to show.
func countersTLS(r config.Redis, ours *certificates) (*tls.Config, error) {
	if r.URL == "" {
		return nil, nil
	}
	at, err := r.Server()
	if err != nil || !at.TLS {
		return nil, nil // what is wrong with it was told
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if ours != nil {
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return ours.get(nil) }
	}
	if r.CAFile != "" {
		out.RootCAs, err = gateway.ReadRoots(r.CAFile)
	}
	return out, err
}
