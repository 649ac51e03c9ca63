package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/http1"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Upstream is one API behind the gateway. It is also an upstream of gatehouse.yaml,
// where it stands under its name (see server/config).
type Upstream struct {
	// Name names it in routes, and is the audience of its assertions.
	Name string `json:"-"`

	URL               string            `json:"url" required:"true" form:"base_url" doc:"http:// or https:// base URL, without a trailing slash."`
	PassAuthorization bool              `json:"pass_authorization,omitempty" doc:"Forward the caller's Authorization line too (off: the upstream gets the signed assertion alone)."`
	PlainHeaders      bool              `json:"plain_headers,omitempty" doc:"Add X-Gatehouse-Subject, -Username, -Roles and -Scopes."`
	Headers           map[string]string `json:"headers,omitempty" enum:"subject,username,roles,scopes,realm,client,credential" doc:"Further identity lines, header: what it tells."`
	PreserveHost      bool              `json:"preserve_host,omitempty" doc:"Send the Host that the caller used, in place of the URL's."`
	// StrictPaths is asked by the pipeline, of the routes.
	StrictPaths bool   `json:"strict_paths,omitempty" doc:"The API tells paths apart that differ only in letter case, a slash at the end, a suffix or needless percent-escapes. Without it, a path that could be meant for a stricter route is refused."`
	DropCookies bool   `json:"drop_cookies,omitempty" doc:"Remove the Cookie line."`
	HTTP2       bool   `json:"http2,omitempty" doc:"Speak HTTP/2 without TLS (h2c) to an http:// upstream; to an https:// one it is negotiated anyway."`
	CAFile      string `json:"ca_file,omitempty" form:"path" doc:"CA certificates (PEM) for an https:// upstream, in place of the system's."`

	// Audience of the assertions for it; Name when empty.
	Audience string `json:"-"`
}

// dialTimeout bounds how long a connection to an upstream may take to open, TLS
// included; an upstream that is down must not hold requests for their whole time.
const dialTimeout = 5 * time.Second

// maxUpstreamHeader bounds the header of an upstream's answer.
const maxUpstreamHeader = 128 << 10

// upstream is an Upstream made ready.
type upstream struct {
	Upstream
	base      *url.URL
	path      string // of base, escaped, without the slash at its end
	transport http1.Transport
	plain     []plainHeader
	protected map[string]bool // normalized names of its own plain headers
}

// Upstreams is the set of upstreams with their connections. It is immutable and
// safe for concurrent use.
type Upstreams struct{ byName map[string]*upstream }

// UpstreamError says what is wrong with one upstream.
type UpstreamError struct {
	Name string // of the upstream
	Key  string // as in gatehouse.yaml: "url"; "" for the whole
	Err  error  // shows no URL: it may hold a password
}

