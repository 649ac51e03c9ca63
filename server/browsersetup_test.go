package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// fresh starts a server that nobody administers.
func fresh(t *testing.T) *server.Server {
	t.Helper()
	return begun(t, "http://localhost:0", "localhost:0", func(*server.Config) {})
}

// begun starts a server with an empty store, as configuration makes it after change.
func begun(t *testing.T, issuer, auth string, change func(*server.Config)) *server.Server {
	t.Helper()
	path, err := server.InitConfig(t.TempDir(), issuer, auth, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := server.LoadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level, cfg.Listen.Metrics.Address = "error", "127.0.0.1:0"
	change(&cfg)
	if err := server.GenerateMasterKey(filepath.Join(cfg.Data, "master.key")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg)
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { s.Close(over) })
	return s
}

// TestBrowserSetup: the first administrator comes by the link that the first start prints, makes a passkey, and signs in by it; without
// a script by pasting the secret and choosing a password. The key that is shown administers. Then the page is gone, and the
// secret is in no address.
func TestBrowserSetup(t *testing.T) {
	t.Parallel()
	t.Run("passkey", func(t *testing.T) {
		s := fresh(t)
		p := chromium.Open(t, testbrowser.View{})
		key := p.Authenticator()
		if status := p.Go(s.SetupURL()); status != 200 || p.URL() != s.Issuer()+"/setup" {
			t.Fatalf("%d at %s", status, p.URL())
		}
		if got := testbrowser.Eval[string](p, `document.getElementById("secret").value`); got != s.BootstrapSecret().Reveal() {
			t.Errorf("the field has %q", got)
		}
		// A wrong secret makes nothing, whatever the passkey says.
		testbrowser.Eval[string](p, `document.getElementById("secret").value = "another"`)
		if status := p.Follow("make-passkey"); status != 422 || p.Text("secret-error") == "" {
			t.Fatalf("a wrong secret: %d at %s", status, p.URL())
		}
		testbrowser.Eval[string](p, `(document.getElementById("secret").value = "", "")`)
		p.Type("secret", s.BootstrapSecret().Reveal())
		if status := p.Follow("make-passkey"); status != 200 || !p.Has("#key") || len(key.Credentials()) != 1 {
			t.Fatalf("%d at %s, %d passkeys", status, p.URL(), len(key.Credentials()))
		}
		call(t, "GET", s.AuthURL()+"/admin/v1/realms/main/users", "bearer", p.Text("key")).want(t, "the key", 200)
		p.Follow("again") // where the browser offers it by itself
		p.Wait("username")
		if p.Text("username") != "admin" {
			t.Fatalf("by the passkey: at %s", p.URL())
		}
		if status := p.Go(s.SetupURL()); status != 404 {
			t.Errorf("with an administrator: %d", status)
		}
		if said := p.Complaints(); len(said) != 0 {
			t.Errorf("the browser complains: %q", said)
		}
	})
	t.Run("no script", func(t *testing.T) {
		s := fresh(t)
		p := chromium.Open(t, testbrowser.View{Width: 390, Height: 844, NoScript: true})
		secret := s.BootstrapSecret().Reveal()
		p.Go(strings.TrimSuffix(s.SetupURL(), "#"+secret))
		p.Type("secret", secret)
		p.Type("email", "ada@example.org")
		p.Type("password", "short")
		if status := p.Follow("submit"); status != 422 || !p.Has("#password[aria-invalid]") {
			t.Fatalf("a bad password: %d", status)
		}
		p.Type("password", "seven owls over a wet harbour")
		if status := p.Follow("submit"); status != 200 || !p.Has("#key") || strings.Contains(p.URL(), secret) {
			t.Fatalf("%d at %s", status, p.URL())
		}
		call(t, "GET", s.AuthURL()+"/admin/v1/me", "bearer", p.Text("key")).want(t, "the key", 200)
		call(t, "GET", s.AuthURL()+"/setup").want(t, "afterwards", 404)
	})
}
