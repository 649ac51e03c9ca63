package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// certified is an issuer to which clients come with certificates.
type certified struct {
	t        *testing.T
	d        *server.Demo
	tls      *testcert.Certificate // who vouches for the issuer
	ca       *testcert.Certificate // who vouches for clients
	metadata map[string]any
}

func newCertified(t *testing.T, st server.StoreConfig) *certified {
	c := &certified{t: t, tls: testcert.Authority(t, "servers"), ca: testcert.Authority(t, "clients")}
	cert, key := c.tls.Issue(t, testcert.Server()).Files(t)
	c.d = demoWith(t, st, func(cfg *server.Config) {
		cfg.TrustedProxies = nil
		cfg.Listen.MTLS.Address, cfg.Listen.MTLS.CertFile, cfg.Listen.MTLS.KeyFile = "127.0.0.1:0", cert, key
		cfg.ClientCertificates.URL = "https://localhost:0"
	})
	c.trust("main")
	c.metadata = object(t, []byte(call(t, "GET", c.d.Issuer+"/.well-known/oauth-authorization-server").body))
	return c
}

// trust has a realm take certificates of the authority.
func (c *certified) trust(realm string) {
	b, err := json.Marshal(map[string]any{"settings": map[string]any{"client_certificate_authorities": c.ca.PEM()}})
	if err != nil {
		c.t.Fatal(err)
	}
	call(c.t, "PATCH", c.d.Issuer+"/admin/v1/realms/"+realm, "bearer", c.d.AdminToken, "body", string(b)).want(c.t, "authorities", 200)
}

// register registers a client of main and returns its client_id.
func (c *certified) register(members string) string {
	c.t.Helper()
	return call(c.t, "POST", c.d.Issuer+"/admin/v1/realms/main/clients", "bearer", c.d.AdminToken, "body",
		`{"client_name":"Robot","grant_types":["client_credentials"],"scope":"documents:read",`+members+`}`).want(c.t, "a client", 201).text("client_id")
}

// post sends a form with a certificate, nil for none.
func (c *certified) post(with *testcert.Certificate, to string, form url.Values, header ...string) answer {
	c.t.Helper()
	return c.do(with, "POST", to, strings.NewReader(form.Encode()), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

func (c *certified) do(with *testcert.Certificate, method, to string, body io.Reader, header ...string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, to, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := testcert.Client(c.t, c.tls, with).Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

func (c *certified) ask(with *testcert.Certificate, id string, more ...string) answer {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return c.post(with, c.d.Aliases()+"/token", form)
}

func onBothCertified(t *testing.T, flow func(c *certified)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); flow(newCertified(t, server.StoreConfig{})) })
	t.Run("postgres", func(t *testing.T) { flow(newCertified(t, postgresStore(t))) })
}

// TestClientsWithCertificates: a client proves who it is by a certificate that authorities of its realm vouch for, or by one with a key
// that is registered for it, at an address where TLS asks for certificates, and nothing else does.
func TestClientsWithCertificates(t *testing.T) { onBothCertified(t, clientsWithCertificates) }

