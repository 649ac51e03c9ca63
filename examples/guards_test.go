package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// soon is long enough for programs on a busy machine.
const soon = 30 * time.Second

// way leads to the stream of revocations. It can be cut, and hold back what is not whole.
type way struct {
	*httptest.Server
	away, holds                atomic.Bool
	resumed, reloaded, streams atomic.Int64
}

func newWay(t *testing.T, issuer string) *way {
	t.Helper()
	to, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			out.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.Header.Get("Last-Event-ID") != "" {
			w.resumed.Add(1)
		}
		if r.URL.RawQuery == "" {
			w.streams.Add(1)
		}
		if !w.holds.Load() {
			proxy.ServeHTTP(&counted{out, w}, r)
			return
		}
		held := httptest.NewRecorder()
		proxy.ServeHTTP(held, r)
		out.Header().Set("Content-Type", held.Header().Get("Content-Type"))
		_, _ = io.Copy(out, held.Body)
	}))
	t.Cleanup(func() { w.CloseClientConnections(); w.Close() })
	return w
}

// events is the address of the stream by this way.
func (w *way) events() string { return w.URL + "/admin/v1/realms/main/revocations/events" }

// counted counts how often everything was told anew.
type counted struct {
	http.ResponseWriter
	way *way
}

func (c *counted) Write(b []byte) (int, error) {
	c.way.reloaded.Add(int64(bytes.Count(b, []byte("event: reload"))))
	return c.ResponseWriter.Write(b)
}
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// admin calls the management API as the operator.
func (h *house) admin(t *testing.T, method, path string, in any, want int) answer {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a := call(t, method, h.URL+"/admin/v1/realms/main"+path, bearer(h.operator), func(r *http.Request) {
		if in != nil {
			r.Header.Set("Content-Type", "application/json")
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
	})
	if a.status != want {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// loginFor gets a token with these scopes and no others.
func (h *house) loginFor(t *testing.T, scope string) string {
	t.Helper()
	form := url.Values{"scope": {scope}}.Encode()
	a := call(t, "POST", h.URL+"/tokens", line("Content-Type", "application/x-www-form-urlencoded"), func(r *http.Request) {
		r.SetBasicAuth("alice", h.password)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
	})
	if a.status != http.StatusOK {
		t.Fatalf("POST /tokens: %d %s", a.status, a.body)
	}
	return a.text("access_token")
}

// followKey is a key that follows revocations and can do nothing else.
func (h *house) followKey(t *testing.T) string {
	t.Helper()
	var made struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	a := h.admin(t, "POST", "/users", object{"username": "notes-api", "kind": "service", "roles": []string{"gatehouse-guard"}}, 201)
	if err := json.Unmarshal(a.body, &made); err != nil {
		t.Fatal(err)
	}
	return h.admin(t, "POST", "/keys", object{"owner": made.User.ID, "name": "follow", "environment": "live", "scopes": []string{"admin:revocations"}}, 201).text("text")
}

// guards are the guards that follow: how an API behind each is started. All take the same settings.
var guards = []struct {
	name string
	app  func(t *testing.T, env ...string) app
}{
	{"go", func(t *testing.T, env ...string) app {
		set := map[string]string{}
		for _, e := range env {
			name, value, _ := strings.Cut(e, "=")
			set[name] = value
		}
		a := goGuard(t, "-issuer", set["ISSUER"], "-local", "-follow", "-events", set["EVENTS_URL"], "-max-staleness", set["MAX_STALENESS"]+"s",
			"-read-lists="+strconv.FormatBool(set["READ_LISTS"] == "1"))
		a.env = []string{"GATEHOUSE_KEY=" + set["GATEHOUSE_KEY"]}
		return a
	}},
	{"python-wsgi", func(t *testing.T, env ...string) app {
		py := python(t, "flask, jwt, cryptography")
		return app{"guard-python", func(port string) []string {
			return []string{py, "-m", "flask", "--app", "api_flask", "run", "--host", "127.0.0.1", "--port", port}
		}, env}
	}},
	{"python-asgi", func(t *testing.T, env ...string) app {
		py := python(t, "fastapi, uvicorn, jwt, cryptography")
		return app{"guard-python", func(port string) []string {
			return []string{py, "-m", "uvicorn", "api_fastapi:app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"}
		}, env}
	}},
	{"node", func(t *testing.T, env ...string) app {
		node, err := exec.LookPath("node")
		if err != nil {
			missing(t, "node")
		}
		return app{nodeGuard(t), func(string) []string { return []string{node, "server.js"} }, env}
	}},
}

// nodeGuard is a directory with the guard for Node, its tests and its packages.
func nodeGuard(t *testing.T) string {
	t.Helper()
	files := []string{"server.js"}
	for _, pattern := range []string{"lib/*.js", "test/*.js"} {
		found, err := filepath.Glob(filepath.Join("guard-node", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range found {
			files = append(files, strings.TrimPrefix(f, "guard-node"+string(filepath.Separator)))
		}
	}
	return nodeProgram(t, "guard-node", files...)
}

// TestGuards: an API behind each guard serves who has a token and the scopes, refuses within a second what
// was ended, also by a cut-off, and keeps to that over a stream that was cut, a restart of Gatehouse, and a way that holds
// streams back; when it cannot know it lets nobody in.
func TestGuards(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, newFacade(t), "http://127.0.0.1:9", "", nil)
			h.admin(t, "PATCH", "", object{"settings": object{"scopes": object{"notes:read": "Reads notes.", "notes:write": "Writes notes."}}}, 200)
			w := newWay(t, h.URL)
			key := h.followKey(t)
			base := start(t, g.app(t, "ISSUER="+h.URL, "EVENTS_URL="+w.events(), "GATEHOUSE_KEY="+key, "MAX_STALENESS=4"))
			p := guarded{h, w, base, g.name == "go"}
			t.Run("asks", p.asks)
			t.Run("refuses forgeries", p.forgeries)
			t.Run("follows", p.follows)
			t.Run("over a cut", p.cut)
			t.Run("over a restart", p.restart)
			t.Run("polls", p.polls)
			if !p.ours { // TestGoGuardReadsLists
				w := newWay(t, h.URL)
				p := guarded{h, w, start(t, g.app(t, "ISSUER="+h.URL, "EVENTS_URL="+w.events(), "GATEHOUSE_KEY="+key, "MAX_STALENESS=4", "READ_LISTS=1")), false}
				t.Run("reads lists", p.lists)
			}
		})
	}
}

// guarded is an API behind a guard.
type guarded struct {
	h    *house
	w    *way
	base string
	ours bool // the guard in Go, which says as the gateway does what is wrong
}

func (p guarded) private(t *testing.T, token string) answer {
	t.Helper()
	return call(t, "GET", p.base+"/private", bearer(token))
}

func (p guarded) becomes(t *testing.T, what, token string, want int) {
	t.Helper()
	testwait.Until(t, soon, what, func() bool { return p.private(t, token).status == want })
}

// endsIn ends a token that is let in, and returns how long it was let in still.
func (p guarded) endsIn(t *testing.T) time.Duration {
	t.Helper()
	token := p.h.login(t)
	p.becomes(t, "a token", token, 200)
	p.h.end(t, token)
	began := time.Now()
	p.becomes(t, "an ended token", token, 401)
	return time.Since(began)
}

// withinASecond: the median of five, because the machine may be busy.
func (p guarded) withinASecond(t *testing.T) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		took = append(took, p.endsIn(t))
	}
	if slices.Sort(took); took[2] > time.Second {
		t.Errorf("seen after %v", took)
	}
}

