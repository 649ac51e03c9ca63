package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/http1"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// newProxy builds the reverse proxy to one upstream. What belongs to a single
// request travels in its context as an *exchange.
func (g *Gateway) newProxy(up *upstream) http.Handler {
	return &httputil.ReverseProxy{
		Transport: up.transport,
		// Without FlushInterval, answers of unknown length and event streams go out
		// at once, and one of known length as its buffer fills: a flush for each
		// would cost a second system call and a timer.
		BufferPool:     &g.buffers,
		ErrorLog:       slog.NewLogLogger(g.cfg.Logger.Handler(), slog.LevelDebug),
		Rewrite:        rewrite,
		ModifyResponse: modifyResponse,
		ErrorHandler:   upstreamError,
	}
}

// buffers hold bodies as they are copied. They implement httputil.BufferPool.
type buffers struct{ pool sync.Pool }

type buffer = [32 << 10]byte

func (b *buffers) take() *buffer {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p
	}
	return new(buffer)
}

func (b *buffers) Get() []byte  { return b.take()[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*buffer)(p)) }

// forward sends the request on and the answer back.
func (e *exchange) forward(t *web.Tracked, w http.ResponseWriter, r *http.Request) {
	g, v := e.g, &e.v
	e.up = g.cfg.Upstreams.get(v.Route.Upstream)
	if e.up == nil {
		e.fail(errNoUpstream, "no upstream "+strconv.Quote(v.Route.Upstream))
		e.refuse(t, r, errNoUpstream)
		return
	}
	if v.Principal.Authenticated() {
		roles, text, err := g.cfg.Asserter.vouch(r.Context(), v.Principal, e.up.Audience)
		if err != nil {
			e.fail(errAssertion, err.Error())
			g.cfg.Logger.ErrorContext(r.Context(), "cannot sign an assertion", slog.String("request_id", e.id), slog.Any("error", err))
			e.refuse(t, r, errAssertion)
			return
		}
		e.roles, e.assertion = roles, text
	}
	if up := upgradeType(r.Header); up != "" && !strings.EqualFold(up, "websocket") {
		// "Upgrade: h2c" would open a tunnel in which further requests reach the
		// upstream unseen. Ignoring an upgrade is always allowed (RFC 9110 §7.8).
		r.Header = r.Header.Clone()
		r.Header.Del("Upgrade")
		r.Header.Del("Http2-Settings")
	}
	e.ctx, e.end = context.WithCancelCause(r.Context())
	defer e.end(nil)
	e.in = r
	e.time.start(e)
	defer e.time.stop()
	if r.Body != nil && r.Body != http.NoBody {
		e.body = &inboundBody{ReadCloser: http.MaxBytesReader(w, r.Body, e.maxBody()), e: e}
		// An API may answer before it has read the whole body. Else HTTP/1 would
		// hold that answer back until the caller sent more.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	// Before, so that nobody decides on what is about to change; after, also when the
	// API gave no answer, so that what somebody fetched meanwhile goes too.
	e.forget()
	defer e.forget()
	defer e.step(t)
	if c, ok := e.up.transport.(*http1.Client); ok && e.relays(r) {
		(&relay{e, t, r}).run(c)
	} else {
		out := r.WithContext(context.WithValue(e.ctx, exchangeKey{}, e))
		if e.body != nil {
			out.Body = e.body
			defer func() { _ = e.body.Close() }() // ReverseProxy does not
		}
		g.proxies[e.up.Name].ServeHTTP(&answerWriter{t, e}, out)
	}
	e.whole = true
}

// forget ends what the resolver keeps about a resource that this request writes to.
func (e *exchange) forget() {
	if e.g.cfg.Resolver != nil && !safeMethod(e.in.Method) {
		e.g.cfg.Resolver.Forget(e.up.Name, e.in.URL.Path)
	}
}

// fail notes what the forward step failed with; note is for the operator.
func (e *exchange) fail(err *gatehouse.Error, note string) {
	e.failure = err
	e.x.Step(gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeError, Code: err.Code, Note: clip(note, 200)})
}

// endsUpgraded are what ends a connection that belongs to another protocol, beside its two
// sides and the end of its life.
var endsUpgraded = [...]string{errTakenBack.Code, ErrStopping.Code}

