package server

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/breached"
	"github.com/gatehouse-auth/gatehouse/internal/counters"
	"github.com/gatehouse-auth/gatehouse/internal/diskspace"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/oauth/backchannel"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Server is a wired Gatehouse. Make it with [New], start it with [Server.Start],
// end it with [Server.Close].
type Server struct {
	cfg    Config // of the start; what of it a reload has replaced is in live
	made   parts  // of the start
	log    *slog.Logger
	box    *seal.Box
	heads  *audit.HeadFile
	issuer string   // of realm main
	hosts  ownHosts // of other realms
	clock  *staleness.Clock
	now    func() time.Time // of clock
	live   atomic.Pointer[live]

	db       *store.DB
	about    peers.About // what other nodes are told of this one
	leases   *lease.Keeper
	metrics  *telemetry.Metrics
	problems *web.Problems

	auditKey       ed25519.PrivateKey
	persons        *personal.Keeper
	recorder       *audit.Recorder
	refusals       *audit.Refusals
	auditFile      *audit.FileSink // nil without audit.file
	record         *telemetry.Events
	sequencer      *audit.Sequencer
	disk           *diskspace.Watch
	view           *revocation.View
	journal        *revocation.Journal
	staleness      *staleness.Watch // nil where no other process can change anything
	sole           *staleness.Sole  // likewise
	asking         *asking          // likewise
	ring           *keyring.Ring
	foreign        *foreignKeys
	people         *identity.Service
	online         *breached.Online
	pages          *pages.Handler
	factors        *factor.Service
	passkeys       *passkey.Service
	providers      *provider.Service
	vault          factor.Vault
	directory      *identity.Directory
	decider        *authz.Decider
	limiter        *limit.Limiter
	counters       *counters.Server // nil where each node counts its share
	auth           *authn.Authenticator
	proofs         *proof.Verifier
	clients        *clientMemory
	grants         *grant.Service
	authorizations *authorize.Service
	questions      *backchannel.Service
	sessions       *session.Service
	halfDone       *session.HalfDone
	handOver       *session.HandOver
	mail           *mail.Queue
	sender         *mail.Sender
	asserter       *gateway.Asserter
	resolver       *gateway.Resolver
	pipeline       *enforce.Pipeline
	admin          *admin.Service

	tokensAndAdmin http.Handler // what the auth listener serves
	gatewayPage    http.Handler // what a browser sees at the gateway

	listeners []*listener
	aliases   string // base of the endpoints for clients with certificates; "" for none
	jobs      []job
	closers   []func(context.Context)

	bootstrap    gatehouse.Secret
	bootstrapEnd time.Time

	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  chan error
	closing sync.Once

	leaving   atomic.Bool
	reloading sync.Mutex // one reload at a time
	reloaded  reloadState
}

