package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestLoginWithACode: whoever has a second factor logs in with password and code, and nothing but the key stays of it.
func TestLoginWithACode(t *testing.T) {
	demo, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	defer demo.Close(context.Background())
	password := gatehouse.Secret(demo.Users["bob"].Password)
	bob, err := client.NewWithPassword(demo.Issuer, "bob", password)
	if err != nil {
		t.Fatal(err)
	}
	var begun struct {
		Factor struct {
			ID string `json:"id"`
		} `json:"factor"`
		Secret string `json:"secret"`
	}
	const own = "/realms/main/users/me/factors"
	if err := bob.Do(t.Context(), "POST", own+"/totp", object{"password": password.Reveal()}, &begun); err != nil {
		t.Fatal(err)
	}
	code := func(off time.Duration) string { return testtotp.Code(begun.Secret, time.Now().Add(off)) }
	used := code(0)
	if err := bob.Do(t.Context(), "POST", own+"/"+begun.Factor.ID+"/confirm", object{"code": used}, nil); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	gate := func(in string, args ...string) (int, string) {
		var out, errOut strings.Builder
		status := run(t.Context(), append([]string{"gatehouse"}, args...), strings.NewReader(in), &out, &errOut, []string{"HOME=" + home, "GATEHOUSE_URL=" + demo.Issuer})
		return status, out.String() + errOut.String()
	}
	for name, in := range map[string]string{"no code": "", "a wrong one": "000000\n", "one that was used": used + "\n"} {
		if status, said := gate(password.Reveal()+"\n"+in, "login", "--username", "bob"); status == 0 {
			t.Errorf("%s: %s", name, said)
		}
	}
	if status, said := gate(password.Reveal()+"\n"+code(30*time.Second)+"\n", "login", "--username", "bob"); status != 0 || !strings.Contains(said, "logged in") {
		t.Fatalf("%d %s", status, said)
	}
	root, err := client.New(demo.Issuer, gatehouse.Secret(demo.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	var grants struct {
		Items []struct {
			EndedAt time.Time `json:"ended_at"`
		} `json:"items"`
	}
	if err := root.Do(t.Context(), "GET", "/realms/main/users/bob/grants", nil, &grants); err != nil {
		t.Fatal(err)
	}
	for _, g := range grants.Items {
		if g.EndedAt.IsZero() {
			t.Errorf("a login is left: %+v", grants)
		}
	}
	token := filepath.Join(home, "root.key")
	if err := os.WriteFile(token, []byte(demo.AdminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, said := gate("", "--token-file", token, "user", "factors", "reset", "bob"); status != 0 || !strings.Contains(said, demo.Issuer+"/recover/factors?code=") {
		t.Errorf("the link to replace them: %d %s", status, said)
	}
}
