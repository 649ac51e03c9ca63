package server

import (
	"context"
	"net"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/docs"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
	oauthtoken "github.com/gatehouse-auth/gatehouse/oauth/token"
	"github.com/gatehouse-auth/gatehouse/oauth/userinfo"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// wirePipeline makes the pipeline and the gateway's parts.
func (s *Server) wirePipeline(context.Context) (err error) {
	s.asserter, err = gateway.NewAsserter(gateway.AsserterConfig{Keys: s.ring, Roles: s.decider, Issuer: s.realmIssuer, Now: s.now})
	if err != nil {
		return err
	}
	s.resolver, err = gateway.NewResolver(gateway.ResolverConfig{Upstreams: s.made.upstreams, Asserter: s.asserter, Now: s.now})
	if err != nil {
		return err
	}
	s.pipeline, err = enforce.New(enforce.Config{Authenticator: s.auth, Proofs: s.proofs, Decider: s.decider, Limiter: s.limiter, Recorder: s.record, View: s.enforcedView(), Asking: s.enforcedAsking(),
		Issuer: s.realmIssuer, Audience: s.defaultAudience(), Now: s.now})
	return err
}

// authHandler serves tokens, keys, the pages of people and the management API.
func (s *Server) authHandler(ctx context.Context) (http.Handler, error) {
	mux := http.NewServeMux()
	s.clients = newClientMemory(s.auth, s.db)
	var err error
	if s.clients.documents, err = s.describedClients(); err != nil {
		return nil, err
	}
	clients, err := s.clientAuthenticator()
	if err != nil {
		return nil, err
	}
	if err := s.wireAuthorizations(ctx, clients.Assertions); err != nil {
		return nil, err
	}
	if err := s.wireBackchannel(clients.Assertions); err != nil {
		return nil, err
	}
	tokens, err := oauthtoken.NewHandler(oauthtoken.Config{Grants: s.grants, Signer: s.ring.SignerOf, Issuer: s.realmIssuer, Authenticate: s.authenticate, Login: s.login, Challenges: s.challenges, Inspect: s.auth.Inspect, IDToken: s.idToken, Proofs: s.proofs, URL: s.calledAt,
		Certificates: s.tokenCertificates(), Clients: clients, Pages: s.clients, Requests: s.authorizations, Backchannel: s.questions, Secure: func(r *http.Request) bool { return s.live.Load().proxies.Secure(r) },
		DevicePage: func(realm string) string { return s.realmIssuer(realm) + pages.Device },
		Allow:      s.allow("tokens", func(l config.Limits) limit.Rate { return l.Tokens }), Problems: s.problems})
	if err != nil {
		return nil, err
	}
	tokens.Register(mux)
	about, err := userinfo.New(userinfo.Config{Authenticate: s.authenticate, User: s.directory.User, Grant: s.db.Grant, Client: s.clients.Client, Signer: s.ring.SignerOf, Issuer: s.realmIssuer, Pages: s.clients,
		Allow: s.allow("tokens", func(l config.Limits) limit.Rate { return l.Tokens }), Problems: s.problems})
	if err != nil {
		return nil, err
	}
	about.Register(mux)
	registrations, err := s.registrations()
	if err != nil {
		return nil, err
	}
	registrations.Register(mux)
	copies, err := store.Run[endpoint.StatusTx](s.db)
	if err != nil {
		return nil, err
	}
	lists, err := endpoint.NewStatusLists(endpoint.StatusListsConfig{Source: s.view, CatchUp: s.db.CatchUp, Alone: s.alone, Copies: s.db, Run: copies,
		Signer: s.ring.Signer, Keys: s.ring.Source, Issuer: s.realmIssuer, Now: s.now})
	if err != nil {
		return nil, err
	}
	s.db.Subscribe(lists.Apply)
	realm := newRealmCache(s.db).Realm
	published, err := endpoint.New(endpoint.Config{Realm: realm, Issuer: s.realmIssuer, JWKS: s.ring.JWKS,
		StatusList: lists.Get, Describe: []func(map[string]any, gatehouse.Realm, string){tokens.Describe, authorize.Describe, userinfo.Describe, registrations.Describe, s.describeAliases}, Problems: s.problems})
	if err != nil {
		return nil, err
	}
	published.Register(mux)
	if s.pages, err = s.pagesHandler(ctx, realm); err != nil {
		return nil, err
	}
	s.pages.Register(mux)
	api := s.adminHandler()
	mux.Handle("/admin/v1/", api)
	// Whoever finds a leaked key need not know the management API.
	mux.Handle("POST /keys/leaked", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawPath = adminhttp.Prefix+"/keys/leaked", ""
		api.ServeHTTP(w, r)
	}))
	mux.Handle("GET /errors/{code}", s.problems.Handler(errorPage))
	page, facts := s.authHello()
	hello, err := helloPage(page, facts)
	if err != nil {
		return nil, err
	}
	mux.Handle("GET /{$}", hello)
	all := s.problems.Mux(mux)
	return s.refuseStale(s.withAliases(all, s.hosts.only(s.problems, all))), nil
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

// metricsHandler serves what operators watch; its listener is private.
func (s *Server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.Handle("GET /healthz", web.Live())
	mux.Handle("GET /readyz", web.Ready(func(name string, err error) { s.log.Warn("not ready", "check", name, "error", err) }, s.notes,
		web.Check{Name: "stopping", Run: s.staying}, web.Check{Name: "store", Run: s.db.Ping}, web.Check{Name: "view", Run: s.current}, web.Check{Name: "audit_log", Run: s.logIntact}, web.Check{Name: "record", Run: s.recordable}))
	return mux
}

// staying is the readiness of a server that was not told to stop.
func (s *Server) staying(context.Context) error {
	if s.leaving.Load() {
		return gateway.ErrStopping
	}
	return nil
}

func (s *Server) wireListeners(ctx context.Context, auth net.Listener) (err error) {
	if s.tokensAndAdmin, err = s.authHandler(ctx); err != nil {
		return err
	}
	if s.gatewayPage, err = helloPage(s.gatewayHello(), nil); err != nil {
		return err
	}
	first, err := s.makeLive(s.cfg, s.made)
	if err != nil {
		return err
	}
	s.takeOver(ctx, first)
	open := func(name string, cfg config.Listener, h http.Handler, l net.Listener) (*listener, error) {
		if cfg.Address == "" {
			return nil, nil
		}
		out, err := listen(name, cfg, h, l, s.certificateOf(name), s.log)
		if err == nil {
			s.listeners = append(s.listeners, out)
		}
		return out, err
	}
	serve := func(of func(*live) http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { of(s.live.Load()).ServeHTTP(w, r) })
	}
	onAuth := serve(func(l *live) http.Handler { return l.auth })
	if _, err := open("auth", s.cfg.Listen.Auth, onAuth, auth); err != nil {
		return err
	}
	gate, err := open("gateway", s.cfg.Listen.Gateway, serve(func(l *live) http.Handler { return l.gate }), nil)
	if err != nil {
		return err
	}
	if gate != nil && s.cfg.ClientCertificates.Gateway {
		gate.requestCertificates()
	}
	certified, err := open("mtls", s.cfg.Listen.MTLS, toAliases(onAuth), nil)
	if err != nil {
		return err
	}
	s.useAliases(certified)
	if _, err := open("metrics", s.cfg.Listen.Metrics, s.metricsHandler(), nil); err != nil {
		return err
	}
	s.about.Addresses = map[string]string{}
	for _, l := range s.listeners {
		s.about.Addresses[l.name] = l.url()
	}
	return s.db.Describe(ctx, s.about)
}