func clientsWithCertificates(c *certified) {
	t, d := c.t, c.d
	aliases, _ := c.metadata["mtls_endpoint_aliases"].(map[string]any)
	for name, path := range map[string]string{"token_endpoint": "/token", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke",
		"pushed_authorization_request_endpoint": "/par", "device_authorization_endpoint": "/device_authorization", "userinfo_endpoint": "/userinfo",
		"backchannel_authentication_endpoint": "/backchannel-authentication"} {
		if aliases[name] != d.Aliases()+path {
			t.Errorf("%s is at %v", name, aliases[name])
		}
	}
	methods, _ := json.Marshal(c.metadata["token_endpoint_auth_methods_supported"])
	if !strings.Contains(string(methods), `"tls_client_auth","self_signed_tls_client_auth"`) || c.metadata["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("metadata: %v", c.metadata)
	}

	uri, _ := url.Parse("spiffe://example/robot")
	robot := &x509.Certificate{Subject: pkix.Name{CommonName: "robot", Organization: []string{"Example, Inc."}, Country: []string{"DE"}},
		DNSNames: []string{"robot.example"}, URIs: []*url.URL{uri}, IPAddresses: []net.IP{net.ParseIP("192.0.2.7")}, EmailAddresses: []string{"robot@example.com"}}
	other := &x509.Certificate{Subject: pkix.Name{CommonName: "robot", Organization: []string{"Example"}}, DNSNames: []string{"*.example", "robot.example.org"}}
	over, server := *robot, *robot
	over.NotBefore, over.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	between := c.ca.Issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "between"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	good := c.ca.Issue(t, robot)
	wrong := map[string]*testcert.Certificate{"of another": c.ca.Issue(t, other), "of another authority": testcert.Authority(t, "clients").Issue(t, robot),
		"by itself": testcert.SelfSigned(t, robot), "over": c.ca.Issue(t, &over), "of a server": c.ca.Issue(t, &server), "none": nil}
	for member, value := range map[string]string{"subject_dn": `CN=robot, O=Example\\, Inc., C=DE`, "san_dns": "Robot.example", "san_uri": "spiffe://example/robot", "san_ip": "192.0.2.7", "san_email": "robot@example.com"} {
		id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_` + member + `":"` + value + `"`)
		a := c.ask(good, id).want(t, member, 200)
		if a.text("token_type") != "Bearer" {
			t.Error(a.body)
		}
		c.ask(between.Issue(t, robot), id).want(t, member+" by one between", 200)
		for what, with := range wrong {
			if a := c.ask(with, id); a.status != 401 || a.text("error") != "invalid_client" {
				t.Errorf("%s, a certificate %s: %d %s", member, what, a.status, a.body)
			}
		}
		if a := c.ask(good, id, "client_secret", "ghc_live_x"); a.status != 401 {
			t.Errorf("with a secret as well: %d %s", a.status, a.body)
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
		if a := send(t, d.Issuer, form.Encode()); a.status != 401 || a.text("error") != "invalid_client" {
			t.Errorf("without TLS: %d %s", a.status, a.body)
		}
		// Who stands at the issuer's own address says what it likes.
		if a := call(t, "POST", d.Issuer+"/token", "Content-Type", "application/x-www-form-urlencoded", "body", form.Encode(), "Client-Cert", good.Line()); a.status != 401 {
			t.Errorf("a line that anybody can write: %d %s", a.status, a.body)
		}
	}

	// A key that is registered, in whatever certificate.
	jwk := func(of *testcert.Certificate) string { return publicSet(t, of) }
	mine := testcert.SelfSigned(t, robot)
	id := c.register(`"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":` + jwk(mine))
	c.ask(mine, id).want(t, "its own key", 200)
	for what, with := range map[string]*testcert.Certificate{"another key": testcert.SelfSigned(t, robot), "one that is vouched for": good, "none": nil} {
		if a := c.ask(with, id); a.status != 401 || a.text("error") != "invalid_client" {
			t.Errorf("self-signed, %s: %d %s", what, a.status, a.body)
		}
	}
	// Another key in its place ends what there was, and another method takes the key away.
	at := d.Issuer + "/admin/v1/realms/main/clients/" + id
	next := testcert.SelfSigned(t, robot)
	call(t, "PATCH", at, "bearer", d.AdminToken, "body", `{"jwks":`+jwk(next)+`}`).want(t, "another key", 200)
	c.ask(mine, id).want(t, "the old key", 401)
	c.ask(next, id).want(t, "the new key", 200)
	call(t, "PATCH", at, "bearer", d.AdminToken, "body", `{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example"}`).want(t, "another method", 200)
	c.ask(next, id).want(t, "the key of before", 401)
	c.ask(good, id).want(t, "its name", 200)
	call(t, "PATCH", at, "bearer", d.AdminToken, "body", `{"tls_client_auth_san_ip":"192.0.2.8"}`).want(t, "another name", 200)
	c.ask(good, id).want(t, "the name of before", 401)

	// What cannot be registered.
	for _, members := range []string{`"token_endpoint_auth_method":"tls_client_auth"`, `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"a","tls_client_auth_san_ip":"192.0.2.1"`,
		`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"robot"`, `"token_endpoint_auth_method":"client_secret_basic","tls_client_auth_san_dns":"a"`,
		`"token_endpoint_auth_method":"self_signed_tls_client_auth"`, `"token_endpoint_auth_method":"client_secret_basic","tls_client_certificate_bound_access_tokens":true,"dpop_bound_access_tokens":true`} {
		call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body", `{"client_name":"R","grant_types":["client_credentials"],`+members+`}`).want(t, members, 422)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"client_certificate_authorities":"x"}}`).want(t, "no certificates", 422)

	// A realm in which nobody is trusted, and the pages, which are nowhere that asks people for certificates.
	call(t, "POST", d.Issuer+"/admin/v1/realms", "bearer", d.AdminToken, "body", `{"name":"shop","settings":{"scopes":{"buy":"Buy"}}}`).want(t, "a realm", 201)
	shop := call(t, "POST", d.Issuer+"/admin/v1/realms/shop/clients", "bearer", d.AdminToken, "body",
		`{"client_name":"R","grant_types":["client_credentials"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example"}`).want(t, "a client", 201).text("client_id")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {shop}}
	c.post(good, d.Aliases()+"/realms/shop/token", form).want(t, "without authorities", 401)
	c.trust("shop")
	c.post(good, d.Aliases()+"/realms/shop/token", form).want(t, "with authorities", 200)
	for _, path := range []string{"/", "/signin", "/authorize", "/admin/v1/realms", "/.well-known/openid-configuration"} {
		c.do(good, "GET", d.Aliases()+path, nil).want(t, path, 404)
	}
}

// TestCertificateBoundTokens: a token of a client that asks for that is bound to its certificate, and so are the refresh tokens of
// clients that prove nothing: without it, or with another, none of them is worth anything.
func TestCertificateBoundTokens(t *testing.T) { onBothCertified(t, certificateBoundTokens) }

func certificateBoundTokens(c *certified) {
	t, d := c.t, c.d
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /live", Authenticated: true, Ticket: "ticket"}); err != nil {
		t.Fatal(err)
	}
	robot := &x509.Certificate{DNSNames: []string{"robot.example"}}
	mine, thief := c.ca.Issue(t, robot), c.ca.Issue(t, robot)
	id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example","tls_client_certificate_bound_access_tokens":true,"introspection_audiences":["` + d.Issuer + `"]`)
	if a := c.post(mine, d.Aliases()+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}, "DPoP", "x"); a.status != 400 || a.code() != "bound_by_certificate" {
		t.Errorf("with a DPoP proof: %d %s", a.status, a.body)
	}
	for _, format := range []string{"signed", "opaque"} {
		call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"token_format":"`+format+`"}}`).want(t, "settings", 200)
		access := c.ask(mine, id).want(t, format, 200).text("access_token")
		told := c.post(mine, d.Aliases()+"/introspect", url.Values{"token": {access}, "client_id": {id}}).want(t, "introspection", 200)
		cnf, _ := told.json["cnf"].(map[string]any)
		if told.json["active"] != true || told.text("token_type") != "Bearer" || len(cnf) != 1 || cnf["x5t#S256"] != mine.Thumbprint() {
			t.Errorf("%s: %s", format, told.body)
		}
		// The gateway of this house has no TLS: the token is a stolen one there.
		for what, a := range map[string]answer{"plain": call(t, "GET", d.Gateway+"/read", "bearer", access), "with a line": call(t, "GET", d.Gateway+"/read", "bearer", access, "Client-Cert", mine.Line())} {
			if line := a.header.Get("WWW-Authenticate"); a.status != 401 || a.code() != "certificate_mismatch" || !strings.HasPrefix(line, "Bearer ") || !strings.Contains(line, `error="invalid_token"`) {
				t.Errorf("%s, %s: %d %s %s", format, what, a.status, a.body, line)
			}
		}
		call(t, "GET", d.Gateway+"/read", "Authorization", "DPoP "+access).want(t, "as DPoP", 401)
		call(t, "POST", d.Gateway+"/.gatehouse/ticket/live", "bearer", access).want(t, "a ticket", 403)
		if a := call(t, "GET", d.Issuer+"/admin/v1/realms/main/clients", "bearer", access); a.status != 401 || a.code() != "certificate_mismatch" {
			t.Errorf("the management API: %d %s", a.status, a.body)
		}
		call(t, "DELETE", d.Issuer+"/tokens", "bearer", access).want(t, "its end by a thief", 401)
	}

	// FAPI 2.0 takes certificates for both, or for who it is alone.
	fapi := `"profile":"fapi2","token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example"`
	c.ask(mine, c.register(fapi+`,"tls_client_certificate_bound_access_tokens":true`)).want(t, "FAPI 2.0 by certificates", 200)
	if a := c.ask(mine, c.register(fapi)); a.status != 400 || a.text("error") != "invalid_dpop_proof" {
		t.Errorf("FAPI 2.0 without a proof: %d %s", a.status, a.body)
	}

	// A program that proves nothing, for a person.
	p := registers(t, d, `,"tls_client_certificate_bound_access_tokens":true,"scope":"openid email offline_access documents:read"`)
	v := signedIn(t, d)
	code := p.allows(v, d.Issuer, p.query("scope", "openid offline_access documents:read"))
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {p.verifier}, "client_id": {p.id}}
	if a := send(t, d.Issuer, form.Encode()); a.status != 400 || a.text("error") != "invalid_request" || a.code() != "certificate_required" {
		t.Errorf("without a certificate: %d %s", a.status, a.body)
	}
	got := c.post(mine, d.Aliases()+"/token", form).want(t, "with one", 200)
	about := func(with *testcert.Certificate) answer {
		return c.do(with, "GET", d.Aliases()+"/userinfo", nil, "Authorization", "Bearer "+got.text("access_token"))
	}
	about(mine).want(t, "userinfo", 200)
	for what, with := range map[string]*testcert.Certificate{"a thief": thief, "nobody": nil} {
		if a := about(with); a.status != 401 || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("userinfo for %s: %d %s %v", what, a.status, a.body, a.header)
		}
	}
	renew := func(with *testcert.Certificate, want int) answer {
		t.Helper()
		return c.post(with, d.Aliases()+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.text("refresh_token")}, "client_id": {p.id}}).want(t, "renewal", want)
	}
	if a := renew(thief, 400); a.text("error") != "invalid_grant" {
		t.Error(a.body)
	}
	renew(nil, 400)
	renew(mine, 200)
	// A client that is to have bound tokens alone loses the others at once.
	loose := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example"`)
	access := c.ask(mine, loose).text("access_token")
	call(t, "GET", d.Gateway+"/read", "bearer", access).want(t, "unbound", 404)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+loose, "bearer", d.AdminToken, "body", `{"tls_client_certificate_bound_access_tokens":true}`).want(t, "bound from now on", 200)
	call(t, "GET", d.Gateway+"/read", "bearer", access).want(t, "unbound, afterwards", 401)
}

