package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a request costs over TLS 1.3 (a handshake for each, a resumed one for each, a
// connection that is kept) and over HTTP/2, beside a bare proxy that speaks the same.

// certificate is a self-signed one for 127.0.0.1, as files, with the pool that trusts it.
type certificate struct {
	cert, key string
	pool      *x509.CertPool
}

func (b *testbed) makeCertificate() (c certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return c, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if c.cert, err = b.write("tls", "cert.pem", string(chain)); err != nil {
		return c, err
	}
	if c.key, err = b.write("tls", "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))); err != nil {
		return c, err
	}
	c.pool = x509.NewCertPool()
	if !c.pool.AppendCertsFromPEM(chain) {
		return c, errors.New("the certificate cannot be read again")
	}
	return c, os.Chmod(c.key, 0o600)
}

// secured is the demo's configuration for /private, with TLS at the gateway.
const secured = `issuer: %[1]s
data: %[2]s
listen:
  auth: {address: "%[3]s"}
  gateway: {address: "127.0.0.1:0", cert_file: %[4]s, key_file: %[5]s}
log: {level: warn}
upstreams:
  documents: {url: "%[6]s", plain_headers: true}
routes:
  - match: GET /private
    action: read
    resource: {type: Document, id: private, static: {visibility: public}}
    rate_address: 100000/1s
    rate_principal: 100000/1s
`

// transportCases are asked of a Gatehouse and a proxy of their own.
func (b *testbed) transportCases(ctx context.Context) ([]*benchCase, error) {
	if !b.wants("gateway-tls-full", "gateway-tls-resumed", "gateway-tls", "gateway-http2") {
		return nil, nil
	}
	cert, err := b.makeCertificate()
	if err != nil {
		return nil, err
	}
	// The demo makes people and rules, and ends; its data is served again.
	p, d, err := b.startDemo(ctx, "secured")
	if err != nil {
		return nil, err
	}
	p.stop()
	data := filepath.Join(b.dir, "secured")
	conf, err := b.write("secured-conf", "gatehouse.yaml", fmt.Sprintf(secured, d.Issuer, data, host(d.Issuer), cert.cert, cert.key, b.upstream.line))
	if err != nil {
		return nil, err
	}
	gh, err := b.keep(start(ctx, nil, b.binary, "serve", "--config", conf))
	if err != nil {
		return nil, err
	}
	proxy, err := b.role(ctx, "secure-proxy", strings.Join([]string{b.upstream.line, cert.cert, cert.key}, " "))
	if err != nil {
		return nil, err
	}
	var token string
	var cases []*benchCase
	for _, way := range []struct {
		name, title string
		transport   func() *http.Transport
		as          func(*http.Response) bool
	}{
		{"tls-full", "TLS 1.3, full handshakes", cert.handshakes(nil), func(r *http.Response) bool { return !r.TLS.DidResume && r.ProtoMajor == 1 }},
		{"tls-resumed", "TLS 1.3, resumed", cert.handshakes(tls.NewLRUClientSessionCache(4)), func(r *http.Response) bool { return r.TLS.DidResume && r.ProtoMajor == 1 }},
		{"tls", "TLS 1.3, kept", cert.transport, func(r *http.Response) bool { return r.ProtoMajor == 1 }},
		{"http2", "HTTP/2, kept", cert.http2, func(r *http.Response) bool { return r.ProtoMajor == 2 }},
	} {
		as := func(r *http.Response) bool { return r.TLS != nil && r.TLS.Version == tls.VersionTLS13 && way.as(r) }
		private, bare := get(gh.address("gateway"), "/private"), get(proxy.line, "/private")
		// The first answer brings what later connections resume with.
		first := func(ctx context.Context, next func(int) *http.Request) error {
			t := way.transport()
			defer t.CloseIdleConnections()
			return probeWith(ctx, t, next(0), http.StatusOK, "Quarterly report")
		}
		ours := func(i int) *http.Request {
			r := private(i)
			r.Header.Set("Authorization", "Bearer "+token)
			return r
		}
		cases = append(cases,
			&benchCase{name: "gateway-" + way.name, title: "Gatehouse, JWT, " + way.title, kind: kindOurs, parts: []part{{"gatehouse", gh}}, next: ours,
				floor: "proxy-" + way.name, transport: way.transport, as: as, prepare: func(ctx context.Context, _ int) error {
					if token, err = d.mint(ctx); err != nil {
						return err
					}
					return first(ctx, ours)
				}},
			&benchCase{name: "proxy-" + way.name, title: "P, " + way.title, kind: kindFloor, parts: []part{{"ReverseProxy", proxy}}, next: bare,
				transport: way.transport, as: as, prepare: func(ctx context.Context, _ int) error { return first(ctx, bare) }})
	}
	for _, c := range cases {
		c.want, c.unflattering = http.StatusOK, true
	}
	return cases, nil
}

func (c certificate) transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}}
}

// handshakes opens a connection for each request, and resumes with what tickets hold.
func (c certificate) handshakes(tickets tls.ClientSessionCache) func() *http.Transport {
	return func() *http.Transport {
		t := c.transport()
		t.DisableKeepAlives = true
		t.TLSClientConfig.ClientSessionCache = tickets
		return t
	}
}

// http2 has all requests on one connection, as a browser or a proxy does.
func (c certificate) http2() *http.Transport {
	t := c.transport()
	t.TLSClientConfig.NextProtos = nil
	t.MaxConnsPerHost = 1
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(true)
	return t
}
