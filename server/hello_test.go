package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// opened is the answer to a GET, or another method, with an Accept line.
func opened(t *testing.T, method, url, accept string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// TestHelloPage: what a browser sees at '/' of each listener, what programs get there,
// and that no route loses anything to it.
func TestHelloPage(t *testing.T) {
	InOrder(t)
	h := newHouse(t)
	h.cfg.Version = "v9.8.7-secret"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the API") }))
	defer api.Close()
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: api.URL}}
	h.cfg.Routes = []enforce.Route{{Pattern: "/x", Upstream: "api", Anonymous: true}}
	h.start()
	for name, url := range map[string]string{"auth": h.s.AuthURL(), "gateway": h.s.GatewayURL()} {
		status, header, page := opened(t, "GET", url+"/", browser)
		if status != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" || header.Get("Vary") != "Accept" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, status, header)
		}
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
		if style == nil {
			t.Fatalf("%s: no style in %s", name, page)
		}
		sum := sha256.Sum256([]byte(style[1]))
		policy := header.Get("Content-Security-Policy")
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
		if policy != want {
			t.Errorf("%s: policy %q, want %q", name, policy, want)
		}
		for _, no := range []string{"<script", "style=", "onclick", "javascript:", "<img", "<link", "v9.8.7", "sqlite", api.URL, "go1.", "{{"} {
			if strings.Contains(page, no) {
				t.Errorf("%s: the page has %q", name, no)
			}
		}
		for _, words := range []string{"<h1>", "gatehouse ", "hello_page: hide", `lang="en"`, "Documentation"} {
			if !strings.Contains(page, words) {
				t.Errorf("%s: the page lacks %q", name, words)
			}
		}
		if status, header, body := opened(t, "HEAD", url+"/", browser); status != 200 || body != "" || header.Get("Content-Length") == "0" {
			t.Errorf("%s: HEAD %d %q %v", name, status, body, header)
		}
		for _, other := range []string{"POST /", "GET /index.html", "GET /favicon.ico", "GET /%2e"} {
			method, path, _ := strings.Cut(other, " ")
			if status, _, body := opened(t, method, url+path, browser); status == 200 || strings.Contains(body, "<h1>") {
				t.Errorf("%s: %s is answered %d", name, other, status)
			}
		}
	}
	var facts map[string]string
	for _, accept := range []string{"", "*/*", "application/json", "text/html;q=0, application/json"} {
		status, header, body := opened(t, "GET", h.s.AuthURL()+"/", accept)
		if err := json.Unmarshal([]byte(body), &facts); status != 200 || err != nil || header.Get("Content-Type") != "application/json" {
			t.Errorf("Accept %q: %d %v %s", accept, status, err, body)
		}
		if status, _, body := opened(t, "GET", h.s.GatewayURL()+"/", accept); status != 404 || !strings.Contains(body, `"no_route"`) {
			t.Errorf("Accept %q at the gateway, where an API is looked for: %d %s", accept, status, body)
		}
	}
	for _, name := range []string{"metadata", "jwks_uri", "management_api"} {
		path := strings.TrimPrefix(facts[name], h.s.Issuer())
		if status, _, _ := opened(t, "GET", h.s.AuthURL()+path, ""); status != 200 && status != 401 {
			t.Errorf("%s: %s is answered %d", name, facts[name], status)
		}
	}
	if status, _, body := opened(t, "GET", h.s.GatewayURL()+"/x", browser); status != 200 || body != "the API" {
		t.Errorf("the API: %d %s", status, body)
	}
	h.stop()

	for what, c := range map[string]struct {
		route  enforce.Route
		status int
	}{
		"a route for everything":  {enforce.Route{Pattern: "/", Upstream: "api", Anonymous: true}, 200},
		"a route that is guarded": {enforce.Route{Pattern: "GET /{$}", Upstream: "api", Authenticated: true}, 401},
		"a closed route":          {enforce.Route{Pattern: "/{$}", Closed: true}, 404},
	} {
		h.cfg.Routes = []enforce.Route{c.route}
		h.start()
		if status, _, body := opened(t, "GET", h.s.GatewayURL()+"/", browser); status != c.status || strings.Contains(body, "<h1>") {
			t.Errorf("%s: %d %s", what, status, body)
		}
		h.stop()
	}
	h.cfg.Routes, h.cfg.HelloPage = nil, config.HelloHide
	h.start()
	for _, url := range []string{h.s.AuthURL(), h.s.GatewayURL()} {
		if status, _, body := opened(t, "GET", url+"/", browser); status != 404 || strings.Contains(body, "<h1>") {
			t.Errorf("hidden: %d %s", status, body)
		}
	}
	h.stop()
}

// TestHelloEscapes: what comes out of the configuration stays text, and is not filled again.
func TestHelloEscapes(t *testing.T) {
	evil := `"><script>{{.Command}}</script>`
	page := hello{Title: evil, Lead: evil, Note: evil, Command: "end", Links: []helloLink{{evil, evil, evil, true}, {evil, evil, evil, false}}}.html()
	if strings.Contains(page, "<script") || strings.Count(page, "{{") != strings.Count(page, "&lt;script&gt;{{.Command}}&lt;/script&gt;") {
		t.Errorf("%s", page)
	}
	if n := strings.Count(page, `&#34;&gt;&lt;script&gt;`); n != 9 { // the title stands twice, an open link's address once
		t.Errorf("%d of 9 are there: %s", n, page)
	}
	if !strings.Contains(page, "<pre>end</pre>") || strings.Count(page, `class="p1"`) < 20 {
		t.Errorf("%s", page)
	}
}
