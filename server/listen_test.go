package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

// pipes is a listener of connections in memory, so that hours pass in no time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// served runs test in a bubble against a listener as the program makes it.
func served(t *testing.T, h http.HandlerFunc, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	servedBy(t, config.Listener{Address: "memory"}, h, test)
}

func servedBy(t *testing.T, cfg config.Listener, h http.HandlerFunc, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		var cert certificateFunc
		if cfg.CertFile != "" {
			certs, err := newCertificates(cfg.CertFile, cfg.KeyFile, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			cert = certs.get
		}
		l, err := listen("gateway", cfg, h, p, cert, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { _ = l.serve(); close(done) }()
		test(t, func() net.Conn {
			client, server := net.Pipe()
			p.conns <- server
			return client
		})
		_ = l.server.Close()
		<-done
	})
}

// selfSigned writes a certificate and its key to files.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"h"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// drip sends one byte a second until nobody listens, and returns when that was.
func drip(c net.Conn, b byte) time.Duration {
	began := time.Now()
	for {
		time.Sleep(time.Second)
		if _, err := c.Write([]byte{b}); err != nil {
			return time.Since(began)
		}
		if time.Since(began) > time.Hour {
			return time.Since(began)
		}
	}
}

// within checks that something took about as long as it may.
func within(t *testing.T, what string, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("%s: ended after %v, want %v to %v", what, took, least, most)
	}
}

