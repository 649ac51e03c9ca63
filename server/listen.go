package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// Bounds of every listener. A client that is slow with its header, its body or
// the reading of its answer costs a goroutine for so long and no longer; what the
// gateway forwards is bounded by the route.
const (
	readHeaderTimeout = 10 * time.Second
	readBodyTimeout   = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	certCheckInterval = 2 * time.Second
)

// listener is one address that Gatehouse serves.
type listener struct {
	name   string
	net    *patientListener
	server *http.Server
	tls    bool

	leaving atomic.Bool             // every answer says that it is the last one
	running atomic.Int64            // requests that are being answered, of protocols upgraded to as well
	end     context.CancelCauseFunc // ends the contexts of all requests
}

// openAddress opens the address of a listener. The most common failure of a first start
// is that something has it already.
func openAddress(name, address string) (net.Listener, error) {
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false) // Linux takes no filter on a socket of MPTCP, see refuseNew
	l, err := plain.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		flag := map[string]string{"auth": ", or --listen", "gateway": ", or --gateway"}[name]
		return nil, fmt.Errorf("listen.%s: another program has %s already, perhaps another Gatehouse; stop that one, or choose another address (listen.%s%s)",
			name, address, name, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen.%s: %w", name, err)
	}
	return l, nil
}

// listen opens the address, unless l is open already. Nothing is served before
// serve is called, so that an address in use is found before anything starts. cert is
// nil without TLS.
func listen(name string, cfg config.Listener, h http.Handler, l net.Listener, cert certificateFunc, log *slog.Logger) (*listener, error) {
	if l == nil {
		var err error
		if l, err = openAddress(name, cfg.Address); err != nil {
			return nil, err
		}
	}
	out := &listener{name: name, net: &patientListener{Listener: l, empty: make(chan struct{}), conns: map[*patientConn]struct{}{}}}
	base, end := context.WithCancelCause(context.Background())
	out.end = end
	out.server = &http.Server{
		Handler:           out.count(closeAfterChunks(boundAnswers(boundBodies(h)))),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         out.net.turn,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	if cert != nil {
		protocols.SetHTTP2(true)
		out.tls = true
		out.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites12(), GetCertificate: cert}
	} else {
		// A proxy in front may speak HTTP/2 without TLS.
		protocols.SetUnencryptedHTTP2(true)
	}
	out.server.Protocols = protocols
	return out, nil
}

// closeAfterChunks ends a connection of HTTP/1 with the answer to a request whose
// body came in chunks. Such a request may have had a Content-Length too, which
// net/http drops unseen: a proxy in front that went by it takes what follows the
// last chunk for a request of somebody else's (request smuggling). RFC 9112 §6.1
// asks for this in the case of both; costs a connection in the case of one.
func closeAfterChunks(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
			w = lastAnswer{w}
		}
		h.ServeHTTP(w, r)
	})
}

// lastAnswer says "Connection: close" with the last answer to a request. Whoever sends an
// informational one before it, as an upstream may have asked for, clears the header then.
type lastAnswer struct{ http.ResponseWriter }

func (w lastAnswer) WriteHeader(status int) {
	if status >= 200 {
		w.Header().Set("Connection", "close")
	} else if status != http.StatusSwitchingProtocols {
		w.Header().Del("Connection")
		defer w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w lastAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// boundBodies gives every body readBodyTimeout, unless a handler gives it more.
func boundBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := web.BoundBody(w, r, readBodyTimeout)
		defer p.Done()
		h.ServeHTTP(w, r)
	})
}

func (l *listener) serve() error {
	var err error
	if l.tls {
		err = l.server.ServeTLS(l.net, "", "")
	} else {
		err = l.server.Serve(l.net)
	}
	if errors.Is(err, http.ErrServerClosed) || l.net.leaving.Load() {
		return nil
	}
	return fmt.Errorf("listen.%s: %w", l.name, err)
}

func (l *listener) url() string {
	scheme := "http"
	if l.tls {
		scheme = "https"
	}
	return scheme + "://" + l.net.Addr().String()
}

// certificateFunc is [tls.Config.GetCertificate].
type certificateFunc = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// certificates reads a certificate again when its file changes, so that a
// renewal needs no restart. A file that cannot be read keeps the old one.
type certificates struct {
	certFile, keyFile string
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

func newCertificates(certFile, keyFile string, now func() time.Time) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, now: now}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	c.current, c.stamp, c.checked = &cert, c.stamps(), now()
	return c, nil
}

func (c *certificates) stamps() (out [2]time.Time) {
	for i, f := range []string{c.certFile, c.keyFile} {
		if st, err := os.Stat(f); err == nil {
			out[i] = st.ModTime()
		}
	}
	return out
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certCheckInterval {
		c.checked = now
		if stamp := c.stamps(); stamp != c.stamp {
			// Only half of a renewal may be on disk yet: keep the old pair then.
			if cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
				c.current, c.stamp = &cert, stamp
			}
		}
	}
	return c.current, nil
}

// suites12 are those of TLS 1.2 that are taken: with forward secrecy, and AES-GCM, as RFC 9325 §4.2 recommends. TLS 1.3 has no others.
func suites12() []uint16 {
	return []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
}
