package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

var (
	errURL     = gatehouse.E(gatehouse.Invalid, "egress_url_invalid", "The address cannot be fetched from.")
	errRefused = gatehouse.E(gatehouse.Invalid, "egress_address_refused", "The address leads to a network that may not be reached.")
	errFailed  = gatehouse.E(gatehouse.BadGateway, "egress_failed", "The other server gave no usable answer.")
)

// Config of a [Client]. Zero fields take the defaults named at each.
type Config struct {
	// AllowPrivate opens loopback and private addresses, and plain http to them.
	AllowPrivate bool
	Timeout      time.Duration  // for the whole exchange: 5 seconds
	MaxBytes     int64          // of a body: 512 KiB
	RootCAs      *x509.CertPool // nil: those of the system
	UserAgent    string         // "gatehouse"
}

// Client fetches under the rules of the package. It is safe for concurrent use.
type Client struct {
	http         *http.Client
	streams      *http.Client
	allowPrivate bool
	maxBytes     int64
	userAgent    string
}

// plainKey marks the context of a request without TLS for the dialer.
type plainKey struct{}

// New makes a client.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 512 << 10
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "gatehouse"
	}
	c := &Client{allowPrivate: cfg.AllowPrivate, maxBytes: cfg.MaxBytes, userAgent: cfg.UserAgent}
	dialer := &net.Dialer{Timeout: cfg.Timeout, ControlContext: c.control}
	transport := &http.Transport{
		Proxy:                  nil, // a proxy from the environment would resolve names itself
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    cfg.Timeout,
		ResponseHeaderTimeout:  cfg.Timeout,
		MaxResponseHeaderBytes: 32 << 10,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    1,
		MaxConnsPerHost:        4,
		IdleConnTimeout:        30 * time.Second,
	}
	c.http = &http.Client{
		Timeout: cfg.Timeout,
		// A redirect could lead anywhere, and a key set has no need of one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     transport,
	}
	patient := transport.Clone()
	patient.ResponseHeaderTimeout = 0 // a proxy may hold back the header of an answer until the answer ends
	// A connection that was cut without a word must not get the next request, too.
	patient.HTTP2 = &http.HTTP2Config{SendPingTimeout: cfg.Timeout, PingTimeout: cfg.Timeout}
	c.streams = &http.Client{Transport: patient, CheckRedirect: c.http.CheckRedirect}
	return c
}

// control runs after the name is resolved and before each connection attempt, so
// what it sees is what will be connected to.
func (c *Client) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errAddress
	}
	return checkAddress(ap.Addr(), c.allowPrivate, ctx.Value(plainKey{}) != nil)
}

// CheckURL says whether an address has a form that Fetch would try. It resolves
// nothing; use it when configuration is read.
func (c *Client) CheckURL(address string) error {
	_, err := c.parse(address)
	return err
}

func (c *Client) parse(address string) (*url.URL, error) {
	if len(address) > 2048 {
		return nil, errURL
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errURL // the cause would quote the address, which may hold a secret
	case u.Scheme != "https" && !(u.Scheme == "http" && c.allowPrivate):
		return nil, errURL.With(errors.New("the scheme must be https"))
	case u.User != nil:
		return nil, errURL.With(errors.New("credentials in the address"))
	case u.Hostname() == "" || u.Opaque != "" || u.Fragment != "":
		return nil, errURL.With(errors.New("no host, or a fragment"))
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := checkAddress(a, c.allowPrivate, u.Scheme == "http"); err != nil {
			return nil, errRefused.With(err)
		}
	}
	return u, nil
}

// Fetch gets address and returns the body and header of a 200 answer; any other
// answer is an error. Errors are *gatehouse.Error.
func (c *Client) Fetch(ctx context.Context, address, accept string) ([]byte, http.Header, error) {
	res, err := c.get(ctx, c.http, address, http.Header{"Accept": {accept}})
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := c.bounded(res)
	if err != nil {
		return nil, nil, err
	}
	return body, res.Header, nil
}

// Stream gets address with these header lines and returns the body of a 200 answer,
// for as long as ctx lasts: neither its time nor its size is bounded here, which the
// reader must do. Errors are *gatehouse.Error.
func (c *Client) Stream(ctx context.Context, address string, lines http.Header) (io.ReadCloser, error) {
	res, err := c.get(ctx, c.streams, address, lines)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// get begins a request; the answer to it is a 200.
func (c *Client) get(ctx context.Context, client *http.Client, address string, lines http.Header) (*http.Response, error) {
	res, err := c.do(ctx, client, http.MethodGet, address, lines, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, errFailed.With(fmt.Errorf("status %d", res.StatusCode))
	}
	return res, nil
}

// do sends a request under the rules of the package.
func (c *Client) do(ctx context.Context, client *http.Client, method, address string, lines http.Header, body io.Reader) (*http.Response, error) {
	u, err := c.parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" {
		ctx = context.WithValue(ctx, plainKey{}, true)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errURL
	}
	maps.Copy(req.Header, lines)
	req.Header.Set("User-Agent", c.userAgent)
	res, err := client.Do(req)
	if err != nil {
		if errors.Is(err, errAddress) || errors.Is(err, errPlain) {
			return nil, errRefused.With(err)
		}
		return nil, errFailed.With(err)
	}
	return res, nil
}

// Close drops idle connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.streams.CloseIdleConnections()
}
