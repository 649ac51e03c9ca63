package http1

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"time"
)

// Transport takes the requests that are not simple; *http.Transport is one.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Config sets a Client. All of it is required.
type Config struct {
	// Other sends what is not simple.
	Other Transport
	// Host is the server's name or address, and its port where that is not 80.
	Host string
	// Dial opens a connection, within a time of its own, to an address "host:port".
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MaxHeaderBytes bounds the header of an answer, informational answers included.
	MaxHeaderBytes int64
}

// Client sends simple requests to one server over connections that it keeps. It is
// safe for concurrent use.
//
// A connection is used again only after an answer that was read to its end, left
// nothing behind it, and was not cancelled. Bytes that arrive while nothing was
// asked end it: they would be taken for the answer to somebody else's request
// (response splitting).
type Client struct {
	cfg     Config
	address string // "host:port"

	written sync.Pool // *[]byte, to write requests into

	mu    sync.Mutex
	idle  []*conn     // the one used last is at the end
	timer *time.Timer // closes what was idle for too long; set while idle is not empty
}

// New makes a Client. It opens no connection yet.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg, address: cfg.Host}
	u := url.URL{Host: cfg.Host}
	if u.Port() == "" {
		c.address = net.JoinHostPort(u.Hostname(), "80")
	}
	return c
}

const (
	maxIdle     = 256
	idleTimeout = 90 * time.Second
)

// RoundTrip implements http.RoundTripper: simple requests to the client's host that
// leave Connection to it are sent here, the others by the other transport.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != c.cfg.Host || r.URL.Scheme != "http" || !c.sends(r) {
		return c.cfg.Other.RoundTrip(r)
	}
	return c.Send(r.Context(), ready{r})
}

// Message is a simple request on its way, which need not exist as an *http.Request of
// its own.
type Message interface {
	// Request returns the request whose method decides how the answer is read.
	Request() *http.Request
	// AppendTo appends the message as it is sent, from request line to empty line.
	AppendTo(b []byte) ([]byte, error)
	// Informational takes an answer of a status below 200, which is not the last. An
	// error ends the exchange.
	Informational(status int, h http.Header) error
}

// ready is a request that was given to RoundTrip.
type ready struct{ r *http.Request }

func (m ready) Request() *http.Request            { return m.r }
func (m ready) AppendTo(b []byte) ([]byte, error) { return appendRequest(b, m.r) }
func (m ready) Informational(status int, h http.Header) error {
	if trace := httptrace.ContextClientTrace(m.r.Context()); trace != nil && trace.Got1xxResponse != nil {
		return trace.Got1xxResponse(status, textproto.MIMEHeader(h))
	}
	return nil
}

// Send sends m and returns its answer, whose body must be closed. The end of ctx ends
// both; its cause is the error then. Errors: what m's methods return, [ErrStatus], and
// those of the connection and of net/http's parser.
func (c *Client) Send(ctx context.Context, m Message) (*http.Response, error) {
	// Before a connection is taken: what cannot be sent must not cost one.
	buf, _ := c.written.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer func() {
		if cap(*buf) <= 16<<10 {
			c.written.Put(buf)
		}
	}()
	request, err := m.AppendTo((*buf)[:0])
	if err != nil {
		return nil, err
	}
	*buf = request
	for {
		conn, err := c.acquire(ctx)
		if err != nil {
			return nil, err
		}
		res, err := conn.exchange(ctx, m, request)
		if err == nil {
			return res, nil
		}
		_ = conn.Close()
		// The upstream may close a connection that lay idle just as it is used: a
		// request that nobody answered a byte to is sent once more.
		if !conn.reused || conn.got > 0 || ctx.Err() != nil {
			return nil, err
		}
	}
}

// sends reports whether r is simple, and nothing in it belongs to the connection.
func (c *Client) sends(r *http.Request) bool {
	return Simple(r, cmp.Or(r.Host, r.URL.Host)) && r.Header["Connection"] == nil && !r.Close
}

// Simple reports whether r may be repeated, has no body, asks nothing of the
// connection, and goes to a host that can be written as it is. It says nothing about
// the lines Connection and TE. Where a connection cannot be looked into without
// waiting (Windows), no request is simple.
func Simple(r *http.Request, host string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	return canPeek && (r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		r.Trailer == nil && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil && plainHost(host)
}

// acquire returns an idle connection that is still good, or a new one.
func (c *Client) acquire(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		last := len(c.idle) - 1
		if last < 0 {
			c.mu.Unlock()
			break
		}
		kept := c.idle[last]
		c.idle[last], c.idle = nil, c.idle[:last]
		c.mu.Unlock()
		if time.Since(kept.since) < idleTimeout && kept.silent() {
			kept.reused, kept.got = true, 0
			return kept, nil
		}
		_ = kept.Close()
	}
	opened, err := c.cfg.Dial(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	out := &conn{Conn: opened, client: c}
	out.in = bufio.NewReader(out)
	if out.peek, err = newPeeker(opened); err != nil {
		_ = opened.Close()
		return nil, err
	}
	return out, nil
}

// release keeps used for another request.
func (c *Client) release(used *conn) {
	used.since = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= maxIdle {
		_ = used.Close()
		return
	}
	c.idle = append(c.idle, used)
	if c.timer == nil {
		c.timer = time.AfterFunc(idleTimeout, c.closeOld)
	}
}

// closeOld closes what has been idle for too long.
func (c *Client) closeOld() {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := 0
	for old < len(c.idle) && time.Since(c.idle[old].since) >= idleTimeout {
		_ = c.idle[old].Close()
		old++
	}
	c.idle = append(c.idle[:0], c.idle[old:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	c.timer = nil
	if len(c.idle) > 0 {
		c.timer = time.AfterFunc(idleTimeout-time.Since(c.idle[0].since), c.closeOld)
	}
}

// CloseIdleConnections closes every connection that is not in use, the other
// transport's too.
func (c *Client) CloseIdleConnections() {
	c.cfg.Other.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, idle := range c.idle {
		_ = idle.Close()
	}
	c.idle = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
