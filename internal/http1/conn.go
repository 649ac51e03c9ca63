package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"
)

// conn is one connection. Only one request uses it at a time.
type conn struct {
	net.Conn
	client *Client
	in     *bufio.Reader
	peek   peeker
	since  time.Time // idle since then
	reused bool
	got    int64 // bytes read for the present request
	limit  int64 // how many there may be until the header has ended
}

// ErrStatus refuses an answer whose status is below 100.
var ErrStatus = errors.New("http1: the status of the answer is not one of HTTP")

var errHeaderTooLong = errors.New("http1: the header of the answer is too large")

// Read counts, and bounds the header: nothing else bounds what net/http's parser
// takes in.
func (c *conn) Read(p []byte) (int, error) {
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
func (c *conn) silent() bool { return c.in.Buffered() == 0 && c.peek.quiet() }

// exchange sends m, which is written already, and reads the header of its
// answer. The body of the answer gives the connection back.
func (c *conn) exchange(ctx context.Context, m Message, written []byte) (*http.Response, error) {
	// A deadline in the past ends every Read and Write at once.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	c.limit = c.client.cfg.MaxHeaderBytes
	returned := false
	defer func() {
		if !returned { // m panicked
			stop()
			_ = c.Close()
		}
	}()
	res, err := c.answer(m, written)
	returned = true
	if err != nil {
		stop()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	c.limit = math.MaxInt64
	b := &body{ReadCloser: res.Body, c: c, stop: stop, again: !res.Close}
	if res.Body == http.NoBody {
		b.end(true)
		return res, nil
	}
	res.Body = b
	return res, nil
}

func (c *conn) answer(m Message, written []byte) (*http.Response, error) {
	if _, err := c.Write(written); err != nil {
		return nil, err
	}
	for { // the bound of the header bounds informational answers too
		res, err := http.ReadResponse(c.in, m.Request())
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode < 100:
			return nil, ErrStatus
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("http1: the server changed the protocol unasked")
		case res.StatusCode >= 200:
			return res, nil
		}
		if err := m.Informational(res.StatusCode, res.Header); err != nil {
			return nil, err
		}
	}
}

// body is the body of an answer. Read to its end it gives the connection
// back, closed before that it ends it.
type body struct {
	io.ReadCloser
	c     *conn
	stop  func() bool
	again bool // neither side said "Connection: close"
	once  sync.Once
}

func (b *body) Read(p []byte) (int, error) {
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
func (b *body) Close() error {
	b.end(false)
	return nil
}

// BodyPending reports that no byte of the answer's body has come yet; of a chunked
// one, that the line with the first chunk's size may be all that has. It is false for
// an answer that did not come from [Client.Send].
func BodyPending(res *http.Response) bool {
	b, ok := res.Body.(*body)
	if !ok {
		return false
	}
	here, _ := b.c.in.Peek(b.c.in.Buffered())
	if len(res.TransferEncoding) == 0 {
		return len(here) == 0
	}
	line, rest, _ := bytes.Cut(here, []byte("\n"))
	return len(line) == 0 || len(rest) == 0
}

func (b *body) end(whole bool) {
	b.once.Do(func() {
		// When stop is too late, the deadline is or will be in the past.
		if b.stop() && whole && b.again && b.c.in.Buffered() == 0 {
			b.c.client.release(b.c)
			return
		}
		_ = b.c.Close()
	})
}
