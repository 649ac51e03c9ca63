package web_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// TestCertificatesOfClients: whose certificate a request came with says its connection or, of a trusted proxy that does so, its line,
// and nobody else's line.
func TestCertificatesOfClients(t *testing.T) {
	ca := testcert.Authority(t, "clients")
	client, proxy := ca.Issue(t, &x509.Certificate{}), ca.Issue(t, &x509.Certificate{})
	const us, stranger = "192.0.2.1:7", "198.51.100.9:7"
	line, chain := client.Line(), ca.Line()
	for name, c := range map[string]struct {
		from    string
		passes  bool
		tls     *testcert.Certificate
		lines   []string // of Client-Cert
		chain   []string
		want    int // certificates
		refused bool
	}{
		"TLS":                               {from: stranger, tls: client, want: 1},
		"TLS, and a line":                   {from: stranger, passes: true, tls: client, lines: []string{proxy.Line()}, want: 1},
		"nothing":                           {from: stranger, passes: true},
		"a stranger's line":                 {from: stranger, passes: true, lines: []string{line}},
		"a proxy's":                         {from: us, passes: true, lines: []string{line}, want: 1},
		"a proxy's, with one above":         {from: us, passes: true, lines: []string{line}, chain: []string{chain + " , " + chain, chain}, want: 4},
		"a proxy that does not":             {from: us, lines: []string{line}},
		"a proxy's own certificate":         {from: us, passes: true, tls: proxy},
		"a proxy's own, and it does not":    {from: us, tls: proxy},
		"a proxy's own, beside the line":    {from: us, passes: true, tls: proxy, lines: []string{line}, want: 1},
		"two lines":                         {from: us, passes: true, lines: []string{line, line}, refused: true},
		"a list":                            {from: us, passes: true, lines: []string{line + "," + line}, refused: true},
		"no colons":                         {from: us, passes: true, lines: []string{strings.Trim(line, ":")}, refused: true},
		"PEM":                               {from: us, passes: true, lines: []string{client.PEM()}, refused: true},
		"no base64":                         {from: us, passes: true, lines: []string{":a b:"}, refused: true},
		"no certificate":                    {from: us, passes: true, lines: []string{":AAAA:"}, refused: true},
		"nothing in it":                     {from: us, passes: true, lines: []string{"::"}, refused: true},
		"one colon":                         {from: us, passes: true, lines: []string{":"}, refused: true},
		"an empty line":                     {from: us, passes: true, lines: []string{""}, refused: true},
		"too long":                          {from: us, passes: true, lines: []string{":" + strings.Repeat("AAAA", 4<<10) + ":"}, refused: true},
		"what is above cannot be read":      {from: us, passes: true, lines: []string{line}, chain: []string{"x"}, refused: true},
		"too many above":                    {from: us, passes: true, lines: []string{line}, chain: []string{strings.Repeat(chain+",", 8) + chain}, refused: true},
		"only what is above, and no client": {from: us, passes: true, chain: []string{chain}},
	} {
		p, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"192.0.2.1"}, Certificates: c.passes})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		if c.tls != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.tls.Certificate}}
		}
		for _, l := range c.lines {
			r.Header.Add("Client-Cert", l)
		}
		for _, l := range c.chain {
			r.Header.Add("Client-Cert-Chain", l)
		}
		got, err := p.Certificates(r)
		if (gatehouse.CodeOf(err) == "client_cert_malformed") != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(got) != c.want || c.want > 0 && !got[0].Equal(client.Certificate) {
			t.Errorf("%s: %d certificates", name, len(got))
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Client-Cert", line)
	if got, err := (*web.Proxies)(nil).Certificates(r); got != nil || err != nil {
		t.Errorf("without any proxies: %v %v", got, err)
	}
}
