package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/http1"
)

// Upstream is one API behind the gateway.
type Upstream struct {
	Name string // names it in routes; the audience of its assertions
	// URL is its base: http or https, no credentials, no query.
	URL string
	// Audience of the assertions for it; Name when empty.
	Audience string
	// HTTP2 speaks HTTP/2 without TLS (prior knowledge) to an http URL. To an
	// https URL HTTP/2 is negotiated anyway.
	HTTP2 bool
	// RootCAs verify an https upstream; nil takes the system's.
	RootCAs *x509.CertPool
	// Certificates are shown to an https upstream that asks for one.
	Certificates []tls.Certificate
	// PassAuthorization forwards the caller's Authorization and X-API-Key lines
	// as they came. Off, the upstream never sees a credential.
	PassAuthorization bool
	// DropCookies removes the Cookie line.
	DropCookies bool
	// PreserveHost sends the Host that the caller used, in place of the URL's.
	PreserveHost bool
	// PlainHeaders adds X-Gatehouse-Subject, -Username, -Roles and -Scopes.
	PlainHeaders bool
	// Headers names further plain lines: header name → one of subject, username,
	// roles, scopes, realm, client, credential.
	Headers map[string]string
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

// NewUpstreams checks the list and prepares connections; none is opened yet.
func NewUpstreams(list []Upstream) (*Upstreams, error) {
	out := &Upstreams{byName: make(map[string]*upstream, len(list))}
	for _, u := range list {
		up, err := newUpstream(u)
		if err != nil {
			return nil, fmt.Errorf("gateway: upstream %q: %w", u.Name, err)
		}
		if out.byName[u.Name] != nil {
			return nil, fmt.Errorf("gateway: upstream %q is there twice", u.Name)
		}
		out.byName[u.Name] = up
	}
	return out, nil
}

// Close closes idle connections.
func (u *Upstreams) Close() {
	for _, up := range u.byName {
		up.transport.CloseIdleConnections()
	}
}

func (u *Upstreams) get(name string) *upstream {
	if u == nil {
		return nil
	}
	return u.byName[name]
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

func newUpstream(u Upstream) (*upstream, error) {
	if u.Name == "" {
		return nil, errors.New("has no name")
	}
	base, err := url.Parse(u.URL)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed") // its text may hold a password
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, errors.New("the URL must begin with http:// or https:// and a host")
	case base.User != nil:
		return nil, errors.New("the URL must not hold a credential")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("the URL must not have a query or fragment")
	case u.HTTP2 && base.Scheme == "https":
		return nil, errors.New("HTTP2 is for http:// URLs; https:// negotiates it")
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
			return nil, fmt.Errorf("header %q: there is no %q to send", name, what)
		}
		if !headerName.MatchString(name) || reservedHeader(name) {
			return nil, fmt.Errorf("header %q cannot carry identity", name)
		}
		up.plain = append(up.plain, plainHeader{http.CanonicalHeaderKey(name), value})
		up.protected[normalName(name)] = true
	}
	up.transport = newTransport(u, base)
	return up, nil
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

// newTransport returns how requests get to an upstream.
func newTransport(u Upstream, base *url.URL) http1.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:                  nil, // an HTTP_PROXY variable must not redirect our upstream traffic
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: u.RootCAs, Certificates: u.Certificates},
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
