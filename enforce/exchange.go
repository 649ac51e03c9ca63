package enforce

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// Exchange is one request on its way through the pipeline, with its open event.
// It belongs to the goroutine that serves the request; Finish alone may be
// called from anywhere and any number of times.
type Exchange struct {
	p        *Pipeline
	point    Point
	before   *Exchange // the first judgement, when this is another of the same request
	event    gatehouse.Event
	chain    [6]gatehouse.Step // room for the usual chain
	start    time.Time
	address  netip.Addr
	secure   bool
	checked  bool
	admitted bool // the recorder has room for it
	asks     bool // the database is asked about the credential
	allowed  bool
	finished atomic.Bool

	ctx       context.Context
	table     *table
	route     *compiled
	params    map[string]string
	presented authn.Presented
	foreign   []string // header fields that are the API's own
	// subprotocol answers a WebSocket's handshake when the API selects none.
	subprotocol string
	inURL       bool   // the credential stood in the URL
	target      string // of the request, as a ticket names it
	principal   *gatehouse.Principal
	decision    gatehouse.Decision
	resource    gatehouse.Resource
	header      http.Header
	limits      [2]limit.Item
}

// Begin receives a request at an enforcement point: it gives it an id (or takes the one that our own
// middleware put into the context), finds the client's address by the
// trusted-proxy rules and opens the event. The caller must see to it that
// [Exchange.Finish] is called, also after a panic.
func (p *Pipeline) Begin(at Point, r *http.Request) *Exchange { return p.begin(p.routes.Load(), at, r) }

func (p *Pipeline) begin(t *table, at Point, r *http.Request) *Exchange {
	x := &Exchange{p: p, table: t, point: at, start: p.cfg.Now(), address: t.proxies.Client(r), secure: t.proxies.Secure(r)}
	id := gatehouse.RequestIDFrom(r.Context())
	if id == "" {
		id = web.NewRequestID(x.start)
	}
	x.event = gatehouse.Event{
		Time: x.start, Kind: audit.KindRequestDecide, Realm: gatehouse.MainRealm, RequestID: id,
		Method: clip(r.Method, 32), Host: clip(r.Host, 255), Path: authn.RedactPath(r.URL.Path),
		Chain: x.chain[:0],
	}
	if x.address.IsValid() {
		x.event.Address = x.address.String()
	}
	if theirs := web.ClientRequestID(r); theirs != "" {
		x.detail("client_request_id", theirs)
	}
	return x
}

// Context returns r's context with what the steps, the decision point among them,
// may know of the request.
func (x *Exchange) Context(r *http.Request) context.Context {
	return gatehouse.WithRequest(r.Context(), gatehouse.RequestFacts{ID: x.event.RequestID, Address: x.event.Address,
		Method: r.Method, Path: r.URL.Path})
}

// RequestID returns the id of the request.
func (x *Exchange) RequestID() string { return x.event.RequestID }

// Check is [Pipeline.Check] of the pipeline that began x.
func (x *Exchange) Check(r *http.Request) Verdict { return x.p.Check(x, r) }

// Step adds a link to the chain of the event, such as the forwarding. After
// Finish it does nothing.
func (x *Exchange) Step(s gatehouse.Step) {
	if !x.finished.Load() {
		x.event.Chain = append(x.event.Chain, s)
	}
}

// detail adds a fact to the event: a short value that is no secret.
func (x *Exchange) detail(key, value string) {
	if x.finished.Load() {
		return
	}
	if x.event.Detail == nil {
		x.event.Detail = make(map[string]string, 2)
	}
	x.event.Detail[key] = value
}

