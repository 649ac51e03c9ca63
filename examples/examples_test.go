package examples_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChecksTokens runs the programs that verify access tokens themselves.
func TestChecksTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	f := newFacade(t)
	h := newHouse(t, f, "http://127.0.0.1:9", "", nil) // nothing behind the gateway
	for _, example := range []struct {
		name  string
		app   func(t *testing.T) app
		login bool // has POST /login
	}{
		{"fastapi", func(t *testing.T) app { return fastAPI(t, "checks_tokens", "ISSUER="+h.URL) }, true},
		{"flask", func(t *testing.T) app { return flask(t, "checks_tokens", "ISSUER="+h.URL) }, true},
		{"express", func(t *testing.T) app { return express(t, "ISSUER="+h.URL) }, true},
		{"go-guard", func(t *testing.T) app { return goGuard(t, "-issuer", h.URL, "-local") }, false},
	} {
		t.Run(example.name, func(t *testing.T) {
			base := start(t, example.app(t))
			if a := call(t, "GET", base+"/public"); a.status != 200 || a.text("message") != "Hello, world!" {
				t.Errorf("/public: %d %s", a.status, a.body)
			}
			a := call(t, "GET", base+"/private")
			if a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("/private without a credential: %d %v %s", a.status, a.header, a.body)
			}
			if example.login {
				testLogin(t, h, base)
			}
			if example.name == "fastapi" {
				testLoginFromAfar(t, h, base)
			}
			token := h.login(t)
			private := func(token string) answer { return call(t, "GET", base+"/private", bearer(token)) }
			if a := private(token); a.status != 200 || a.text("subject") != h.alice {
				t.Fatalf("/private with a token: %d %s", a.status, a.body)
			}
			if a := call(t, "GET", base+"/private?token="+token+"&access_token="+token); a.status == 200 {
				t.Error("a token in the URL was accepted")
			}
			f := newForger(t, h, token)
			if a := private(f.sign(nil, nil)); a.status != 200 {
				t.Fatalf("the forger's tokens are wrong in more than one way: %d %s", a.status, a.body)
			}
			if a := private(f.sign(nil, object{"aud": []string{"https://other.example", h.URL}})); a.status != 200 {
				t.Errorf("our audience among several: %d %s", a.status, a.body)
			}
			for what, forged := range f.forgeries(token) {
				if a := private(forged); a.status != 401 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			before := h.fetched.Load()
			for _, kid := range strings.Fields("a b c d e f g h i j") {
				if a := private(f.sign(object{"kid": kid}, nil)); a.status != 401 {
					t.Errorf("unknown key %s: %d %s", kid, a.status, a.body)
				}
			}
			if n := h.fetched.Load() - before; n > 1 {
				t.Errorf("ten tokens of unknown keys made the program fetch the keys %d times", n)
			}
			// What docs/check-tokens.md says of such a check: it does not learn of an
			// ended grant before the token expires.
			h.end(t, token)
			if a := private(token); a.status != 200 {
				t.Errorf("an ended token: %d; if the program can tell now, say so in its README", a.status)
			}
		})
	}
}

// testLogin gets a token through the program's own log-in.
func testLogin(t *testing.T, h *house, base string) {
	t.Helper()
	as := func(user, password string) answer {
		return call(t, "POST", base+"/login", func(r *http.Request) { r.SetBasicAuth(user, password) })
	}
	a := as("alice", h.password)
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("/login: %d %v %s", a.status, a.header, a.body)
	}
	if a := call(t, "GET", base+"/private", bearer(a.text("access_token"))); a.status != 200 {
		t.Errorf("the token from /login: %d %s", a.status, a.body)
	}
	unknown, wrong := as("nobody", h.password), as("alice", "wrong")
	if unknown.status != 401 || wrong.status != 401 || !strings.HasPrefix(wrong.header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("/login of nobody: %d, with a wrong password: %d %v", unknown.status, wrong.status, wrong.header)
	}
	if a := call(t, "POST", base+"/login"); a.status != 401 {
		t.Errorf("/login without a password: %d %s", a.status, a.body)
	}
	if a := call(t, "POST", base+"/login?username=alice&password="+h.password); a.status != 401 {
		t.Errorf("a password in the URL: %d %s", a.status, a.body)
	}
	if a := call(t, "GET", base+"/login?username=alice&password="+h.password); a.status != 404 && a.status != 405 {
		t.Errorf("GET /login: %d %s", a.status, a.body)
	}
}

// testLoginFromAfar uses that uvicorn believes X-Forwarded-For from this machine:
// so the program passes on a log-in from elsewhere, and says so. Gatehouse then
// wants to know that it came through TLS.
func testLoginFromAfar(t *testing.T, h *house, base string) {
	t.Helper()
	for scheme, want := range map[string]int{"https": 200, "http": 400} {
		a := call(t, "POST", base+"/login", func(r *http.Request) { r.SetBasicAuth("alice", h.password) },
			line("X-Forwarded-For", "203.0.113.7"), line("X-Forwarded-Proto", scheme))
		if a.status != want {
			t.Errorf("/login from another machine over %s: %d %s", scheme, a.status, a.body)
		}
		if from := h.client.Load(); from != "203.0.113.7" {
			t.Errorf("Gatehouse was told that the log-in came from %q", from)
		}
	}
}