func (e *UpstreamError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("gateway: upstream %q: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("gateway: upstream %q: %s: %v", e.Name, e.Key, e.Err)
}

func (e *UpstreamError) Unwrap() error { return e.Err }

// NewUpstreams checks the list, reads the files of CA certificates and prepares
// connections; none is opened yet. All that is wrong comes joined, as [*UpstreamError]s.
func NewUpstreams(list []Upstream) (*Upstreams, error) { return (*Upstreams)(nil).Renew(list) }

// Renew is [NewUpstreams] for a list that takes the place of u's: upstreams that are
// the same keep their connections. One with a file of CA certificates never does, since
// the file may have changed.
func (u *Upstreams) Renew(list []Upstream) (*Upstreams, error) {
	out := &Upstreams{byName: make(map[string]*upstream, len(list))}
	var errs []error
	for _, l := range list {
		up, key, err := newUpstream(l)
		if err == nil && out.byName[l.Name] != nil {
			err = errors.New("is there twice")
		}
		if err != nil {
			errs = append(errs, &UpstreamError{l.Name, key, err})
			continue
		}
		if old := u.get(l.Name); old != nil && up.CAFile == "" && reflect.DeepEqual(old.Upstream, up.Upstream) {
			up = old
		}
		out.byName[l.Name] = up
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// Close closes idle connections.
func (u *Upstreams) Close() { u.CloseBut(nil) }

// CloseBut closes the idle connections that next does not have too.
func (u *Upstreams) CloseBut(next *Upstreams) {
	for name, up := range u.byName {
		if next.get(name) != up {
			up.transport.CloseIdleConnections()
		}
	}
}

func (u *Upstreams) get(name string) *upstream {
	if u == nil {
		return nil
	}
	return u.byName[name]
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// newUpstream returns, with an error, the key that it is about.
func newUpstream(u Upstream) (_ *upstream, key string, err error) {
	if u.Name == "" {
		return nil, "", errors.New("has no name")
	}
	if err := web.CheckBaseURL(strings.TrimRight(u.URL, "/")); err != nil {
		return nil, "url", err
	}
	base, err := url.Parse(u.URL)
	if err != nil {
		return nil, "url", errors.New("cannot be parsed") // its text may hold a password
	}
	if base.Port() == "0" {
		return nil, "url", errors.New("a port from 1 to 65535")
	}
	if u.HTTP2 && base.Scheme == "https" {
		return nil, "http2", errors.New("for http:// URLs only; https:// negotiates it")
	}
	var roots *x509.CertPool
	if u.CAFile != "" {
		if base.Scheme != "https" {
			return nil, "ca_file", errors.New("for https:// URLs only; nothing is verified on an http:// one")
		}
		if roots, err = ReadRoots(u.CAFile); err != nil {
			return nil, "ca_file", err
		}
	}
	if u.Audience == "" {
		u.Audience = u.Name
	}
	up := &upstream{Upstream: u, base: base, path: strings.TrimSuffix(base.EscapedPath(), "/"), protected: map[string]bool{}}
	if u.PlainHeaders {
		for _, h := range defaultPlain {
			up.plain = append(up.plain, plainHeader{"X-Gatehouse-" + h.name, h.value})
		}
	}
	for name, what := range u.Headers {
		value, ok := plainValues[what]
		if !ok {
			return nil, "headers." + name, fmt.Errorf("there is no %q to send", what)
		}
		if !headerName.MatchString(name) || reservedHeader(name) {
			return nil, "headers." + name, errors.New("this header cannot carry identity")
		}
		up.plain = append(up.plain, plainHeader{http.CanonicalHeaderKey(name), value})
		up.protected[normalName(name)] = true
	}
	up.transport = newTransport(u, base, roots)
	return up, "", nil
}

// maxRoots bounds a file of CA certificates; the system's own takes some 250 KiB.
const maxRoots = 4 << 20

// ReadRoots reads a file of CA certificates (PEM), at most 4 MiB.
func ReadRoots(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxRoots+1))
	if err != nil {
		return nil, err
	}
	if len(pem) > maxRoots {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxRoots)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// reservedHeader reports names that mean something to HTTP itself, or are ours.
func reservedHeader(name string) bool {
	switch n := strings.ToLower(name); n {
	case "host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade",
		"authorization", "cookie", "expect", "keep-alive", "forwarded", "x-request-id":
		return true
	default:
		return strings.HasPrefix(n, "proxy-") || strings.HasPrefix(n, "x-gatehouse-") || strings.HasPrefix(n, "x-forwarded-for") ||
			n == "x-forwarded-host" || n == "x-forwarded-proto"
	}
}

// newTransport returns how requests get to an upstream. roots verify it; nil takes the
// system's.
func newTransport(u Upstream, base *url.URL, roots *x509.CertPool) http1.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:                  nil, // an HTTP_PROXY variable must not redirect our upstream traffic
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxUpstreamHeader,
		DisableCompression:     true, // bytes pass as they are
		ForceAttemptHTTP2:      true,
	}
	if u.HTTP2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	if base.Scheme == "http" && !u.HTTP2 {
		return http1.New(http1.Config{Host: base.Host, Other: t, Dial: dialer.DialContext, MaxHeaderBytes: maxUpstreamHeader})
	}
	return t
}