// publicSet is the key of a certificate as a JWK Set.
func publicSet(t *testing.T, of *testcert.Certificate) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": []any{of.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCertificatesOfProxies: a trusted proxy says by the line of RFC 9440 which certificate the client showed it; so tokens that are
// bound to one are good behind it, at the token endpoint, the gateway and in forward-auth.
func TestCertificatesOfProxies(t *testing.T) {
	ca := testcert.Authority(t, "clients")
	d := demoWith(t, server.StoreConfig{}, func(cfg *server.Config) { cfg.ClientCertificates.FromProxies = true })
	c := &certified{t: t, d: d, ca: ca}
	c.trust("main")
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /proven", Authenticated: true, Proof: "bound"}); err != nil {
		t.Fatal(err)
	}
	between := ca.Issue(t, &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	mine, other := between.Issue(t, &x509.Certificate{DNSNames: []string{"robot.example"}}), ca.Issue(t, &x509.Certificate{DNSNames: []string{"robot.example"}})
	id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example","tls_client_certificate_bound_access_tokens":true`)
	ask := func(lines ...string) answer {
		return call(t, "POST", d.Issuer+"/token", append(lines, "Content-Type", "application/x-www-form-urlencoded", "body", "grant_type=client_credentials&client_id="+id, "X-Forwarded-Proto", "https")...)
	}
	ask("Client-Cert", mine.Line()).want(t, "without the one between", 401)
	ask().want(t, "without a certificate", 401)
	access := ask("Client-Cert", mine.Line(), "Client-Cert-Chain", between.Line()).want(t, "by a proxy", 200).text("access_token")
	if a := ask("Client-Cert", mine.Line(), "Client-Cert", other.Line()); a.status != 400 || a.code() != "client_cert_malformed" {
		t.Errorf("beside the line of a proxy: %d %s", a.status, a.body)
	}
	forward := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/read", "X-Forwarded-Host", "api.example", "X-Forwarded-Proto", "https", "bearer", access}
	for what, at := range map[string]struct {
		url  string
		opts []string
		want int
	}{
		"the gateway":             {d.Gateway + "/read", []string{"bearer", access}, 404}, // its API has nothing there
		"a route for bound ones":  {d.Gateway + "/proven", []string{"bearer", access}, 404},
		"a proxy that asks first": {d.Gateway + server.ForwardAuthPath + "/caddy", forward, 200},
	} {
		call(t, "GET", at.url, append(at.opts, "Client-Cert", mine.Line())...).want(t, what, at.want)
		for how, lines := range map[string][]string{"nothing": nil, "another": {"Client-Cert", other.Line()}} {
			if a := call(t, "GET", at.url, append(at.opts, lines...)...); a.status != 401 || a.code() != "certificate_mismatch" {
				t.Errorf("%s, with %s: %d %s", what, how, a.status, a.body)
			}
		}
	}
	if a := call(t, "GET", d.Gateway+"/proven", "bearer", d.Users["bob"].APIKey, "Client-Cert", mine.Line()); a.status != 401 || a.code() != "proof_required" {
		t.Errorf("a key with a certificate: %d %s", a.status, a.body)
	}
	// Where it is not configured the line is nobody's, and a proxy that asks had better not pass it on.
	off := demo(t)
	if a := call(t, "GET", off.Gateway+server.ForwardAuthPath+"/caddy", append(forward, "Client-Cert", mine.Line())...); a.status != 400 || a.code() != "header_name_reserved" {
		t.Errorf("a line that nobody believes: %d %s", a.status, a.body)
	}
	if m := object(t, []byte(call(t, "GET", off.Issuer+"/.well-known/oauth-authorization-server").body)); m["tls_client_certificate_bound_access_tokens"] != nil ||
		strings.Contains(string(mustJSON(t, m["token_endpoint_auth_methods_supported"])), "tls") {
		t.Errorf("what is not there is promised: %v", m)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGatewayAsksForCertificates: TLS of the gateway asks for a certificate and takes none as well; a bound token is good with its own.
// What a client writes in a line does not stand for it.
func TestGatewayAsksForCertificates(t *testing.T) {
	c := &certified{t: t, tls: testcert.Authority(t, "servers"), ca: testcert.Authority(t, "clients")}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Client-Cert") != "" {
			t.Error("the API sees a line that anybody may have written")
		}
	}))
	t.Cleanup(api.Close)
	cert, key := c.tls.Issue(t, testcert.Server()).Files(t)
	var err error
	c.d, err = server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Upstream: api.URL, Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}}.With(func(cfg *server.Config) {
		cfg.TrustedProxies = nil
		for _, l := range []*config.Listener{&cfg.Listen.MTLS, &cfg.Listen.Gateway} {
			l.CertFile, l.KeyFile = cert, key
		}
		cfg.Listen.MTLS.Address, cfg.ClientCertificates.URL, cfg.ClientCertificates.Gateway = "127.0.0.1:0", "https://localhost:0", true
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.d.Close(context.Background()) })
	c.trust("main")
	if err := c.d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /open", Anonymous: true}); err != nil {
		t.Fatal(err)
	}
	robot := &x509.Certificate{DNSNames: []string{"robot.example"}}
	mine, thief := c.ca.Issue(t, robot), testcert.SelfSigned(t, robot)
	id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example","tls_client_certificate_bound_access_tokens":true`)
	access := c.ask(mine, id).want(t, "a token", 200).text("access_token")
	read := func(with *testcert.Certificate, line string) answer {
		return c.do(with, "GET", c.d.Gateway+"/read", nil, "Authorization", "Bearer "+access, "Client-Cert", line)
	}
	read(mine, thief.Line()).want(t, "with its certificate", 200)
	read(mine, mine.Line()).want(t, "again", 200)
	for what, a := range map[string]answer{"a thief": read(thief, mine.Line()), "nobody": read(nil, mine.Line())} {
		if a.status != 401 || a.code() != "certificate_mismatch" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	c.do(nil, "GET", c.d.Gateway+"/open", nil).want(t, "a caller without a certificate", 200)
}

