package server

import (
	"crypto/sha256"
	_ "embed" // hello.html, hello.css
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/pages"
)

//go:embed hello.html
var helloHTML string

//go:embed hello.css
var helloCSS string

// hello is what somebody sees who opens an address of this server in a browser. It
// names no version and nothing of the configuration but public addresses.
type hello struct {
	Title, Lead, Note string
	Links             []helloLink
	Command           string
	Hint              string // HTML: fixed text of ours
}

type helloLink struct {
	Name, Text, URL string
	Open            bool // it can be opened in a browser
}

// authHello is the page of the auth listener, and its facts for programs.
func (s *Server) authHello() (hello, map[string]string) {
	at := func(path string) string { return s.issuer + path }
	discovery := "/.well-known/oauth-authorization-server"
	if u, err := url.Parse(s.issuer); err != nil || u.Path != "" { // that one stands before the path (RFC 8414 §3.1)
		discovery = "/.well-known/openid-configuration"
	}
	page := hello{Title: "Gatehouse is at work",
		Lead: "This server decides who may use an API, and what each caller may do there.",
		Note: "Looking for the API? It has another address, which whoever runs it can tell you.",
		Links: []helloLink{
			{"Discovery", discovery, at(discovery), true},
			{"Public keys", "/.well-known/jwks.json", at("/.well-known/jwks.json"), true},
			{"Management", adminhttp.Prefix + "/openapi.json", at(adminhttp.Prefix + "/openapi.json"), true},
			{"Tokens", "POST /tokens", "", false},
		},
		Command: "gatehouse login --url " + s.issuer,
		Hint:    "Then <code>gatehouse help</code> lists what there is. <code>hello_page: hide</code> in gatehouse.yaml puts this page away.",
	}
	return page, map[string]string{"service": "Gatehouse", "status": "running", "issuer": s.issuer,
		"metadata": at(discovery), "jwks_uri": at("/.well-known/jwks.json"),
		"token_endpoint": at("/tokens"), "management_api": at(adminhttp.Prefix + "/openapi.json")}
}

// gatewayHello is the page of the gateway, where no route takes its place.
func (s *Server) gatewayHello() hello {
	return hello{Title: "A gate, and no page",
		Lead: "Gatehouse stands here before an API, and lets callers through whom it knows.",
		Note: "This address alone leads nowhere. Use the paths of the API, which whoever runs it can tell you.",
		Links: []helloLink{
			{"Tokens, keys", s.issuer, s.issuer, true},
		},
		Command: "gatehouse explain REQUEST_ID",
		Hint:    "It says why a request was refused: the id is in the answer, as <code>X-Request-Id</code>. A route for <code>/</code> takes the place of this page; <code>hello_page: hide</code> puts it away.",
	}
}

// helloPage makes a handler of a page. It is drawn once: nothing in it depends on the
// request. Without facts there is no JSON of it.
func helloPage(page hello, facts map[string]string) (http.Handler, error) {
	text := page.html()
	data, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	sum := sha256.Sum256([]byte(helloStyle()))
	style := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, body := w.Header(), []byte(text)
		if facts == nil || wantsPage(r) {
			web.PageHeaders(h, style)
			h.Set("Content-Type", "text/html; charset=utf-8")
		} else {
			h.Set("Content-Type", "application/json")
			body = data
		}
		h.Set("Vary", "Accept")
		h.Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the client may be gone; nothing is left to do
		}
	}), nil
}

// wantsPage reports whether r asks for HTML by name, as browsers do.
func wantsPage(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") && !strings.Contains(strings.ReplaceAll(params, " ", "")+";", "q=0;") {
				return true
			}
		}
	}
	return false
}

// html fills hello.html, once: what is put in is not looked at again. html/template would
// cost two megabytes of program and memory here, since it keeps every method of it.
func (p hello) html() string {
	var links, joints strings.Builder
	for _, l := range p.Links {
		text := "<code>" + html.EscapeString(l.Text) + "</code>"
		if l.Open {
			text = `<a href="` + html.EscapeString(l.URL) + `">` + text + "</a>"
		}
		fmt.Fprintf(&links, "<dt>%s</dt><dd>%s</dd>\n", html.EscapeString(l.Name), text)
	}
	for _, s := range stones() {
		fmt.Fprintf(&joints, `<path class="p1" d="%s"/>`, s)
	}
	return strings.NewReplacer(
		"{{.Title}}", html.EscapeString(p.Title), "{{.Lead}}", html.EscapeString(p.Lead), "{{.Note}}", html.EscapeString(p.Note),
		"{{.Command}}", html.EscapeString(p.Command), "{{.Hint}}", p.Hint,
		"{{.Links}}", links.String(), "{{.Stones}}", joints.String(), "{{.Style}}", helloStyle()).Replace(helloHTML)
}

// helloStyle is the style sheet of the page: its own rules, on the colours of all pages.
func helloStyle() string { return pages.Tokens() + helloCSS }

// stones draws the joints of the arch and of its pillars.
func stones() []string {
	const inner, outer, joints = 212, 254, 18
	var out []string
	for i := range joints {
		sin, cos := math.Sincos(math.Pi * float64(i) / (joints - 1))
		out = append(out, fmt.Sprintf("M%.1f %.1fL%.1f %.1f", inner*cos, -inner*sin, outer*cos, -outer*sin))
	}
	for y := 0; y < 1300; y += 72 {
		for _, dy := range []int{0, 30} {
			out = append(out, fmt.Sprintf("M-%d %dH-%d", inner, y+dy, outer), fmt.Sprintf("M%d %dH%d", inner, y+dy, outer))
		}
	}
	return out
}
