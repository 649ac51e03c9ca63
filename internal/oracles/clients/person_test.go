package clients

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/server"
)

// demo starts Gatehouse with the people of the demo.
func demo(t *testing.T) *server.Demo {
	t.Helper()
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	// Nobody asks it any more: it need not wait for anything.
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { d.Close(over) })
	return d
}

// registered is what a client is told of itself.
type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// register registers a client by the management API.
func register(t *testing.T, d *server.Demo, members map[string]any) (made registered) {
	t.Helper()
	api, err := client.New(d.Issuer, gatehouse.Secret(d.AdminToken))
	if err == nil {
		err = api.Do(t.Context(), http.MethodPost, "/realms/main/clients", members, &made)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// person is somebody with a browser without scripts, who looks at one page after another.
type person struct {
	t      *testing.T
	client *http.Client
	back   string // who is sent here has left: nothing listens there
	at     *url.URL
	status int
	page   *html.Node
	text   string
}

// newPerson makes one whose way ends at addresses that begin with back; "" for one who goes everywhere.
func newPerson(t *testing.T, back string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, back: back}
	p.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 10 || p.back != "" && strings.HasPrefix(r.URL.String(), p.back) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return p
}

func (p *person) open(address string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html") // mod_auth_openidc sends nobody to sign in who would not see the page
	p.look(p.client.Do(r))
}

// look reads the page that somebody has come to.
func (p *person) look(res *http.Response, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.status, p.at, p.text = res.StatusCode, res.Request.URL, string(b)
	if to, err := res.Location(); err == nil {
		p.at = to
	}
	if p.page, err = html.Parse(strings.NewReader(p.text)); err != nil {
		p.t.Fatal(err)
	}
}

// press presses the button with this id, when its form has been filled in: what else the page put into it is sent as it is.
func (p *person) press(id string, fill map[string]string) {
	p.t.Helper()
	button := find(p.page, func(n *html.Node) bool { return attribute(n, "id") == id })
	form := button
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		p.t.Fatalf("no form with a button %q at %s: %d %s", id, p.at, p.status, p.text)
	}
	fields := url.Values{}
	for n := range form.Descendants() {
		name := attribute(n, "name")
		value, filled := fill[name]
		switch {
		case name == "" || n.Data == "button" && n != button:
		case filled:
			fields.Set(name, value)
		case attribute(n, "type") != "checkbox" || has(n, "checked"):
			fields.Set(name, attribute(n, "value"))
		}
	}
	to, err := p.at.Parse(attribute(form, "action"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.look(p.client.PostForm(to.String(), fields))
}

// signIn is bob, who has come to sign in.
func (p *person) signIn(d *server.Demo) {
	p.t.Helper()
	p.press("continue", map[string]string{"identifier": "bob"})
	p.press("submit", map[string]string{"password": d.Users["bob"].Password})
}

func find(n *html.Node, is func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && is(d) {
			return d
		}
	}
	return nil
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
