package server_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestDemoProgram: the one line of the demo leads a browser through the whole code flow, and shows what the token says.
func TestDemoProgram(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0", Program: true,
		Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })
	p := chromium.Open(t, testbrowser.View{NoScript: true})
	p.Go(d.Program)
	p.Type("identifier", "bob")
	p.Follow("continue")
	p.Type("password", d.Users["bob"].Password)
	p.Follow("submit")
	if got := p.Text("client"); got != "A small program" {
		t.Fatalf("%q at %s", got, p.URL())
	}
	p.Follow("allow")
	p.Wait("claims")
	if got := p.Text("claims"); !strings.Contains(got, `"sub": "`+d.Users["bob"].ID+`"`) || !strings.Contains(got, `"scope": "documents:read offline_access"`) {
		t.Errorf("%s %s", p.Text("title"), got)
	}
	p.Follow("again")
	p.Follow("deny")
	if got := p.Text("text"); !strings.Contains(got, "access_denied") {
		t.Errorf("%s", got)
	}
	if said := p.Complaints(); len(said) != 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
