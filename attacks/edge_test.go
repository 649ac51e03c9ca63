package attacks_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// TestHeaderInjection: a line break in what becomes a header.
func TestHeaderInjection(t *testing.T) {
	w := the(t)
	const evil = "x\r\nX-Gatehouse-Roles: admin\r\n\r\nGET /internal HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, name := range []string{evil, "a\nX-Gatehouse-Roles: admin", "a\rX-Gatehouse-Roles: admin", "a\x00b", "a,b;c=d", "ä\u2028\u0085", "\u560a\u560d", "%0d%0aX: y"} {
		m := random()
		a := call(t, "GET", w.Gateway+"/private", "bearer", w.idp.es(header(), w.idp.claims("name", name)), mark, m).want(t, "an odd name", 200)
		seen := w.api.marked(m)
		if len(seen) != 1 {
			t.Fatalf("name %q: reached the API %d times", name, len(seen))
		}
		h := seen[0].Header
		if got := h["X-Gatehouse-Roles"]; len(got) != 1 || strings.Contains(got[0], "admin") || len(h["X-Gatehouse-Username"]) != 1 || strings.ContainsAny(h.Get("X-Gatehouse-Username"), "\r\n\x00,; ") {
			t.Errorf("name %q: %v", name, h)
		}
		if len(a.header["X-Gatehouse-Roles"]) > 0 {
			t.Errorf("name %q: in the answer", name)
		}
	}
	if n := len(w.api.find(func(r *http.Request) bool { return r.URL.Path == "/internal" })); n != 0 {
		t.Errorf("/internal was reached %d times", n)
	}
	for i, user := range []string{evil, "a\r\nSet-Cookie: a=b", "a\nb", "\r", "\x00", "a\x7fb"} {
		for _, at := range [][2]string{{"GET", w.Gateway + "/private"}, {"POST", w.Issuer + "/tokens"}} {
			a := call(t, at[0], at[1], "basic", user+":password-of-some-length", "from", from(800+i, 1))
			a.want(t, "Basic with a control character", 400, 401)
			if len(a.header["Set-Cookie"]) > 0 || len(a.header["X-Gatehouse-Roles"]) > 0 {
				t.Errorf("user %q: injected %v", user, a.header)
			}
		}
		for _, member := range []string{"username", "display_name", "email"} {
			in := object{"username": "u" + random()[:10], member: user}
			b, _ := json.Marshal(in)
			call(t, "POST", w.Issuer+"/admin/v1/realms/main/users", "bearer", w.AdminToken, "body", string(b)).want(t, member, 400, 422)
		}
	}
	// What a caller chooses and an answer repeats.
	p := w.person(t, "main", "user")
	a := call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":"x\r\nSet-Cookie: a=b","body":"\u0000","visibility":"private"}`)
	if len(a.header["Set-Cookie"]) > 0 || a.status >= 500 {
		t.Errorf("document: %d %v", a.status, a.header)
	}
	for _, path := range []string{"/documents/x%0d%0aSet-Cookie:%20a=b", "/documents/%E5%98%8A%E5%98%8DSet-Cookie:%20a=b", "/private?x=%0d%0aSet-Cookie:%20a=b"} {
		a := call(t, "GET", w.Gateway+path, "bearer", p.key)
		if len(a.header["Set-Cookie"]) > 0 || a.status >= 500 {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
}

// TestOversized: everything that a caller sends has an end.
func TestOversized(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	big := func(n int) string { return strings.Repeat("a", n) }
	many := func(n int) (out []string) {
		for range n {
			out = append(out, "X-Many-"+random(), "a")
		}
		return out
	}
	call(t, "GET", w.Gateway+"/private?q="+big(2000), append(many(50), "bearer", p.key, "X-Large", big(8<<10))...).want(t, "large and allowed", 200)
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	docs := w.Gateway + "/documents"
	for what, tc := range map[string]struct {
		method, url string
		opts        []string
		want        []int
	}{
		"header line":        {"GET", w.Gateway + "/private", []string{"bearer", p.key, "X-Large", big(40 << 10)}, []int{431}},
		"header, far beyond": {"GET", w.Gateway + "/private", []string{"bearer", p.key, "X-Large", big(200 << 10)}, []int{431}},
		"many header lines":  {"GET", w.Gateway + "/private", append(many(150), "bearer", p.key), []int{431}},
		"query":              {"GET", w.Gateway + "/private?q=" + big(40<<10), []string{"bearer", p.key}, []int{414, 431}},
		"path":               {"GET", w.Gateway + "/documents/" + big(40<<10), []string{"bearer", p.key}, []int{414, 431}},
		"token":              {"GET", w.Gateway + "/private", []string{"bearer", "eyJ" + big(17<<10) + ".e.s"}, []int{401, 431}},
		"honest, too large":  {"GET", w.Gateway + "/private", []string{"bearer", w.idp.es(header(), w.idp.claims("pad", big(13<<10)))}, []int{401, 431}},
		"token, nested":      {"GET", w.Gateway + "/private", []string{"bearer", w.idp.es(header(), w.idp.claims("deep", json.RawMessage(strings.Repeat("[", 2000)+strings.Repeat("]", 2000))))}, []int{401}},
		"password":           {"GET", w.Gateway + "/private", []string{"basic", p.name + ":" + big(5000), "from", from(900, 1)}, []int{400, 401}},
		"username":           {"GET", w.Gateway + "/private", []string{"basic", big(5000) + ":x", "from", from(900, 2)}, []int{400, 401}},
		"body to judge":      {"POST", docs, []string{"bearer", p.key, "body", `{"title":"` + big(70<<10) + `"}`}, []int{413}},
		"body, nested":       {"POST", docs, []string{"bearer", p.key, "body", deep[:60<<10]}, []int{400, 413, 422}},
		"body to forward":    {"PUT", w.Gateway + w.document(t, p, "private"), []string{"bearer", p.key, "body", big(11 << 20)}, []int{413}},
		"form":               {"POST", w.Issuer + "/tokens/refresh", []string{"body", `{"refresh_token":"` + big(20<<10) + `"}`}, []int{413}},
		"admin body":         {"POST", w.Issuer + "/admin/v1/realms/main/users", []string{"bearer", w.AdminToken, "body", `{"username":"` + big(2<<20) + `"}`}, []int{413}},
		"admin, nested":      {"POST", w.Issuer + "/admin/v1/realms/main/users", []string{"bearer", w.AdminToken, "body", `{"username":"x","attributes":` + deep[:50<<10] + `}`}, []int{400, 413, 422}},
	} {
		a, err := send(tc.method, tc.url, tc.opts...)
		if err != nil { // the server may hang up on who goes on sending
			if what != "body to forward" && what != "admin body" && what != "header, far beyond" {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		a.want(t, what, tc.want...)
	}
	// Without an announced length.
	chunk := "10000\r\n" + big(0x10000) + "\r\n"
	got := raw(t, w.Gateway, "POST /documents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+p.key+"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+chunk+"0\r\n\r\n")
	if s := statuses(got); len(s) != 1 || s[0] != "413" {
		t.Errorf("chunked: %v", s)
	}
	// A very large chunk, announced only.
	got = raw(t, w.Gateway, "POST /documents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+p.key+"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na")
	if s := statuses(got); len(s) > 1 || len(s) == 1 && s[0][0] != '4' {
		t.Errorf("huge chunk: %v", s)
	}
	call(t, "POST", docs, "bearer", p.key, "body", `{"title":"t"}`).want(t, "all is well", 201)
}

// TestSlowHeaders: connections that never finish their request (Slowloris).
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	w := the(t)
	p := w.person(t, "main")
	const bound = 10 * time.Second // as configured
	began := time.Now()
	type slow struct {
		net.Conn
		what string
	}
	var conns []slow
	for _, url := range []string{w.Gateway, w.Issuer} {
		for what, text := range map[string]string{"nothing": "", "a request line": "GET /private HTTP/1.1\r\n", "half a header": "GET /private HTTP/1.1\r\nHost: h\r\nX-A: b"} {
			for range 10 {
				c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, text)
				conns = append(conns, slow{c, what})
			}
		}
	}
	drip := time.NewTicker(time.Second)
	defer drip.Stop()
	done := make(chan struct{})
	defer close(done)
	go func() { // one byte at a time prolongs nothing
		for {
			select {
			case <-done:
				return
			case <-drip.C:
				for _, c := range conns {
					if c.what == "half a header" {
						_, _ = io.WriteString(c, "b")
					}
				}
			}
		}
	}()
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "meanwhile", 200)
	for _, c := range conns {
		_ = c.SetReadDeadline(began.Add(bound + 8*time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			var timeout net.Error
			if e, ok := err.(net.Error); ok && e.Timeout() {
				timeout = e
			}
			if timeout != nil {
				t.Fatalf("%s: still open after %v", c.what, time.Since(began))
			}
		}
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "afterwards", 200)
}

// smuggled are requests of which two readers see a different end. SMUGGLED is
// replaced by a request with a mark of its own.
var smuggled = map[string]string{
	"CL.TE":                     "Content-Length: LEN\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE.CL":                     "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nHEX\r\nSMUGGLED\r\n0\r\n\r\n",
	"TE.TE, two lines":          "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE.TE, list":               "Transfer-Encoding: identity, chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE.TE, xchunked":           "Transfer-Encoding: xchunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, blank before colon":    "Transfer-Encoding : chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, tab":                   "Transfer-Encoding:\tchunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, vertical tab":          "Transfer-Encoding: \x0bchunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, folded":                "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, folded value":          "Transfer-Encoding:\r\n chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, leading blank":         " Transfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, bare LF":               "X: y\nTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, bare CR":               "X: y\rTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, underscore":            "Transfer_Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, NUL":                   "Transfer-Encoding: chunked\x00\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"TE, quoted":                "Transfer-Encoding: \"chunked\"\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nSMUGGLED",
	"two lengths":               "Content-Length: 0\r\nContent-Length: LEN\r\n\r\nSMUGGLED",
	"two lengths, joined":       "Content-Length: 0, LEN\r\n\r\nSMUGGLED",
	"length with sign":          "Content-Length: +0\r\n\r\nSMUGGLED",
	"length in hex":             "Content-Length: 0x0\r\n\r\nSMUGGLED",
	"length, blank before":      "Content-Length : LEN\r\n\r\nSMUGGLED",
	"length with a minus":       "Content-Length: -1\r\n\r\nSMUGGLED",
	"chunk size with sign":      "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\nSMUGGLED",
	"chunk size in 0x":          "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\nSMUGGLED",
	"chunk ended by LF":         "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nHEX\r\n0\r\n\r\nSMUGGLED",
	"chunk extension with CR":   "Transfer-Encoding: chunked\r\n\r\n2;a=\rb\r\nxx\r\n0\r\n\r\nSMUGGLED",
	"wrong chunk length":        "Transfer-Encoding: chunked\r\n\r\n1\r\nxxSMUGGLED\r\n0\r\n\r\n",
	"blank line before":         "Content-Length: 0\r\nContent-Length : LEN\r\n\r\nSMUGGLED",
	"HTTP/1.0 with TE":          "Transfer-Encoding: chunked\r\nContent-Length: LEN\r\nConnection: keep-alive\r\nX-Version: 1.0\r\n\r\n0\r\n\r\nSMUGGLED",
	"Expect with a second read": "Expect: 100-continue\r\nContent-Length: LEN\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED",
}

// smuggle sends one of them as p and returns the stream of answers, with the
// mark that the inner request would carry.
func smuggle(t *testing.T, url, text string, p person) (stream, inner string) {
	t.Helper()
	inner = random()
	hidden := "GET /private HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + p.key + "\r\n" + mark + ": " + inner + "\r\n\r\n"
	text = strings.ReplaceAll(text, "SMUGGLED", hidden)
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	text = strings.ReplaceAll(text, "LEN", itoa(len(body)))
	text = strings.ReplaceAll(text, "HEX", hex(len(hidden)))
	version := "1.1"
	if strings.Contains(text, "X-Version: 1.0") {
		version = "1.0"
	}
	return raw(t, url, "PUT /private HTTP/"+version+"\r\nHost: h\r\nAuthorization: Bearer "+p.key+"\r\nContent-Type: application/json\r\n"+text), inner
}

func itoa(n int) string { return string(must(json.Marshal(n))) }

func hex(n int) string {
	const digits = "0123456789abcdef"
	out := ""
	for ; n > 0; n /= 16 {
		out = string(digits[n%16]) + out
	}
	return out
}

// TestRequestSmuggling sends them to the gateway itself. Were a lenient proxy in
// front, the inner request would be somebody else's: so there must be one answer
// at most, and the connection must end with it.
func TestRequestSmuggling(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	for what, text := range smuggled {
		stream, inner := smuggle(t, w.Gateway, text, p)
		if s := statuses(stream); len(s) != 1 || s[0][0] == '2' {
			t.Errorf("%s: %d answers %v", what, len(s), s)
		}
		if len(w.api.marked(inner)) > 0 {
			t.Errorf("%s: the inner request reached the API", what)
		}
	}
	honest := "POST /documents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + w.person(t, "main", "user").key + "\r\nContent-Type: application/json\r\n"
	for what, rest := range map[string]string{"a length": "Content-Length: 13\r\nConnection: close\r\n\r\n{\"title\":\"t\"}", "chunks": "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"title\":\"t\"}\r\n0\r\n\r\n"} {
		if s := statuses(raw(t, w.Gateway, honest+rest)); len(s) != 1 || s[0] != "201" {
			t.Errorf("%s: %v", what, s)
		}
	}
	// Pipelining by the rules is two requests, each judged by itself.
	two := "GET /public HTTP/1.1\r\nHost: h\r\n\r\nGET /private HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	if s := statuses(raw(t, w.Gateway, two)); strings.Join(s, " ") != "200 401" {
		t.Errorf("two in a row: %v", s)
	}
}

// TestRequestSmugglingBehindNginx does the same with Debian's nginx in front, on
// the very files of deploy/nginx: it asks Gatehouse and sends to the API itself.
func TestRequestSmugglingBehindNginx(t *testing.T) {
	w := the(t)
	front := nginx(t, w)
	p := w.person(t, "main")
	call(t, "GET", front+"/private", "bearer", p.key).want(t, "by the rules", 200)
	call(t, "GET", front+"/private").want(t, "nobody", 401)
	for what, text := range smuggled {
		if what == "TE, bare LF" {
			continue // a line that ends in LF is a line to nginx (RFC 9112 §2.2 lets it); chunked is then what both read
		}
		// The inner request is nobody's: nginx must not have passed it on unasked.
		stream, inner := smuggle(t, front, strings.ReplaceAll(text, "SMUGGLED", "GET /internal HTTP/1.1\r\nHost: h\r\nX-Inner: INNER\r\n\r\n"), p)
		_ = stream
		if n := len(w.api.find(func(r *http.Request) bool { return r.URL.Path == "/internal" || r.Header.Get("X-Inner") != "" })); n > 0 {
			t.Fatalf("%s: an unjudged request reached the API", what)
		}
		if len(w.api.marked(inner)) > 0 {
			t.Errorf("%s: the inner request reached the API", what)
		}
	}
	for _, line := range []string{"X-Gatehouse-Subject", "X-Gatehouse-Assertion", "X_Gatehouse_Subject", "X-Forwarded-User", "Remote-User"} {
		m := random()
		call(t, "GET", front+"/public", line, "SPOOFED", mark, m).want(t, line, 200)
		for _, r := range w.api.marked(m) {
			for name, v := range r.Header {
				if strings.Contains(strings.Join(v, ""), "SPOOFED") {
					t.Errorf("%s passed nginx as %s", line, name)
				}
			}
		}
	}
	for _, path := range []string{"/public/../private", "/public/..%2fprivate", "/%70rivate", "//private", "/public/%2e%2e/internal", "/internal", "/public/..;/internal"} {
		m := random()
		s := statuses(raw(t, front, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+mark+": "+m+"\r\n\r\n"))
		if len(s) != 1 || s[0][0] == '2' || len(w.api.marked(m)) > 0 {
			t.Errorf("%s as nobody: %v, reached %d", path, s, len(w.api.marked(m)))
		}
	}
}

// nginx starts Debian's nginx on deploy/nginx and returns its address.
func nginx(t *testing.T, w *world) string {
	t.Helper()
	program := "/usr/sbin/nginx"
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed; see scripts/test-deps")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf, err := filepath.Abs("../deploy/nginx/gatehouse.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	main := "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents { worker_connections 64; }\nhttp {\n access_log off;\n"
	for _, d := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += " " + d + "_temp_path " + d + ";\n"
	}
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	for name, text := range map[string]string{"gatehouse-listen.conf": "listen " + addr + ";\n",
		"gatehouse-upstreams.conf": "upstream gatehouse { server " + host(w.Gateway) + "; keepalive 4; }\nupstream gatehouse_api { server " + host(w.api.server.URL) + "; keepalive 4; }\n",
		"nginx.conf":               main + " include " + conf + ";\n}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(15 * time.Second); ; {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return "http://" + addr
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not listen")
		}
	}
}

