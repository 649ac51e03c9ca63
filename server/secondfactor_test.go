package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// tokens asks for tokens with a password and a code.
func (h *house) tokens(user, otp string) (int, map[string]any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "POST", h.s.AuthURL()+"/tokens", strings.NewReader(url.Values{"otp": {otp}}.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.SetBasicAuth(user, housePassword)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, out
}

// TestSecondFactorAtLogin: whoever has a second factor is let in with a code of it and not without, wherever a password is taken;
// what the tokens say of the login is true, and stays so when they are renewed. Keys are no logins, and go on.
//
// ASVS: 6.3.4
func TestSecondFactorAtLogin(t *testing.T) {
	h := newHouse(t)
	h.start()
	key := h.bootstrap()
	const users, own, bob = "/admin/v1/realms/main/users", "/admin/v1/realms/main/users/me/factors", "bob:" + housePassword
	h.want("user", "POST", users, key, fmt.Sprintf(`{"username":"bob","password":%q}`, housePassword), 201)
	before := h.want("login", "POST", "/tokens", bob, "", 200)
	// claims are what a token says of the login that it comes from.
	claims := func(out map[string]any) string {
		t.Helper()
		text, _ := out["access_token"].(string)
		me := h.want("me", "GET", "/admin/v1/me", text, "", 200)
		return fmt.Sprint(me["acr"], " ", me["amr"], " ", me["auth_time"])
	}
	if got := claims(before); !strings.HasPrefix(got, "aal1 [pwd] 2") {
		t.Errorf("by the password alone: %s", got)
	}
	access, _ := before["access_token"].(string)
	h.want("by Basic", "GET", "/admin/v1/me", bob, "", 200)
	begun := h.want("an app", "POST", own+"/totp", access, fmt.Sprintf(`{"password":%q}`, housePassword), 201)
	secret, _ := begun["secret"].(string)
	about, _ := begun["factor"].(map[string]any)
	code := func(off time.Duration) string { return testtotp.Code(secret, time.Now().Add(off)) }
	used := code(0)
	h.want("confirmed", "POST", fmt.Sprint(own, "/", about["id"], "/confirm"), access, fmt.Sprintf(`{"code":%q}`, used), 200)

	if status, out := h.call("GET", h.s.AuthURL()+"/admin/v1/me", bob, ""); status != 401 || out["code"] != "second_factor_required" {
		t.Errorf("by Basic: %d %v", status, out)
	}
	for otp, want := range map[string]string{"": "second_factor_required", "guess": "second_factor_invalid", used: "second_factor_invalid"} {
		if status, out := h.tokens("bob", otp); status != 400 || out["code"] != want {
			t.Errorf("code %q: %d %v", otp, status, out)
		}
	}
	status, out := h.tokens("bob", code(30*time.Second))
	if status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	proved := claims(out)
	if !strings.HasPrefix(proved, "aal2 [pwd otp mfa] 2") {
		t.Errorf("with a code: %s", proved)
	}
	next := h.want("renewed", "POST", "/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, out["refresh_token"]), 200)
	if again := claims(next); again != proved {
		t.Errorf("renewed: %s, not %s", again, proved)
	}
	access, _ = next["access_token"].(string)
	made := h.want("key", "POST", "/admin/v1/realms/main/keys", access, `{"name":"k","scopes":["*"]}`, 201)
	text, _ := made["text"].(string)
	h.want("by the key", "GET", "/admin/v1/me", text, "", 200)
	h.stop()
}