// TestBehindGateway runs the programs to which the gateway says who calls.
func TestBehindGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	f := newFacade(t)
	fastapi := start(t, fastAPI(t, "behind_gateway"))
	flask := start(t, flask(t, "behind_gateway", "ISSUER="+f.URL, "AUDIENCE=flask"))
	guard := start(t, goGuard(t, "-issuer", f.URL, "-audience", "guard", "-behind-gateway", "-local"))

	// FastAPI describes itself; the gateway takes its routes from there.
	openAPI := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(openAPI, call(t, "GET", fastapi+"/openapi.json").body, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, f, fastapi, openAPI, map[string]string{"flask": flask, "guard": guard})

	for _, example := range []struct{ name, host, direct string }{
		{"fastapi", "", ""}, {"flask", "flask.test", flask}, {"go-guard", "guard.test", guard},
	} {
		t.Run(example.name, func(t *testing.T) {
			get := func(path string, change ...func(*http.Request)) answer {
				t.Helper()
				return call(t, "GET", h.gateway+path, append(change, func(r *http.Request) { r.Host = example.host })...)
			}
			if a := get("/public"); a.status != 200 || a.text("message") != "Hello, world!" {
				t.Errorf("/public: %d %s", a.status, a.body)
			}
			if a := get("/private"); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("/private without a credential: %d %v", a.status, a.header)
			}
			token := h.login(t)
			for what, credential := range map[string]func(*http.Request){
				"token":    bearer(token),
				"password": func(r *http.Request) { r.SetBasicAuth("alice", h.password) },
				"API key":  line("X-Api-Key", h.apiKey),
			} {
				if a := get("/private", credential); a.status != 200 || a.text("subject") != h.alice || a.text("user") != "alice" {
					t.Errorf("/private with a %s: %d %s", what, a.status, a.body)
				}
			}
			if a := get("/private", bearer(token)); !strings.Contains(string(a.body), "reader") {
				t.Errorf("the role did not arrive: %s", a.body)
			}
			forge := newForger(t, h, token)
			forged := forge.sign(object{"typ": "gatehouse-assertion+jwt"}, object{"aud": example.name, "sub": "usr_root"})
			for name, value := range map[string]string{
				"X-Gatehouse-Subject": "usr_root", "x-gatehouse-username": "root", "X_Gatehouse_Subject": "usr_root",
				"X-Gatehouse_Username": "root", "X-Gatehouse-Roles": "admin", "X-Gatehouse-Assertion": forged,
				"X_Gatehouse_Assertion": forged, "x-gatehouse-assertion": forged,
			} {
				if a := get("/private", line(name, value)); a.status != 401 {
					t.Errorf("%s alone: %d %s", name, a.status, a.body)
				}
				a := get("/private", bearer(token), line(name, value))
				if a.status != 200 || a.text("subject") != h.alice || strings.Contains(string(a.body), "root") || strings.Contains(string(a.body), "admin") {
					t.Errorf("%s beside a token: %d %s", name, a.status, a.body)
				}
			}
			for what, forged := range forge.forgeries(token) {
				if a := get("/private", bearer(forged)); a.status != 401 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			h.end(t, token)
			if a := get("/private", bearer(token)); a.status != 401 {
				t.Errorf("an ended token: %d %s", a.status, a.body)
			}
			if example.direct != "" {
				testAssertions(t, h, forge, strings.TrimSuffix(example.host, ".test"), example.direct)
			}
		})
	}
}

// testAssertions goes around the gateway, to a program that verifies assertions.
func testAssertions(t *testing.T, h *house, f forger, audience, base string) {
	t.Helper()
	direct := func(assertion string, change ...func(*http.Request)) answer {
		return call(t, "GET", base+"/private", append(change, line("X-Gatehouse-Assertion", assertion))...)
	}
	typ, aud := object{"typ": "gatehouse-assertion+jwt"}, object{"aud": audience}
	if a := direct(f.sign(typ, aud)); a.status != 200 {
		t.Fatalf("the forger's assertions are wrong in more than one way: %d %s", a.status, a.body)
	}
	token := h.login(t)
	if a := call(t, "GET", base+"/private", bearer(token), line("X-Gatehouse-Subject", h.alice)); a.status != 401 {
		t.Errorf("an access token past the gateway: %d %s", a.status, a.body)
	}
	for what, assertion := range map[string]string{
		"an access token":            token,
		"an access token's typ":      f.sign(nil, aud),
		"another API's assertion":    f.sign(typ, object{"aud": "other"}),
		"another issuer's assertion": f.sign(typ, object{"aud": audience, "iss": "https://other.example"}),
		"an old assertion":           f.sign(typ, object{"aud": audience, "iat": 1700000000, "exp": 1700000045}),
		"nothing":                    "",
	} {
		if a := direct(assertion); a.status != 401 {
			t.Errorf("%s as an assertion: %d %s", what, a.status, a.body)
		}
	}
}

// TestNodePackages: what npm installs is pinned by content, and the lock file
// says nothing of where it came from.
func TestNodePackages(t *testing.T) {
	for _, file := range []string{"express/package-lock.json", "guard-node/package-lock.json", "clients/node/package-lock.json", "clients/flows/package-lock.json", "../internal/testbrowser/package-lock.json"} {
		lock, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(lock), `"resolved"`) {
			t.Errorf("%s names the host of a registry; npm ci --omit-lockfile-registry-resolved leaves it out", file)
		}
		if packages, hashes := strings.Count(string(lock), `"node_modules/`), strings.Count(string(lock), `"integrity"`); packages == 0 || packages != hashes {
			t.Errorf("%s: %d packages, %d hashes", file, packages, hashes)
		}
	}
	for _, m := range []string{"express/node_modules", "guard-node/node_modules", "clients/node/node_modules", "clients/flows/node_modules", "../internal/testbrowser/node_modules", "clients/rust/target", "fastapi/__pycache__", "flask/__pycache__",
		"guard-python/__pycache__", "guard-python/gatehouse_guard/__pycache__"} {
		if _, err := os.Stat(m); err == nil {
			t.Errorf("%s does not belong into the checkout", m)
		}
	}
}
