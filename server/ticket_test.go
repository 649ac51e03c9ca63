package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// ticketHouse is a server in front of an API that says what it saw, with routes that
// take tickets.
type ticketHouse struct {
	*server.Demo
	t     *testing.T
	dir   string
	st    server.StoreConfig
	clock *stepped
	saw   atomic.Pointer[http.Request] // by the API, last
}

func newTicketHouse(t *testing.T, st server.StoreConfig) *ticketHouse {
	h := &ticketHouse{t: t, dir: filepath.Join(t.TempDir(), "demo"), st: st, clock: new(stepped)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.saw.Store(r)
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/live?"+r.URL.RawQuery, http.StatusFound)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("data: x\n\n"))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Referrer-Policy", "unsafe-url")
			_, _ = w.Write([]byte(`{"user":"` + r.Header.Get("X-Gatehouse-Username") + `"}`))
		}
	})
	mux.Handle("/socket", websocket.Handler(func(c *websocket.Conn) { _ = websocket.Message.Send(c, "hello") }))
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	var err error
	h.Demo, err = server.StartDemo(t.Context(), server.DemoConfig{Data: h.dir, Store: st, Upstream: api.URL,
		Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}}.WithClock(h.clock.now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	app := &enforce.CORS{Origins: []string{"https://app.example"}, Headers: []string{"Authorization"}, Credentials: true}
	if err := h.AddRoutes(
		enforce.Route{Pattern: "GET /live", Authenticated: true, Ticket: "ticket", CORS: app},
		enforce.Route{Pattern: "GET /live/{room}", Authenticated: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /events", Authenticated: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /socket", Authenticated: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /moved", Authenticated: true, Ticket: "once"},
		enforce.Route{Pattern: "/any", Authenticated: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /open", Anonymous: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /admins", Roles: []string{"admin"}, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /logins", Schemes: []gatehouse.Scheme{"jwt"}, Authenticated: true, Ticket: "ticket"},
		enforce.Route{Pattern: "GET /other", Authenticated: true},
	); err != nil {
		t.Fatal(err)
	}
	return h
}

// ticket asks for one for a path.
func (h *ticketHouse) ticket(path string, opts ...string) string {
	h.t.Helper()
	a := call(h.t, "POST", h.Gateway+"/.gatehouse/ticket"+path, opts...).want(h.t, "a ticket for "+path, 201)
	text, _ := a.json["ticket"].(string)
	if text == "" || a.json["expires_in"] != 30.0 || a.json["parameter"] == nil || a.header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("%v %s", a.header, a.body)
	}
	return text
}

// TestTickets: a ticket from a POST opens one request of a page that can set no line,
// as the caller who asked for it, once, and is seen by nobody behind.
func TestTickets(t *testing.T) {
	server.InOrder(t)
	forBoth := func(name string, st func(t *testing.T) server.StoreConfig) {
		t.Run(name, func(t *testing.T) { testTickets(t, newTicketHouse(t, st(t))) })
	}
	forBoth("sqlite", func(*testing.T) server.StoreConfig { return server.StoreConfig{} })
	forBoth("postgres", postgresStore)
}

func testTickets(t *testing.T, h *ticketHouse) {
	bob := h.Users["bob"]
	access, _ := login(t, h.Demo, "bob")
	var given []string
	ask := func(path string, opts ...string) string {
		t.Helper()
		text := h.ticket(path, opts...)
		given = append(given, text)
		return text
	}
	refused := func(name string, a answer, status int, code string) {
		t.Helper()
		if a.status != status || a.code() != code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, opts := range map[string][]string{"key": {"bearer", bob.APIKey}, "key in its line": {"X-API-Key", bob.APIKey},
		"token": {"bearer", access}, "password": {"basic", "bob:" + bob.Password}} {
		text := ask("/live/7?x=1", opts...)
		a := call(t, "GET", h.Gateway+"/live/7?a=1;b=%20&ticket="+text+"&&c", "Referer", "https://app.example/").want(t, name, 200)
		if a.json["user"] != "bob" {
			t.Errorf("%s: the API takes the caller for %q", name, a.json["user"])
		}
		r := h.saw.Load()
		if r.URL.RawQuery != "a=1;b=%20&&c" || strings.Contains(r.RequestURI, text) {
			t.Errorf("%s: the API was asked for %q", name, r.RequestURI)
		}
		for n, lines := range r.Header {
			if strings.Contains(strings.Join(lines, "\n"), text) {
				t.Errorf("%s: the API sees the ticket in %s", name, n)
			}
		}
		if got := a.header["Referrer-Policy"]; len(got) != 1 || got[0] != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", name, got)
		}
		refused(name+", again", call(t, "GET", h.Gateway+"/live/7?ticket="+text), 401, "invalid_token")
	}

	// The name is the route's, and the redirect names no ticket.
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := noFollow.Get(h.Gateway + "/moved?once=" + ask("/moved", "bearer", access) + "&x=1")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 302 || res.Header.Get("Location") != "/live?x=1" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("redirect: %d %v", res.StatusCode, res.Header)
	}

	// One use, one route, one method, one host; a wrong one spends it.
	for name, use := range map[string]func(text string) answer{
		"another path":         func(s string) answer { return call(t, "GET", h.Gateway+"/live/8?ticket="+s) },
		"another route":        func(s string) answer { return call(t, "GET", h.Gateway+"/any?ticket="+s) },
		"the route above":      func(s string) answer { return call(t, "GET", h.Gateway+"/live?ticket="+s) },
		"a spelling":           func(s string) answer { return call(t, "GET", h.Gateway+"/live/%37?ticket="+s) },
		"another host":         func(s string) answer { return h.as("GET", "other.example", "/live/7?ticket="+s) },
		"a route without":      func(s string) answer { return call(t, "GET", h.Gateway+"/other?ticket="+s) },
		"another name":         func(s string) answer { return call(t, "GET", h.Gateway+"/live/7?Ticket="+s) },
		"twice":                func(s string) answer { return call(t, "GET", h.Gateway+"/live/7?ticket="+s+"&ticket="+s) },
		"beside Authorization": func(s string) answer { return call(t, "GET", h.Gateway+"/live/7?ticket="+s, "bearer", access) },
		"as Bearer":            func(s string) answer { return call(t, "GET", h.Gateway+"/live/7", "bearer", s) },
		"as key":               func(s string) answer { return call(t, "GET", h.Gateway+"/live/7", "X-API-Key", s) },
		"in the path":          func(s string) answer { return call(t, "GET", h.Gateway+"/live/"+s) },
	} {
		text := ask("/live/7", "bearer", bob.APIKey)
		a := use(text)
		if a.status != 401 && a.status != 400 || strings.Contains(a.body, text) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		// What was not looked at is as good as before; what was is spent.
		spent := a.code() == "invalid_token" && name != "as Bearer" && name != "as key"
		if again := call(t, "GET", h.Gateway+"/live/7?ticket="+text); (again.status != 200) != spent {
			t.Errorf("%s, then as meant: %d %s", name, again.status, again.body)
		}
	}
	refused("another method", call(t, "POST", h.Gateway+"/any?ticket="+ask("/any", "bearer", bob.APIKey)), 401, "invalid_token")
	refused("no ticket", call(t, "GET", h.Gateway+"/live/7?ticket=abc"), 401, "ticket_malformed")
	refused("a key as ticket", call(t, "GET", h.Gateway+"/live/7?ticket="+bob.APIKey), 401, "ticket_malformed")
	refused("an empty ticket", call(t, "GET", h.Gateway+"/live/7?ticket="), 401, "ticket_malformed")
	refused("an invented ticket on an open route", call(t, "GET", h.Gateway+"/open?ticket=abc"), 401, "ticket_malformed")

	// Who may ask.
	desk := h.Gateway + "/.gatehouse/ticket"
	refused("nobody", call(t, "POST", desk+"/live"), 401, "credential_missing")
	refused("nobody, for an open route", call(t, "POST", desk+"/open"), 401, "credential_missing")
	refused("wrong key", call(t, "POST", desk+"/live", "bearer", bob.APIKey[:len(bob.APIKey)-8]), 401, "token_unrecognized")
	refused("not allowed there", call(t, "POST", desk+"/admins", "bearer", bob.APIKey), 403, "access_denied")
	refused("a kind that is not accepted there", call(t, "POST", desk+"/logins", "bearer", bob.APIKey), 401, "scheme_not_accepted")
	refused("a route that takes none", call(t, "POST", desk+"/other", "bearer", bob.APIKey), 403, "ticket_refused")
	refused("no route", call(t, "POST", desk+"/nowhere", "bearer", bob.APIKey), 404, "no_route")
	refused("by a ticket", call(t, "POST", desk+"/live/7?ticket="+ask("/live/7", "bearer", access)), 403, "ticket_refused")
	refused("another method than POST", call(t, "GET", desk+"/live", "bearer", bob.APIKey), 405, "method_not_allowed")
	refused("a token in the URL", call(t, "POST", desk+"/live?access_token="+access), 400, "credential_in_url")
	for _, path := range []string{"//live", "/../live", "/%2e%2e/live"} {
		if a := h.as("POST", "", "/.gatehouse/ticket"+path, "bearer", bob.APIKey); a.status != 400 {
			t.Errorf("for %s: %d %s", path, a.status, a.body)
		}
	}
	evil := []string{"basic", "bob:" + bob.Password, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	refused("a page of another site with a saved password", call(t, "POST", desk+"/live", evil...), 403, "cross_origin_refused")
	evil[3] = "https://app.example"
	if a := call(t, "POST", desk+"/live", evil...).want(t, "a page of a trusted site", 201); a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("the page cannot read its ticket: %v", a.header)
	} else {
		given = append(given, a.json["ticket"].(string))
	}
	pre := call(t, "OPTIONS", desk+"/live", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization").want(t, "preflight", 204)
	if pre.header.Get("Access-Control-Allow-Methods") != "POST" || pre.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("preflight: %v", pre.header)
	}

	// Of many who use one at once, one gets in: pages and sockets.
	for range 3 {
		for path, open := range map[string]func(url string) bool{
			"/live/7": func(url string) bool { return call(t, "GET", url).status == 200 },
			"/socket": func(url string) bool {
				c, err := websocket.Dial(strings.Replace(url, "http", "ws", 1), "", "https://evil.example")
				if err != nil {
					return false
				}
				defer func() { _ = c.Close() }()
				var text string
				return websocket.Message.Receive(c, &text) == nil && text == "hello"
			},
		} {
			text := ask(path, "bearer", bob.APIKey)
			var in atomic.Int64
			var all sync.WaitGroup
			for range 12 {
				all.Go(func() {
					if open(h.Gateway + path + "?ticket=" + text) {
						in.Add(1)
					}
				})
			}
			all.Wait()
			if in.Load() != 1 {
				t.Errorf("%s: %d got in by one ticket", path, in.Load())
			}
		}
	}

	// What ends the credential ends its tickets, before their use and after.
	key := h.newKey("carol")
	before, after := ask("/events", "bearer", key.text), ask("/events", "bearer", key.text)
	stream, err := http.Get(h.Gateway + "/events?ticket=" + after)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(stream, err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() {
		t.Fatal("no event came")
	}
	h.admin("POST", "/keys/"+key.id+"/revoke", "")
	refused("of a revoked key", call(t, "GET", h.Gateway+"/events?ticket="+before), 401, "invalid_token")
	ended := make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("a stream goes on although its ticket's key was revoked")
	}
	text := ask("/live/7", "bearer", access)
	h.admin("POST", "/users/bob/revoke", "")
	refused("of an ended login", call(t, "GET", h.Gateway+"/live/7?ticket="+text), 401, "invalid_token")
	last := "token_revoked"
	if h.st.Driver != "postgres" { // whose clock counts there, and cannot be set
		text = ask("/live/7", "bearer", bob.APIKey)
		h.clock.step(31 * time.Second)
		refused("of half a minute ago", call(t, "GET", h.Gateway+"/live/7?ticket="+text), 401, "invalid_token")
		last = "ticket_expired"
	}

	// Nothing of them is left in clear: neither in the record, nor at rest.
	var records string
	testwait.Until(t, 10*time.Second, "the record of the last ticket", func() bool {
		records = h.admin("GET", "/audit/events?limit=1000", "").body
		return strings.Contains(records, last)
	})
	for _, code := range []string{"ticket_unknown", "ticket_for_another_request", "key_revoked", "token_revoked", `"issued"`} {
		if !strings.Contains(records, code) {
			t.Errorf("the record has no %s", code)
		}
	}
	given = append(given, bob.APIKey, access, key.text)
	var rest strings.Builder
	rest.WriteString(records)
	if err := filepath.WalkDir(h.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b, _ := os.ReadFile(path)
			rest.Write(b)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range given {
		if strings.Contains(rest.String(), secret) {
			t.Errorf("%.12s… is in clear", secret)
		}
	}
}

// as asks with a path as it is, and for a host of another name.
func (h *ticketHouse) as(method, host, target string, opts ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.Gateway, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL.Opaque, r.URL.RawQuery = path, query
	if host != "" {
		r.Host = host
	}
	if len(opts) == 2 {
		r.Header.Set("Authorization", "Bearer "+opts[1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out := answer{status: res.StatusCode, header: res.Header}
	b, _ := io.ReadAll(res.Body)
	out.body = string(b)
	_ = json.Unmarshal(b, &out.json)
	return out
}

func (h *ticketHouse) admin(method, path, body string) answer {
	h.t.Helper()
	opts := []string{"bearer", h.AdminToken}
	if body != "" {
		opts = append(opts, "body", body)
	}
	a := call(h.t, method, h.Issuer+"/admin/v1/realms/main"+path, opts...)
	if a.status >= 300 {
		h.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

type aKey struct{ id, text string }

func (h *ticketHouse) newKey(owner string) aKey {
	h.t.Helper()
	a := h.admin("POST", "/keys", `{"owner":"`+owner+`","name":"x","scopes":["*"]}`)
	k, _ := a.json["key"].(map[string]any)
	id, _ := k["id"].(string)
	text, _ := a.json["text"].(string)
	return aKey{id, text}
}
