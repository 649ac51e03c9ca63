package server_test

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestDemoShowsItsMail: who tries the demo and has forgotten the password finds the message, in a browser without scripts, at a
// page of its own, and goes on by its link. No listener that an installation has serves that page, and none but this machine reaches it.
func TestDemoShowsItsMail(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser, and mail that is looked for every two seconds; runs without -short")
	}
	cfg := server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0", Outbox: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}}
	d, err := server.StartDemo(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(t.Context()) })
	v := newVisitor(t)
	v.get(d.Issuer + "/recover")
	if status, page := v.send(d.Issuer+"/recover", url.Values{"identifier": {"alice"}}); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	letter := regexp.MustCompile(`href="(/letters/mail_[a-z0-9]+)"`)
	var path string
	testwait.Until(t, soon, "the message", func() bool {
		for _, m := range letter.FindAllStringSubmatch(call(t, "GET", d.Outbox+"/").want(t, "the outbox", 200).body, -1) {
			if a := call(t, "GET", d.Outbox+m[1]); strings.Contains(a.body, `id="open"`) { // others tell of the keys that the people got
				path = m[1]
			}
		}
		return path != ""
	})
	for _, listener := range []string{d.Issuer, d.Gateway} {
		for _, at := range []string{path, path + "/html", path + "/link"} {
			if a := call(t, "GET", listener+at); a.status < 400 || strings.Contains(a.body, "alice") {
				t.Errorf("%s%s: %d %s", listener, at, a.status, a.body)
			}
		}
	}
	p := chromium.Open(t, testbrowser.View{Width: 390, Height: 844, NoScript: true})
	p.Go(d.Outbox + "/")
	p.Go(d.Outbox + path)
	if text := p.Text("text"); p.Text("to") != "alice@example.com" || !strings.Contains(text, d.Issuer+"/recover/new?code=") {
		t.Errorf("to %q: %q", p.Text("to"), text)
	}
	if status := p.Follow("open"); status != 200 || p.URL() != d.Issuer+"/recover/new" || !p.Has("#password") {
		t.Errorf("its link: %d at %s", status, p.URL())
	}
	if wrong := p.Complaints(); len(wrong) != 0 {
		t.Errorf("%q", wrong)
	}
	// Another demo on this machine: what nobody asked for gives way, and what somebody asked for is refused.
	cfg.Data, cfg.Outbox = filepath.Join(t.TempDir(), "demo"), strings.TrimPrefix(d.Outbox, "http://")
	if other, err := server.StartDemo(t.Context(), cfg); err == nil {
		other.Close(t.Context())
		t.Error("two at one address")
	}
	cfg.Data, cfg.OutboxElsewhere = filepath.Join(t.TempDir(), "demo"), true
	if other, err := server.StartDemo(t.Context(), cfg); err != nil || other.Outbox == d.Outbox {
		t.Errorf("beside another: %v", err)
	} else {
		call(t, "GET", other.Outbox+"/").want(t, "its outbox", 200)
		other.Close(t.Context())
	}
	cfg.Data, cfg.Outbox = filepath.Join(t.TempDir(), "demo"), "0.0.0.0:0"
	if other, err := server.StartDemo(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "this machine alone") {
		t.Errorf("mail for everybody: %v", err)
		if err == nil {
			other.Close(t.Context())
		}
	}
}
