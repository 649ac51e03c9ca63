package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Enforcer opens the record of each request; [Pipeline] makes one of an
// *enforce.Pipeline, or of *enforce.Rules that it prepared.
type Enforcer interface {
	Begin(at enforce.Point, r *http.Request) Judgement
	// Match returns the route of a request without judging it, or nil. It is
	// asked for CORS preflights, which carry no credential.
	Match(r *http.Request) *enforce.Route
}

// Judgement is [enforce.Judgement] with what only the gateway asks of it.
type Judgement interface {
	enforce.Judgement
	// Recheck judges the request again while it is being answered, without a record;
	// an error means that it would not be let in now.
	Recheck(r *http.Request) error
	// FilterList drops the elements of a JSON list answer that the caller of v
	// may not see. An error means that nothing of it may be shown.
	FilterList(ctx context.Context, v enforce.Verdict, body []byte) ([]byte, error)
	// IssueTicket gives a one-time ticket for r, which was allowed.
	IssueTicket(r *http.Request) (gatehouse.Secret, error)
}

// Rules judge requests; *enforce.Rules do, and an *enforce.Pipeline by those in force.
type Rules interface {
	Begin(at enforce.Point, r *http.Request) *enforce.Exchange
	Match(r *http.Request) *enforce.Route
	FilterList(ctx context.Context, x *enforce.Exchange, v enforce.Verdict, body []byte) ([]byte, error)
}

// Pipeline makes an Enforcer of rules.
func Pipeline(r Rules) Enforcer { return pipeline{r} }

type pipeline struct{ Rules }

func (p pipeline) Begin(at enforce.Point, r *http.Request) Judgement {
	return pipelineExchange{p.Rules.Begin(at, r), p.Rules}
}

type pipelineExchange struct {
	*enforce.Exchange
	p Rules
}

func (x pipelineExchange) FilterList(ctx context.Context, v enforce.Verdict, body []byte) ([]byte, error) {
	return x.p.FilterList(ctx, x.Exchange, v, body)
}

// Config is what a Gateway needs. Enforcer, Upstreams and Asserter are required.
type Config struct {
	Enforcer  Enforcer
	Upstreams *Upstreams
	Asserter  *Asserter
	// Resolver, when there is one, is told of writes so that it forgets.
	Resolver *Resolver
	Proxies  *web.Proxies // nil trusts nobody
	// Metadata gives what the API whose metadata r asks for says of itself (RFC 9728), nil where none of this gateway does. Nil: none do.
	Metadata func(r *http.Request) ([]byte, error)
	// SignIn is where browsers are sent that come without a session to a route that accepts
	// one, and from where they come back; nil: nowhere, and they are refused as programs are.
	SignIn   SignIn
	Problems *web.Problems
	Logger   *slog.Logger // nil discards

	Options
	Now func() time.Time // nil: time.Now
}

// Gateway is the reverse proxy. It is immutable and safe for concurrent use.
//
// The http.Server around it should set ReadHeaderTimeout and IdleTimeout and must
// leave ReadTimeout and WriteTimeout at zero: they would cut streams. The time of
// each exchange is bounded here, but for a caller that does not read its answer:
// the connection has to bound that, as the server's listeners do.
type Gateway struct {
	cfg         Config
	answerLines http.Header // what cfg sets on answers that lack it
	strip       map[string]bool
	streamTypes map[string]bool // further ones, in lower case
	proxies     map[string]http.Handler
	buffers     buffers
	arrivals    http.Handler // for browsers that come back from signing in
}

var (
	errHeaderTooLarge = gatehouse.E(gatehouse.HeaderTooLarge, "header_too_large", "The request header is larger than this gateway accepts.")
	errUpstream       = gatehouse.E(gatehouse.BadGateway, "upstream_failed", "The API behind the gateway gave no valid answer.")
	errTimeout        = gatehouse.E(gatehouse.GatewayTimeout, "upstream_timeout", "The API behind the gateway did not answer in time.")
	errCallerSlow     = gatehouse.E(gatehouse.RequestTimeout, "caller_too_slow", "The request did not come, or its answer was not taken, in time.")
	errNoUpstream     = gatehouse.E(gatehouse.Internal, "upstream_unknown", "")
	errAssertion      = gatehouse.E(gatehouse.Unavailable, "assertion_unavailable", "The gateway cannot vouch for callers at the moment.")
	errEnded          = errors.New("gateway: the stream reached its end of life")
	errTakenBack      = gatehouse.E(gatehouse.Denied, "access_ended", "This is not allowed any more.")
	// ErrStopping ends the contexts of requests that still run when a server stops.
	ErrStopping = gatehouse.E(gatehouse.Unavailable, "server_stopping", "This server is stopping. Ask again: another one may answer, or this one later.")
)

// bodyTimeout bounds how long the caller may take for a body that is read before
// the decision, or that nobody reads.
const bodyTimeout = 15 * time.Second

