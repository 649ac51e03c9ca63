package guard

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// DefaultMaxBody bounds request bodies where the route says nothing.
const DefaultMaxBody = 10 << 20

// Decider answers questions about single resources; *authz.Decider is one.
type Decider interface {
	Decide(ctx context.Context, r gatehouse.AccessRequest) gatehouse.Decision
}

// Config of a [Guard]. Pipeline and Decider are required.
type Config struct {
	Pipeline *enforce.Pipeline
	Decider  Decider // for Allowed
	// DocsBase comes before the code in the type of problem documents.
	DocsBase     string
	MaxBodyBytes int64 // where the route says nothing; DefaultMaxBody when 0
	Logger       *slog.Logger
}

// Guard protects handlers. It is safe for concurrent use.
type Guard struct {
	pipeline  *enforce.Pipeline
	decider   Decider
	problems  *web.Problems
	log       *slog.Logger
	maxBody   int64
	assertion bool // the credential is the gateway's assertion
	close     func()
}

var errAssertions = gatehouse.E(gatehouse.Invalid, "assertion_repeated", "The assertion must occur once.")

// New makes a guard around a pipeline, which holds the routes.
func New(cfg Config) (*Guard, error) {
	if cfg.Pipeline == nil || cfg.Decider == nil {
		return nil, errors.New("guard: Pipeline and Decider are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBodyBytes <= 0 {
		cfg.MaxBodyBytes = DefaultMaxBody
	}
	return &Guard{pipeline: cfg.Pipeline, decider: cfg.Decider, log: cfg.Logger, maxBody: cfg.MaxBodyBytes,
		problems: &web.Problems{DocsBase: cfg.DocsBase, Logger: cfg.Logger}, close: func() {}}, nil
}

// Close ends background work. The guard must not be used afterwards.
func (g *Guard) Close() { g.close() }

// Handler runs next for the requests that the routes allow, and answers the
// others with a problem document. The path values of the route's pattern are set
// on the request that next gets, and its context holds the principal and the
// request id.
//
// A route's bound on the body, content types and time are enforced here. CORS is
// the program's own affair, and answers are not filtered: a route that has either
// rule is refused, rather than served without it.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next) })
}

// Protect is [Guard.Handler] for a function.
func (g *Guard) Protect(next http.HandlerFunc) http.Handler { return g.Handler(next) }

func (g *Guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	h := &handling{g: g, w: w, t: &response{Tracked: web.Track(w)}, next: next}
	r, h.cleanErr = g.clean(r)
	at := enforce.AtHandler
	at.MaxBody = g.maxBody
	h.x = g.pipeline.Begin(at, r)
	enforce.Run(h.x, h, h.t.Tracked, r.WithContext(h.x.Context(r)), g.log)
}

// handling is one request on its way through a guard. It implements
// enforce.Handling.
type handling struct {
	g        *Guard
	x        *enforce.Exchange
	w        http.ResponseWriter
	t        *response
	next     http.Handler
	cleanErr *gatehouse.Error // of the lines that only the gateway may write
}

func (h *handling) Receive(*http.Request) (bool, *gatehouse.Error) {
	h.t.Header()["X-Request-Id"] = []string{h.x.RequestID()}
	return false, h.cleanErr
}

func (h *handling) Refuse(r *http.Request, v enforce.Verdict, err error) {
	v.SetHeader(h.t.Header())
	h.g.problems.Write(h.t, r, err)
}

func (h *handling) Serve(r *http.Request, v enforce.Verdict) {
	limit := h.g.maxBody
	if v.Route.MaxBodyBytes > 0 {
		limit = v.Route.MaxBodyBytes
	}
	if err := web.LimitBody(h.w, r, limit); err != nil { // one whose length is not told
		h.Refuse(r, v, err)
		return
	}
	v.SetHeader(h.t.Header())
	if v.Principal.Authenticated() {
		h.t.Header()["Cache-Control"] = []string{"no-store"} // the handler may say otherwise
	}
	ctx := context.WithValue(gatehouse.WithPrincipal(r.Context(), v.Principal), guardKey{}, h.g)
	if d := v.Route.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	h.next.ServeHTTP(h.t, withoutCertificates(r.WithContext(ctx)))
}

