package gateway

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"time"
)

// direct is the way to an upstream that speaks HTTP/1.1 without TLS, for requests
// that have no body and may be repeated. The goroutine that forwards the request
// writes it and reads the answer itself, with net/http's own parser;
// http.Transport has two more goroutines for each connection and hands over to
// them four times a request, which is a quarter of what forwarding costs. Every
// other request goes through next.
//
// A connection is used again only after an answer that was read to its end, left
// nothing behind it, and was not cancelled. Bytes that arrive while nothing was
// asked end it: they would be taken for the answer to somebody else's request
// (response splitting).
type direct struct {
	next roundTripper
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	written sync.Pool // *[]byte, to write requests into

	mu    sync.Mutex
	idle  []*directConn // the one used last is at the end
	purge *time.Timer   // set while idle is not empty
}

const (
	maxIdle     = 256
	idleTimeout = 90 * time.Second
)

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if !d.takes(r) {
		return d.next.RoundTrip(r)
	}
	return d.send(r.Context(), r.URL.Host, trip{r})
}

// outbound is a request on its way to the upstream.
type outbound interface {
	// request returns the request whose method decides how its answer is read.
	request() *http.Request
	// appendTo appends the request as it is sent.
	appendTo(b []byte) ([]byte, error)
	// inform takes an informational answer, which is not the last.
	inform(status int, h http.Header) error
}

// trip is a request given to RoundTrip.
type trip struct{ *http.Request }

func (t trip) request() *http.Request            { return t.Request }
func (t trip) appendTo(b []byte) ([]byte, error) { return appendRequest(b, t.Request) }
func (t trip) inform(status int, h http.Header) error {
	if ct := httptrace.ContextClientTrace(t.Context()); ct != nil && ct.Got1xxResponse != nil {
		return ct.Got1xxResponse(status, textproto.MIMEHeader(h))
	}
	return nil
}

// send sends out to host and returns its answer, whose body must be closed. The
// end of ctx ends both.
func (d *direct) send(ctx context.Context, host string, out outbound) (*http.Response, error) {
	// Before a connection is taken: what cannot be sent must not cost one.
	buf, _ := d.written.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer func() {
		if cap(*buf) <= 16<<10 {
			d.written.Put(buf)
		}
	}()
	request, err := out.appendTo((*buf)[:0])
	if err != nil {
		return nil, err
	}
	*buf = request
	for {
		c, err := d.take(ctx, host)
		if err != nil {
			return nil, err
		}
		res, err := c.exchange(ctx, out, request)
		if err == nil {
			return res, nil
		}
		_ = c.Close()
		// The upstream may close a connection that lay idle just as it is used: a
		// request that nobody answered a byte to is sent once more.
		if !c.reused || c.got > 0 || ctx.Err() != nil {
			return nil, err
		}
	}
}

// takes reports whether r is simple, and nothing in it belongs to the connection.
func (d *direct) takes(r *http.Request) bool {
	return simple(r, cmp.Or(r.Host, r.URL.Host)) && r.Header["Connection"] == nil && !r.Close
}