func (p guarded) asks(t *testing.T) {
	get := func(path string, change ...func(*http.Request)) answer {
		t.Helper()
		return call(t, "GET", p.base+path, change...)
	}
	challenge := func(what string, a answer, status int, want string) {
		t.Helper()
		if got := a.header.Get("WWW-Authenticate"); a.status != status || got != want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v", what, a.status, got, a.header)
		}
	}
	realm := `Bearer realm="` + p.h.URL + `"`
	if p.ours {
		realm = `Bearer realm="main"`
	}
	if a := get("/public"); a.status != 200 || a.text("message") != "Hello, world!" {
		t.Errorf("/public: %d %s", a.status, a.body)
	}
	challenge("nobody", get("/private"), 401, realm)
	if !p.ours { // it says that this was a try, as the gateway does, and knows paths that are not there
		challenge("a password", get("/private", func(r *http.Request) { r.SetBasicAuth("alice", p.h.password) }), 401, realm)
		challenge("what is not there", get("/nothing"), 401, realm)
	}
	challenge("nonsense", get("/private", bearer("nonsense")), 401, realm+`, error="invalid_token"`)
	challenge("an API key", get("/private", bearer(p.h.apiKey)), 401, realm+`, error="invalid_token"`)
	if a := get("/private", bearer("a, Bearer b")); p.ours { // which invites nobody then
		challenge("two tokens", a, 400, "")
	} else {
		challenge("two tokens", a, 400, realm+`, error="invalid_request"`)
	}
	challenge("nobody, for notes", get("/notes"), 401, realm)
	poor, rich := p.h.loginFor(t, "notes:write"), p.h.loginFor(t, "notes:read notes:write")
	p.becomes(t, "a token", poor, 200)
	challenge("too few scopes", get("/notes", bearer(poor)), 403, realm+`, error="insufficient_scope", scope="notes:read"`)
	if a := get("/notes", bearer(rich)); a.status != 200 || a.text("subject") != p.h.alice {
		t.Errorf("/notes: %d %s", a.status, a.body)
	}
	if a := get("/private", bearer(poor)); a.text("subject") != p.h.alice || !p.ours && !strings.Contains(string(a.body), `"age"`) {
		t.Errorf("/private: %s", a.body)
	}
	if a := get("/private?access_token=" + rich); a.status != 401 && a.status != 400 {
		t.Errorf("a token in the URL: %d", a.status)
	}
}