// step records the forward step, unless it failed and did so already.
func (e *exchange) step(t *web.Tracked) {
	if e.failure != nil {
		return
	}
	status := t.Status()
	if e.upgraded {
		status = http.StatusSwitchingProtocols
	}
	s := gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeSuccess,
		Note: e.up.Name + " answered " + strconv.Itoa(status) + " in " + e.g.cfg.Now().Sub(e.started).Round(time.Microsecond).String()}
	cause := context.Cause(e.ctx)
	if !e.whole || cause != nil && slices.Contains(endsUpgraded[:], gatehouse.CodeOf(cause)) { // an upgraded connection has no end of its own
		// Cut in the middle: by the client, by the upstream, or by us.
		s.Outcome, s.Code = gatehouse.OutcomeError, "cut_short"
		switch {
		case cause == nil:
		case errors.Is(cause, context.Canceled):
			s.Code = "client_gone"
		case errors.Is(cause, errEnded):
			s.Code = "stream_ended"
		default:
			s.Code = gatehouse.CodeOf(cause)
		}
	}
	if status == 0 {
		s.Outcome, s.Code, s.Note = gatehouse.OutcomeError, "client_gone", e.up.Name
	}
	e.x.Step(s)
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// asksForPart are the lines that ask for less than the whole of an answer.
var asksForPart = [...]string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"}

// rewrite makes the outbound request. ReverseProxy has removed the hop-by-hop
// lines already, with all that Connection named, so nothing that the caller
// wrote can remove what is set here.
func rewrite(pr *httputil.ProxyRequest) {
	e := exchangeOf(pr.In.Context())
	up, out, h := e.up, pr.Out, pr.Out.Header
	pr.SetURL(up.base)
	// Byte for byte: ReverseProxy drops what net/url cannot parse, such as "a=1;2",
	// and "DELETE /items?ids=1;2" would become "DELETE /items".
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	if up.PreserveHost {
		out.Host = pr.In.Host
	}
	strip(h, !up.PassAuthorization, &e.v, e.g.strip, up.protected)
	if h["Cookie"] = upstreamCookies(h["Cookie"]); up.DropCookies || len(h["Cookie"]) == 0 {
		delete(h, "Cookie")
	}
	e.setForwarded(h)
	h[headerRequestID] = []string{e.id}
	if e.assertion != "" {
		h[HeaderAssertion] = []string{e.assertion}
		setPlain(h, up.plain, e.v.Principal, e.roles)
	}
	if e.v.Route.Filter != nil {
		// The whole list, as text: it is read here.
		h["Accept-Encoding"] = []string{"identity"}
		for _, name := range asksForPart {
			delete(h, name)
		}
	}
	if len(pr.In.Trailer) > 0 && e.body != nil {
		out.Trailer = make(http.Header, len(pr.In.Trailer))
		for name := range pr.In.Trailer {
			if trailerAllowed(name, e) {
				out.Trailer[name] = nil
			}
		}
		e.body.in, e.body.out = pr.In, out.Trailer
		out.ContentLength = -1 // HTTP/1.1 carries trailers after chunks only
	}
}

// setForwarded tells the upstream where the request came from.
func (e *exchange) setForwarded(h http.Header) {
	if who := e.forwardedFor(); who != "" {
		h["X-Forwarded-For"] = []string{who}
	}
	h["X-Forwarded-Host"] = []string{e.in.Host}
	h["X-Forwarded-Proto"] = []string{e.g.cfg.Proxies.Scheme(e.in)}
}

// forwardedFor names who called, as our trusted proxies' rules find it, or is
// empty. What stood left of that was the client's own writing and is not passed on.
func (e *exchange) forwardedFor() string {
	peer, client := web.Peer(e.in), e.g.cfg.Proxies.Client(e.in)
	switch {
	case client.IsValid() && peer.IsValid() && client != peer:
		return client.String() + ", " + peer.String()
	case client.IsValid():
		return client.String()
	}
	return ""
}

// inboundBody is the caller's body on its way to the upstream: it hands trailers
// on at the end, and ends the exchange when the caller sends too much.
type inboundBody struct {
	io.ReadCloser
	e   *exchange
	in  *http.Request
	out http.Header // announced trailers

	whole  atomic.Bool // it was read to its end
	closed atomic.Bool
}