// New opens the store, wires every part and opens the listeners, but answers
// nothing yet. On failure everything that was opened is closed again.
//
// What a check of the configuration refuses, New refuses in the same words
// ([*config.Problems]).
//
// A port 0 in the issuer stands for the port that the auth listener got.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	clock := staleness.NewClock(clockOf(cfg))
	s := &Server{cfg: cfg, clock: clock, now: clock.Now, failed: make(chan error, 8),
		jobs: []job{{name: "memory of the start", run: settle}}}
	defer func() {
		if err != nil {
			s.Close(context.WithoutCancel(ctx))
			err = refusal(ctx, cfg, err)
		}
	}()
	made, problems := prepare(cfg, nil, nil)
	if len(problems) > 0 {
		return nil, cfg.With(nil, problems...)
	}
	s.made, s.log, s.box, s.heads = made, made.log.Logger, made.box, made.heads
	auth, err := openAddress("auth", cfg.Listen.Auth.Address)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) { auth.Close() })
	s.issuer, s.hosts = withPort(cfg.Issuer, auth.Addr()), newOwnHosts(cfg.RealmIssuers, auth.Addr())
	s.problems = &web.Problems{Logger: s.log, DocsBase: s.issuer + "/errors/", Untaken: &web.Untaken{Logger: s.log}}
	for _, wire := range []func(context.Context) error{s.openStore, s.wireStaleness, s.wireAudit, s.wireDisk, s.wireRevocation, s.wireKeys, s.wireMail, s.wirePeople, s.wireProviders,
		s.wireDecisions, s.wireLimits, s.wireProofs, s.wireAuthn, s.wireGrants, s.wireSessions, s.wireLogout, s.wireHandOver, s.wirePipeline, s.wireAdmin, s.wireBootstrap,
		func(ctx context.Context) error { return s.wireListeners(ctx, auth) }} {
		if err := wire(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func withPort(issuer string, addr net.Addr) string {
	u, err := url.Parse(issuer)
	if tcp, ok := addr.(*net.TCPAddr); err == nil && ok && u.Port() == "0" {
		u.Host = net.JoinHostPort(u.Hostname(), fmt.Sprint(tcp.Port))
		return u.String()
	}
	return issuer
}

func (s *Server) openStore(ctx context.Context) error {
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s.about = peers.About{Host: host, Version: s.version(), StartedAt: s.now(), MaxStaleness: longestView(s.cfg)}
	at := storeConfig(s.cfg, s.log)
	at.About = s.about
	at.Shared, at.Now = at.Driver == store.DriverPostgres, s.now
	s.db, err = store.Open(ctx, at)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func(context.Context) {
		if err := s.db.Close(); err != nil {
			s.log.Error("the store did not close well", "error", err)
		}
	})
	s.leases = newLeases(s.db, s.db.NodeID(), at.Shared, s.log)
	return nil
}

// clockOf is the clock of everything.
func clockOf(cfg Config) func() time.Time {
	if cfg.Now != nil {
		return cfg.Now
	}
	return time.Now
}

// storeConfig is where everything is stored, for one process that has it to itself.
func storeConfig(cfg Config, log *slog.Logger) store.Config {
	out := store.Config{Driver: cfg.Store.Driver, DSN: gatehouse.Secret(cfg.Store.DSN), Logger: log, Now: clockOf(cfg)}
	if out.Driver == store.DriverSQLite {
		out.Path = databasePath(cfg.Data)
	}
	return out
}

// databasePath is where SQLite's file is in a data directory.
func databasePath(data string) string { return filepath.Join(data, "gatehouse.db") }

// Start begins to answer requests and runs the background jobs.
func (s *Server) Start(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.disk.Look()
	for _, j := range s.jobs {
		s.running.Go(func() {
			if err := s.work(ctx, j); err != nil && ctx.Err() == nil {
				s.fail(fmt.Errorf("%s: %w", j.name, err))
			}
		})
	}
	for _, l := range s.listeners {
		s.running.Go(func() {
			if err := l.serve(); err != nil {
				s.fail(err)
			}
		})
	}
	s.recordLife(audit.KindServerStart, map[string]string{"version": s.version()})
	s.log.Info("ready", "issuer", s.issuer, "auth", s.AuthURL(), "gateway", s.GatewayURL())
	return nil
}

// recordLife records that the server began or ended to answer requests, in the log of the main realm.
func (s *Server) recordLife(kind string, detail map[string]string) {
	s.record.Record(&gatehouse.Event{Realm: gatehouse.MainRealm, Kind: kind, Outcome: gatehouse.OutcomeSuccess, Detail: detail})
}

// version is that of the program.
func (s *Server) version() string { return cmp.Or(s.cfg.Version, programVersion()) }

// programVersion is what the build noted about itself: a version of the module, or the commit that it was made from.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first failures are enough
	}
}

// Wait returns when ctx ends (nil), or when a part failed for good.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Close stops in the order that loses nothing: it is not ready any more, then takes no new
// connections, ends the requests that run, the decision queue, one last checkpoint, the
// store. It takes up to shutdown.delay and shutdown.grace, and some seconds. When ctx
// ends, requests are not waited for any more.
func (s *Server) Close(ctx context.Context) {
	s.closing.Do(func() {
		s.drain(ctx)
		if s.auth != nil {
			s.flushUsage(ctx)
		}
		if s.recorder != nil {
			if s.cancel != nil { // it was started
				s.recordLife(audit.KindServerStop, nil)
			}
			if s.refusals != nil {
				s.refusals.Close()
			}
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
			if err := s.recorder.Close(drain); err != nil {
				s.log.Error("decision events were lost at the end", "error", err)
			}
			cancel()
		}
		if s.cancel != nil {
			s.cancel()
		}
		s.running.Wait()
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closers[i](ctx)
		}
	})
}

// Issuer is the issuer of realm main.
func (s *Server) Issuer() string { return s.issuer }

// AuthURL is where the auth listener can be reached on this machine.
func (s *Server) AuthURL() string { return s.urlOf("auth") }

// GatewayURL is where the gateway can be reached on this machine; "" without one.
func (s *Server) GatewayURL() string { return s.urlOf("gateway") }

// MetricsURL is where metrics and health can be reached; "" without a listener.
func (s *Server) MetricsURL() string { return s.urlOf("metrics") }

func (s *Server) urlOf(name string) string {
	for _, l := range s.listeners {
		if l.name == name {
			return l.url()
		}
	}
	return ""
}

// BootstrapSecret is the one-time secret for the first administrator, or "". All nodes
// have the same one.
func (s *Server) BootstrapSecret() gatehouse.Secret { return s.bootstrap }

// BootstrapEnd is when the secret of [Server.BootstrapSecret] ends.
func (s *Server) BootstrapEnd() time.Time { return s.bootstrapEnd }

// realmIssuer is the issuer of a realm: the base URL for main, one at a host of its own, or below that of main.
func (s *Server) realmIssuer(realm string) string {
	if own := s.hosts.issuer[realm]; own != "" {
		return own
	}
	if realm == gatehouse.MainRealm {
		return s.issuer
	}
	return s.issuer + "/realms/" + url.PathEscape(realm)
}