// TestGuardAsksForCertificates: a program with a guard takes a token that is bound to a certificate with that, by its own TLS or from a
// proxy that it trusts.
func TestGuardAsksForCertificates(t *testing.T) {
	c := newCertified(t, server.StoreConfig{})
	d := c.d
	robot := &x509.Certificate{DNSNames: []string{"robot.example"}}
	mine, thief := c.ca.Issue(t, robot), c.ca.Issue(t, robot)
	id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example","tls_client_certificate_bound_access_tokens":true`)
	access := c.ask(mine, id).want(t, "a token", 200).text("access_token")
	program := func(change func(*guard.RemoteConfig)) http.Handler {
		cfg := guard.RemoteConfig{Issuer: d.Issuer, Audience: d.Issuer, AllowPrivateAddress: true, Logger: slog.New(slog.DiscardHandler), Routes: []enforce.Route{{Pattern: "/", Authenticated: true}}}
		change(&cfg)
		g, err := guard.NewRemote(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Client-Cert") != "" {
				t.Error("the program sees a line that anybody may have written")
			}
		}))
	}
	direct := httptest.NewUnstartedServer(program(func(*guard.RemoteConfig) {}))
	cert, key := c.tls.Issue(t, testcert.Server()).Files(t)
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	direct.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert}
	direct.StartTLS()
	t.Cleanup(direct.Close)
	get := func(with *testcert.Certificate, line string) answer {
		return c.do(with, "GET", direct.URL+"/x", nil, "Authorization", "Bearer "+access, "Client-Cert", line)
	}
	get(mine, thief.Line()).want(t, "by TLS", 200)
	for what, a := range map[string]answer{"a thief": get(thief, mine.Line()), "nobody": get(nil, mine.Line())} {
		if a.status != 401 || a.code() != "certificate_mismatch" {
			t.Errorf("%s, with a line: %d %s", what, a.status, a.body)
		}
	}
	behind := httptest.NewServer(program(func(cfg *guard.RemoteConfig) {
		cfg.TrustedProxies, cfg.ClientCertificates = []string{"127.0.0.1"}, true
	}))
	t.Cleanup(behind.Close)
	call(t, "GET", behind.URL+"/x", "bearer", access, "Client-Cert", mine.Line()).want(t, "behind a proxy", 200)
	call(t, "GET", behind.URL+"/x", "bearer", access, "Client-Cert", thief.Line()).want(t, "behind a proxy, a thief", 401)
	call(t, "GET", behind.URL+"/x", "bearer", access).want(t, "behind a proxy, nobody", 401)
}