// simple reports whether r may be repeated, has no body, asks nothing of the
// connection, and goes to a host that can be written as it is.
func simple(r *http.Request, host string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	return canPeek && (r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		r.Trailer == nil && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil && plainHost(host)
}

// take returns an idle connection that is still good, or a new one to host.
func (d *direct) take(ctx context.Context, host string) (*directConn, error) {
	for {
		d.mu.Lock()
		last := len(d.idle) - 1
		if last < 0 {
			d.mu.Unlock()
			break
		}
		c := d.idle[last]
		d.idle[last], d.idle = nil, d.idle[:last]
		d.mu.Unlock()
		if time.Since(c.since) < idleTimeout && c.silent() {
			c.reused, c.got = true, 0
			return c, nil
		}
		_ = c.Close()
	}
	u := url.URL{Host: host}
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	conn, err := d.dial(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	c := &directConn{Conn: conn, d: d}
	c.in = bufio.NewReader(c)
	if c.peek, err = newPeeker(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// put keeps c for another request.
func (d *direct) put(c *directConn) {
	c.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) >= maxIdle {
		_ = c.Close()
		return
	}
	d.idle = append(d.idle, c)
	if d.purge == nil {
		d.purge = time.AfterFunc(idleTimeout, d.drop)
	}
}

// drop closes what has been idle for too long.
func (d *direct) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := 0
	for old < len(d.idle) && time.Since(d.idle[old].since) >= idleTimeout {
		_ = d.idle[old].Close()
		old++
	}
	d.idle = append(d.idle[:0], d.idle[old:]...)
	clear(d.idle[len(d.idle):cap(d.idle)])
	d.purge = nil
	if len(d.idle) > 0 {
		d.purge = time.AfterFunc(idleTimeout-time.Since(d.idle[0].since), d.drop)
	}
}

// CloseIdleConnections closes every connection that is not in use.
func (d *direct) CloseIdleConnections() {
	d.next.CloseIdleConnections()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.idle {
		_ = c.Close()
	}
	d.idle = nil
	if d.purge != nil {
		d.purge.Stop()
		d.purge = nil
	}
}

// directConn is one connection. Only one request uses it at a time.
type directConn struct {
	net.Conn
	d      *direct
	in     *bufio.Reader
	peek   peeker
	since  time.Time // idle since then
	reused bool
	got    int64 // bytes read for the present request
	limit  int64 // how many there may be until the header has ended
}

var errHeaderTooLong = errors.New("gateway: the header of the upstream's answer is too large")

// Read counts, and bounds the header: nothing else bounds what net/http's parser
// takes in.
func (c *directConn) Read(p []byte) (int, error) {
	if c.got >= c.limit {
		return 0, errHeaderTooLong
	}
	p = p[:min(int64(len(p)), c.limit-c.got)]
	n, err := c.Conn.Read(p)
	c.got += int64(n)
	return n, err
}

// silent reports that the upstream neither closed the connection nor sent what
// was not asked for.
func (c *directConn) silent() bool { return c.in.Buffered() == 0 && c.peek.quiet() }

// exchange sends out, which is written already, and reads the header of its
// answer. The body of the answer gives the connection back.
func (c *directConn) exchange(ctx context.Context, out outbound, written []byte) (*http.Response, error) {
	// A deadline in the past ends every Read and Write at once.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	c.limit = maxUpstreamHeader
	returned := false
	defer func() {
		if !returned { // out panicked
			stop()
			_ = c.Close()
		}
	}()
	res, err := c.answer(out, written)
	returned = true
	if err != nil {
		stop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	c.limit = math.MaxInt64
	b := &directBody{ReadCloser: res.Body, c: c, stop: stop, again: !res.Close}
	if res.Body == http.NoBody {
		b.end(true)
		return res, nil
	}
	res.Body = b
	return res, nil
}

func (c *directConn) answer(out outbound, written []byte) (*http.Response, error) {
	if _, err := c.Write(written); err != nil {
		return nil, err
	}
	for { // the bound of the header bounds informational answers too
		res, err := http.ReadResponse(c.in, out.request())
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode < 100:
			return nil, errStatus
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("gateway: the upstream changed the protocol unasked")
		case res.StatusCode >= 200:
			return res, nil
		}
		if err := out.inform(res.StatusCode, res.Header); err != nil {
			return nil, err
		}
	}
}

// directBody is the body of an answer. Read to its end it gives the connection
// back, closed before that it ends it.
type directBody struct {
	io.ReadCloser
	c     *directConn
	stop  func() bool
	again bool // neither side said "Connection: close"
	once  sync.Once
}

func (b *directBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(true)
	default:
		b.end(false)
	}
	return n, err
}

// Close implements io.Closer. It does not read what is left: that may be long.
func (b *directBody) Close() error {
	b.end(false)
	return nil
}

// waits reports that no byte of the body has come yet; chunked, that the line with
// the first chunk's size may be all that has.
func (b *directBody) waits(chunked bool) bool {
	here, _ := b.c.in.Peek(b.c.in.Buffered())
	if !chunked {
		return len(here) == 0
	}
	line, rest, _ := bytes.Cut(here, []byte("\n"))
	return len(line) == 0 || len(rest) == 0
}

func (b *directBody) end(whole bool) {
	b.once.Do(func() {
		// When stop is too late, the deadline is or will be in the past.
		if b.stop() && whole && b.again && b.c.in.Buffered() == 0 {
			b.c.d.put(b.c)
			return
		}
		_ = b.c.Close()
	})
}
