package server

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/docs"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
	oauthtoken "github.com/gatehouse-auth/gatehouse/oauth/token"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// wirePipeline makes the pipeline and the gateway's parts.
func (s *Server) wirePipeline(ctx context.Context) error {
	asserter, err := gateway.NewAsserter(gateway.AsserterConfig{Keys: s.ring, Roles: s.decider, Issuer: s.realmIssuer, Now: s.now})
	if err != nil {
		return err
	}
	resolver, err := gateway.NewResolver(gateway.ResolverConfig{Upstreams: s.upstreams, Asserter: asserter, Now: s.now})
	if err != nil {
		return err
	}
	s.pipeline, err = enforce.New(enforce.Config{Authenticator: s.auth, Decider: s.decider, Resolver: resolver, Limiter: s.limiter,
		Recorder: s.record, Proxies: s.proxies, Now: s.now})
	if err != nil {
		return err
	}
	if err := s.pipeline.SetRoutes(s.cfg.Routes); err != nil {
		return err
	}
	s.metrics.SetRoutes(s.pipeline.RouteIDs())
	s.warnOfNames(ctx, s.cfg.Routes)
	enforcer := gateway.Pipeline(s.pipeline)
	s.gateway, err = gateway.New(gateway.Config{Enforcer: enforcer, Upstreams: s.upstreams, Asserter: asserter, Resolver: resolver,
		Proxies: s.proxies, Problems: s.problems, Logger: s.log, Options: s.cfg.Gateway.Options, Now: s.now})
	if err != nil {
		return err
	}
	s.forwardAuth, err = gateway.NewForwardAuth(gateway.ForwardAuthConfig{Enforcer: enforcer, Asserter: asserter, Upstreams: s.upstreams,
		Proxies: s.proxies, Problems: s.problems, Logger: s.log, StripHeaders: s.cfg.Gateway.StripHeaders})
	return err
}

// authHandler serves tokens, keys and the management API.
func (s *Server) authHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	tokens, err := oauthtoken.NewHandler(oauthtoken.Config{Grants: s.grants, Authenticate: s.authenticate, Challenges: s.challenges,
		Allow: s.allow("tokens", s.cfg.Limits.Tokens), Problems: s.problems})
	if err != nil {
		return nil, err
	}
	tokens.Register(mux)
	lists, err := endpoint.NewStatusLists(endpoint.StatusListsConfig{Source: s.view, Signer: s.ring.Signer, Issuer: s.realmIssuer, Now: s.now})
	if err != nil {
		return nil, err
	}
	published, err := endpoint.New(endpoint.Config{Realm: newRealmCache(s.db).Realm, Issuer: s.realmIssuer, JWKS: s.ring.JWKS,
		StatusList: lists.Get, Problems: s.problems})
	if err != nil {
		return nil, err
	}
	published.Register(mux)
	api := s.adminHandler()
	mux.Handle("/admin/v1/", api)
	// Whoever finds a leaked key need not know the management API.
	mux.Handle("POST /keys/leaked", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawPath = adminhttp.Prefix+"/keys/leaked", ""
		api.ServeHTTP(w, r)
	}))
	mux.Handle("GET /errors/{code}", s.problems.Handler(errorPage))
	if s.cfg.HelloPage != config.HelloHide {
		page, facts := s.authHello()
		h, err := helloPage(page, facts)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /{$}", h)
	}
	return s.handlerChain(s.problems.Mux(mux)), nil
}

// errorPage serves the page about an error code, as every problem's type says.
func errorPage(w http.ResponseWriter, r *http.Request) error {
	page, err := docs.Errors.ReadFile("errors/" + r.PathValue("code") + ".md")
	if err != nil {
		return gatehouse.ErrNotFound
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, err = w.Write(page)
	return err
}

func (s *Server) gatewayHandler() (http.Handler, error) {
	page, err := helloPage(s.gatewayHello(), nil)
	if err != nil {
		return nil, err
	}
	page = web.SecurityHeaders(s.proxies, page)
	show := s.cfg.HelloPage != config.HelloHide
	// The gateway sees every other path as it came: a ServeMux would clean it.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only a browser that opens the address itself: programs get the 404 of the gateway.
		if show && r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && wantsPage(r) && s.pipeline.Unclaimed(r) {
			page.ServeHTTP(w, r)
			return
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, ForwardAuthPath); ok && (rest == "" || rest[0] == '/') {
			s.forwardAuth.ServeHTTP(w, r)
			return
		}
		s.gateway.ServeHTTP(w, r)
	}), nil
}

// metricsHandler serves what operators watch; its listener is private.
func (s *Server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler(s.log))
	mux.Handle("GET /healthz", web.Live())
	mux.Handle("GET /readyz", web.Ready(func(name string, err error) { s.log.Warn("not ready", "check", name, "error", err) }, s.diskNotes,
		web.Check{Name: "store", Run: s.db.Ping}, web.Check{Name: "audit_log", Run: s.logIntact}, web.Check{Name: "record", Run: s.recordable}))
	return mux
}

func (s *Server) wireListeners(_ context.Context, auth net.Listener) error {
	h, err := s.authHandler()
	if err != nil {
		return err
	}
	open := func(name string, cfg config.Listener, h http.Handler, l net.Listener) error {
		if cfg.Address == "" {
			return nil
		}
		out, err := listen(name, cfg, h, l, s.certs[name], s.log)
		if err == nil {
			s.listeners = append(s.listeners, out)
		}
		return err
	}
	if err := open("auth", s.cfg.Listen.Auth, h, auth); err != nil {
		return err
	}
	gate, err := s.gatewayHandler()
	if err != nil {
		return err
	}
	if err := open("gateway", s.cfg.Listen.Gateway, gate, nil); err != nil {
		return err
	}
	return open("metrics", s.cfg.Listen.Metrics, s.metricsHandler(), nil)
}
