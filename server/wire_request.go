package server

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// ForwardAuthPath is where proxies in front ask, on the gateway's listener.
const ForwardAuthPath = gateway.ForwardAuthPath

// missRate is how many keys and tokens that do not exist an address may try.
var missRate = limit.Rate{Limit: 60, Window: time.Minute, Burst: 60}

// misses counts what authn found no record for, by client address.
type misses struct{ limiter *limit.Limiter }

const missScope = "key-lookup"

func (m misses) Spent(addr netip.Addr) bool { return m.limiter.SpentAddress(missScope, addr, missRate) }
func (m misses) Count(addr netip.Addr)      { m.limiter.CountAddress(missScope, addr, missRate) }

// allow returns the limit of one of our own endpoints by client address. An
// address that cannot be read shares the limit of all that cannot.
func (s *Server) allow(name string, rate func(config.Limits) limit.Rate) func(context.Context, string) (time.Duration, bool) {
	return func(_ context.Context, address string) (time.Duration, bool) {
		addr, _ := netip.ParseAddr(address)
		res := s.limiter.AllowAddress(name, addr, rate(s.live.Load().cfg.Limits))
		return res.RetryAfter, res.OK
	}
}

func (s *Server) wireDecisions(ctx context.Context) (err error) {
	s.decider, err = authz.New(ctx, authz.Config{Store: s.db, Directory: s.directory, Logger: s.log, Now: s.now,
		Metrics: decisionMetrics{s.metrics}})
	if err != nil {
		return err
	}
	s.db.Subscribe(s.decider.Apply)
	return nil
}

func (s *Server) wireAuthn(context.Context) (err error) {
	s.foreign = newForeignKeys(s.log, s.now)
	s.closers = append(s.closers, func(context.Context) { s.foreign.close() })
	tickets, err := store.Run[authn.TicketTx](s.db)
	if err != nil {
		return err
	}
	cfg := authn.Config{
		Tickets: &authn.TicketConfig{Run: tickets, Find: s.db.Once, Box: s.box},
		Store:   s.db, Revocations: s.view,
		Subject: s.directory.Subject, Grant: s.db.Grant, Password: s.password,
		Issuer: s.realmIssuer, Realms: s.db.Realms, Keys: func(realm string) token.KeySource { return s.ring.Source(realm) }, ForeignKeys: s.foreign.source,
		Misses:    misses{s.limiter},
		Nodes:     s.keyNodes(),
		KeyPrefix: s.cfg.KeyPrefix, Leeway: 5 * time.Second, Now: s.now,
	}
	if s.counters != nil {
		cfg.Shared = s.counters
	}
	if s.auth, err = authn.New(cfg); err != nil {
		return err
	}
	if s.staleness != nil {
		cfg.CountWith = s.auth
		s.asking = s.newAsking(cfg)
	}
	// After the revocation view and the key ring, so that what was cached is
	// dropped once they know better.
	s.db.Subscribe(s.auth.Apply)
	usage, err := store.Run[authn.UsageTx](s.db)
	if err != nil {
		return err
	}
	used, err := store.Run[authn.SessionTx](s.db)
	if err != nil {
		return err
	}
	s.jobs = append(s.jobs, job{name: "session usage", run: func(ctx context.Context) error {
		return s.auth.RunSessions(ctx, used, func(err error) { s.log.Error("last uses of sessions could not be stored", "error", err) })
	}})
	s.jobs = append(s.jobs, job{name: "key usage", run: func(ctx context.Context) error {
		return s.auth.Run(ctx, usage, func(err error) { s.log.Error("key usage could not be stored", "error", err) })
	}})
	return nil
}

// keyNodes is how the authenticator counts who shares the quotas of keys; nil where no other
// process can.
func (s *Server) keyNodes() func() int {
	if s.staleness == nil {
		return nil
	}
	return s.db.LiveNodes
}

// flushUsage stores the uses of keys and sessions that are still in memory.
func (s *Server) flushUsage(ctx context.Context) {
	sessions, err := store.Run[authn.SessionTx](s.db)
	if err == nil {
		err = s.auth.FlushSessions(context.WithoutCancel(ctx), sessions)
	}
	if err != nil {
		s.log.Error("last uses of sessions could not be stored", "error", err)
	}
	usage, err := store.Run[authn.UsageTx](s.db)
	if err == nil {
		err = s.auth.FlushUsage(context.WithoutCancel(ctx), usage)
	}
	if err != nil {
		s.log.Error("key usage could not be stored", "error", err)
	}
}

