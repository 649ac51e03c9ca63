package server

import (
	"crypto/x509"
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
	sources map[string]foreignSource // by realm and issuer
}

// foreignSource is the source of one issuer in one realm.
type foreignSource struct {
	keys *jwks.Source
	own  *egress.Client // nil: one of the shared ones
}

func (s foreignSource) close() {
	if s.keys != nil {
		s.keys.Close()
	}
	if s.own != nil {
		s.own.Close()
	}
}

func newForeignKeys(log *slog.Logger, now func() time.Time) *foreignKeys {
	return &foreignKeys{log: log, now: now, sources: map[string]foreignSource{},
		guarded: egress.New(egress.Config{}), private: egress.New(egress.Config{AllowPrivate: true})}
}

// source is called once for each change of a realm; the source it replaces is
// closed.
func (f *foreignKeys) source(realm string, issuer gatehouse.TrustedIssuer) (token.KeySource, error) {
	cfg := jwks.Config{Issuer: issuer.Issuer, Static: []byte(issuer.JWKS), URL: issuer.JWKSURL, Logger: f.log, Now: f.now}
	cfg.Discover = issuer.JWKSURL == "" && issuer.JWKS == ""
	if issuer.JWKS == "" {
		cfg.Static = nil
	}
	var own *egress.Client
	switch {
	case cfg.Static != nil: // nothing is fetched
	case issuer.CA != "":
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(issuer.CA)) {
			return nil, fmt.Errorf("issuer %s: ca holds no certificate", issuer.Issuer)
		}
		own = egress.New(egress.Config{AllowPrivate: issuer.AllowPrivateAddress, RootCAs: pool})
		cfg.Fetcher = own
	case issuer.AllowPrivateAddress:
		cfg.Fetcher = f.private
	default:
		cfg.Fetcher = f.guarded
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
		foreignSource{own: own}.close()
		return nil, err
	}
	key := realm + "\x00" + issuer.Issuer
	f.mu.Lock()
	old := f.sources[key]
	f.sources[key] = foreignSource{src, own}
	f.mu.Unlock()
	old.close()
	return src, nil
}

func (f *foreignKeys) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sources {
		s.close()
	}
	f.guarded.Close()
	f.private.Close()
}
