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
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// newProxy builds the reverse proxy to one upstream. What belongs to a single
// request travels in its context as an *exchange.
func (g *Gateway) newProxy(up *upstream) http.Handler {
	return &httputil.ReverseProxy{
		Transport: up.way,
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
	timeout := v.Route.Timeout
	if timeout <= 0 {
		timeout = g.cfg.Timeout
	}
	e.ctx, e.end = context.WithCancelCause(r.Context())
	defer e.end(nil)
	e.timer = time.AfterFunc(timeout, func() { e.end(errTimeout) })
	defer func() { e.timer.Stop() }()
	e.in = r
	if r.Body != nil && r.Body != http.NoBody {
		e.body = &inboundBody{ReadCloser: http.MaxBytesReader(w, r.Body, e.maxBody()), e: e}
	}
	if write := r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions; write && g.cfg.Resolver != nil {
		// Before, so that nobody decides on what is about to change; after, so
		// that what somebody fetched meanwhile goes too.
		g.cfg.Resolver.Forget(e.up.Name, r.URL.Path)
		defer g.cfg.Resolver.Forget(e.up.Name, r.URL.Path)
	}
	defer e.step(t)
	if d, ok := e.up.way.(*direct); ok && e.relays(r) {
		(&relay{e, t, r}).run(d)
	} else {
		out := r.WithContext(context.WithValue(e.ctx, exchangeKey{}, e))
		if e.body != nil {
			out.Body = e.body
		}
		g.proxies[e.up.Name].ServeHTTP(&informing{t, r.ProtoAtLeast(1, 1)}, out)
	}
	e.whole = true
}

// fail notes what the forward step failed with; note is for the operator.
func (e *exchange) fail(err *gatehouse.Error, note string) {
	e.failure = err
	e.x.Step(gatehouse.Step{Name: "forward", Outcome: gatehouse.OutcomeError, Code: err.Code, Note: clip(note, 200)})
}

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
	if !e.whole || cause != nil && gatehouse.CodeOf(cause) == errTakenBack.Code { // an upgraded connection has no end of its own
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

// unfilterable are the lines that ask for less than the whole list.
var unfilterable = [...]string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"}

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
	strip(h, !up.PassAuthorization, e.g.strip, up.protected)
	if up.DropCookies {
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
		for _, name := range unfilterable {
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

// trailerAllowed keeps out of trailers what is kept out of headers: some servers
// merge the two.
func trailerAllowed(name string, e *exchange) bool {
	return httpguts.ValidTrailerHeader(name) && !identityName(name, e.g.strip, e.up.protected) && !credentialName(name)
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
}

func (b *inboundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		for name := range b.out {
			b.out[name] = b.in.Trailer[name]
		}
	case errors.As(err, &tooLarge):
		b.e.end(web.Classify(err))
	}
	return n, err
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
	h := res.Header
	if res.StatusCode == http.StatusSwitchingProtocols {
		e.stream()
		e.upgraded = true
		h[headerRequestID] = []string{e.id}
		return nil
	}
	if err := e.judgeAnswer(res); err != nil {
		return err
	}
	for name := range h {
		if !answers(name) {
			delete(h, name)
		}
	}
	e.dress(h)
	res.Body = &trailerBody{res.Body, res}
	return nil
}

// trailerBody filters the trailers, which are there at its end.
type trailerBody struct {
	io.ReadCloser
	res *http.Response
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		filterTrailer(b.res.Trailer)
	}
	return n, err
}

// filterTrailer keeps out of an answer's trailers what is kept out of its header
// or said there by us: clients may merge the two.
func filterTrailer(h http.Header) {
	for name := range h {
		if !answers(name) || hopByHop(name) || name == headerRequestID || strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
}

// informing passes informational answers of the upstream on as what it is: its
// lines pass the same filter as those of the last answer, and HTTP/1.0 gets none
// (RFC 9110 §15.2).
type informing struct {
	*web.Tracked
	may bool
}

func (w *informing) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if !w.may {
			return
		}
		h := w.Header()
		for name := range h {
			if !answers(name) || hopByHop(name) {
				delete(h, name)
			}
		}
	}
	w.Tracked.WriteHeader(status)
}

var errStatus = errors.New("gateway: the upstream's status is not one of HTTP")

// judgeAnswer does what the kind of the answer asks for before any of it goes on.
func (e *exchange) judgeAnswer(res *http.Response) error {
	if res.StatusCode < 100 {
		return errStatus
	}
	filterTrailer(res.Trailer)
	if isStream(res.Header) {
		e.stream()
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

// dress sets the lines of ours on the header of an answer.
func (e *exchange) dress(h http.Header) {
	if loc := h.Get("Location"); loc != "" && !e.up.PreserveHost {
		h.Set("Location", e.localLocation(loc))
	}
	web.UpstreamHeaders(h, e.secure)
	for name, values := range e.g.cfg.ResponseHeaders {
		if len(h[name]) == 0 {
			h[name] = values
		}
	}
	if e.v.Principal.Authenticated() && len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0 {
		h["Cache-Control"] = []string{"no-store"}
	}
	e.v.SetHeader(h)
	h[headerRequestID] = []string{e.id}
	setCORS(h, e.v.Route.CORS, e.in)
}

// localLocation turns a redirect to the upstream's own address into a path.
func (e *exchange) localLocation(loc string) string {
	origin := e.up.base.Scheme + "://" + e.up.base.Host
	rest, ok := strings.CutPrefix(loc, origin)
	switch {
	case !ok:
		return loc
	case rest == "":
		return "/"
	case rest[0] == '/' && !strings.HasPrefix(rest, "//"):
		return rest
	case rest[0] == '?':
		return "/" + rest
	}
	return loc
}

// isStream tells answers that have no natural end.
func isStream(h http.Header) bool {
	v := h.Get("Content-Type")
	if v == "application/json" {
		return false // nearly always; the parser allocates
	}
	t, _, _ := mime.ParseMediaType(v)
	return t == "text/event-stream" || t == "application/grpc" || strings.HasPrefix(t, "application/grpc+")
}

// stream replaces the time-out of the exchange by the end of the stream's life:
// a stream must not outlive the credential that opened it.
func (e *exchange) stream() {
	if !e.timer.Stop() {
		return // it fired already
	}
	life := e.g.cfg.StreamLifetime
	if p := e.v.Principal; p != nil && !p.ExpiresAt.IsZero() {
		life = min(life, max(p.ExpiresAt.Sub(e.g.cfg.Now()), 0))
	}
	e.timer = time.AfterFunc(life, func() { e.end(errEnded) })
	go e.watch()
}

// watch ends the stream when it would not be allowed any more.
func (e *exchange) watch() {
	t := time.NewTicker(e.g.cfg.StreamCheck)
	defer t.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-t.C:
		}
		if err := e.g.cfg.Enforcer.Recheck(e.in); err != nil && e.ctx.Err() == nil {
			e.g.cfg.Logger.InfoContext(e.in.Context(), "a stream was ended: it would not be allowed now", slog.String("request_id", e.id),
				slog.String("upstream", e.up.Name), slog.String("code", gatehouse.CodeOf(err)))
			e.end(errTakenBack.With(err))
			return
		}
	}
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
	body, err := io.ReadAll(io.LimitReader(res.Body, e.g.cfg.MaxListBytes+1))
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
