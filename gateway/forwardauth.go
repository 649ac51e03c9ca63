package gateway

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// ForwardAuthConfig sets a ForwardAuth. Enforcer, Asserter and Proxies are
// required: without trusted proxies it would refuse everybody.
type ForwardAuthConfig struct {
	Enforcer  Enforcer
	Asserter  *Asserter
	Upstreams *Upstreams // optional; gives the audience and the plain lines of a route's upstream
	Proxies   *web.Proxies
	Problems  *web.Problems
	Logger    *slog.Logger
	// StripHeaders names further request headers that callers may not set, as
	// [Config.StripHeaders] does for the gateway.
	StripHeaders []string
}

// ForwardAuth answers other proxies that ask, for each request they hold, whether
// it may pass. It builds that request again from what the proxy says and sends it
// through the same pipeline as the gateway.
//
// The proxy has the request, so a line that is not to reach the API has to be taken
// away there, before it asks. Whatever of them it still sends is refused, unless the
// proxy writes that line itself, or the answer's line replaces it: in its own spelling
// ("header_name_reserved"), or in one that CGI-like programs fold into it
// ("header_name_ambiguous").
//
// What a proxy says is believed only from a trusted address; anybody else gets
// 403 and a record. The element of the path after [ForwardAuthPath] names the dialect:
//
//	nginx              X-Original-Method, -Uri, -Host; answers 2xx, 401, 403 or 500, which is all nginx understands
//	haproxy, apache    X-Original-Method, -Uri, -Host; answers as the gateway would
//	caddy, traefik     X-Forwarded-Method, -Uri, -Host; answers as the gateway would
//	envoy              the request itself, without its body, its target behind the dialect's name
//	preflight          the same, from anybody: a CORS preflight by a route's rule, and nothing else
//
// The client's address and scheme come from X-Forwarded-For and -Proto as
// everywhere. An allowed request is answered 200 with X-Gatehouse-Assertion and
// the plain lines, for the proxy to copy; lines that are empty are sent empty, so
// that a proxy which copies them overwrites what the caller may have sent.
//
// The proxy keeps the body and the answer. So a route whose decision needs the
// body, or that filters the answer, is refused here ("route_needs_gateway").
type ForwardAuth struct {
	cfg   ForwardAuthConfig
	plain map[string][]plainHeader // upstream → its lines; "" → those of routes without one
	own   map[string]bool          // normal names that are ours beside those of every installation
	// answered are lines of the answer, which replace what the caller sent.
	answered map[string]bool
}

var (
	noValue = []string{""} // clears a line that the caller may have sent to the proxy
	noStore = []string{"no-store"}
)

var (
	errUntrustedProxy = gatehouse.E(gatehouse.Denied, "untrusted_proxy", "Only a trusted proxy may ask this.")
	errOriginal       = gatehouse.E(gatehouse.Denied, "original_request_unclear", "The proxy did not say clearly which request it asks about.")
	errNameFolds      = gatehouse.E(gatehouse.Invalid, "header_name_ambiguous", "Programs that fold header names would take one of these for a line that only the proxy may write.")
	errNameReserved   = gatehouse.E(gatehouse.Invalid, "header_name_reserved", "Only a proxy of the API may write a header line of this name.")
)

