package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// leaves calls visit with the words of each command that does something.
func leaves(visit func(path []string, c *cobra.Command)) {
	a := &app{called: "gatehouse"}
	root := a.command()
	root.InitDefaultHelpCmd()
	var walk func(path []string, c *cobra.Command)
	walk = func(path []string, c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(append(slices.Clone(path), sub.Name()), sub)
			}
		}
		if !c.HasSubCommands() {
			visit(path, c)
		}
	}
	walk(nil, root)
}

// try runs a command line as main does.
func try(t *testing.T, environ []string, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), append([]string{"bin/gatehouse"}, args...), strings.NewReader(""), &out, &errOut, environ)
	return code, errOut.String()
}

// legible fails for texts that name the inside of this program, or nothing that somebody
// could mend.
func legible(t *testing.T, what, text string) {
	t.Helper()
	for _, noise := range []string{"strconv", "arg(s)", "unknown command", "invalid argument", "pflag", "\uFFFD", "%!", "cause: request", "req_", "jsontext", "<nil>", "gatehouse: gatehouse"} {
		if strings.Contains(text, noise) {
			t.Errorf("%s: %q in %q", what, noise, text)
		}
	}
	if !strings.HasPrefix(text, "gatehouse: ") || len(text) < 20 || !strings.HasSuffix(text, "\n") {
		t.Errorf("%s: %q", what, text)
	}
}

// operandsOf are as many words as the command takes at least.
func operandsOf(c *cobra.Command) (named []string) {
	for _, w := range strings.Fields(c.Use)[1:] {
		if !strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "[") && strings.ToUpper(w) == w && w != "ACTION" && w != "TYPE/ID" && w != "USER" || w == "USER" && !strings.Contains(c.Use, "--principal") {
			named = append(named, w)
		}
	}
	return named
}

// TestMistakes makes the mistakes that people make with every command there is, and
// reads each answer with their eyes.
func TestMistakes(t *testing.T) {
	home := t.TempDir()
	base := []string{"HOME=" + home}
	empty := filepath.Join(home, "empty.json")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(home, "htpasswd")
	if err := os.WriteFile(passwords, []byte("ann:$2y$04$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expired := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"status":401,"detail":"The credential is not accepted.","code":"invalid_token","request_id":"req_01m8f2yjsqcjm2w84ktwy19173"}`))
	}))
	defer expired.Close()
	local := map[string]bool{"init": true, "serve": true, "demo": true, "protect": true, "restore": true, "version": true, "jose verify": true,
		"config check": true, "config schema": true, "config reference": true, "policy check": true, "admin recover": true, "move": true,
		"breached build": true, "breached check": true, "ui gallery": true, "ui export": true,
		"logout": true, "token get": true} // of sign-ins, with servers of their own
	seen := 0
	leaves(func(path []string, c *cobra.Command) {
		seen++
		name := strings.Join(path, " ")
		code, text := try(t, base, append(path, "--frobnicate")...)
		if legible(t, name+" with an unknown flag", text); code != exitUsage || !strings.Contains(text, "--frobnicate") || !strings.Contains(text, "bin/gatehouse "+name+" --help") {
			t.Errorf("%s with an unknown flag: exit code %d, %q", name, code, text)
		}
		operands := operandsOf(c)
		if len(operands) > 0 {
			code, text = try(t, base, path...)
			if legible(t, name+" without operands", text); code != exitUsage || !strings.Contains(text, operands[0]+" is missing: bin/gatehouse "+name) {
				t.Errorf("%s without %s: exit code %d, %q", name, operands[0], code, text)
			}
		}
		args := slices.Clone(path)
		for i, w := range operands {
			switch {
			case strings.HasPrefix(w, "FILE"):
				args = append(args, empty)
			case w == "INDEX":
				args = append(args, "0")
			default:
				args = append(args, "x"+string(rune('a'+i)))
			}
		}
		if !strings.Contains(c.Use, "…") {
			code, text = try(t, base, append(args, "more", "and-more", "of-it")...)
			if legible(t, name+" with more operands", text); code != exitUsage || !strings.Contains(text, `"`) {
				t.Errorf("%s with more operands: exit code %d, %q", name, code, text)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if bad := wrongValue(f.Value.Type()); bad != "" {
				code, text := try(t, base, append(slices.Clone(args), "--"+f.Name+"="+bad)...)
				if legible(t, name+" --"+f.Name, text); code != exitUsage || !strings.Contains(text, bad) || !strings.Contains(text, f.Name) {
					t.Errorf("%s --%s=%s: exit code %d, %q", name, f.Name, bad, code, text)
				}
			}
		})
		if local[name] {
			return
		}
		filled := append(slices.Clone(args), required(c, passwords)...)
		for what, env := range map[string]struct {
			url, token string
			code       int
			text       string
		}{
			"nobody logged in": {expired.URL, "", exitDenied, "`bin/gatehouse login`"},
			"the login ended":  {expired.URL, "ghk_live_x", exitDenied, "credential: from GATEHOUSE_TOKEN"},
			"the server away":  {"http://127.0.0.1:1", "ghk_live_x", exitUnavailable, "http://127.0.0.1:1 "},
			"no address":       {"localhost:1", "ghk_live_x", exitUsage, `"localhost:1"`},
		} {
			code, text := try(t, append(base, "GATEHOUSE_URL="+env.url, "GATEHOUSE_TOKEN="+env.token), filled...)
			if code == exitUsage && (strings.Contains(text, "nothing to change") || strings.Contains(text, "standard input")) {
				continue // it needs more than its operands
			}
			if name == "user import" && what == "no address" {
				continue // it says so of each line of the file
			}
			if name == "key leaked" && what == "nobody logged in" {
				continue // holding the key is enough
			}
			if legible(t, name+", "+what, text); code != env.code || !strings.Contains(text, env.text) {
				t.Errorf("%s, %s: exit code %d, %q", name, what, code, text)
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d commands were tried", seen)
	}
}

// required are the flags without which a command does not ask the server.
func required(c *cobra.Command, passwords string) []string {
	var out []string
	for name, value := range map[string]string{"name": "n", "principal": "bob", "action": "read", "resource": "Document/1", "disable": "true",
		"sha256": strings.Repeat("ab", 32), "bits": "128", "htpasswd": passwords, "all": "true"} {
		if f := c.Flags().Lookup(name); f != nil {
			out = append(out, "--"+name+"="+value)
		}
	}
	return out
}

// wrongValue is what no flag of that type takes.
func wrongValue(typ string) string {
	switch typ {
	case "int", "int64", "bool":
		return "lots"
	case "duration":
		return "5 minutes"
	}
	return ""
}

// TestTexts: nothing that a terminal would take for a command, and no sign of a broken
// character where there was a line end.
func TestTexts(t *testing.T) {
	if got := printable("one\ntwo\tthree\r\n\x1b[31mred"); strings.ContainsAny(got, "\n\t\r\x1b") || strings.HasPrefix(got, "one\uFFFD") || !strings.HasPrefix(got, "one two three") {
		t.Errorf("%q", got)
	}
	for d, want := range map[string]string{"60": "1m", "3600": "1h", "5400": "1h30m", "90": "1m30s", "86400": "1d", "0": "0"} {
		l := lifetime{most: 1 << 62}
		if err := l.Set(d + "s"); err != nil || short(l.value) != want {
			t.Errorf("%s s: %q, %v; want %q", d, short(l.value), err, want)
		}
	}
}
