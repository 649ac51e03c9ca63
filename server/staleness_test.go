package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// soon is long enough for a node to learn of something on a busy machine.
const soon = 20 * time.Second

// link is a way to a PostgreSQL server that can be cut, or go silent.
type link struct {
	dir, to  string
	listener net.Listener

	mu     sync.Mutex
	away   bool
	deaf   bool
	silent chan struct{}     // closed when bytes flow; replaced while they do not
	conns  map[net.Conn]bool // true of those over which the feed is heard
}

// newLink leads to the server of dsn; it returns the DSN of the way through it.
func newLink(t *testing.T, dsn string) (*link, string) {
	t.Helper()
	dir := regexp.MustCompile(`host=(\S+)`).FindStringSubmatch(dsn)[1]
	own, err := os.MkdirTemp("", "link") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	l := &link{dir: own, to: filepath.Join(dir, ".s.PGSQL.5432"), silent: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(l.silent)
	if l.listener, err = net.Listen("unix", filepath.Join(own, ".s.PGSQL.5432")); err != nil {
		t.Fatal(err)
	}
	go l.accept()
	t.Cleanup(func() {
		l.mend()
		_ = l.listener.Close()
		l.cut()
		_ = os.RemoveAll(own)
	})
	return l, strings.Replace(dsn, "host="+dir, "host="+own, 1)
}

func (l *link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.connect(from)
	}
}

func (l *link) connect(from net.Conn) {
	hello := make([]byte, 4096) // what a client says of itself
	n, err := from.Read(hello)
	var to net.Conn
	if err == nil {
		to, err = net.Dial("unix", l.to)
	}
	if err != nil {
		_ = from.Close()
		return
	}
	hears := bytes.Contains(hello[:n], []byte(" feed"))
	_, err = to.Write(hello[:n])
	l.mu.Lock()
	if l.away || l.deaf && hears || err != nil {
		l.mu.Unlock()
		_ = from.Close()
		_ = to.Close()
		return
	}
	l.conns[from], l.conns[to] = hears, hears
	l.mu.Unlock()
	go l.copy(from, to)
	go l.copy(to, from)
}

func (l *link) copy(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		l.mu.Lock()
		silent := l.silent
		l.mu.Unlock()
		<-silent
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut ends all connections and lets nobody through; hush keeps them and lets nothing
// through. mend ends both.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = true
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
}

// deafen has nothing come any more of what others change; the rest goes through.
func (l *link) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
	for c, hears := range l.conns {
		if hears {
			_ = c.Close()
			delete(l.conns, c)
		}
	}
}

func (l *link) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = make(chan struct{})
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away, l.deaf = false, false
	select {
	case <-l.silent:
	default:
		close(l.silent)
	}
}

