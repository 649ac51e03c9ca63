package main

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestChallengeIsAnswered: a command whose token is of a sign-in by the password alone is challenged where administrators must prove
// more, answers by password and code, once for all its calls, and leaves nothing. Without them it says what is missing; a wrong
// code is no answer.
func TestChallengeIsAnswered(t *testing.T) {
	demo, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	defer demo.Close(context.Background())
	password := demo.Users["alice"].Password
	r, err := http.NewRequestWithContext(t.Context(), "POST", demo.Issuer+"/tokens", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("alice", password)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var weak struct {
		Token string `json:"access_token"`
	}
	if err := json.UnmarshalRead(resp.Body, &weak); err != nil || weak.Token == "" {
		t.Fatal(err)
	}
	alice, err := client.NewWithPassword(demo.Issuer, "alice", gatehouse.Secret(password))
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
	if err := alice.Do(t.Context(), "POST", own+"/totp", object{"password": password}, &begun); err != nil {
		t.Fatal(err)
	}
	if err := alice.Do(t.Context(), "POST", own+"/"+begun.Factor.ID+"/confirm", object{"code": testtotp.Code(begun.Secret, time.Now().Add(-30*time.Second))}, nil); err != nil {
		t.Fatal(err)
	}
	root, err := client.New(demo.Issuer, gatehouse.Secret(demo.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Do(t.Context(), "PATCH", "/realms/main/users/alice", object{"roles": []string{"gatehouse-operator"}}, nil); err != nil {
		t.Fatal(err)
	}
	gate := func(environ []string, args ...string) (int, string) {
		var out, errOut strings.Builder
		status := run(t.Context(), append([]string{"gatehouse"}, args...), strings.NewReader(password+"\n000000\n"), &out, &errOut,
			append(environ, "HOME="+t.TempDir(), "GATEHOUSE_URL="+demo.Issuer, "GATEHOUSE_TOKEN="+weak.Token))
		return status, out.String() + errOut.String()
	}
	if status, said := gate(nil, "user", "list"); status != exitDenied || !strings.Contains(said, "GATEHOUSE_CODE") {
		t.Errorf("with nobody to be asked: %d %s", status, said)
	}
	if status, said := gate([]string{"GATEHOUSE_PASSWORD=" + password, "GATEHOUSE_CODE=000000"}, "user", "list"); status == exitOK || !strings.Contains(said, "second_factor_invalid") {
		t.Errorf("a wrong code: %d %s", status, said)
	}
	proof := func(off time.Duration) []string {
		return []string{"GATEHOUSE_PASSWORD=" + password, "GATEHOUSE_CODE=" + testtotp.Code(begun.Secret, time.Now().Add(off))}
	}
	if status, said := gate(proof(0), "user", "list"); status != exitOK || !strings.Contains(said, "carol") {
		t.Errorf("by password and code: %d %s", status, said)
	}
	if status, said := gate(proof(30*time.Second), "user", "create", "erin"); status != exitOK {
		t.Errorf("a change: %d %s", status, said)
	}
	var grants struct {
		Items []struct {
			ID      string    `json:"id"`
			EndedAt time.Time `json:"ended_at"`
		} `json:"items"`
	}
	if err := root.Do(t.Context(), "GET", "/realms/main/users/alice/grants", nil, &grants); err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, g := range grants.Items {
		if g.EndedAt.IsZero() {
			open++
		}
	}
	if open != 1 || len(grants.Items) != 3 { // that of the weak token
		t.Errorf("%d of %d sign-ins are left", open, len(grants.Items))
	}
}
