package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
)

// TestNewDeviceAsksForThePasskey: who has a passkey, in a realm that demands nothing, is let in by the password alone in a browser
// that has had a session of the account, and in no other: there, what was stolen is not enough. On the way to another password
// every browser asks.
//
// ASVS: 6.3.3
func TestNewDeviceAsksForThePasskey(t *testing.T) {
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	root := h.bootstrap()
	h.want("user", "POST", "/admin/v1/realms/main/users", root, fmt.Sprintf(`{"username":"bob","password":%q}`, housePassword), 201)
	keys := &testpasskey.Browser{Origin: h.s.Issuer()}
	home := h.visitor(keys)
	home.password("bob")
	if status, _ := home.get("/account"); status != 200 {
		t.Fatalf("before there is a passkey: %d", status)
	}
	if status, page := home.add("telephone"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := home.send("/signout", "/signout", url.Values{}); status != 303 {
		t.Fatalf("signed out: %d %s", status, page)
	}
	home.password("bob")
	if status, _ := home.get("/account"); status != 200 {
		t.Errorf("in the browser of before: %d", status)
	}
	status, page := home.get("/account/password")
	if status != 200 || strings.Contains(page, `name="current"`) {
		t.Errorf("another password, by the one of now alone: %d %s", status, page)
	}
	if status, to := home.send("/signin?again=1", "/signin", url.Values{"identifier": {"bob"}, "password": {housePassword}, "step": {"password"}, "return": {"/account/password"}}); status != 303 || !strings.HasPrefix(to, "/signin/factor") {
		t.Errorf("on the way to another password: %d %s", status, to)
	}

	abroad := h.visitor(keys)
	prove := func() (int, string) {
		t.Helper()
		status, question := abroad.get("/signin/factor/passkey")
		if status != 200 {
			t.Fatalf("the question: %d %s", status, question)
		}
		answer, err := keys.Get([]byte(question))
		if err != nil {
			t.Fatal(err)
		}
		return abroad.send("/signin/factor", "/signin/factor/passkey", url.Values{"answer": {string(answer)}})
	}
	for range 2 { // to have asked makes nothing known
		abroad.password("bob")
		if status, page := abroad.get("/signin/factor"); status != 200 || !strings.Contains(page, `id="second"`) {
			t.Fatalf("in another browser: %d %s", status, page)
		}
		if status, _ := abroad.get("/account"); status != 303 {
			t.Fatalf("let in by the password: %d", status)
		}
	}
	if status, to := prove(); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	if status, page := abroad.send("/signout", "/signout", url.Values{}); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	abroad.password("bob")
	if status, _ := abroad.get("/account"); status != 200 {
		t.Errorf("after that: %d", status)
	}
}
