package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/http1"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// relay is a request of the simple kind on its direct way to the upstream and
// back. It does what httputil.ReverseProxy does with one, but writes the lines
// that go on from where they are; ReverseProxy's copies are a tenth of what a
// request costs (ADR 7).
type relay struct {
	e *exchange
	t *web.Tracked
	r *http.Request // the caller's
}

// relays reports whether r is simple, its Connection line says nothing about
// others, and its URL is sent as it came. Everything else is ReverseProxy's.
func (e *exchange) relays(r *http.Request) bool {
	return http1.Simple(r, e.outHost(r)) && r.Header["Te"] == nil && plainConnection(r.Header["Connection"]) &&
		r.URL.Opaque == "" && strings.HasPrefix(r.URL.Path, "/")
}

// plainConnection reports whether Connection says nothing about other lines.
func plainConnection(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool {
		v = textproto.TrimString(v)
		return !strings.EqualFold(v, "keep-alive") && !strings.EqualFold(v, "close")
	})
}

// outHost is the Host that the upstream gets.
func (e *exchange) outHost(r *http.Request) string {
	if e.up.PreserveHost {
		return cmp.Or(r.Host, e.up.base.Host)
	}
	return e.up.base.Host
}

// run sends the request and forwards the answer. A body that cannot be forwarded
// to its end cuts the caller's connection.
func (x *relay) run(c *http1.Client) {
	e := x.e
	res, err := c.Send(e.ctx, x)
	if err != nil {
		e.unanswered(x.t, err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	for _, value := range res.Header["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			res.Header.Del(textproto.TrimString(name))
		}
	}
	if err := e.prepareAnswer(res); err != nil {
		e.unanswered(x.t, err)
		return
	}
	h := x.t.Header()
	addAnswer(h, res.Header)
	e.completeHeader(h)
	if err := x.answer(res); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// addAnswer adds the lines of an answer that may go on to h.
func addAnswer(h, lines http.Header) {
	for name, values := range lines {
		switch {
		case !answers(name) || hopByHop(name):
		case h[name] == nil:
			h[name] = values
		default:
			h[name] = append(h[name], values...)
		}
	}
}

// Request implements http1.Message.
func (x *relay) Request() *http.Request { return x.r }

// Informational implements http1.Message: the caller gets informational answers too.
func (x *relay) Informational(status int, lines http.Header) error {
	if !x.r.ProtoAtLeast(1, 1) {
		return nil // RFC 9110 §15.2: HTTP/1.0 knows none
	}
	h := x.t.Header()
	before := maps.Clone(h)
	addAnswer(h, lines)
	x.e.outerReferences(h)
	x.t.WriteHeader(status)
	clear(h)
	maps.Copy(h, before)
	return nil
}

// AppendTo implements http1.Message: the lines of the caller that may go on, then ours.
func (x *relay) AppendTo(b []byte) ([]byte, error) {
	e, up, r := x.e, x.e.up, x.r
	b = append(append(b, r.Method...), ' ')
	start := len(b)
	b = append(b, up.path...)
	b = append(b, r.URL.EscapedPath()...)
	if r.URL.ForceQuery || r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	if !http1.ValidTarget(b[start:]) {
		return nil, fmt.Errorf("gateway: the request target %q cannot be sent", b[start:])
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(append(b, e.outHost(r)...), "\r\n"...)
	var err error
	for name, values := range r.Header {
		if !x.passes(name) {
			continue
		}
		if name == "Cookie" {
			values = upstreamCookies(values)
		}
		if b, err = http1.AppendLines(b, name, values); err != nil {
			return nil, err
		}
	}
	if b, err = x.appendOurs(b); err != nil {
		return nil, err
	}
	return append(b, "\r\n"...), nil
}

// passes reports whether a line of the caller goes on.
func (x *relay) passes(name string) bool {
	up := x.e.up
	if hopByHop(name) || name == "Host" || name == "Content-Length" || up.DropCookies && name == "Cookie" {
		return false
	}
	if x.e.v.Route.Filter != nil && (name == "Accept-Encoding" || slices.Contains(asksForPart[:], name)) {
		return false
	}
	return !identityName(name, x.e.g.strip, up.protected) && (up.PassAuthorization || !endsHere(name, &x.e.v))
}

// appendOurs appends what the gateway says to the upstream. The caller's lines of
// these names have not passed.
func (x *relay) appendOurs(b []byte) ([]byte, error) {
	e := x.e
	var err error
	add := func(name, value string) {
		if err == nil {
			b, err = http1.AppendLine(b, name, value)
		}
	}
	if who := e.forwardedFor(); who != "" {
		add("X-Forwarded-For", who)
	}
	add("X-Forwarded-Host", e.in.Host)
	add("X-Forwarded-Proto", e.g.cfg.Proxies.Scheme(e.in))
	add(headerRequestID, e.id)
	if e.assertion != "" {
		add(HeaderAssertion, e.assertion)
		for _, line := range e.up.plain {
			if v := line.value(e.v.Principal, e.roles); v != "" {
				add(line.name, v)
			}
		}
	}
	if e.v.Route.Filter != nil {
		add("Accept-Encoding", "identity") // the whole list, as text: it is read here
	}
	return b, err
}

// answer sends the answer, whose header is ready, to the caller.
func (x *relay) answer(res *http.Response) error {
	h := x.t.Header()
	announced := len(res.Trailer)
	if announced > 0 {
		h.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
	}
	x.t.WriteHeader(res.StatusCode)
	if err := x.copy(res); err != nil {
		return err
	}
	filterTrailer(res.Trailer)
	if len(res.Trailer) == 0 {
		return nil
	}
	// Answers with trailers are chunked; a short one would get a length in place
	// of them.
	x.flush()
	prefix := ""
	if len(res.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range res.Trailer {
		h[prefix+name] = values // in place of a header line of that name, which is sent
	}
	return nil
}

// copy copies the body. One of unknown length goes out as it comes in.
func (x *relay) copy(res *http.Response) error {
	streams := res.ContentLength < 0 || x.e.g.streams(res.Header)
	if streams && http1.BodyPending(res) {
		x.flush() // the header must not wait for a body that may take its time
	}
	buf := x.e.g.buffers.take()
	defer x.e.g.buffers.pool.Put(buf)
	for {
		n, err := res.Body.Read(buf[:])
		if n > 0 {
			x.e.time.waitsForCaller()
			_, err := x.t.Write(buf[:n])
			x.e.time.wrote()
			if err != nil {
				return err
			}
			if streams {
				x.flush()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (x *relay) flush() {
	x.e.time.waitsForCaller()
	_ = http.NewResponseController(x.t).Flush()
	x.e.time.wrote()
}

// hopByHop reports lines that belong to one connection (RFC 9110 §7.6.1), whether
// Connection names them or not.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}