// Finish records the exchange with the status and the body bytes that were
// sent. Only the first call does; the others change nothing.
//
// The outcome is that of the first step that did not succeed. A request that was
// never judged (refused before, or answered as a preflight) succeeds unless its
// status says otherwise.
func (x *Exchange) Finish(status int, bytes int64) {
	if !x.finished.CompareAndSwap(false, true) {
		return
	}
	e := &x.event
	e.Status, e.Bytes = status, bytes
	e.Micros = x.p.cfg.Now().Sub(x.start).Microseconds()
	e.Outcome, e.Reason = gatehouse.OutcomeSuccess, x.decision.Code
	i := slices.IndexFunc(e.Chain, func(s gatehouse.Step) bool { return s.Outcome != gatehouse.OutcomeSuccess })
	switch {
	case i >= 0:
		e.Outcome, e.Reason = e.Chain[i].Outcome, e.Chain[i].Code
	case x.checked && !x.allowed:
		e.Outcome = gatehouse.OutcomeFailure
	case !x.checked && status >= 400:
		e.Outcome = gatehouse.OutcomeFailure
	}
	if x.admitted {
		x.p.admitter.RecordAdmitted(e)
		return
	}
	x.p.cfg.Recorder.Record(e)
}

// pass records a step that succeeded.
func (x *Exchange) pass(name, code, note string) {
	x.event.Chain = append(x.event.Chain, gatehouse.Step{Name: name, Outcome: gatehouse.OutcomeSuccess, Code: code, Note: note})
}

// fail records the step that ended the request, with the precise reason that the
// caller does not see.
func (x *Exchange) fail(name string, err *gatehouse.Error) {
	s := gatehouse.Step{Name: name, Outcome: gatehouse.OutcomeFailure, Code: authn.Reason(err)}
	switch err.Kind {
	case gatehouse.Internal, gatehouse.Unavailable, gatehouse.BadGateway, gatehouse.GatewayTimeout:
		s.Outcome = gatehouse.OutcomeError
	}
	s.Note = noteOf(err, s.Code)
	if name == "authorize" && !x.decision.Allowed && x.decision.Code != "" {
		s.Code, s.Reasons = x.decision.Code, x.decision.Reasons
		s.Note = decisionNote(x.decision)
	}
	if name == "authorize" {
		x.account()
	}
	x.event.Chain = append(x.event.Chain, s)
}

// decisionNote says in one line what would have allowed it, or what went wrong.
func decisionNote(d gatehouse.Decision) string {
	var b []byte
	add := func(label string, items []string) {
		for i, s := range items {
			switch {
			case i > 0:
				b = append(b, ", "...)
			case len(b) > 0:
				b = append(b, "; "...)
			}
			if i == 0 {
				b = append(b, label...)
			}
			b = append(b, s...)
		}
	}
	add("missing: ", d.Missing)
	add("errors: ", d.Errors)
	return clip(string(b), maxNote)
}

func (x *Exchange) setHeader(name string, lines ...string) {
	if x.header == nil {
		x.header = make(http.Header, 3)
	}
	x.header[name] = lines
}

// verdict puts together what the caller gets; err nil allows.
func (x *Exchange) verdict(err *gatehouse.Error) Verdict {
	v := Verdict{Allowed: err == nil, Principal: x.principal, Decision: x.decision, Err: err, Params: x.params}
	if err != nil {
		// Never both: a caller that looks at the decision alone must see a denial.
		v.Decision.Allowed = false
	}
	if x.route != nil {
		v.Route = &x.route.Route
		v.Credentials, v.Foreign = x.route.reader.Fields(), x.foreign
	}
	v.SignIn = err != nil && err.Kind == gatehouse.Unauthenticated && x.route != nil && x.route.sessions && x.point.Cookie &&
		(x.presented.None() || x.presented.Scheme == gatehouse.SchemeSession)
	v.Subprotocol, v.InURL = x.subprotocol, x.inURL
	if x.limits[0].Name != "" || x.limits[1].Name != "" {
		v.Limits = x.limits[:]
	}
	if err != nil && err.RetryAfter > 0 {
		x.setHeader("Retry-After", web.RetryAfter(err.RetryAfter))
	}
	v.Header = x.header
	return v
}

// clip cuts s to at most n bytes, at a character's end.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
