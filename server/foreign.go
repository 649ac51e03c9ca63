package server

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/token"
)

// foreignKeys makes and keeps the key sets of the issuers that realms trust.
type foreignKeys struct {
	log *slog.Logger
	now func() time.Time

	guarded *egress.Client // public addresses only
	private *egress.Client // for issuers that are marked as internal

	mu      sync.Mutex
	sources map[string]*jwks.Source // by realm and issuer
}

func newForeignKeys(log *slog.Logger, now func() time.Time) *foreignKeys {
	return &foreignKeys{log: log, now: now, sources: map[string]*jwks.Source{},
		guarded: egress.New(egress.Config{}), private: egress.New(egress.Config{AllowPrivate: true})}
}

// source is called once for each change of a realm; the source it replaces is
// closed.
func (f *foreignKeys) source(realm string, issuer gatehouse.TrustedIssuer) (token.KeySource, error) {
	cfg := jwks.Config{Issuer: issuer.Issuer, Static: []byte(issuer.JWKS), URL: issuer.JWKSURL, Logger: f.log, Now: f.now}
	if issuer.JWKSURL != "" {
		cfg.Fetcher = f.guarded
		if issuer.AllowPrivateAddress {
			cfg.Fetcher = f.private
		}
	}
	if issuer.JWKS == "" {
		cfg.Static = nil
	}
	for _, a := range issuer.Algorithms {
		alg, ok := token.ParseAlgorithm(a)
		if !ok {
			return nil, fmt.Errorf("issuer %s: no algorithm %q", issuer.Issuer, a)
		}
		cfg.Algorithms = append(cfg.Algorithms, alg)
	}
	src, err := jwks.New(cfg)
	if err != nil {
		return nil, err
	}
	key := realm + "\x00" + issuer.Issuer
	f.mu.Lock()
	old := f.sources[key]
	f.sources[key] = src
	f.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return src, nil
}

func (f *foreignKeys) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sources {
		s.Close()
	}
	f.guarded.Close()
	f.private.Close()
}
