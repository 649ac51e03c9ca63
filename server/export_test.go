package server

import (
	"context"
	"crypto/x509"
	netmail "net/mail"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// WithClock gives the demo another clock.
func (c DemoConfig) WithClock(now func() time.Time) DemoConfig { c.clock = now; return c }

// With gives the demo what change makes of its configuration.
func (c DemoConfig) With(change func(*Config)) DemoConfig { c.change = change; return c }

// Aliases is where a node has its endpoints for clients with certificates.
func (d *Demo) Aliases() string { return d.server.aliases }

// AddRoutes serves further routes of the demo's API.
func (d *Demo) AddRoutes(routes ...enforce.Route) error {
	for i := range routes {
		routes[i].Upstream = "documents"
	}
	s := d.server
	cfg := s.live.Load().cfg
	cfg.Routes = append(cfg.Routes[:len(cfg.Routes):len(cfg.Routes)], routes...)
	next, err := s.makeLive(cfg, s.made)
	if err == nil {
		s.takeOver(context.Background(), next)
	}
	return err
}

// Tell has the programs that follow revocations told of a cut-off, which nobody set.
func (d *Demo) Tell(c revocation.Cutoff) {
	d.server.journal.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Value: c})
}

// Database is the store of a server.
func Database(s *Server) *store.DB { return s.db }

// StopServer ends the node of the demo; the API behind it stays.
func (d *Demo) StopServer(ctx context.Context) { d.server.Close(ctx) }

// Another starts another node beside that of the demo: its own data directory and
// addresses, the same issuer and master key, and what change makes of its configuration.
func (d *Demo) Another(ctx context.Context, data string, change func(*Config)) (*Server, error) {
	s, err := d.another(ctx, data, change)
	if err == nil {
		err = s.Start(ctx)
	}
	return s, err
}

// KeepMail has a running demo write to people from now on, into a directory.
func (d *Demo) KeepMail(directory string) { d.server.keepMail(directory) }

// KeepMail is the same for any node.
func KeepMail(s *Server, directory string) { s.keepMail(directory) }

// Now is the time of a node.
func Now(s *Server) time.Time { return s.now() }

func (s *Server) keepMail(directory string) {
	l := *s.live.Load()
	l.mail = mail.Settings{Outbox: directory, From: netmail.Address{Address: "id@example.com"}, Language: "en", Bounds: mail.Bounds{PerAddress: 20, PerRealm: 2000}}
	s.live.Store(&l)
}

func (d *Demo) another(ctx context.Context, data string, change func(*Config)) (*Server, error) {
	cfg := d.server.live.Load().cfg
	cfg.Issuer = d.server.issuer
	cfg.Data = data
	cfg.Listen.Auth.Address, cfg.Listen.Gateway.Address, cfg.Listen.Metrics.Address = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Routes = append([]enforce.Route{}, cfg.Routes...)
	change(&cfg)
	return New(ctx, cfg)
}

// AnotherThatWaits is [Demo.Another], but it looks for new events of the audit log once an hour:
// what it signs sooner, somebody has asked for.
func (d *Demo) AnotherThatWaits(ctx context.Context, data string) (*Server, error) {
	s, err := d.another(ctx, data, func(*Config) {})
	if err != nil {
		return nil, err
	}
	sequence, err := store.Run[audit.SequencerTx](s.db)
	if err == nil {
		s.sequencer, err = audit.NewSequencer(audit.SequencerConfig{Run: sequence, Pending: s.db, Origin: s.logOrigin, Key: s.auditKey,
			Heads: s.heads, Broken: s.logBroken, Interval: time.Hour, Now: s.now, Logger: s.log})
	}
	if err != nil {
		return s, err
	}
	for i, j := range s.jobs {
		switch j.name {
		case "audit sequencer":
			s.jobs[i].run = s.sequencer.Run
		case "audit heads":
			s.jobs[i].run = s.sequencer.Watch
		}
	}
	return s, s.Start(ctx)
}

// OpenSession opens a browser session on a node, as the pages of sign-in do.
func OpenSession(ctx context.Context, s *Server, user string) (gatehouse.Secret, gatehouse.Session, error) {
	p := &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: user, IssuedAt: s.now()}
	return s.sessions.Open(ctx, p, session.Browser{})
}

// CheckSession checks a browser session on a node.
func CheckSession(ctx context.Context, s *Server, text gatehouse.Secret) (*gatehouse.Principal, error) {
	return s.auth.Session(ctx, gatehouse.MainRealm, text, "", authn.Rule{Secure: true})
}

// Server is the node of the demo.
func (d *Demo) Server() *Server { return d.server }

// InOrder leaves a test out of -short, and with it out of the race detector (scripts/race): it
// does one thing after another, for long, and the detector would see nothing in it that it
// does not see in the others.
func InOrder(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one thing after another, for long; runs without -short")
	}
}

// LetFetch has a node fetch documents of clients on this machine, of whoever roots vouch for. Nobody may have asked it for one.
func LetFetch(t *testing.T, s *Server, roots *x509.CertPool) {
	t.Helper()
	s.cfg.Fetches = config.Fetches{AllowPrivate: true, RootCAs: roots}
	var err error
	if s.clients.documents, err = s.describedClients(); err != nil {
		t.Fatal(err)
	}
}

// ForgetDocuments has a node look at the documents of clients again.
func ForgetDocuments(s *Server) {
	var err error
	if s.clients.documents, err = s.describedClients(); err != nil {
		panic(err)
	}
}