// twoNodes are two servers on one database: a demo, and another one whose way to it is the
// link.
func twoNodes(t *testing.T, change func(*server.Config)) (*server.Demo, *server.Server, *link) {
	t.Helper()
	st := postgresStore(t)
	a := demoOn(t, st)
	way, dsn := newLink(t, st.DSN)
	b, err := a.Another(t.Context(), t.TempDir(), func(c *server.Config) {
		c.Store.DSN = dsn
		if change != nil {
			change(c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { way.mend(); b.Close(over) })
	return a, b, way
}

// TestNodesShareOneDatabase: what one node issues is good at the other, and what one node
// ends, changes or forbids has effect at both: at itself before the answer, at the other a
// moment later.
func TestNodesShareOneDatabase(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	gates := []string{a.Gateway, b.GatewayURL()}
	auths := []string{a.Issuer, b.AuthURL()}
	admin := []string{"bearer", a.AdminToken}
	for at := range auths {
		own, other := gates[at], gates[1-at]
		manage := auths[at] + "/admin/v1/realms/main"
		everywhere := func(what, credential string, want int) {
			t.Helper()
			call(t, "GET", own+"/private", "bearer", credential).want(t, what+", where it was done", want)
			testwait.Until(t, soon, what+", at the other node", func() bool {
				return call(t, "GET", other+"/private", "bearer", credential).status == want
			})
		}
		token := func() string {
			got := call(t, "POST", auths[at]+"/tokens", "basic", "bob:"+a.Users["bob"].Password).want(t, "POST /tokens", 200)
			return got.json["access_token"].(string)
		}
		key := func(owner string) (id, text string) {
			made := call(t, "POST", manage+"/keys", append(admin, "body", fmt.Sprintf(`{"owner":%q,"name":"k","environment":"live","scopes":["*"]}`, a.Users[owner].ID))...).want(t, "a key", 201)
			return made.json["key"].(map[string]any)["id"].(string), made.json["text"].(string)
		}
		ended := token()
		everywhere("a token", ended, 200)
		call(t, "DELETE", auths[at]+"/tokens", "bearer", ended).want(t, "its end", 204)
		everywhere("an ended token", ended, 401)
		cut := token()
		everywhere("a token", cut, 200)
		call(t, "POST", manage+"/users/bob/revoke", admin...).want(t, "the cut-off", 204)
		everywhere("a token from before the cut-off", cut, 401)
		id, text := key("carol")
		everywhere("a key", text, 200)
		call(t, "POST", manage+"/keys/"+id+"/revoke", admin...).want(t, "its end", 200)
		everywhere("a revoked key", text, 401)
		_, text = key("dave")
		everywhere("dave's key", text, 200)
		call(t, "PATCH", manage+"/users/dave", append(admin, "body", `{"disabled":true}`)...).want(t, "dave is disabled", 200)
		everywhere("a disabled user's key", text, 401)
		call(t, "PATCH", manage+"/users/dave", append(admin, "body", `{"disabled":false}`)...).want(t, "dave is enabled", 200)
		everywhere("an enabled user's key", text, 200)
		call(t, "PUT", manage+"/policies/nobody", append(admin, "body", `{"text":"forbid(principal, action, resource);"}`)...).want(t, "a policy", 200)
		everywhere("everything is forbidden", text, 403)
		call(t, "DELETE", manage+"/policies/nobody", admin...).want(t, "its end", 204)
		everywhere("nothing is forbidden", text, 200)
	}
}

// TestStaleViewIsNotReady: a node that only does not hear what the others change, and can
// ask the database well, is not ready either.
func TestStaleViewIsNotReady(t *testing.T) {
	st := postgresStore(t)
	a := demoOn(t, st)
	slow, dsn := postgres.Held(t, st.DSN, " feed")
	b, err := a.Another(t.Context(), t.TempDir(), func(c *server.Config) {
		c.Store.DSN, c.Store.MaxStaleness = dsn, 3*time.Second
	})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { slow.Release(); b.Close(over) })
	ready := func() int { return call(t, "GET", b.MetricsURL()+"/readyz").status }
	testwait.Until(t, soon, "ready", func() bool { return ready() == 200 })
	slow.Hold()
	testwait.Until(t, soon, "not ready", func() bool { return ready() == 503 })
	slow.Release()
	testwait.Until(t, soon, "ready again", func() bool { return ready() == 200 })
}

// TestStaleNodeRefuses: a node that hears nothing from its database for max_staleness
// refuses everything that depends on it, at every point and with one code; the other node
// goes on; and once it hears again it goes on by itself, and knows what was ended meanwhile.
func TestStaleNodeRefuses(t *testing.T) {
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: begun\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(stream.Close)
	for name, lose := range map[string]func(*link){"cut": (*link).cut, "silent": (*link).hush} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			a, b, way := twoNodes(t, func(c *server.Config) {
				c.Store.MaxStaleness = 3 * time.Second
				c.Gateway.StreamCheck = 100 * time.Millisecond
				c.Upstreams = map[string]gateway.Upstream{"documents": c.Upstreams["documents"], "events": {URL: stream.URL}}
				c.Routes = append(c.Routes, enforce.Route{Pattern: "GET /events", Upstream: "events", Authenticated: true},
					enforce.Route{Pattern: "GET /judged", Upstream: "documents", Anonymous: true, Action: "read",
						Resource: &enforce.ResourceRule{Type: "Document", ID: "x", Static: map[string]any{"visibility": "public"}}})
			})
			key, admin := a.Users["alice"].APIKey, a.AdminToken
			private := b.GatewayURL() + "/private"
			access, refresh := login(t, a, "bob")
			testwait.Until(t, soon, "the token is good at the other node", func() bool { return call(t, "GET", private, "bearer", access).status == 200 })
			open := openStream(t, b.GatewayURL()+"/events", key)
			asked := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/private", "X-Forwarded-Host", "localhost", "X-Forwarded-Proto", "http", "bearer", key}
			ask := b.GatewayURL() + server.ForwardAuthPath + "/caddy"
			call(t, "GET", ask, asked...).want(t, "forward-auth", 200)
			call(t, "GET", b.MetricsURL()+"/readyz").want(t, "ready", 200)

			lose(way)
			// It ends in time, before anybody could know of it at the other node.
			call(t, "DELETE", a.Issuer+"/tokens", "bearer", access).want(t, "the end of a token", 204)
			testwait.Until(t, soon, "it refuses", func() bool { return call(t, "GET", private, "bearer", key).status == 503 })
			refused := func(what string, got answer) {
				t.Helper()
				if got.want(t, what, 503); got.code() != "stale_view" || got.header.Get("Retry-After") != "1" {
					t.Errorf("%s: %s, Retry-After %q", what, got.body, got.header.Get("Retry-After"))
				}
			}
			refused("a key", call(t, "GET", private, "bearer", key))
			refused("an ended token", call(t, "GET", private, "bearer", access))
			refused("a password", call(t, "GET", private, "basic", "alice:"+a.Users["alice"].Password))
			refused("a wrong key", call(t, "GET", private, "bearer", key+"x"))
			refused("nobody, where policies judge", call(t, "GET", b.GatewayURL()+"/judged"))
			refused("a credential where none is needed", call(t, "GET", b.GatewayURL()+"/public", "bearer", key))
			call(t, "GET", b.GatewayURL()+"/public").want(t, "nobody, where nothing is asked", 200)
			refused("forward-auth", call(t, "GET", ask, asked...))
			auth := b.AuthURL()
			refused("a login", call(t, "POST", auth+"/tokens", "basic", "alice:"+a.Users["alice"].Password))
			refused("a renewal", call(t, "POST", auth+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`))
			refused("administration", call(t, "GET", auth+"/admin/v1/realms/main/users", "bearer", admin))
			refused("the key set", call(t, "GET", auth+"/.well-known/jwks.json"))
			call(t, "GET", auth+"/errors/stale_view").want(t, "the page about the code", 200)
			call(t, "GET", auth+"/").want(t, "the page at the root", 200)
			call(t, "GET", b.MetricsURL()+"/readyz").want(t, "not ready", 503)
			if m := call(t, "GET", b.MetricsURL()+"/metrics").body; !strings.Contains(m, "\ngatehouse_view_stale 1\n") {
				t.Error("the metric does not tell")
			}
			select {
			case err := <-open:
				if err == nil {
					t.Error("the stream ended as if it was over")
				}
			case <-time.After(soon):
				t.Error("the stream that was open is open still")
			}
			call(t, "GET", a.Gateway+"/private", "bearer", key).want(t, "the other node", 200)

			way.mend()
			testwait.Until(t, soon, "it answers again", func() bool { return call(t, "GET", private, "bearer", key).status == 200 })
			call(t, "GET", private, "bearer", access).want(t, "the token that was ended meanwhile", 401)
			call(t, "GET", auth+"/.well-known/jwks.json").want(t, "the key set", 200)
			testwait.Until(t, soon, "it is ready again", func() bool { return call(t, "GET", b.MetricsURL()+"/readyz").status == 200 })
			if m := call(t, "GET", b.MetricsURL()+"/metrics").body; !strings.Contains(m, "\ngatehouse_view_stale 0\n") {
				t.Error("the metric does not tell that it is over")
			}
		})
	}
}

// TestStaleRouteAsks: a route that asks goes by what the database says of a credential while
// the node hears nothing of what others change, and refuses soon when the database does not
// answer; one that serves goes on, which is recorded and counted.
func TestStaleRouteAsks(t *testing.T) {
	a, b, way := twoNodes(t, func(c *server.Config) {
		c.Store.MaxStaleness = 2 * time.Second
		for _, stale := range []string{enforce.StaleAsk, enforce.StaleServe} {
			c.Routes = append(c.Routes, enforce.Route{Pattern: "GET /documents/" + stale, Upstream: "documents", Authenticated: true, Stale: stale})
		}
	})
	known := func(status int) bool { return status == 404 } // the API has no such document: it was asked
	ask := func(opts ...string) answer { return call(t, "GET", b.GatewayURL()+"/documents/ask", opts...) }
	serve := func(opts ...string) answer { return call(t, "GET", b.GatewayURL()+"/documents/serve", opts...) }
	admin, manage := []string{"bearer", a.AdminToken}, a.Issuer+"/admin/v1/realms/main"
	key := func(owner, more string) (id, text string) {
		made := call(t, "POST", manage+"/keys", append(admin, "body", fmt.Sprintf(`{"owner":%q,"name":"k","environment":"live","scopes":["*"]%s}`, a.Users[owner].ID, more))...).want(t, "a key", 201)
		return made.json["key"].(map[string]any)["id"].(string), made.json["text"].(string)
	}
	good, _ := login(t, a, "bob")
	ended, _ := login(t, a, "bob")
	cut, _ := login(t, a, "alice")
	id, revoked := key("bob", "")
	_, disabled := key("carol", "")
	_, few := key("bob", `,"quota_day":4`)
	old := "dave:" + a.Users["dave"].Password
	creds := map[string][]string{"a token": {"bearer", good}, "an ended token": {"bearer", ended}, "a token from before a cut-off": {"bearer", cut}, "a revoked key": {"bearer", revoked},
		"a disabled user's key": {"bearer", disabled}, "an old password": {"basic", old}, "a password": {"basic", "bob:" + a.Users["bob"].Password}, "a key": {"bearer", a.Users["bob"].APIKey}}
	for name, c := range creds {
		testwait.Until(t, soon, name+" is good at first", func() bool { return known(ask(c...).status) && known(serve(c...).status) })
	}
	way.deafen()
	call(t, "DELETE", a.Issuer+"/tokens", "bearer", ended).want(t, "an end", 204)
	call(t, "POST", manage+"/users/alice/revoke", admin...).want(t, "a cut-off", 204)
	call(t, "POST", manage+"/keys/"+id+"/revoke", admin...).want(t, "a key's end", 200)
	call(t, "PATCH", manage+"/users/carol", append(admin, "body", `{"disabled":true}`)...).want(t, "carol is disabled", 200)
	call(t, "POST", manage+"/users/dave/password/reset-link", append(admin, "body", `{"end":true}`)...).want(t, "no password", 200)
	testwait.Until(t, soon, "it refuses elsewhere", func() bool { return call(t, "GET", b.GatewayURL()+"/private", "bearer", good).code() == "stale_view" })
	for name, c := range creds {
		got := ask(c...)
		if want := name == "a token" || name == "a password" || name == "a key"; known(got.status) != want || !want && got.status != 401 {
			t.Errorf("%s, asked about: %d %s", name, got.status, got.body)
		}
		if got := serve(c...); !known(got.status) {
			t.Errorf("%s, where everything is served by what was known: %d %s", name, got.status, got.body)
		}
	}
	if got := ask(); got.status != 503 || got.code() != "stale_view" {
		t.Errorf("nobody: %d %s", got.status, got.body)
	}
	if served, asked := metric(t, b, "gatehouse_stale_served_total"), metric(t, b, "gatehouse_stale_asked_total"); served != "8" || asked != "3" {
		t.Errorf("counted: %s served, %s asked", served, asked)
	}
	let := 0
	for range 6 {
		switch got := ask("bearer", few); {
		case known(got.status):
			let++
		case got.code() != "key_quota_used_up":
			t.Errorf("a key with a quota: %d %s", got.status, got.body)
		}
	}
	if let < 1 || let > 4 {
		t.Errorf("%d of 4 uses were let pass while it asks", let)
	}
	request := serve("bearer", good).header.Get("X-Request-Id")
	testwait.Until(t, soon, "that it was served so is recorded", func() bool {
		return strings.Contains(call(t, "GET", manage+"/explain/"+request, admin...).body, "stale_served")
	})
	way.cut()
	began := time.Now()
	if got := ask("bearer", good); got.status != 503 || got.code() != "stale_view" {
		t.Errorf("without a database: %d %s", got.status, got.body)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("that nobody can be asked took %v", took)
	}
	if got := serve("bearer", good); !known(got.status) {
		t.Errorf("without a database, where everything is served: %d %s", got.status, got.body)
	}
}

// TestClockOfANode: a node whose machine's clock is off issues nothing that a cut-off of
// another node does not reach, and cuts off all that another node has issued, whichever way
// it is off; and says so.
func TestClockOfANode(t *testing.T) {
	for _, off := range []time.Duration{30 * time.Second, -30 * time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel() // it waits
			a, b, _ := twoNodes(t, func(c *server.Config) { c.Now = func() time.Time { return time.Now().Add(off) } })
			if got, err := strconv.ParseFloat(metric(t, b, "gatehouse_clock_offset_seconds"), 64); err != nil || math.Abs(got-off.Seconds()) > 1 {
				t.Errorf("the metric says %v, %v", got, err)
			}
			if body := call(t, "GET", b.MetricsURL()+"/readyz").want(t, "ready", 200).body; !strings.Contains(body, "clock_off") {
				t.Errorf("ready: %s", body)
			}
			admin := []string{"bearer", a.AdminToken}
			auths, gates := []string{a.Issuer, b.AuthURL()}, []string{a.Gateway, b.GatewayURL()}
			for at := range auths {
				got := call(t, "POST", auths[at]+"/tokens", "basic", "bob:"+a.Users["bob"].Password).want(t, "POST /tokens", 200)
				access, refresh := got.json["access_token"].(string), got.json["refresh_token"].(string)
				for _, gate := range gates {
					testwait.Until(t, soon, "the token is good everywhere", func() bool { return call(t, "GET", gate+"/private", "bearer", access).status == 200 })
				}
				call(t, "POST", auths[1-at]+"/admin/v1/realms/main/users/bob/revoke", admin...).want(t, "a cut-off at the other node", 204)
				call(t, "GET", gates[1-at]+"/private", "bearer", access).want(t, "where it was cut off", 401)
				testwait.Until(t, soon, "where it was issued", func() bool { return call(t, "GET", gates[at]+"/private", "bearer", access).status == 401 })
				call(t, "POST", auths[at]+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "a renewal", 400)
				again := call(t, "POST", auths[at]+"/tokens", "basic", "bob:"+a.Users["bob"].Password).want(t, "a new login", 200)
				testwait.Until(t, soon, "a token of after the cut-off is good", func() bool {
					return call(t, "GET", gates[1-at]+"/private", "bearer", again.json["access_token"].(string)).status == 200
				})
			}
		})
	}
}

// openStream opens a stream of events that does not end by itself, and tells with what it
// ended: nil when it ended well.
func openStream(t *testing.T, url, key string) <-chan error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); resp.StatusCode != 200 || err != nil || line != "data: begun\n" {
		t.Fatalf("%s %q %v", resp.Status, line, err)
	}
	over := make(chan error, 1)
	go func() {
		defer resp.Body.Close()
		_, err := io.Copy(io.Discard, lines)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		over <- err
	}()
	return over
}

// TestFlappingNode: a node whose way to the database comes and goes, as a whole or only where
// it hears of changes, lets nobody in whose end was acknowledged longer ago than its view may be
// old; and is whole once the way stays.
func TestFlappingNode(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const bound = 3 * time.Second
	for name, lose := range map[string]func(*link){"cut": (*link).cut, "silent": (*link).hush, "deaf": (*link).deafen} {
		t.Run(name, func(t *testing.T) {
			a, b, way := twoNodes(t, func(c *server.Config) { c.Store.MaxStaleness = bound })
			private := b.GatewayURL() + "/private"
			type ending struct {
				access string
				at     time.Time
			}
			var ends []ending
			let, latest := 0, time.Duration(0)
			patrol := func(until time.Time) {
				for time.Now().Before(until) {
					for _, e := range ends[max(0, len(ends)-4):] {
						came := time.Now()
						if call(t, "GET", private, "bearer", e.access).status != 200 {
							continue
						}
						let++
						if late := came.Sub(e.at); late > bound {
							t.Errorf("it lets in %v after the end was acknowledged", late)
						} else {
							latest = max(latest, late)
						}
					}
				}
			}
			for range 4 {
				way.mend()
				access, _ := login(t, a, "bob")
				patrol(time.Now().Add(time.Second)) // its view is made anew, or not quite
				_ = call(t, "GET", private, "bearer", access)
				lose(way)
				call(t, "DELETE", a.Issuer+"/tokens", "bearer", access).want(t, "an end", 204)
				ends = append(ends, ending{access, time.Now()})
				patrol(time.Now().Add(2 * time.Second))
			}
			way.mend()
			testwait.Until(t, soon, "it answers again", func() bool { return call(t, "GET", private, "bearer", a.Users["alice"].APIKey).status == 200 })
			patrol(ends[len(ends)-1].at.Add(bound)) // until then it may know nothing of the last one
			for _, e := range ends {
				call(t, "GET", private, "bearer", e.access).want(t, "what was ended meanwhile", 401)
			}
			t.Logf("let in %d times, %v after the end at most", let, latest.Round(time.Millisecond))
		})
	}
}
