package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// fromFile writes the configuration into a file and starts from that.
func (h *house) fromFile(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gatehouse.yaml")
	h.save(path, h.cfg)
	var err error
	if h.cfg, err = LoadConfig(path, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *house) save(path string, cfg Config) {
	h.t.Helper()
	text, err := config.Text(cfg)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// rewrite replaces texts of the file: from, to, from, to.
func (h *house) rewrite(t *testing.T, path string, pairs ...string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in\n%s", pairs[i], text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// named is an API that says its name, and what came of who called.
func named(t *testing.T, name string) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Secret"))
	}))
	t.Cleanup(api.Close)
	return api.URL
}

// reloadable is a server from a file, with two routes to an API.
func reloadable(t *testing.T) (h *house, file, key string) {
	t.Helper()
	h = newHouse(t)
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: named(t, "one")}}
	h.cfg.Routes = []enforce.Route{{Pattern: "GET /a", Anonymous: true}, {Pattern: "GET /b", Authenticated: true}}
	h.cfg.FillDefaults()
	file = h.fromFile(t)
	h.start()
	h.cfg = h.s.live.Load().cfg // as in the file; start has set what it found out
	return h, file, h.bootstrap()
}

// get asks the gateway; header are pairs.
func (h *house) get(path string, header ...string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", h.s.GatewayURL()+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// TestReloadTakes: each key that a reload takes has effect at once, and is told.
func TestReloadTakes(t *testing.T) {
	InOrder(t)
	h, file, key := reloadable(t)
	two := named(t, "two")
	reload := func(change func(*Config), want ...string) {
		t.Helper()
		change(&h.cfg)
		h.save(file, h.cfg)
		out := h.want("reload", "POST", "/admin/v1/config/reload", key, "", 200)
		var got []string
		for _, c := range out["changes"].([]any) {
			c := c.(map[string]any)
			got = append(got, c["key"].(string)+" "+c["what"].(string))
		}
		if strings.Join(got, "; ") != strings.Join(want, "; ") {
			t.Errorf("told %q, want %q", got, want)
		}
		if rest := out["restart"].([]any); len(rest) > 0 {
			t.Errorf("waits for a restart: %v", rest)
		}
	}
	check := func(path string, status int, body string, header ...string) {
		t.Helper()
		if got, text, _ := h.get(path, header...); got != status || !strings.HasPrefix(text, body) {
			t.Errorf("GET %s: %d %s, want %d %s", path, got, text, status, body)
		}
	}
	check("/a", 200, "one 127.0.0.1 ")
	reload(func(*Config) {})
	reload(func(c *Config) { c.TrustedProxies = []string{"127.0.0.0/8"} }, "trusted_proxies added")
	check("/a", 200, "one 192.0.2.9", "X-Forwarded-For", "192.0.2.9")
	reload(func(c *Config) {
		c.Upstreams = map[string]gateway.Upstream{"api": {URL: two}, "more": {URL: h.cfg.Upstreams["api"].URL}}
		c.Routes = append(c.Routes[1:], enforce.Route{Pattern: "GET /c", Anonymous: true, Upstream: "more"}, enforce.Route{Pattern: "GET /d", Anonymous: true, Upstream: "api"})
		for i := range c.Routes {
			c.Routes[i].Realm, c.Routes[i].Environment = "main", "live"
		}
	}, "upstreams.api changed", "upstreams.more added", "routes[GET /a] removed", "routes[GET /c] added", "routes[GET /d] added")
	check("/a", 404, "")
	check("/c", 200, "one")
	check("/d", 200, "two")
	reload(func(c *Config) { c.Gateway.StripHeaders = []string{"X-Secret"} }, "gateway.strip_headers added")
	check("/d", 200, "two 127.0.0.1 ", "X-Secret", "s")
	if _, text, _ := h.get("/d", "X-Secret", "s"); strings.HasSuffix(text, "s") {
		t.Errorf("a header that is to be taken away went on: %q", text)
	}
	reload(func(c *Config) { c.Gateway.MaxHeaderLines = 3 }, "gateway.max_header_lines changed")
	check("/d", 431, "", "X-1", "1", "X-2", "2", "X-3", "3")
	reload(func(c *Config) { c.Gateway.MaxHeaderLines = 100 }, "gateway.max_header_lines changed")
	reload(func(c *Config) { c.Gateway.ResponseHeaders = map[string]string{"X-Frame-Options": "DENY"} }, "gateway.response_headers added")
	if _, _, header := h.get("/d"); header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%v", header)
	}
	h.want("the page", "GET", "/", "", "", 200)
	reload(func(c *Config) { c.HelloPage = "hide" }, "hello_page changed")
	h.want("no page", "GET", "/", "", "", 404)
	if h.s.log.Enabled(t.Context(), -4) {
		t.Error("debug is told")
	}
	reload(func(c *Config) { c.Log.Level, c.Log.Format = "debug", "json" }, "log.level changed", "log.format changed")
	if !h.s.log.Enabled(t.Context(), -4) {
		t.Error("debug is not told")
	}
	reload(func(c *Config) { c.Log.Level = "error" }, "log.level changed")
	reload(func(c *Config) { c.Disk.WarnPercent = 100 }, "disk.warn_percent changed")
	if h.s.disk.Look(); !h.s.disk.Low() {
		t.Error("the new limit of the disk is not in force")
	}
	reload(func(c *Config) { c.Audit.Overflow, c.Audit.Queue, c.Audit.Refusals = "drop", 16, "each" }, "audit.overflow changed", "audit.queue changed", "audit.refusals changed")
	reload(func(c *Config) { c.Limits.Tokens = limit.Rate{Limit: 1, Window: time.Hour} }, "limits.tokens changed")
	limited := false
	for range 3 {
		status, _ := h.call("POST", h.s.AuthURL()+"/tokens", "", "")
		limited = limited || status == 429
	}
	if !limited {
		t.Error("the new limit is not in force")
	}
	reload(func(c *Config) { c.Routes[0].RatePrincipal = limit.Rate{Limit: 1, Window: time.Hour} }, "routes[GET /b] changed")
	h.get("/b", "Authorization", "Bearer "+key)
	check("/b", 429, "", "Authorization", "Bearer "+key)
}