// TestSlowClients: what a client may take its time for, and how long.
func TestSlowClients(t *testing.T) {
	const header, body, write, idle = 10 * time.Second, 15 * time.Second, 30 * time.Second, 2 * time.Minute
	hello := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}
	t.Run("header", func(t *testing.T) {
		served(t, hello, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ")
			within(t, "header", drip(c, 'x'), header, header+2*time.Second)
		})
	})
	cert, key := selfSigned(t)
	secure := config.Listener{Address: "memory", CertFile: cert, KeyFile: key}
	t.Run("handshake", func(t *testing.T) {
		servedBy(t, secure, hello, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, "\x16\x03\x01\x40\x00") // a record of 16 KiB begins
			within(t, "handshake", drip(c, 1), header, header+2*time.Second)
		})
	})
	t.Run("header over TLS", func(t *testing.T) {
		servedBy(t, secure, hello, func(t *testing.T, dial func() net.Conn) {
			c := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // made a moment ago, in memory
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ")
			go func() { _, _ = io.Copy(io.Discard, c) }()
			within(t, "header", drip(c, 'x'), header-time.Second, header+2*time.Second)
		})
	})
	t.Run("body", func(t *testing.T) {
		served(t, hello, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
			within(t, "body", drip(c, 'x'), body, body+4*time.Second)
		})
	})
	t.Run("body of a refused request", func(t *testing.T) {
		refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }
		served(t, refuse, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
			within(t, "body", drip(c, 'x'), 0, 5*time.Second)
		})
	})
	t.Run("answer", func(t *testing.T) {
		var ended chan time.Duration
		flood := func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					ended <- time.Since(began)
					return
				}
			}
		}
		served(t, flood, func(t *testing.T, dial func() net.Conn) {
			ended = make(chan time.Duration, 1)
			c := dial()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			within(t, "answer", <-ended, write*2/3, write+time.Second)
		})
	})
	// What takes long for other reasons is none of it: a handler that works or
	// streams for hours after it has the body, on a connection used before.
	t.Run("long work", func(t *testing.T) {
		work := func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for range 60 {
				if _, err := io.WriteString(w, "tick\n"); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Minute):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = io.WriteString(w, "done")
		}
		served(t, work, func(t *testing.T, dial func() net.Conn) {
			client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}}
			for range 2 {
				res, err := client.Post("http://h/", "text/plain", bytes.NewReader(make([]byte, 10000)))
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(res.Body)
				if err != nil || !bytes.HasSuffix(b, []byte("done")) {
					t.Errorf("cut after %q: %v", b, err)
				}
				_ = res.Body.Close()
			}
			client.CloseIdleConnections()
		})
	})
	t.Run("long work over HTTP/2", func(t *testing.T) {
		served(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 60 {
				_, _ = io.WriteString(w, "tick\n")
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(time.Minute) // of the bubble
			}
			_, _ = io.WriteString(w, "done")
		}, func(t *testing.T, dial func() net.Conn) {
			transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
			transport.Protocols.SetUnencryptedHTTP2(true)
			res, err := (&http.Client{Transport: transport}).Get("http://h/")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); err != nil || res.ProtoMajor != 2 || !bytes.HasSuffix(b, []byte("done")) {
				t.Errorf("cut after %q: %v", b, err)
			}
			transport.CloseIdleConnections()
		})
	})
	// Over HTTP/2 a client may read its connection and leave its answer alone, and it may read nothing.
	// reset reads until the server ends the stream by force, each minding the frames that come before.
	reset := func(each func(f *http2.Framer, in http2.Frame)) func(net.Conn, *http2.Framer) {
		return func(c net.Conn, f *http2.Framer) {
			for {
				in, err := f.ReadFrame()
				if _, ended := in.(*http2.RSTStreamFrame); err != nil || ended {
					return
				}
				each(http2.NewFramer(c, nil), in) // what another one writes with it may not have ended
			}
		}
	}
	leave := func(*http2.Framer, http2.Frame) {}
	flood := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	t.Run("answer over HTTP/2 without a window", func(t *testing.T) {
		within(t, "a long one", answers(t, 0, reset(leave), flood), write, write+time.Second)
		within(t, "a short one", answers(t, 0, reset(leave), hello), write, write+time.Second)
		within(t, "a flushed one", answers(t, 0, reset(leave), func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			_ = http.NewResponseController(w).Flush()
		}), write, write+time.Second)
		within(t, "one that begins late", answers(t, 0, reset(leave), func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute) // of the bubble
			hello(w, r)
		}), time.Minute+write, time.Minute+write+time.Second)
		within(t, "a byte for each", answers(t, 1, reset(func(f *http2.Framer, in http2.Frame) {
			if _, ok := in.(*http2.DataFrame); ok {
				time.Sleep(time.Second)
				go func() { _ = f.WriteWindowUpdate(1, 1) }()
			}
		}), flood), write, write+2*time.Second)
	})
	t.Run("answer over HTTP/2 that flows", func(t *testing.T) {
		const size, step = 256 << 10, 2 << 10
		got := 0
		took := answers(t, step, func(c net.Conn, f *http2.Framer) {
			for {
				in, err := f.ReadFrame()
				if data, ok := in.(*http2.DataFrame); ok {
					if got += len(data.Data()); data.StreamEnded() {
						return
					}
					time.Sleep(time.Second)
					n := uint32(len(data.Data()))
					go func() { _ = http2.NewFramer(c, nil).WriteWindowUpdate(1, n) }()
				}
				if _, ended := in.(*http2.RSTStreamFrame); err != nil || ended {
					return
				}
			}
		}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
		if got != size || took < 2*time.Minute {
			t.Errorf("%d bytes of %d in %v", got, size, took)
		}
	})
	t.Run("answer over HTTP/2 whose connection is not read", func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		within(t, "one with a bound of its own", answers(t, 1<<30, func(c net.Conn, f *http2.Framer) {
			for {
				if in, err := f.ReadFrame(); err != nil {
					return
				} else if _, ok := in.(*http2.HeadersFrame); ok {
					break
				}
			}
			time.Sleep(2 * write) // of the bubble, and the pipe holds nothing
		}, func(w http.ResponseWriter, _ *http.Request) {
			began, c := time.Now(), http.NewResponseController(w)
			var err error
			for err == nil {
				_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
				if _, err = w.Write(make([]byte, 64<<10)); err == nil {
					err = c.Flush()
				}
			}
			ended <- time.Since(began)
		}), 2*write, 2*write+time.Second)
		within(t, "its handler", <-ended, 0, write+time.Second)
	})
	// A header block over HTTP/2 that never ends costs no more than an idle
	// connection.
	t.Run("header over HTTP/2", func(t *testing.T) {
		served(t, hello, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, http2.ClientPreface)
			f := http2.NewFramer(c, nil)
			_ = f.WriteSettings()
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndStream: true})
			began := time.Now()
			var err error
			for err == nil && time.Since(began) < time.Hour {
				time.Sleep(time.Second)
				err = f.WriteContinuation(1, false, []byte{0x84})
			}
			within(t, "header", time.Since(began), 0, idle+5*time.Second)
		})
	})
	t.Run("body over HTTP/2", func(t *testing.T) {
		var ended chan error
		read := func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		}
		served(t, read, func(t *testing.T, dial func() net.Conn) {
			ended = make(chan error, 1)
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = io.WriteString(c, http2.ClientPreface)
			f := http2.NewFramer(c, nil)
			_ = f.WriteSettings()
			var block bytes.Buffer
			enc := hpack.NewEncoder(&block)
			for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}} {
				_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
			began := time.Now()
			for {
				select {
				case err := <-ended:
					if err == nil || errors.Is(err, io.EOF) {
						t.Errorf("body: %v", err)
					}
					within(t, "body", time.Since(began), body, body+2*time.Second)
					_ = c.Close()
					return
				case <-time.After(time.Second):
					_ = f.WriteData(1, false, []byte("x"))
				}
				if time.Since(began) > time.Hour {
					t.Fatal("read for an hour")
				}
			}
		})
	})
}

