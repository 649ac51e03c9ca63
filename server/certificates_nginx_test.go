package server_test

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestCertificatesThroughNginx: with the file that we ship, nginx passes on which certificate a client showed it, and nothing that a
// client wrote: a bound token is good through it with its certificate alone.
func TestCertificatesThroughNginx(t *testing.T) {
	nginx := ""
	for _, try := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(try); err == nil {
			nginx = path
		}
	}
	if nginx == "" {
		if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed")
	}
	c := &certified{t: t, tls: testcert.Authority(t, "servers"), ca: testcert.Authority(t, "clients")}
	at := freeAddress(t)
	c.d = demoWith(t, server.StoreConfig{}, func(cfg *server.Config) {
		cfg.ClientCertificates.FromProxies, cfg.ClientCertificates.URL = true, "https://"+strings.Replace(at, "127.0.0.1", "localhost", 1)
	})
	c.trust("main")
	if err := c.d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := c.tls.Issue(t, testcert.Server()).Files(t)
	ours, err := filepath.Abs("../deploy/nginx/client-certificates.conf")
	if err != nil {
		t.Fatal(err)
	}
	gate := freeAddress(t)
	lines := `proxy_set_header Client-Cert $gatehouse_client_cert; proxy_set_header Client-Cert-Chain ""; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;`
	front := func(listen, to string) string {
		return fmt.Sprintf("server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_verify_client optional_no_ca; location / { %s proxy_pass %s; } }\n", listen, cert, key, lines, to)
	}
	conf := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log; events {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\ninclude %[2]s;\n%[3]s%[4]s}\n",
		dir, ours, front(at, c.d.Issuer), front(gate, c.d.Gateway))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	testwait.Until(t, 10*time.Second, "nginx listens", func() bool {
		conn, err := net.DialTimeout("tcp", gate, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	robot := &x509.Certificate{DNSNames: []string{"robot.example"}}
	long := &x509.Certificate{DNSNames: []string{"robot.example", strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example"}, URIs: []*url.URL{{Scheme: "https", Host: "example.com", Path: "/" + strings.Repeat("c", 700)}}}
	id := c.register(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"robot.example","tls_client_certificate_bound_access_tokens":true`)
	other := c.ca.Issue(t, robot)
	for name, mine := range map[string]*testcert.Certificate{"short": c.ca.Issue(t, robot), "long": c.ca.Issue(t, long)} {
		access := c.ask(mine, id).want(t, name, 200).text("access_token")
		read := func(with *testcert.Certificate, line string) answer {
			return c.do(with, "GET", "https://"+gate+"/read", nil, "Authorization", "Bearer "+access, "Client-Cert", line, "Client-Cert-Chain", line)
		}
		read(mine, other.Line()).want(t, name+": with its certificate", 404) // the API has nothing there
		read(other, mine.Line()).want(t, name+": with another, and a line", 401)
		read(nil, mine.Line()).want(t, name+": with none, and a line", 401)
	}
	c.ask(nil, id).want(t, "without a certificate", 401)
	c.ask(testcert.SelfSigned(t, robot), id).want(t, "with one for which nobody vouches", 401)
}

// freeAddress is an address that nothing listens on, now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
