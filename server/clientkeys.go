package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/store"
)

// maxClientKeys is how many addresses of keys are remembered; one that is used again later is only fetched again.
const maxClientKeys = 1024

// clientKeys makes and keeps the key sets that clients have at an address of theirs.
type clientKeys struct {
	s       *Server
	guarded *egress.Client // public addresses only
	private *egress.Client // for clients that are marked as internal

	mu      sync.Mutex
	sources map[string]*jwks.Source // by client and what its registration says of the address
	order   []string                // of sources, the oldest first
}

func (s *Server) newClientKeys() *clientKeys {
	k := &clientKeys{s: s, guarded: egress.New(egress.Config{MaxBytes: clientKeysBytes, AllowPrivate: s.cfg.Fetches.AllowPrivate, RootCAs: s.cfg.Fetches.RootCAs}),
		private: egress.New(egress.Config{AllowPrivate: true, MaxBytes: clientKeysBytes}), sources: map[string]*jwks.Source{}}
	s.closers = append(s.closers, func(context.Context) { k.close() })
	return k
}

// clientKeysBytes bounds what is read of an address of keys.
const clientKeysBytes = 64 << 10

// source is that of c: one for an address however often it is asked for, since it knows when it asked last.
func (k *clientKeys) source(c client.Client) (client.Keys, error) {
	m := c.Metadata
	name := strings.Join([]string{c.Realm, c.ID, fmt.Sprint(m.KeyAlgorithms()), m.JWKSURI}, "\x00")
	cfg := jwks.Config{Issuer: c.ID, URL: m.JWKSURI, Fetcher: k.guarded, Algorithms: m.KeyAlgorithms(), Logger: k.s.log, Now: k.s.now}
	if m.AllowPrivateAddress {
		name, cfg.Fetcher = name+"\x00private", k.private
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if src := k.sources[name]; src != nil {
		return src, nil
	}
	src, err := jwks.New(cfg)
	if err != nil {
		return nil, err
	}
	if len(k.order) >= maxClientKeys {
		delete(k.sources, k.order[0])
		k.order = slices.Delete(k.order, 0, 1)
	}
	k.sources[name], k.order = src, append(k.order, name)
	return src, nil
}

func (k *clientKeys) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, src := range k.sources {
		src.Close()
	}
	k.guarded.Close()
	k.private.Close()
}

// clientAuthenticator tells who the registered clients are that ask.
func (s *Server) clientAuthenticator() (client.Authenticator, error) {
	run, err := store.Run[client.OnceTx](s.db)
	if err != nil {
		return client.Authenticator{}, err
	}
	assertions, err := client.NewAssertions(client.AssertionsConfig{Issuer: s.realmIssuer,
		TokenEndpoint: func(realm string) string { return strings.TrimSuffix(s.realmIssuer(realm), "/") + "/token" }, Fetched: s.newClientKeys().source, Run: run, Now: s.now})
	return client.Authenticator{Clients: s.clients, Missed: s.clients.known.Missed, Assertions: assertions, Certificates: client.NewCertificates(assertions), Record: s.record.Record, Now: s.now}, err
}