// TestReloadLeaves: a key that takes a restart stays as it is and is named, without its
// value; the rest of the file is taken. /readyz and the metric say so until the file
// agrees again.
func TestReloadLeaves(t *testing.T) {
	InOrder(t)
	h, file, key := reloadable(t)
	before := h.cfg
	h.cfg.Listen.Gateway.Address, h.cfg.Passwords.Queue, h.cfg.KeyPrefix = "127.0.0.1:1", 32, "abc"
	h.cfg.Routes = append([]enforce.Route{}, h.cfg.Routes[:1]...)
	h.save(file, h.cfg)
	out := h.want("reload", "POST", "/admin/v1/config/reload", key, "", 200)
	var left []string
	for _, c := range out["restart"].([]any) {
		c := c.(map[string]any)
		left = append(left, c["key"].(string))
		if c["old"] != nil || c["new"] != nil {
			t.Errorf("a value is told: %v", c)
		}
	}
	if got := strings.Join(left, " "); got != "listen.gateway.address passwords.queue key_prefix" {
		t.Errorf("left: %s", got)
	}
	if got, _, _ := h.get("/b"); got != 404 {
		t.Errorf("the rest was not taken: %d", got)
	}
	ready := func() string {
		resp, err := http.Get(h.s.MetricsURL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			t.Errorf("not ready: %s", b)
		}
		return string(b)
	}
	if got := ready(); !strings.Contains(got, noteRestart) {
		t.Errorf("%s", got)
	}
	h.records(t, key, func(e map[string]any) bool {
		return e["outcome"] == "success" && strings.Contains(detail(e, "restart"), "key_prefix changed") &&
			strings.Contains(detail(e, "changed"), "routes[GET /b] removed") && e["actor"].(map[string]any)["name"] == "root"
	})
	h.save(file, before)
	h.want("reload", "POST", "/admin/v1/config/reload", key, "", 200)
	if got := ready(); strings.Contains(got, noteRestart) {
		t.Errorf("%s", got)
	}
	if got, _, _ := h.get("/b"); got != 401 {
		t.Errorf("%d", got)
	}
}