// Close implements io.Closer. Who answers before it has read the whole body must not
// wait for a caller who sends nothing more: net/http's own Close waits for a Read
// that is under way, and where none is, reads on by itself.
func (b *inboundBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if !b.whole.Load() {
		b.e.patience.Cut()
	}
	return b.ReadCloser.Close()
}

func (b *inboundBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.e.time.reading.Store(true)
	n, err := b.ReadCloser.Read(p)
	b.e.time.reading.Store(false)
	b.e.time.progress()
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.whole.Store(true)
		for name := range b.out {
			b.out[name] = b.in.Trailer[name]
		}
	case errors.As(err, &tooLarge):
		b.e.end(web.Classify(err))
	case b.e.ctx.Err() == nil && !b.closed.Load():
		// A chunk that is none, or the end of a connection in the middle: the
		// caller's doing, which the API must not be blamed for.
		b.e.end(web.ErrBodyUnreadable.With(err))
	}
	return n, err
}

// closeUnread ends a connection of HTTP/1 with an answer that comes before the end of
// the request's body. Since EnableFullDuplex, net/http does not do that by itself: it
// would take what is left of the body for the next request.
func (e *exchange) closeUnread(h http.Header) {
	if e.body != nil && e.in.ProtoMajor == 1 && !e.body.whole.Load() {
		h["Connection"] = []string{"close"}
	}
}

func upgradeType(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

// modifyResponse makes the upstream's answer ours. An error that it returns goes
// to upstreamError.
func modifyResponse(res *http.Response) error {
	e := exchangeOf(res.Request.Context())
	// Who sees this answer may ask at once for what it says was written.
	e.forget()
	h := res.Header
	if res.StatusCode == http.StatusSwitchingProtocols {
		e.time.answer()
		e.time.endless()
		e.upgraded = true
		h[headerRequestID] = []string{e.id}
		if e.v.Subprotocol != "" && h.Get("Sec-Websocket-Protocol") == "" {
			h["Sec-Websocket-Protocol"] = []string{e.v.Subprotocol}
		}
		return nil
	}
	if err := e.prepareAnswer(res); err != nil {
		return err
	}
	for name := range h {
		if !answers(name) {
			delete(h, name)
		}
	}
	if len(res.Trailer) > 0 && e.in.ProtoMajor == 1 {
		// HTTP/2 may have both a length and trailers, HTTP/1.1 has trailers after
		// chunks only.
		delete(h, "Content-Length")
	}
	e.completeHeader(h)
	res.Body = &trailerBody{res.Body, res, e}
	return nil
}

// trailerBody filters the trailers, which are there at its end.
type trailerBody struct {
	io.ReadCloser
	res *http.Response
	e   *exchange
}

// Close implements io.Closer. Over HTTP/2 the transport's Close waits for its read
// of the request's body, so that one has to end first.
func (b *trailerBody) Close() error {
	if b.e.body != nil {
		_ = b.e.body.Close()
	}
	return b.ReadCloser.Close()
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		filterTrailer(b.res.Trailer)
	}
	return n, err
}

// answerWriter is what ReverseProxy writes the answer to. Informational answers
// pass the same filter as the last one, and HTTP/1.0 gets none (RFC 9110 §15.2).
type answerWriter struct {
	*web.Tracked
	e *exchange
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.e.time.waitsForCaller()
	defer w.e.time.wrote()
	return w.Tracked.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *answerWriter) FlushError() error {
	w.e.time.waitsForCaller()
	defer w.e.time.wrote()
	return http.NewResponseController(w.Tracked).Flush()
}

func (w *answerWriter) WriteHeader(status int) {
	if status >= 200 {
		w.e.closeUnread(w.Header())
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		if !w.e.in.ProtoAtLeast(1, 1) {
			return
		}
		h := w.Header()
		for name := range h {
			if !answers(name) || hopByHop(name) {
				delete(h, name)
			}
		}
		w.e.outerReferences(h)
	}
	w.Tracked.WriteHeader(status)
}

