package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// person is somebody with a browser who signs in at a demo.
type person struct {
	t      *testing.T
	demo   *server.Demo
	client *http.Client
}

var formOf = regexp.MustCompile(`name="form" value="([^"]+)"`)

func newPerson(t *testing.T, demo *server.Demo) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, demo, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.send(p.read(p.client.Get(demo.Issuer+"/signin")), "/signin", url.Values{"identifier": {"bob"}, "password": {demo.Users["bob"].Password}, "step": {"password"}})
	return p
}

func (p *person) read(res *http.Response, err error) string {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 400 {
		p.t.Fatalf("%d %v %s", res.StatusCode, err, b)
	}
	return string(b) + res.Header.Get("Location")
}

// send sends the form of a page, and returns what comes, or where to go.
func (p *person) send(page, to string, fields url.Values) string {
	p.t.Helper()
	m := formOf.FindStringSubmatch(page)
	if m == nil {
		p.t.Fatalf("no form: %s", page)
	}
	fields.Set("form", m[1])
	return p.read(p.client.PostForm(p.demo.Issuer+to, fields))
}

// hears is a writer that others read meanwhile.
type hears struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *hears) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *hears) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// TestSignIn: somebody signs in at a terminal, by a browser of the machine and by one elsewhere; scripts get tokens that open an API, each
// renewed once however many ask; signing out ends them; and what is kept is for its owner alone.
func TestSignIn(t *testing.T) {
	demo, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	defer demo.Close(context.Background())
	root, err := client.New(demo.Issuer, gatehouse.Secret(demo.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		ID string `json:"client_id"`
	}
	if err := root.Do(t.Context(), "POST", "/realms/main/clients", object{"client_name": "Command line", "token_endpoint_auth_method": "none", "redirect_uris": []string{"http://127.0.0.1/back"},
		"grant_types": []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}, "scope": "documents:read offline_access"}, &made); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	opened := filepath.Join(home, "opened")
	browser := filepath.Join(home, "browser")
	if err := os.WriteFile(browser, []byte("#!/bin/sh\nprintf %s \"$1\" >"+opened+".part && mv "+opened+".part "+opened+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	gate := func(said *hears, environ []string, args ...string) (int, string) {
		var out strings.Builder
		status := run(t.Context(), append([]string{"gatehouse"}, args...), strings.NewReader(""), &out, said, append([]string{"HOME=" + home}, environ...))
		return status, strings.TrimSpace(out.String())
	}
	get := func() string {
		t.Helper()
		var said hears
		status, text := gate(&said, nil, "token", "get")
		if status != exitOK {
			t.Fatalf("%d %s", status, said.String())
		}
		return text
	}
	works := func(token string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", demo.Gateway+"/documents", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	bob := newPerson(t, demo)
	login := func(environ []string, args ...string) (*hears, chan int) {
		said, ended := &hears{}, make(chan int, 1)
		go func() {
			status, _ := gate(said, environ, append([]string{"login", demo.Issuer}, args...)...)
			ended <- status
		}()
		return said, ended
	}

	if status, _ := gate(&hears{}, nil, "login", demo.Issuer); status != exitUsage {
		t.Errorf("without a client: %d", status)
	}
	if status, _ := gate(&hears{}, nil, "token", "get"); status != exitDenied {
		t.Errorf("nobody is signed in: %d", status)
	}
	_, ended := login([]string{"BROWSER=" + browser}, "--client", made.ID, "--scope", "documents:read", "--scope", "offline_access")
	var to string
	testwait.Until(t, 20*time.Second, "the browser opens", func() bool {
		b, err := os.ReadFile(opened)
		to = string(b)
		return err == nil
	})
	page := bob.read(bob.client.Get(to))
	_, query, _ := strings.Cut(to, "?")
	back := bob.send(page, "/authorize/consent", url.Values{"request": {query}, "do": {"allow"}, "scope:documents:read": {"yes"}, "scope:offline_access": {"yes"}})
	at := back[strings.LastIndex(back, "http://127.0.0.1"):]
	for name, wrong := range map[string]string{"another state": strings.Replace(at, "state=", "state=x", 1), "another issuer": strings.Replace(at, "iss=", "iss=x", 1), "another page": strings.Replace(at, "/back", "/", 1)} {
		res, err := http.Get(wrong)
		if err != nil || res.StatusCode != 400 {
			t.Errorf("%s: %v %v", name, res, err)
		}
	}
	if said := bob.read(bob.client.Get(at)); !strings.Contains(said, "Go back to the terminal") {
		t.Errorf("%s", said)
	}
	if status := <-ended; status != exitOK {
		t.Fatalf("%d", status)
	}
	first := get()
	if again := get(); works(first) != 200 || again != first {
		t.Errorf("%d, and another one while it lives: %t", works(first), again != first)
	}
	path := filepath.Join(home, ".config", "gatehouse", "tokens.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`"expires_at":"[^"]+"`).ReplaceAll(kept, []byte(`"expires_at":"`+time.Now().Add(20*time.Second).UTC().Format(time.RFC3339)+`"`))
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	texts := make(chan string, 8)
	var all sync.WaitGroup
	for range cap(texts) {
		all.Go(func() { texts <- get() })
	}
	all.Wait()
	close(texts)
	next := get()
	for text := range texts {
		if text != next || text == first {
			t.Error("one of those that asked at once got another token")
		}
	}
	if works(next) != 200 {
		t.Errorf("renewed: %d", works(next))
	}
	if status, said := gate(&hears{}, nil, "logout"); status != exitOK || works(next) != 401 {
		t.Errorf("%d %s, and the token: %d", status, said, works(next))
	}
	if status, _ := gate(&hears{}, nil, "token", "get"); status != exitDenied {
		t.Errorf("signed out: %d", status)
	}

	// By a browser elsewhere.
	said, ended := login(nil, "--client", made.ID, "--scope", "documents:read", "--device")
	var code string
	testwait.Until(t, 20*time.Second, "a code is shown", func() bool {
		if m := regexp.MustCompile(`type ([A-Z]{4}-[A-Z]{4}),`).FindStringSubmatch(said.String()); m != nil {
			code = m[1]
		}
		return code != ""
	})
	page = bob.send(bob.read(bob.client.Get(demo.Issuer+"/device")), "/device", url.Values{"code": {code}})
	bob.send(page, "/device/say", url.Values{"code": {code}, "same": {"yes"}, "do": {"allow"}})
	if status := <-ended; status != exitOK || works(get()) != 200 {
		t.Errorf("%d %s", status, said.String())
	}
}

// TestIssuerAt: tokens go to the server that was named and to no other.
func TestIssuerAt(t *testing.T) {
	for says, good := range map[string]bool{
		`{"issuer":"HERE","authorization_endpoint":"HERE/a","token_endpoint":"HERE/t","device_authorization_endpoint":"HERE/d","revocation_endpoint":"HERE/r","x":1}`:           true,
		`{"issuer":"HERE/","authorization_endpoint":"HERE/a","token_endpoint":"HERE/t","device_authorization_endpoint":"HERE/d","revocation_endpoint":"HERE/r"}`:                false,
		`{"issuer":"HERE","authorization_endpoint":"HERE/a","token_endpoint":"https://evil.example/t","device_authorization_endpoint":"HERE/d","revocation_endpoint":"HERE/r"}`: false,
		`{"issuer":"HERE","authorization_endpoint":"HERE/a","token_endpoint":"HERE.evil.example/t","device_authorization_endpoint":"HERE/d","revocation_endpoint":"HERE/r"}`:    false,
		`{"issuer":"HERE","authorization_endpoint":"HERE/a","token_endpoint":"HERE/t","revocation_endpoint":"HERE/r"}`:                                                          false,
		`{"issuer":"HERE","issuer":"x","authorization_endpoint":"HERE/a","token_endpoint":"HERE/t","device_authorization_endpoint":"HERE/d","revocation_endpoint":"HERE/r"}`:    false,
	} {
		mux := http.NewServeMux()
		s := &http.Server{Handler: mux}
		here := serveHere(t, s)
		mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.ReplaceAll(says, "HERE", here))
		})
		if _, err := issuerAt(t.Context(), here); (err == nil) != good {
			t.Errorf("%s: %v", says, err)
		}
	}
	for _, address := range []string{"http://id.example", "ftp://id.example", "id.example", "https://bob@id.example", ""} {
		if _, err := issuerAt(t.Context(), address); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func serveHere(t *testing.T, s *http.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}
