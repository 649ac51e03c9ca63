package server_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// front is a proxy with TLS, on this machine, before the listeners of one node: the pages at auth.localhost, the gateway at every
// other name. It keeps which cookies browsers send to which name, and can hold a ticket that is on its way.
type front struct {
	port string

	mu     sync.Mutex
	to     map[string]*url.URL // "auth" and "gate"
	sent   map[string][]string // names of cookies, by host
	hold   bool
	ticket string // the address with it
}

func newFront(t *testing.T) *front {
	d := &front{to: map[string]*url.URL{}, sent: map[string][]string{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		d.mu.Lock()
		defer d.mu.Unlock()
		host, _, _ := strings.Cut(r.In.Host, ":")
		name := "gate"
		if host == "auth.localhost" {
			name = "auth"
		}
		for _, c := range r.In.Cookies() {
			if !slices.Contains(d.sent[host], c.Name) {
				d.sent[host] = append(d.sent[host], c.Name)
			}
		}
		r.SetURL(d.to[name])
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		held := d.hold && strings.HasPrefix(r.URL.Path, gateway.ArrivalPath)
		if held {
			d.hold, d.ticket = false, "https://"+r.Host+r.URL.RequestURI()
		}
		d.mu.Unlock()
		if held {
			fmt.Fprint(w, "held")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.port = u.Port()
	return d
}

func (d *front) origin(name string) string { return "https://" + name + ".localhost:" + d.port }

// cookiesAt are the names of those that browsers have sent to a host.
func (d *front) cookiesAt(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.sent[name+".localhost"]))
}

// nextTicket has the next way back from signing in end at the front, and returns its address after leave has led there.
func (d *front) nextTicket(t *testing.T, leave func()) string {
	t.Helper()
	d.mu.Lock()
	d.hold, d.ticket = true, ""
	d.mu.Unlock()
	leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ticket == "" {
		t.Fatal("no ticket came by")
	}
	return d.ticket
}

// behind starts a node behind the front, with bob in it, whose gateway has one page that is for people who have signed in.
func (d *front) behind(t *testing.T) (password string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>t</title><p id="who">%s</p><p id="cookie">%s</p><form method="post"><button id="send">Send</button></form>`,
			r.Header.Get("X-Gatehouse-Username"), cmp.Or(r.Header.Get("Cookie"), "none"))
	}))
	t.Cleanup(api.Close)
	s := begun(t, d.origin("auth"), "127.0.0.1:0", func(cfg *server.Config) {
		cfg.TrustedProxies = []string{"127.0.0.0/8", "::1"}
		cfg.Gateway.Origins = []string{d.origin("app"), d.origin("two")}
		cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: api.URL, PlainHeaders: true}}
		cfg.Routes = []enforce.Route{{Pattern: "/", Upstream: "api", Realm: "main", Authenticated: true, Schemes: []gatehouse.Scheme{gatehouse.SchemeSession}}}
	})
	for name, at := range map[string]string{"auth": s.AuthURL(), "gate": s.GatewayURL()} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.to[name] = u
		d.mu.Unlock()
	}
	secret, _ := json.Marshal(map[string]string{"secret": s.BootstrapSecret().Reveal(), "username": "operator", "password": "seven owls over a wet harbour"})
	first, _ := call(t, "POST", s.AuthURL()+"/admin/v1/bootstrap", "X-Forwarded-Proto", "https", "body", string(secret)).want(t, "the first administrator", 201).json["api_key"].(string)
	password = "nine herons by an empty mill"
	call(t, "POST", s.AuthURL()+"/admin/v1/realms/main/users", "X-Forwarded-Proto", "https", "bearer", first, "body", `{"username":"bob","password":"`+password+`"}`).want(t, "bob", 201)
	return password
}

// TestHandOverInTheBrowser: Chromium, behind a proxy with TLS, opens a page of the gateway, is led to another host to sign in and back,
// through the content policy of each page between. Every cookie that is set is kept, is for one host alone and no script, and goes to
// that host only. A ticket helps no other browser and leads to no other host, and the end of the session ends it at all of them.
func TestHandOverInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := newFront(t)
	password := d.behind(t)
	app, two, auth := d.origin("app"), d.origin("two"), d.origin("auth")
	p := chromium.Open(t, testbrowser.View{Width: 390, Height: 844})
	if status := p.Go(app + "/page?x=1"); status != 200 || !strings.HasPrefix(p.URL(), auth+"/signin?") {
		t.Fatalf("without a session: %d at %s", status, p.URL())
	}
	names(p, "bob", password)
	if p.URL() != app+"/page?x=1" || p.Text("who") != "bob" || p.Text("cookie") != "none" {
		t.Fatalf("signed in: at %s as %q; the API sees %q", p.URL(), p.Text("who"), p.Text("cookie"))
	}
	if status := p.Follow("send"); status != 200 || p.Text("who") != "bob" {
		t.Errorf("a form there: %d", status)
	}
	// Another host follows by itself, and by a ticket of its own.
	p.Go(two + "/")
	if p.URL() != two+"/" || p.Text("who") != "bob" {
		t.Fatalf("another host: at %s", p.URL())
	}

	for at, want := range map[string]string{"auth": "session", "app": "gate", "two": "gate"} {
		origin := d.origin(at)
		kept := p.Cookies(origin)
		names := []string{}
		for _, c := range kept {
			names = append(names, c.Name)
			if !strings.HasPrefix(c.Name, "__Host-gatehouse-") || !c.Secure || !c.HTTPOnly || c.Path != "/" || c.Domain != at+".localhost" || c.SameSite != network.CookieSameSiteLax {
				t.Errorf("a cookie of %s: %+v", origin, c)
			}
		}
		if !slices.Contains(names, "__Host-gatehouse-"+want+"-main") {
			t.Errorf("%s has the cookies %q", origin, names)
		}
		for _, other := range map[string][]string{"auth": {"gate", "arrival"}, "app": {"session", "device", "form"}, "two": {"session", "device", "form"}}[at] {
			if sent := d.cookiesAt(at); slices.ContainsFunc(sent, func(c string) bool { return strings.HasPrefix(c, "__Host-gatehouse-"+other) }) {
				t.Errorf("%s was sent %q", origin, sent)
			}
		}
		if sent := d.cookiesAt(at); !slices.Contains(sent, "__Host-gatehouse-"+want+"-main") {
			t.Errorf("%s was sent %q alone", origin, sent)
		}
		p.Go(origin + "/")
		if got := testbrowser.Eval[string](p, "document.cookie"); got != "" {
			t.Errorf("a script of %s reads %q", origin, got)
		}
		if n := testbrowser.Eval[int](p, "localStorage.length + sessionStorage.length"); n != 0 {
			t.Errorf("%s stores %d things in the browser", origin, n)
		}
	}

	// Bob's next ticket comes into other hands, and to another host, before he uses it.
	for _, host := range []string{app, two} { // both hosts know his browser as one that is on its way
		p.Go(auth + "/signin?again=1")
		p.Type("password", password)
		p.Follow("submit")
		ticket := d.nextTicket(t, func() { p.Go(host + "/") })
		other := map[string]string{app: two, two: app}[host]
		thief := chromium.Open(t, testbrowser.View{Language: "de"})
		for what, knows := range map[string]bool{"that never was there": false, "that is on its way to sign in": true} {
			if knows {
				thief.Go(host + "/")
			}
			if status := thief.Go(ticket); status != 403 || thief.URL() != auth+"/handover/refused?why=handover_refused" || problem(thief) != "handover_refused" {
				t.Errorf("in a browser %s: %d at %s", what, status, thief.URL())
			}
			if phrase := thief.Text("phrase"); !strings.Contains(phrase, "Browser") || thief.Has("#phrase[lang]") {
				t.Errorf("in German: %q", phrase)
			}
		}
		elsewhere := strings.Replace(ticket, host, other, 1)
		if status := p.Go(elsewhere); status != 403 || problem(p) != "handover_refused" {
			t.Errorf("a ticket for %s at %s: %d at %s", host, other, status, p.URL())
		}
		if p.Go(ticket); p.URL() != host+"/" || p.Text("who") != "bob" {
			t.Errorf("his own: at %s", p.URL())
		}
		if status := p.Go(ticket); status != 403 {
			t.Errorf("once more: %d at %s", status, p.URL())
		}
	}

	// No link leads him, with a ticket, to a host that is none of the gateway's.
	evil := d.origin("evil") + "/page"
	if status := p.Go(auth + "/handover?" + url.Values{"to": {base64.RawURLEncoding.EncodeToString([]byte(evil))}, "browser": {strings.Repeat("b", 43)}}.Encode()); status != 400 || problem(p) != "handover_address_refused" {
		t.Errorf("to %s: %d at %s", evil, status, p.URL())
	}

	p.Go(auth + "/signout")
	p.Follow("submit")
	for _, host := range []string{app, two} {
		if p.Go(host + "/"); !strings.HasPrefix(p.URL(), auth+"/signin?") {
			t.Errorf("signed out: at %s", p.URL())
		}
	}
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