// prepareAnswer does what the kind of the answer asks for before any of it goes on.
func (e *exchange) prepareAnswer(res *http.Response) error {
	if res.StatusCode < 100 {
		return http1.ErrStatus
	}
	e.time.answer()
	filterTrailer(res.Trailer)
	if e.g.streams(res.Header) {
		e.time.endless()
	}
	if e.v.Route.Filter != nil {
		return e.filterList(res)
	}
	return nil
}

// answers reports whether a line of the upstream's answer goes on to the caller.
// Server and its like tell attackers what to try; Alt-Svc leads clients around the
// gateway; an echo of ours would leak the assertion.
func answers(name string) bool {
	var room nameRoom
	n := appendNormal(room[:0], name)
	switch string(n) {
	case "server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "alt-svc":
		return false
	}
	return !bytes.HasPrefix(n, []byte("x-gatehouse-"))
}

// completeHeader sets the lines of ours on the header of an answer.
func (e *exchange) completeHeader(h http.Header) {
	e.outerReferences(h)
	web.UpstreamHeaders(h, e.secure)
	for name, values := range e.g.answerLines {
		if len(h[name]) == 0 {
			h[name] = values
		}
	}
	if e.v.Principal.Authenticated() && len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0 {
		h["Cache-Control"] = []string{"no-store"}
	}
	if e.v.InURL { // what the page loads next must not be told where it came from
		h["Referrer-Policy"] = []string{"no-referrer"}
	}
	e.v.SetHeader(h)
	h[headerRequestID] = []string{e.id}
	setCORS(h, e.v.Route.CORS, e.in)
}

// answerBody notes that the upstream's body moves, while all of it is read before
// any of it goes on.
type answerBody struct {
	io.Reader
	e *exchange
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.e.time.progress()
	return n, err
}

var (
	errListType = errors.New("gateway: the route filters a JSON list, and the answer is not plain JSON")
	errListSize = errors.New("gateway: the list is larger than can be filtered")
)

// filterList replaces the body by the list without what the caller may not see.
// What cannot be read cannot be filtered, and is not passed on.
func (e *exchange) filterList(res *http.Response) error {
	h := res.Header
	// They describe the unfiltered list, and its size alone says too much.
	for _, name := range [...]string{"Content-Length", "Etag", "Last-Modified", "Content-Md5", "Content-Digest", "Repr-Digest", "Digest", "Accept-Ranges"} {
		delete(h, name)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil
	}
	if e.in.Method == http.MethodHead || res.StatusCode == http.StatusNoContent {
		res.ContentLength = -1
		return nil
	}
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	enc := h.Get("Content-Encoding")
	if mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") ||
		enc != "" && !strings.EqualFold(enc, "identity") || res.StatusCode == http.StatusPartialContent {
		return errListType
	}
	body, err := io.ReadAll(io.LimitReader(&answerBody{res.Body, e}, e.g.cfg.MaxListBytes+1))
	if err != nil {
		return err
	}
	if int64(len(body)) > e.g.cfg.MaxListBytes {
		return errListSize
	}
	kept, err := e.x.FilterList(e.ctx, e.v, body)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(kept))
	res.ContentLength = int64(len(kept))
	res.Trailer = nil
	delete(h, "Trailer")
	h["Content-Length"] = []string{strconv.Itoa(len(kept))}
	return nil
}

// upstreamError answers when there is no answer to forward.
func upstreamError(w http.ResponseWriter, r *http.Request, err error) {
	exchangeOf(r.Context()).unanswered(web.Track(w), err)
}

// unanswered answers in place of the upstream. The caller learns the kind of the
// failure; the operator the cause, under the request id.
func (e *exchange) unanswered(t *web.Tracked, err error) {
	cause := context.Cause(e.ctx)
	var out *gatehouse.Error
	switch {
	case errors.As(cause, &out): // out of time, or too much body
		out = out.With(err)
	case e.in.Context().Err() != nil:
		return // nobody is there to read an answer; finish records it
	case errors.As(err, &out):
	default:
		out = errUpstream.With(err)
	}
	e.fail(out, err.Error())
	e.g.cfg.Logger.WarnContext(e.in.Context(), "no answer from the upstream", slog.String("request_id", e.id),
		slog.String("upstream", e.up.Name), slog.String("code", out.Code), slog.Any("error", err))
	e.refuse(t, e.in, out)
}