// idToken verifies an ID token that a realm issued to a client.
func (s *Server) idToken(realm, client, text string) (*token.Claims, error) {
	return token.OpenID(text, s.realmIssuer(realm), client, s.ring.Source(realm), s.now)
}

func (s *Server) wireGrants(ctx context.Context) error {
	successor, err := s.secret(ctx, settingSuccessorKey, successorKeySize)
	if err != nil {
		return err
	}
	run, err := store.Run[grant.Tx](s.db)
	if err != nil {
		return err
	}
	s.grants, err = grant.New(grant.Config{Run: run, Issuer: s.realmIssuer, NewStatus: revocation.NewStatus, SuccessorKey: successor, Find: s.db.Once, Consent: s.db.Consent, Box: s.box,
		Sign: func(_ context.Context, realm string, a *token.Access) (string, error) {
			key, err := s.ring.Signer(realm)
			if err != nil {
				return "", err
			}
			return key.SignAccess(a)
		},
		SignID: func(ctx context.Context, realm string, alg token.Algorithm, t *token.ID) (string, error) {
			key, err := s.ring.SignerOf(ctx, realm, alg)
			if err != nil {
				return "", err
			}
			return key.SignID(t)
		}, Now: s.now})
	if err != nil {
		return err
	}
	purge, err := store.Run[grant.PurgeTx](s.db)
	if err != nil {
		return err
	}
	expiry := &grant.Expiry{Run: purge, Logger: s.log, Now: s.now}
	s.jobs = append(s.jobs, job{name: "grant expiry", lease: "grant expiry", run: expiry.Loop})
	used, err := store.Run[once.PurgeTx](s.db)
	if err != nil {
		return err
	}
	s.jobs = append(s.jobs, job{name: "purge of what is used once", lease: "purge of what is used once", run: (&once.Purge{Run: used, Logger: s.log, Now: s.now}).Work})
	return nil
}

func (s *Server) wireSessions(context.Context) error {
	run, err := store.Run[session.Tx](s.db)
	if err != nil {
		return err
	}
	if s.sessions, err = session.New(session.Config{Run: run, Mail: s.mail, Now: s.now,
		Notice: func(realm string) string { return s.realmIssuer(realm) + pages.Notice }}); err != nil {
		return err
	}
	half, err := store.Run[session.HalfDoneTx](s.db)
	if err != nil {
		return err
	}
	if s.halfDone, err = session.NewHalfDone(session.HalfDoneConfig{Run: half, Find: s.db.Once, Box: s.box, Codes: s.factors, Now: s.now}); err != nil {
		return err
	}
	purge, err := store.Run[session.PurgeTx](s.db)
	if err != nil {
		return err
	}
	s.jobs = append(s.jobs, job{name: "session expiry", lease: "session expiry", run: (&session.Expiry{Run: purge, Logger: s.log, Now: s.now}).Work})
	return nil
}

// authenticate verifies the credential of a request to the auth listener, by
// the same rules as the gateway. It is what the token endpoint and the
// management API use.
func (s *Server) authenticate(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error) {
	return s.authenticateBy(r, realm, authn.Rule{Schemes: schemes})
}

// authenticateBy adds to rule what follows from the request.
func (s *Server) authenticateBy(r *http.Request, realm string, rule authn.Rule) (*gatehouse.Principal, error) {
	p, err := authn.Extract(r)
	if err != nil {
		return nil, err
	}
	proxies := s.live.Load().proxies
	rule.Environment, rule.Secure, rule.Address = gatehouse.EnvironmentLive, proxies.Secure(r), proxies.Client(r)
	return s.authenticateProven(r, realm, p, rule)
}

func (s *Server) challenges(realm string, schemes ...gatehouse.Scheme) []string {
	return authn.Challenges(realm, schemes, authn.ErrNone)
}

func upstreams(cfg Config) (list []gateway.Upstream) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Upstreams)) {
		u := cfg.Upstreams[name]
		u.Name = name
		list = append(list, u)
	}
	return list
}