// New checks cfg and fills in its defaults.
func New(cfg Config) (*Gateway, error) {
	if cfg.Enforcer == nil || cfg.Upstreams == nil || cfg.Asserter == nil {
		return nil, errors.New("gateway: Enforcer, Upstreams and Asserter are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Problems == nil {
		cfg.Problems = &web.Problems{Logger: cfg.Logger}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if err := cfg.fillDefaults(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, answerLines: cfg.answerLines(), strip: map[string]bool{}, streamTypes: map[string]bool{}, proxies: map[string]http.Handler{}}
	g.arrivals = web.Identify(cfg.Proxies, cfg.Now, http.HandlerFunc(g.serveArrival))
	for _, name := range cfg.StripHeaders {
		g.strip[normalName(name)] = true
	}
	for _, t := range cfg.StreamTypes {
		mediaType, _, _ := mime.ParseMediaType(t)
		g.streamTypes[mediaType] = true
	}
	for name, up := range cfg.Upstreams.byName {
		g.proxies[name] = g.newProxy(up)
	}
	return g, nil
}

// request is one request on its way through the gateway.
type exchange struct {
	g       *Gateway
	x       Judgement
	w       http.ResponseWriter
	t       *web.Tracked // around w
	v       enforce.Verdict
	in      *http.Request
	up      *upstream
	id      string
	secure  bool // the client used TLS
	started time.Time

	roles     []string // that the principal holds now
	assertion string
	ctx       context.Context
	end       context.CancelCauseFunc
	time      supervisor
	body      *inboundBody
	patience  *web.Patience
	failure   *gatehouse.Error // what the forward step failed with
	upgraded  bool             // the connection belongs to another protocol now
	whole     bool             // the answer was forwarded to its end
}

type exchangeKey struct{}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if asksTicket(r) {
		g.serveTicket(w, r)
		return
	}
	if len(g.cfg.Origins) > 0 && strings.HasPrefix(r.URL.Path, ArrivalPath+"/") {
		g.arrivals.ServeHTTP(w, r)
		return
	}
	if g.cfg.Metadata != nil && strings.HasPrefix(r.URL.Path, enforce.WellKnownResource) && g.publish(w, r) {
		return
	}
	at := enforce.AtGateway
	at.MaxBody = g.cfg.MaxBodyBytes
	x := g.cfg.Enforcer.Begin(at, r)
	e := &exchange{g: g, x: x, id: x.RequestID(), w: w, t: web.Track(w), started: g.cfg.Now()}
	r = r.WithContext(gatehouse.WithRequestID(r.Context(), e.id))
	e.in = r
	e.secure = g.cfg.Proxies.Scheme(r) == "https"
	e.patience = web.BoundBody(e.t, r, bodyTimeout)
	defer e.patience.Done()
	enforce.Run(x, e, e.t, r, g.cfg.Logger)
}

// Receive implements enforce.Handling, as the methods after it do.
func (e *exchange) Receive(r *http.Request) (answered bool, err *gatehouse.Error) {
	if err := e.g.bounds(r); err != nil {
		return false, err
	}
	return preflight(e.t, r, e.g.cfg.Enforcer, e.g.cfg.Proxies, e.id), nil
}

// Serve forwards the request.
func (e *exchange) Serve(r *http.Request, v enforce.Verdict) {
	e.v = v
	if e.patience != nil {
		// From here on the body has as long as the exchange.
		e.patience.Allow(0)
		r.Body = &exchangeBody{ReadCloser: r.Body, e: e}
	}
	e.forward(e.t, e.w, r)
}

// Refuse answers with a problem, the verdict's header lines and CORS, so that a
// script that may read the answer can read the refusal too. A browser that came for a page
// is sent to sign in, where that may help.
func (e *exchange) Refuse(r *http.Request, v enforce.Verdict, err error) {
	e.v = v
	if e.toSignIn(r) {
		return
	}
	e.refuse(e.t, r, err)
}

// Unsent: an upgrade went over the connection itself.
func (e *exchange) Unsent(bool) int {
	if e.upgraded {
		return http.StatusSwitchingProtocols
	}
	return 0
}

// exchangeBody is a body that ends with its exchange: a caller that is slow to
// send must not hold up the end of one that ran out of time.
type exchangeBody struct {
	io.ReadCloser
	e    *exchange
	once sync.Once
}

func (b *exchangeBody) Read(p []byte) (int, error) {
	b.once.Do(func() {
		ctx, patience := b.e.ctx, b.e.patience
		context.AfterFunc(ctx, func() {
			if !errors.Is(context.Cause(ctx), context.Canceled) { // it ran out of something
				patience.Cut()
			}
		})
	})
	return b.ReadCloser.Read(p)
}

// bounds refuses requests before anything reads them.
func (g *Gateway) bounds(r *http.Request) *gatehouse.Error {
	lines, size := 0, len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			lines++
			size += len(name) + len(v)
		}
	}
	if lines > g.cfg.MaxHeaderLines || size > g.cfg.MaxHeaderBytes {
		return errHeaderTooLarge
	}
	if !web.ServableMethod(r.Method) {
		return web.ErrMethod
	}
	if web.AmbiguousURL(r.URL, true) {
		return enforce.ErrPath
	}
	return nil
}

func (e *exchange) maxBody() int64 {
	if e.v.Route.MaxBodyBytes > 0 {
		return e.v.Route.MaxBodyBytes
	}
	return e.g.cfg.MaxBodyBytes
}

// refuse answers in place of the upstream.
func (e *exchange) refuse(t *web.Tracked, r *http.Request, err error) {
	h := t.Header()
	web.APIHeaders(h, e.secure)
	e.closeUnread(h)
	e.v.SetHeader(h)
	if e.id != "" {
		h[headerRequestID] = []string{e.id}
	}
	if e.v.Route != nil {
		setCORS(h, e.v.Route.CORS, r)
	}
	e.g.cfg.Problems.Write(t, r, err)
}