func detail(e map[string]any, name string) string {
	d, _ := e["detail"].(map[string]any)
	s, _ := d[name].(string)
	return s
}

// records waits until an event of a reload is recorded that is as it should be.
func (h *house) records(t *testing.T, key string, is func(e map[string]any) bool) {
	t.Helper()
	testwait.Until(t, 5*time.Second, "the reload is recorded", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind=config.reload&limit=100", key, "")
		items, _ := out["items"].([]any)
		for _, e := range items {
			if is(e.(map[string]any)) {
				return true
			}
		}
		return false
	})
}

// TestReloadRefuses: whatever is wrong with the new file, nothing of it is taken, all
// that is wrong is told with its line, and what was in force goes on.
func TestReloadRefuses(t *testing.T) {
	h, file, key := reloadable(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	taken := "  - match: GET /taken\n    anonymous: true\n"
	for name, tc := range map[string]struct{ more, place, want string }{
		"a key that is none":       {"rotues: []\n", ":1: rotues", "did you mean routes"},
		"a value of another kind":  {"", "limits.tokens", "100/1m"},
		"a route without a rule":   {taken + "  - match: GET /x\n", "routes[3]", "who may call"},
		"two routes of one match":  {taken + "  - match: GET /taken\n    authenticated: true\n", "routes[3]", "GET /taken"},
		"a file that is not there": {"", "master_key_file", "master key"},
		"no YAML":                  {"routes: [\n", "gatehouse.yaml", "did not find"},
		"a certificate":            {"", "listen.auth.cert_file", "no such file"},
		"an upstream":              {"", "upstreams.api.ca_file", "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(good)
			switch name {
			case "a value of another kind":
				text = strings.Replace(text, "tokens: 600/1m", "tokens: lots", 1)
			case "a file that is not there":
				text = strings.Replace(text, "master_key_file: ", "master_key_file: /nowhere", 1)
			case "a certificate":
				text = strings.Replace(text, "  auth:\n", "  auth:\n    cert_file: a.pem\n    key_file: a.key\n", 1)
			case "an upstream":
				text = strings.Replace(text, "  api:\n", "  api:\n    ca_file: a.pem\n", 1)
			default:
				if strings.HasPrefix(tc.more, "rotues") {
					text = tc.more + text
				} else {
					text += tc.more
				}
			}
			text = strings.Replace(text, "level: error", "level: debug", 1)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out := h.want("reload", "POST", "/admin/v1/config/reload", key, "", 422)
			fields, _ := out["fields"].(map[string]any)
			found := false
			for place, what := range fields {
				found = found || strings.Contains(place, tc.place) && strings.Contains(what.(string), tc.want)
			}
			if out["code"] != "config_refused" || !found {
				t.Errorf("%v, want %s: %s", out, tc.place, tc.want)
			}
			if h.s.log.Enabled(t.Context(), -4) {
				t.Error("the level was taken all the same")
			}
			for path, want := range map[string]int{"/a": 200, "/b": 401, "/taken": 404} {
				if got, _, _ := h.get(path); got != want {
					t.Errorf("GET %s: %d, want %d", path, got, want)
				}
			}
		})
	}
	h.save(file, h.cfg)
	h.want("reload", "POST", "/admin/v1/config/reload", key, "", 200)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	h.want("no file", "POST", "/admin/v1/config/reload", key, "", 422)
	refused := map[any]bool{}
	h.records(t, key, func(e map[string]any) bool {
		if e["outcome"] == "error" && e["reason"] == "config_refused" {
			refused[e["id"]] = true
		}
		return len(refused) == 9
	})
	if got, _, _ := h.get("/a"); got != 200 {
		t.Errorf("without a file: %d", got)
	}
}