// Unsent: net/http sends a 200 for a handler that wrote nothing.
func (h *handling) Unsent(panicked bool) int {
	switch {
	case h.t.hijacked:
		return http.StatusSwitchingProtocols
	case panicked:
		return 0
	}
	return http.StatusOK
}

// assertionHeader is where the gateway puts its assertion.
const assertionHeader = "X-Gatehouse-Assertion"

// clean returns r without the lines that only the gateway may write, so that no
// handler can take a caller's for the gateway's. For a guard of assertions, the
// assertion takes the place of every other credential: behind the gateway, it
// alone says who calls.
func (g *Guard) clean(r *http.Request) (*http.Request, *gatehouse.Error) {
	touched := g.assertion
	for name := range r.Header {
		touched = touched || ours(name)
	}
	if !touched {
		return r, nil
	}
	lines := r.Header[assertionHeader]
	c := new(http.Request)
	*c = *r
	c.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if !ours(name) {
			c.Header[name] = values
		}
	}
	if !g.assertion {
		return c, nil
	}
	delete(c.Header, "Authorization")
	delete(c.Header, "X-Api-Key")
	switch {
	case len(lines) > 1:
		return c, errAssertions
	case len(lines) == 1 && lines[0] != "":
		c.Header["Authorization"] = []string{"Bearer " + lines[0]}
	}
	return c, nil
}

// withoutCertificates is r without the lines of a client's certificate, which anybody may have written: whether a token came with the
// certificate that it is bound to is decided, and handlers need not be led to decide anything by them.
func withoutCertificates(r *http.Request) *http.Request {
	if len(r.Header[web.HeaderClientCert]) == 0 && len(r.Header[web.HeaderClientCertChain]) == 0 {
		return r
	}
	r.Header = r.Header.Clone() // r is a copy; its header is that of the caller's request
	r.Header.Del(web.HeaderClientCert)
	r.Header.Del(web.HeaderClientCertChain)
	return r
}

// ours reports names that begin with X-Gatehouse-, in any spelling.
func ours(name string) bool {
	const prefix = "x-gatehouse-"
	return len(name) >= len(prefix) && strings.EqualFold(strings.ReplaceAll(name[:len(prefix)], "_", "-"), prefix)
}

// Metadata answers with what the API says of itself to those who want tokens for it (RFC 9728), where the audience of its routes is
// its address. It belongs at /.well-known/oauth-protected-resource, with the path of the API behind it, for everybody.
func (g *Guard) Metadata() http.Handler {
	return g.problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		body, err := g.pipeline.Metadata(r)
		if err == nil && body == nil {
			err = gatehouse.ErrNotFound
		}
		if err != nil {
			return err
		}
		return web.Publish(w, r, "application/json", "", metadataAge, body)
	})
}

// metadataAge is how long metadata may be kept.
const metadataAge = 5 * time.Minute

type guardKey struct{}

// Principal returns who calls, or nil outside of a guarded handler. On a route
// that anonymous callers may use it can be one of kind
// [gatehouse.KindAnonymous]; ask [gatehouse.Principal.Authenticated].
func Principal(ctx context.Context) *gatehouse.Principal { return gatehouse.PrincipalFrom(ctx) }

// Allowed asks the policies whether the caller of the guarded request may do
// action on resource. Outside of a guarded handler, and whenever anything fails,
// the answer is a denial.
func Allowed(ctx context.Context, action string, resource gatehouse.Resource) gatehouse.Decision {
	g, _ := ctx.Value(guardKey{}).(*Guard)
	p := gatehouse.PrincipalFrom(ctx)
	if g == nil || p == nil {
		return gatehouse.Decision{Code: "unauthenticated"}
	}
	d := g.decider.Decide(ctx, gatehouse.AccessRequest{Principal: p, Action: action, Resource: resource})
	if len(d.Errors) > 0 {
		d.Allowed = false // an error denies, whatever else is said
	}
	return d
}

// response is the writer that handlers get. It has the two methods that handlers
// and libraries still ask for by type assertion.
type response struct {
	*web.Tracked
	hijacked bool
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	_ = http.NewResponseController(w.Tracked.ResponseWriter).Flush() // a writer that cannot flush sends at the end
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.Tracked.ResponseWriter).Hijack()
	w.hijacked = w.hijacked || err == nil
	return c, rw, err
}

var _ interface {
	http.Flusher
	http.Hijacker
} = (*response)(nil)