func (p guarded) forgeries(t *testing.T) {
	token := p.h.login(t)
	f := newForger(t, p.h, token)
	p.becomes(t, "the forger's tokens are wrong in more than one way", f.sign(nil, nil), 200)
	for what, forged := range f.forgeries(token) {
		if a := p.private(t, forged); a.status != 401 && !p.ours || a.status/100 != 4 || a.text("code") != "invalid_token" && !p.ours {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	for what, change := range map[string]object{
		"a status elsewhere": {"status": object{"status_list": object{"idx": 1, "uri": "https://other.example/status/1"}}},
		"a strange status":   {"status": "x"}, "no id": {"jti": nil}, "end as text": {"exp": "4000000000"}, "no time of issue": {"iat": nil},
	} {
		if a := p.private(t, f.sign(nil, change)); a.status != 401 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if a := p.private(t, strings.Repeat("a", 17<<10)); a.status != 401 && a.status != 431 && a.status != 400 {
		t.Errorf("17 KiB: %d %s", a.status, a.body)
	}
	before := p.h.fetched.Load()
	for _, kid := range strings.Fields("a b c d e f g h i j") {
		if a := p.private(t, f.sign(object{"kid": kid}, nil)); a.status != 401 {
			t.Errorf("unknown key %s: %d %s", kid, a.status, a.body)
		}
	}
	if n := p.h.fetched.Load() - before; n > 1 {
		t.Errorf("ten tokens of unknown keys made it fetch the keys %d times", n)
	}
}

func (p guarded) follows(t *testing.T) {
	p.withinASecond(t)
	cut := func(kind string, id func(token string) string) {
		t.Helper()
		token := p.h.login(t)
		p.becomes(t, "a token", token, 200)
		p.h.admin(t, "POST", "/revocations", object{"kind": kind, "id": id(token)}, 201)
		p.becomes(t, "a token from before a cut-off of its "+kind, token, 401)
		p.becomes(t, "a token from after a cut-off of its "+kind, p.h.login(t), 200)
	}
	cut("subject", func(string) string { return p.h.alice })
	cut("client", func(token string) string { return newForger(t, p.h, token).claims["client_id"].(string) })
	fetched := p.h.fetched.Load()
	p.h.admin(t, "POST", "/signing-keys/rotate", nil, 201)
	testwait.Until(t, soon, "the keys are fetched again", func() bool { return p.h.fetched.Load() > fetched })
	f := newForger(t, p.h, p.h.login(t))
	p.becomes(t, "a token of the test's key", f.sign(nil, nil), 200)
	p.h.admin(t, "POST", "/revocations", object{"kind": "key", "id": facadeKID}, 201)
	p.becomes(t, "a token from before a cut-off of its key", f.sign(nil, nil), 401)
}

func (p guarded) cut(t *testing.T) {
	kept, ended, dead := p.h.login(t), p.h.login(t), p.h.login(t)
	p.becomes(t, "a token", kept, 200)
	p.becomes(t, "another token", ended, 200)
	p.h.end(t, dead)
	p.becomes(t, "an ended token", dead, 401)
	reloaded, resumed := p.w.reloaded.Load(), p.w.resumed.Load()
	p.w.CloseClientConnections()
	testwait.Until(t, soon, "the stream is open again", func() bool { return p.w.resumed.Load() > resumed })
	p.withinASecond(t)
	p.w.away.Store(true)
	p.w.CloseClientConnections()
	p.h.end(t, ended) // while nobody hears of it
	p.becomes(t, "nothing is heard", kept, 503)
	p.becomes(t, "an end that was told stays one", dead, 401)
	p.w.away.Store(false)
	p.becomes(t, "the way is open again", kept, 200)
	p.becomes(t, "what ended meanwhile", ended, 401)
	if n := p.w.reloaded.Load() - reloaded; n != 0 {
		t.Errorf("everything was told anew %d times", n)
	}
}

func (p guarded) restart(t *testing.T) {
	kept, ended := p.h.login(t), p.h.login(t)
	p.becomes(t, "a token", kept, 200)
	p.becomes(t, "another token", ended, 200)
	reloaded := p.w.reloaded.Load()
	p.w.away.Store(true)
	p.w.CloseClientConnections()
	p.h.end(t, ended) // while nobody hears of it
	p.h.stop()
	p.h.run(t)
	p.w.away.Store(false)
	p.becomes(t, "what ended before the restart", ended, 401)
	p.becomes(t, "what did not", kept, 200)
	if n := p.w.reloaded.Load() - reloaded; n == 0 {
		t.Error("a position from before the restart was taken")
	}
	p.withinASecond(t)
}

func (p guarded) polls(t *testing.T) {
	kept := p.h.login(t)
	p.becomes(t, "a token", kept, 200)
	p.w.holds.Store(true)
	p.w.CloseClientConnections()
	p.becomes(t, "streams are held back", kept, 503)
	p.becomes(t, "polls come through", kept, 200)
	streams := p.w.streams.Load()
	p.withinASecond(t)
	if n := p.w.streams.Load() - streams; n != 0 {
		t.Errorf("%d streams were tried", n)
	}
}

// lists: a guard that was told to reads the status lists while it hears nothing. They know what was ended, and no cut-off
// that was set alone; that is refused when the stream is back. What it was told stays refused.
func (p guarded) lists(t *testing.T) {
	kept, ended, told := p.h.login(t), p.h.login(t), p.h.login(t)
	for _, token := range []string{kept, ended, told} {
		p.becomes(t, "a token", token, 200)
	}
	p.h.end(t, told)
	p.becomes(t, "an ended token", told, 401)
	p.w.away.Store(true)
	p.w.CloseClientConnections()
	p.h.end(t, ended)
	p.h.admin(t, "POST", "/revocations", object{"kind": "subject", "id": p.h.alice}, 201)
	p.becomes(t, "a token that the lists know to have ended", ended, 401)
	if got := p.private(t, kept).status; got != 200 {
		t.Errorf("a token whose user was cut off, by lists that do not know it: %d", got)
	}
	if got := p.private(t, told).status; got != 401 {
		t.Errorf("what was told to have ended: %d", got)
	}
	p.w.away.Store(false)
	p.becomes(t, "a token whose user was cut off, once that was told", kept, 401)
}

// TestGoGuardReadsLists does that with the guard in Go, in this process.
func TestGoGuardReadsLists(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a view to grow old; runs without -short")
	}
	t.Parallel()
	h := newHouse(t, newFacade(t), "http://127.0.0.1:9", "", nil)
	w := newWay(t, h.URL)
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: h.URL, Audience: h.URL, AllowPrivateAddress: true, Logger: slog.New(slog.DiscardHandler),
		Routes: []enforce.Route{{Pattern: "/", Authenticated: true}},
		Follow: &guard.Follow{Key: gatehouse.Secret(h.followKey(t)), MaxStaleness: 4 * time.Second, URL: w.events(), ReadLists: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	api := httptest.NewServer(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer api.Close()
	guarded{h, w, api.URL, true}.lists(t)
}

// TestTenLines runs what the READMEs show, word for word but for the addresses: in ten lines it verifies, follows and asks
// for scopes.
func TestTenLines(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	for _, c := range []struct {
		name, readme, begins string
		app                  func(t *testing.T, text string, env ...string) app
	}{
		{"python", "guard-python/README.md", "```python\n", func(t *testing.T, text string, env ...string) app {
			py, dir := python(t, "flask, jwt, cryptography"), t.TempDir()
			write(t, filepath.Join(dir, "ten.py"), text)
			guard, err := filepath.Abs("guard-python")
			if err != nil {
				t.Fatal(err)
			}
			return app{dir, func(port string) []string {
				return []string{py, "-m", "flask", "--app", "ten", "run", "--host", "127.0.0.1", "--port", port}
			}, append(env, "PYTHONPATH="+guard)}
		}},
		{"node", "guard-node/README.md", "```js\n", func(t *testing.T, text string, env ...string) app {
			node, err := exec.LookPath("node")
			if err != nil {
				missing(t, "node")
			}
			dir := nodeGuard(t)
			write(t, filepath.Join(dir, "ten.js"), text)
			return app{dir, func(string) []string { return []string{node, "ten.js"} }, env}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			readme, err := os.ReadFile(c.readme)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(string(readme), c.begins)
			text, _, found := strings.Cut(text, "```")
			lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
			if !found || len(lines) > 10 {
				t.Fatalf("%d lines:\n%s", len(lines), text)
			}
			h := newHouse(t, newFacade(t), "http://127.0.0.1:9", "", nil)
			h.admin(t, "PATCH", "", object{"settings": object{"scopes": object{"notes:read": "Reads notes.", "notes:write": "Writes notes."}}}, 200)
			text = strings.NewReplacer("https://auth.example.com", h.URL, "https://api.example.com", h.URL).Replace(text)
			base := start(t, c.app(t, text, "GATEHOUSE_KEY="+h.followKey(t)))
			poor, rich := h.loginFor(t, "notes:write"), h.loginFor(t, "notes:read")
			notes := func(token string) answer { return call(t, "GET", base+"/notes", bearer(token)) }
			testwait.Until(t, soon, "a token with the scope", func() bool { return notes(rich).status == 200 })
			if a := notes(rich); a.text("of") != h.alice {
				t.Errorf("it is of %s", a.body)
			}
			if a, b := notes(poor), notes("x"); a.status != 403 || b.status != 401 {
				t.Errorf("without the scope %d, nonsense %d", a.status, b.status)
			}
			h.end(t, rich)
			testwait.Until(t, soon, "an ended token", func() bool { return notes(rich).status == 401 })
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGuardsByThemselves runs each guard's own tests.
func TestGuardsByThemselves(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs; runs without -short")
	}
	for name, program := range map[string]func(t *testing.T) (dir string, argv []string){
		"python": func(t *testing.T) (string, []string) {
			return "guard-python", []string{python(t, "flask, fastapi, jwt, cryptography"), "-W", "ignore", "-m", "unittest", "tests.test_guard"}
		},
		"node": func(t *testing.T) (string, []string) {
			node, err := exec.LookPath("node")
			if err != nil {
				missing(t, "node")
			}
			return nodeGuard(t), []string{node, "--test", "test/"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, argv := program(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Dir = dir
			cmd.Env = append(cmd.Environ(), "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
