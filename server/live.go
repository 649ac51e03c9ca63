package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/breached"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// live is what a reload replaces, all of it at once. A request keeps the live that it
// began with, so that it is never judged by half of one configuration and half of
// another. It is immutable.
type live struct {
	cfg       Config // all that is in force, what waits for a restart as it was at start
	proxies   *web.Proxies
	upstreams *gateway.Upstreams
	breached  *breached.Filter         // nil without one
	certs     map[string]*certificates // by the name of the listener, of those with TLS
	rules     *enforce.Rules
	mail      mail.Settings
	overrides *pages.Overrides // of the texts and templates of pages; nil without any
	auth      http.Handler     // of the auth listener
	gate      http.Handler     // of the gateway
}

// makeLive makes everything of cfg that a reload replaces; all that can fail in a reload
// fails here. Nothing of it is in force yet.
func (s *Server) makeLive(cfg Config, p parts) (*live, error) {
	l := &live{cfg: cfg, proxies: p.proxies, upstreams: p.upstreams, breached: p.breached, mail: p.mail, overrides: p.overrides, certs: map[string]*certificates{}}
	for name, of := range map[string]config.Listener{"auth": cfg.Listen.Auth, "gateway": cfg.Listen.Gateway, "mtls": cfg.Listen.MTLS, "metrics": cfg.Listen.Metrics} {
		switch c := p.certs[name]; {
		case of.CertFile == "": // also while TLS waits for a restart to begin
		case c != nil:
			l.certs[name] = c
		default: // TLS waits for a restart to end
			l.certs[name] = s.live.Load().certs[name]
		}
	}
	resolver := s.resolver.On(p.upstreams)
	var err error
	if l.rules, err = s.pipeline.Prepare(cfg.Routes, p.proxies, resolver); err != nil {
		return nil, err
	}
	enforcer := gateway.Pipeline(l.rules)
	proxy, err := gateway.New(gateway.Config{Enforcer: enforcer, Upstreams: p.upstreams, Asserter: s.asserter, Resolver: resolver,
		Metadata: l.rules.Metadata, SignIn: handOvers{s}, Proxies: p.proxies, Problems: s.problems, Logger: s.log, Options: cfg.Gateway.Options, Now: s.now})
	if err != nil {
		return nil, err
	}
	asked, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{Enforcer: enforcer, Asserter: s.asserter, Upstreams: p.upstreams,
		Proxies: p.proxies, Problems: s.problems, Logger: s.log, StripHeaders: cfg.Gateway.StripHeaders})
	if err != nil {
		return nil, err
	}
	l.gate, l.auth = s.gatewayHandler(l, proxy, asked), s.authChain(l)
	return l, nil
}

// takeOver puts next in force. It cannot fail.
func (s *Server) takeOver(ctx context.Context, next *live) {
	old := s.live.Swap(next)
	s.pipeline.Enforce(next.rules)
	s.metrics.SetRoutes(s.pipeline.RouteIDs())
	_ = s.made.log.Set(logOptions(next.cfg.Log)) // it was checked
	s.recorder.SetBounds(audit.Overflow(next.cfg.Audit.Overflow), next.cfg.Audit.Queue)
	s.refusals.SetPerMinute(refusalsPerMinute(next.cfg.Audit))
	s.disk.SetLimits(uint64(max(next.cfg.Disk.WarnBytes, 0)), next.cfg.Disk.WarnPercent)
	if old != nil && old.upstreams != next.upstreams {
		old.upstreams.CloseBut(next.upstreams) // requests that run have theirs still
	}
	s.online.SetURL(next.cfg.Passwords.BreachedURL)
	if next.breached == nil {
		s.people.UseBreached(nil)
	} else {
		s.people.UseBreached(next.breached)
	}
	s.pages.Wear(next.overrides)
	s.staleness.SetLimit(next.cfg.Store.MaxStaleness)
	s.warnOfNames(ctx, next.cfg.Routes)
}

// certificateOf is how a listener finds its certificate; nil without TLS.
func (s *Server) certificateOf(listener string) certificateFunc {
	if s.live.Load().certs[listener] == nil {
		return nil
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return s.live.Load().certs[listener].get(hello)
	}
}

// authChain puts around what the auth listener serves what belongs to every request:
// its id and the client's address, panics caught, security headers.
func (s *Server) authChain(l *live) http.Handler {
	h := s.tokensAndAdmin
	if l.cfg.HelloPage == config.HelloHide {
		all := h
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				s.problems.Write(w, r, gatehouse.ErrNotFound)
				return
			}
			all.ServeHTTP(w, r)
		})
	}
	h = web.SecurityHeaders(l.proxies, h)
	h = s.problems.Recover(h, nil)
	return web.Identify(l.proxies, s.now, h)
}

func (s *Server) gatewayHandler(l *live, proxy *gateway.Gateway, asked *gateway.ForwardAuth) http.Handler {
	page := web.SecurityHeaders(l.proxies, s.gatewayPage)
	show := l.cfg.HelloPage != config.HelloHide
	// The gateway sees every other path as it came: a ServeMux would clean it.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only a browser that opens the address itself: programs get the 404 of the gateway.
		if show && r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && wantsPage(r) && l.rules.Unclaimed(r) {
			page.ServeHTTP(w, r)
			return
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, ForwardAuthPath); ok && (rest == "" || rest[0] == '/') {
			asked.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}
