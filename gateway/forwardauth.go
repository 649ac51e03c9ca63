package gateway

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
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
// away there, by its name. A name that CGI-like programs fold into a protected one
// ("Remote_User") cannot be: such a request is refused ("header_name_ambiguous").
//
// What a proxy says is believed only from a trusted address; anybody else gets
// 403 and a record. The last element of the path names the dialect:
//
//	nginx              X-Original-Method, -Uri, -Host; answers 2xx, 401, 403 or 500, which is all nginx understands
//	haproxy, apache    X-Original-Method, -Uri, -Host; answers as the gateway would
//	caddy, traefik     X-Forwarded-Method, -Uri, -Host; answers as the gateway would
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
}

var (
	noValue = []string{""} // clears a line that the caller may have sent to the proxy
	noStore = []string{"no-store"}
)

var (
	errUntrustedProxy = gatehouse.E(gatehouse.Denied, "untrusted_proxy", "Only a trusted proxy may ask this.")
	errOriginal       = gatehouse.E(gatehouse.Denied, "original_request_unclear", "The proxy did not say clearly which request it asks about.")
	errNameFolds      = gatehouse.E(gatehouse.Invalid, "header_name_ambiguous", "Programs that fold header names would take one of these for a line that only the proxy may write.")
	errDialect        = gatehouse.E(gatehouse.NotFound, "not_found", "")
)

// dialect is how one sort of proxy asks and what it understands.
type dialect struct {
	method, uri, host string // of the lines that describe the original request
	plain             bool   // knows only 2xx, 401, 403 and 500
	// limits: of a 200, it can hand RateLimit lines on to the client. The others
	// copy from it into the request and nowhere else.
	limits bool
}

var dialects = map[string]dialect{
	"nginx":   {"X-Original-Method", "X-Original-Uri", "X-Original-Host", true, true},
	"haproxy": {"X-Original-Method", "X-Original-Uri", "X-Original-Host", false, true},
	"apache":  {"X-Original-Method", "X-Original-Uri", "X-Original-Host", false, true},
	"caddy":   {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", false, false},
	"traefik": {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", false, false},
}

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
	f := &ForwardAuth{cfg, map[string][]plainHeader{}, map[string]bool{}}
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
	return f, nil
}

// ServeHTTP implements http.Handler.
func (f *ForwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, known := dialects[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
	q := &asking{f: f, t: web.Track(w), d: d}
	original, err := f.original(r, d, known)
	if q.unclear = err; err != nil {
		original = r // the record is then about the question itself
	}
	q.x = f.cfg.Enforcer.Begin(enforce.AtProxy, original)
	enforce.Run(q.x, q, q.t, original, f.cfg.Logger)
}

// asking is one question of a proxy. It implements enforce.Handling.
type asking struct {
	f       *ForwardAuth
	x       Exchange
	t       *web.Tracked
	d       dialect
	unclear *gatehouse.Error // why the question is none
}

func (q *asking) Receive(*http.Request) (bool, *gatehouse.Error) { return false, q.unclear }

func (q *asking) Serve(r *http.Request, v enforce.Verdict) {
	h := q.t.Header()
	if err := q.f.vouch(r, h, v, q.x); err != nil {
		q.Refuse(r, v, err)
		return
	}
	q.begin(h)
	if q.d.limits {
		v.SetHeader(h)
	}
	q.t.WriteHeader(http.StatusOK)
}

// Refuse answers in the dialect of the proxy.
func (q *asking) Refuse(r *http.Request, v enforce.Verdict, err error) {
	h := q.t.Header()
	q.begin(h)
	v.SetHeader(h)
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

// original builds the request that the proxy asks about.
func (f *ForwardAuth) original(r *http.Request, d dialect, known bool) (*http.Request, *gatehouse.Error) {
	if !known {
		return nil, errDialect
	}
	if !f.cfg.Proxies.FromTrusted(r) {
		return nil, errUntrustedProxy
	}
	method, ok1 := single(r.Header, d.method)
	uri, ok2 := single(r.Header, d.uri)
	host, ok3 := single(r.Header, d.host)
	if !ok1 || !ok2 || !ok3 || !validMethod(method) || !validHost(host) {
		return nil, errOriginal
	}
	if len(r.Header["X-Forwarded-Proto"]) > 1 {
		return nil, errOriginal
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || uri[0] != '/' || web.AmbiguousURL(u, true) {
		return nil, errOriginal
	}
	out := r.WithContext(r.Context()) // a copy
	out.Method, out.URL, out.Host, out.RequestURI = method, u, host, uri
	// The proxy kept the body, and what describes it.
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	out.Form, out.PostForm, out.MultipartForm, out.Pattern = nil, nil, nil, ""
	// The question's own lines go: nothing after us reads them.
	for name := range out.Header {
		if f.folds(name) {
			return nil, errNameFolds
		}
		switch name {
		case "X-Http-Method", "X-Http-Method-Override", "X-Method-Override": // the pipeline refuses them
		case "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded": // for the client's address and scheme
		case "Content-Length", "Connection", "Upgrade", "Trailer", "Te", "Transfer-Encoding", "Expect":
			delete(out.Header, name)
		default:
			if identityName(name) {
				delete(out.Header, name)
			}
		}
	}
	return out, nil
}

// folds reports names that a CGI-like program takes for a protected one, although
// they are spelt differently. A proxy that removes or sets a line by its name
// leaves one of these where it is.
func (f *ForwardAuth) folds(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return identityName(name, f.own) || credentialName(name)
		}
	}
	return false
}

// single returns the one value of a header. Two lines are a caller's line beside
// the proxy's: which of them is the truth cannot be told.
func single(h http.Header, name string) (string, bool) {
	lines := h[name]
	if len(lines) != 1 || lines[0] == "" || len(lines[0]) > 16<<10 {
		return "", false
	}
	for _, c := range []byte(lines[0]) {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return lines[0], true
}

// validMethod is [A-Z][A-Z-]{0,31}.
func validMethod(m string) bool {
	if m == "" || len(m) > 32 || m[0] == '-' {
		return false
	}
	for _, c := range []byte(m) {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}

// validHostName is [A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?
func validHostName(h string) bool {
	name, port, withPort := strings.Cut(h, ":")
	if name == "" || len(name) > 253 || withPort && (port == "" || len(port) > 5) {
		return false
	}
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func validHost(h string) bool {
	if validHostName(h) {
		return true
	}
	if ap, err := netip.ParseAddrPort(h); err == nil {
		return ap.IsValid()
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"))
	return err == nil && a.Is6() && h[0] == '['
}

// vouch sets the identity lines. Every line is set, empty for an anonymous
// caller.
func (f *ForwardAuth) vouch(r *http.Request, h http.Header, v enforce.Verdict, x Exchange) error {
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
