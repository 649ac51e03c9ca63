package testbrowser

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var chromium Browser

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}

// site is pages with everything that a test must be able to see, at localhost: passkeys need a name, and no TLS there.
func site(t *testing.T) string {
	t.Helper()
	page := func(policy, head, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy)
			fmt.Fprintf(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>t</title>%s<main><h1>t</h1>%s</main>`, head, body)
		}
	}
	mux := http.NewServeMux()
	open := "default-src 'unsafe-inline'"
	mux.HandleFunc("GET /{$}", page(open, "", `<form action="/sent" method="post"><label for="name">Name</label><input id="name" name="name"><button id="send">Send</button></form>
		<p id="script">off</p><script>document.getElementById("script").textContent = "on"</script>`))
	mux.HandleFunc("POST /sent", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "name", Value: r.FormValue("name"), Path: "/"})
		http.Redirect(w, r, "/look", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /look", func(w http.ResponseWriter, r *http.Request) {
		page(open, "<style>p { display: none } @media (prefers-color-scheme: dark) { #dark { display: block } } @media (width < 400px) { #phone { display: block } }</style>",
			fmt.Sprintf(`<p id="dark">dark</p><p id="phone">phone</p><pre id="cookie">%s</pre><pre id="language">%s</pre><div style="block-size: 3000px">long</div>`,
				r.Header.Get("Cookie"), r.Header.Get("Accept-Language")))(w, r)
	})
	mux.HandleFunc("GET /strict", page("default-src 'none'", "", `<p style="color: red">red</p>`))
	mux.HandleFunc("GET /broken", page(open, "", `<script>throw new Error("broken")</script>`))
	mux.HandleFunc("GET /grey", page(open, "", `<p style="color: #bbb; background: #fff">grey</p><img src="data:,">`))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

func TestForm(t *testing.T) {
	at := site(t)
	for _, scripts := range []string{"on", "off"} {
		p := chromium.Open(t, View{NoScript: scripts == "off", Language: "de"})
		if status := p.Go(at); status != 200 || p.Text("script") != scripts {
			t.Errorf("%d, scripts are %s, want %s", status, p.Text("script"), scripts)
		}
		p.Type("name", "Zoe")
		if status := p.Follow("send"); status != 200 || p.URL() != at+"/look" || p.Text("cookie") != "name=Zoe" || p.Text("language") != "de" {
			t.Errorf("%d at %s, %q, %q", status, p.URL(), p.Text("cookie"), p.Text("language"))
		}
		if said := p.Complaints(); len(said) != 0 {
			t.Errorf("complaints: %q", said)
		}
	}
	p := chromium.Open(t, View{})
	p.Go(at + "/look")
	if got := p.Text("cookie"); got != "" {
		t.Errorf("another page has the cookies: %q", got)
	}
	if status := p.Go(at + "/none"); status != 404 {
		t.Errorf("no such page: %d", status)
	}
}

func TestView(t *testing.T) {
	p := chromium.Open(t, View{})
	p.Go(site(t) + "/look")
	for _, v := range []View{{}, {Dark: true}, {Width: 390, Height: 844}, {Width: 390, Height: 844, Dark: true}} {
		p.See(v)
		seen := func(id string) bool {
			return Eval[bool](p, "getComputedStyle(document.getElementById('"+id+"')).display != 'none'")
		}
		if seen("dark") != v.Dark || seen("phone") != (v.Width == 390) {
			t.Errorf("%+v: dark %v, phone %v", v, seen("dark"), seen("phone"))
		}
		shot, err := png.DecodeConfig(bytes.NewReader(p.Screenshot()))
		if err != nil || shot.Width != max(v.Width, 390) && shot.Width != 1280 || shot.Height < 3000 {
			t.Errorf("%+v: a picture of %dx%d, %v", v, shot.Width, shot.Height, err)
		}
	}
}

// TestComplaints: what stops a page is heard; axe finds what cannot be read.
func TestComplaints(t *testing.T) {
	at := site(t)
	for path, want := range map[string]string{"/strict": "style-src", "/broken": "Error: broken"} {
		p := chromium.Open(t, View{})
		p.Go(at + path)
		if said := p.Complaints(); !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s: %q, want %s", path, said, want)
		}
	}
	p := chromium.Open(t, View{})
	p.Go(at + "/look")
	if found := p.Axe(); len(found) != 0 {
		t.Errorf("axe finds %q", found)
	}
	p.Go(at + "/grey")
	found := strings.Join(p.Axe(), "\n")
	if !strings.Contains(found, "color-contrast: ") || !strings.Contains(found, "image-alt: ") {
		t.Errorf("axe finds %s", found)
	}
}

// TestStaysHere: no name and no address leads out of this machine; that is so before anything is sent.
func TestStaysHere(t *testing.T) {
	p := chromium.Open(t, View{})
	for _, url := range []string{"http://example.com/", "http://192.0.2.1/", "http://[2001:db8::1]/"} {
		_, err := chromedp.Run(p.ctx, chromedp.NavigateResponse(url))
		if load := (*chromedp.LoadError)(nil); !errors.As(err, &load) || load.ErrorText != "net::ERR_NAME_NOT_RESOLVED" {
			t.Errorf("%s: %v", url, err)
		}
	}
	if status := p.Go(strings.Replace(site(t), "localhost", "a.localhost", 1)); status != 200 {
		t.Errorf("a host below localhost: %d", status)
	}
}

// TestAuthenticator: the key makes a passkey and signs in with it, and with no finger it does not know its owner.
func TestAuthenticator(t *testing.T) {
	p := chromium.Open(t, View{})
	p.Go(site(t))
	key := p.Authenticator()
	create := `navigator.credentials.create({publicKey: {challenge: new Uint8Array(32), rp: {name: "t"}, user: {id: new Uint8Array(8), name: "n", displayName: "n"},
		pubKeyCredParams: [{type: "public-key", alg: -7}], authenticatorSelection: {residentKey: "required", userVerification: "required"}}}).then(c => c.id)`
	get := `navigator.credentials.get({publicKey: {challenge: new Uint8Array(32), userVerification: "required"}}).then(c => c.id, e => e.name)`
	id := Eval[string](p, create)
	if got := Eval[string](p, get); got != id || len(key.Credentials()) != 1 {
		t.Errorf("made %q, signed in with %q, %d credentials", id, got, len(key.Credentials()))
	}
	copied := key.Credentials()[0]
	key.Recognise(false)
	if got := Eval[string](p, get); got != "NotAllowedError" {
		t.Errorf("a finger that the key does not know: %q", got)
	}
	key.Lose()
	again := p.Authenticator()
	copied.RpID = "localhost"
	again.Add(copied)
	if got := Eval[string](p, get); got != id {
		t.Errorf("with a copy: %q", got)
	}
}