// TestSSRF: an issuer's key address leads into the machine's own network.
//
// ASVS: 13.2.4
func TestSSRF(t *testing.T) {
	w := the(t)
	var connections atomic.Int64
	keys := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(rw, r, "/jwks", http.StatusFound)
			return
		}
		_, _ = io.WriteString(rw, w.idp.jwks)
	}))
	keys.Listener = counting{keys.Listener, &connections}
	keys.Start()
	defer keys.Close()
	_, port, err := net.SplitHostPort(keys.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// ask makes the server want the keys, and tells whether it accepted the token.
	ask := func(address string, private bool) (status int, active bool) {
		name := "r" + random()[:8]
		trust := with(w.idp.trust("documents"), "jwks", nil, "jwks_url", address)
		if private {
			trust["allow_private_address"] = true
		}
		b := must(json.Marshal(object{"name": name, "settings": object{"trusted_issuers": []any{trust}}}))
		a := call(t, "POST", w.Issuer+"/admin/v1/realms", "bearer", w.AdminToken, "body", string(b))
		if a.status != 201 {
			return a.status, false
		}
		v := call(t, "POST", w.Issuer+"/admin/v1/realms/"+name+"/tokens/verify", "bearer", w.AdminToken, "body", `{"token":"`+w.idp.honest()+`"}`)
		return v.status, v.json["active"] == true
	}
	if status, active := ask("http://127.0.0.1:"+port+"/jwks", true); status != 200 || !active || connections.Load() == 0 {
		t.Fatalf("the twin, private on purpose: %d %v", status, active)
	}
	connections.Store(0)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "localhost."} {
		for _, scheme := range []string{"https://", "http://"} {
			if status, active := ask(scheme+host+":"+port+"/jwks", false); active {
				t.Errorf("%s%s: %d, trusted", scheme, host, status)
			}
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to the machine itself", n)
	}
	for _, address := range []string{"https://169.254.169.254/latest/meta-data", "http://169.254.169.254/", "https://10.0.0.1/jwks", "https://[fd00:ec2::254]/", "file:///etc/passwd", "gopher://127.0.0.1:" + port + "/_x",
		"https://user:pw@127.0.0.1:" + port + "/jwks", "//127.0.0.1:" + port + "/jwks", "https://"} {
		if status, active := ask(address, false); active {
			t.Errorf("%s: %d", address, status)
		}
	}
	// Where private addresses are allowed, metadata services and redirects are not.
	for _, address := range []string{"http://127.0.0.1:" + port + "/redirect", "http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0:" + port + "/jwks"} {
		if status, active := ask(address, true); active {
			t.Errorf("%s, private allowed: %d", address, status)
		}
	}
}

// counting counts the connections that a listener accepted.
type counting struct {
	net.Listener
	n *atomic.Int64
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}