// NewForwardAuth checks cfg.
func NewForwardAuth(cfg ForwardAuthConfig) (*ForwardAuth, error) {
	if cfg.Enforcer == nil || cfg.Asserter == nil || cfg.Proxies == nil {
		return nil, errors.New("gateway: forward-auth needs Enforcer, Asserter and Proxies")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Problems == nil {
		cfg.Problems = &web.Problems{Logger: cfg.Logger}
	}
	f := &ForwardAuth{cfg, map[string][]plainHeader{}, map[string]bool{}, map[string]bool{HeaderAssertion: true, headerRequestID: true}}
	for _, name := range cfg.StripHeaders {
		f.own[normalName(name)] = true
	}
	for _, l := range defaultPlain {
		f.plain[""] = append(f.plain[""], plainHeader{"X-Gatehouse-" + l.name, l.value})
	}
	if cfg.Upstreams != nil {
		for name, up := range cfg.Upstreams.byName {
			f.plain[name] = append(slices.Clone(f.plain[""]), up.plain...)
			maps.Copy(f.own, up.protected)
		}
	}
	for _, lines := range f.plain {
		for _, l := range lines {
			f.answered[http.CanonicalHeaderKey(l.name)] = true
		}
	}
	return f, nil
}

// ServeHTTP implements http.Handler.
func (f *ForwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, target := dialectOf(r)
	q := &asking{f: f, t: web.Track(w), d: d}
	original, err := f.original(r, d, target)
	if q.unclear = err; err != nil {
		original = r // the record is then about the question itself
	}
	q.x = f.cfg.Enforcer.Begin(enforce.AtProxy, original)
	enforce.Run(q.x, q, q.t, original, f.cfg.Logger)
}

// asking is one question of a proxy. It implements enforce.Handling.
type asking struct {
	f       *ForwardAuth
	x       Judgement
	t       *web.Tracked
	d       dialect
	unclear *gatehouse.Error // why the question is none
}

// Receive answers preflights where the proxy hands a 204 on to the caller. To the
// others it would be a permission, so they send preflights to the dialect that is
// made for them.
func (q *asking) Receive(r *http.Request) (bool, *gatehouse.Error) {
	if q.unclear != nil {
		return false, q.unclear
	}
	if q.d.noContent && preflight(q.t, r, q.f.cfg.Enforcer, q.f.cfg.Proxies, q.x.RequestID()) {
		return true, nil
	}
	if q.d.preflights {
		return false, gatehouse.ErrNotFound
	}
	return false, nil
}

func (q *asking) Serve(r *http.Request, v enforce.Verdict) {
	h := q.t.Header()
	if err := q.f.vouch(r, h, v, q.x); err != nil {
		q.Refuse(r, v, err)
		return
	}
	q.begin(h)
	if q.d.answers {
		v.SetHeader(h)
		setCORS(h, v.Route.CORS, r)
	}
	q.t.WriteHeader(http.StatusOK)
}

// Refuse answers in the dialect of the proxy.
func (q *asking) Refuse(r *http.Request, v enforce.Verdict, err error) {
	h := q.t.Header()
	q.begin(h)
	v.SetHeader(h)
	if v.Route != nil {
		setCORS(h, v.Route.CORS, r)
	}
	if q.d.plain {
		// nginx copies one challenge line only.
		if lines := h["Www-Authenticate"]; len(lines) > 1 {
			h["Www-Authenticate"] = []string{strings.Join(lines, ", ")}
		}
		err = plainRefusal(err)
	}
	q.f.cfg.Problems.Write(q.t, r.WithContext(gatehouse.WithRequestID(r.Context(), q.x.RequestID())), err)
}

// begin sets the lines of every answer.
func (q *asking) begin(h http.Header) {
	h["Cache-Control"] = noStore // a cached yes would be everybody's yes
	h[headerRequestID] = []string{q.x.RequestID()}
}

// Unsent: a question that nobody answered.
func (q *asking) Unsent(bool) int { return 0 }

// vouch sets the identity lines. Every line is set, empty for an anonymous
// caller.
func (f *ForwardAuth) vouch(r *http.Request, h http.Header, v enforce.Verdict, x Judgement) error {
	plain := f.plain[""]
	audience := v.Route.Upstream
	if up := f.cfg.Upstreams.get(v.Route.Upstream); up != nil {
		audience, plain = up.Audience, f.plain[up.Name]
	}
	h[HeaderAssertion] = noValue
	for _, l := range plain {
		h[l.name] = noValue
	}
	if !v.Principal.Authenticated() {
		return nil
	}
	if audience == "" {
		audience = "forward-auth"
	}
	roles, text, err := f.cfg.Asserter.vouch(r.Context(), v.Principal, audience)
	if err != nil {
		x.Step(gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeError, Code: errAssertion.Code, Note: clip(err.Error(), 200)})
		return errAssertion
	}
	h[HeaderAssertion] = []string{text}
	setPlain(h, plain, v.Principal, roles)
	return nil
}

// plainRefusal maps a refusal to the statuses that nginx passes on: any status
// beside 2xx, 401 and 403 makes it answer 500. So what the caller did wrong is
// 403 there, the code in the record stays what it was, and only our own failures
// are 500.
func plainRefusal(err error) error {
	e := web.Classify(err)
	switch e.Kind {
	case gatehouse.Unauthenticated, gatehouse.Denied, gatehouse.Internal, gatehouse.Unavailable,
		gatehouse.BadGateway, gatehouse.GatewayTimeout:
		return err
	}
	out := *e
	out.Kind = gatehouse.Denied
	return &out
}
