package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestDemoPage: the first page that a newcomer reads fits an ordinary terminal, says the
// name by which the program was called, and is plain where nobody looks at a terminal.
func TestDemoPage(t *testing.T) {
	key := "ghk_live_" + strings.Repeat("x", 48)
	d := &server.Demo{Issuer: "http://127.0.0.1:8080", Gateway: "http://127.0.0.1:8081", AdminToken: key, Program: "http://127.0.0.1:65535"}
	d.Users = map[string]server.DemoPerson{"bob": {Password: strings.Repeat("P", 26), APIKey: key}, "carol": {APIKey: key}}
	page := func(colour bool) string {
		var out bytes.Buffer
		(&app{called: "bin/gatehouse"}).demoPage(&paper{w: &out, colour: colour}, d)
		return out.String()
	}
	plain := page(false)
	for line := range strings.Lines(plain) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if first, _, _ := strings.Cut(plain, "\n"); !strings.HasPrefix(first, "Gatehouse is running") {
		t.Errorf("it begins with %q", first)
	}
	for _, want := range []string{"Open in a browser  http://127.0.0.1:8080\n", "Sign in            http://127.0.0.1:65535 ", "\nbin/gatehouse explain REQUEST_ID\n", "\nexport GATEHOUSE_TOKEN=" + key + "\n", "\nKEY=" + key + "\n", `"access_token":"\([^"]*\)"`} {
		if !strings.Contains(plain, want) {
			t.Errorf("nothing says %q:\n%s", want, plain)
		}
	}
	coloured := page(true)
	if stripped := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured, ""); strings.Contains(plain, "\x1b") || stripped != plain || coloured == plain {
		t.Error("the coloured page says something else than the plain one")
	}
	if (&app{environ: []string{"TERM=xterm"}}).paper(&bytes.Buffer{}).colour {
		t.Error("colours where there is no terminal")
	}
	for environ, want := range map[string]bool{"TERM=xterm": true, "TERM=xterm NO_COLOR=1": false, "TERM=xterm NO_COLOR=": true, "TERM=dumb": false, "": false} {
		if got := (&app{environ: strings.Fields(environ)}).colours(); got != want {
			t.Errorf("%q: colours %t, want %t", environ, got, want)
		}
	}
}