// TestReloadWithoutFile: a server that was started from no file has nothing to read.
func TestReloadWithoutFile(t *testing.T) {
	d, err := StartDemo(t.Context(), DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close(context.Background())
	if _, err := d.server.Reload(t.Context()); gatehouse.CodeOf(err) != "reload_unsupported" {
		t.Error(err)
	}
}

// TestReloadKeepsRequests: a request that began before a reload ends by the configuration
// that it began with, also when its upstream is gone from the new one, and its connection
// stays. What is still open at the next turn is judged by the new routes.
func TestReloadKeepsRequests(t *testing.T) {
	h := newHouse(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, "old")
	}))
	defer api.Close()
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: api.URL}}
	h.cfg.Gateway.StreamCheck = 50 * time.Millisecond
	h.cfg.Routes = []enforce.Route{{Pattern: "POST /a", Anonymous: true, Upstream: "api"}, {Pattern: "GET /stream", Anonymous: true, Upstream: "api"}}
	h.cfg.FillDefaults()
	file := h.fromFile(t)
	h.start()
	h.cfg = h.s.live.Load().cfg
	stream, err := http.Get(h.s.GatewayURL() + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	got := make(chan error, 1)
	go func() {
		resp, err := http.Post(h.s.GatewayURL()+"/a", "text/plain", strings.NewReader("x"))
		if err == nil {
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(b) != "old" || resp.Close {
				err = errors.New(resp.Status + " " + string(b))
			}
		}
		got <- err
	}()
	<-asked
	h.cfg.Upstreams = map[string]gateway.Upstream{"other": {URL: named(t, "new")}}
	h.cfg.Routes = []enforce.Route{{Pattern: "GET /a", Anonymous: true, Upstream: "other", Realm: "main", Environment: "live"}}
	h.save(file, h.cfg)
	if _, err := h.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := h.get("/a"); status != 200 || !strings.HasPrefix(text, "new") {
		t.Errorf("a new request: %d %s", status, text)
	}
	close(answer)
	if err := <-got; err != nil {
		t.Errorf("the request that ran: %v", err)
	}
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, stream.Body); ended <- err }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a stream goes on although its route is gone")
	}
}

// TestReloadCertificate: another certificate is used from the next connection on, and the
// paths of both files may be others.
func TestReloadCertificate(t *testing.T) {
	h := newHouse(t)
	cert, key := selfSigned(t)
	h.cfg.Listen.Gateway.CertFile, h.cfg.Listen.Gateway.KeyFile = cert, key
	file := h.fromFile(t)
	h.start()
	h.cfg = h.s.live.Load().cfg
	shown := func() string {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", strings.TrimPrefix(h.s.GatewayURL(), "https://"),
			&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // which one it is, is the question
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return string(c.ConnectionState().PeerCertificates[0].Raw)
	}
	first := shown()
	h.cfg.Listen.Gateway.CertFile, h.cfg.Listen.Gateway.KeyFile = selfSigned(t)
	h.save(file, h.cfg)
	if out, err := h.s.Reload(t.Context()); err != nil || len(out.Changes) != 2 || len(out.Restart) != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if shown() == first {
		t.Error("the old certificate is still shown")
	}
	h.cfg.Listen.Gateway.CertFile, h.cfg.Listen.Gateway.KeyFile = "", ""
	h.save(file, h.cfg)
	if out, err := h.s.Reload(t.Context()); err != nil || len(out.Restart) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	shown() // TLS goes on
}