// hints is an upstream that answers with an informational answer first.
type hints struct{}

func (hints) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if err := httptrace.ContextClientTrace(r.Context()).Got1xxResponse(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"</a.css>"}}); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("hello")), ContentLength: 5, Request: r}, nil
}

// TestChunksEndTheConnection: whatever follows a body in chunks is answered by nobody,
// also where a proxy sends an informational answer first, and clears the header after it.
func TestChunksEndTheConnection(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
	const behind = "GET /behind HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	proxy := &httputil.ReverseProxy{Transport: hints{}, Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "upstream" }}
	for name, h := range map[string]http.HandlerFunc{
		"nothing said":   func(http.ResponseWriter, *http.Request) {},
		"a status":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"a body":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"an early hint":  proxy.ServeHTTP,
		"a flushed body": func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			served(t, h, func(t *testing.T, dial func() net.Conn) {
				ask := func(text string) (answers int, all string) {
					c := dial()
					go func() { _, _ = io.WriteString(c, text) }()
					b, err := io.ReadAll(c)
					if err != nil {
						t.Error(err)
					}
					_ = c.Close()
					return strings.Count(string(b), "HTTP/1.1 ") - strings.Count(string(b), "HTTP/1.1 1"), string(b)
				}
				if n, all := ask(chunked + behind); n != 1 || strings.Count(all, "Connection: close") != 1 {
					t.Errorf("%d answers: %q", n, all)
				}
				if n, all := ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" + behind); n != 2 {
					t.Errorf("a body of a known length: %d answers: %q", n, all)
				}
			})
		})
	}
}

// TestHandlersOwnBound: a handler that bounds its writes more narrowly is not overruled, and its bound is not that of what
// comes after it on the connection.
func TestHandlersOwnBound(t *testing.T) {
	var failed chan time.Duration
	served(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		write := func() error {
			_, _ = io.WriteString(w, "x\n")
			return c.Flush()
		}
		switch r.URL.Path {
		case "/own":
			for range 3 {
				time.Sleep(writeTimeout / 2) // of the bubble
				began := time.Now()
				_ = c.SetWriteDeadline(began.Add(5 * time.Second))
				if write() != nil {
					failed <- time.Since(began)
					return
				}
			}
			_ = c.SetWriteDeadline(time.Time{})
		default:
			began := time.Now()
			for write() == nil {
			}
			failed <- time.Since(began)
		}
	}, func(t *testing.T, dial func() net.Conn) {
		failed = make(chan time.Duration, 1) // of the bubble
		ask := func(c net.Conn, path string) *bufio.Reader {
			_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
			return bufio.NewReader(c)
		}
		c := dial()
		in := ask(c, "/own")
		for line := ""; line != "x\n"; {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = in.Discard(in.Buffered()) // and then it reads no more
		if took := <-failed; took > 5*time.Second {
			t.Errorf("a write with five seconds took %v", took)
		}
		_ = c.Close()

		c = dial()
		in = ask(c, "/own")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		time.Sleep(6 * time.Second)
		in = ask(c, "/other")
		if line, err := in.ReadString('\n'); err != nil {
			t.Errorf("the next answer: %q %v", line, err)
		}
		if took := <-failed; took > writeTimeout+time.Second {
			t.Errorf("a write of the next answer took %v", took)
		}
		_ = c.Close()
	})
}

// answers asks once over HTTP/2 with a window of so many bytes for each answer, and returns how long the client reads.
func answers(t *testing.T, window uint32, reads func(c net.Conn, f *http2.Framer), h http.HandlerFunc) time.Duration {
	t.Helper()
	var took time.Duration
	served(t, h, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		f := http2.NewFramer(c, c)
		go func() { // a pipe holds nothing, and the server speaks first
			_, _ = io.WriteString(c, http2.ClientPreface)
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
			_ = f.WriteWindowUpdate(0, 1<<30)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestBlock(), EndHeaders: true, EndStream: true})
		}()
		began := time.Now()
		reads(c, f)
		took = time.Since(began)
		_ = c.Close()
	})
	return took
}

// requestBlock is the header of a request over HTTP/2.
func requestBlock() []byte {
	var out bytes.Buffer
	enc := hpack.NewEncoder(&out)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}} {
		_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	return out.Bytes()
}
