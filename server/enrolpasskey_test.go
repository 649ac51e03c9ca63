package server

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// TestAdministratorsEnrol: in a new installation whoever administers must have a second factor. The first administrator, who chose a
// password, makes a passkey in the middle of the first sign-in, is signed in with both, and nobody who began by the password before
// that adds one after it. Keys go on. Realms that are made later demand it too, unless they are made otherwise.
//
// ASVS: 6.3.3
func TestAdministratorsEnrol(t *testing.T) {
	InOrder(t)
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	key := h.firstAdministrator()
	for path, settings := range map[string]string{"acme": "", "shop": `,"settings":{"admin_mfa":"optional"}`} {
		h.want("a realm", "POST", "/admin/v1/realms", key, fmt.Sprintf(`{"name":%q,"title":"x"%s}`, path, settings), 201)
	}
	for realm, want := range map[string]string{"main": "required", "acme": "required", "shop": "optional"} {
		got := h.want(realm, "GET", "/admin/v1/realms/"+realm, key, "", 200)
		if fmt.Sprint(got["settings"].(map[string]any)["admin_mfa"]) != want {
			t.Errorf("%s: %v", realm, got["settings"])
		}
	}
	if a := h.want("by the password", "GET", "/admin/v1/realms/main/users", "root:"+housePassword, "", 401); a["code"] != "second_factor_missing" {
		t.Errorf("%v", a)
	}
	h.want("by the key", "GET", "/admin/v1/realms/main/users", key, "", 200)

	keys := &testpasskey.Browser{Origin: h.s.Issuer()}
	root, thief := h.visitor(keys), h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()})
	for _, v := range []*visitor{root, thief} {
		v.password("root")
	}
	status, page := root.get("/signin/factor")
	if status != 200 || !strings.Contains(page, `data-ask="/signin/enrol/passkey"`) || !strings.Contains(page, `action="/signin/enrol"`) {
		t.Fatalf("%d %s", status, page)
	}
	made := func(v *visitor) string {
		t.Helper()
		status, offer := v.get("/signin/enrol/passkey")
		if status != 200 {
			t.Fatalf("the offer: %d %s", status, offer)
		}
		answer, err := v.keys.Create([]byte(offer))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	enrol := func(v *visitor, answer string) (int, string) {
		t.Helper()
		return v.send("/signin/factor", "/signin/enrol", url.Values{"do": {"passkey"}, "answer": {answer}, "return": {"/account/passkeys"}})
	}
	late := made(thief)
	_, page = thief.send("/signin/factor", "/signin/enrol", url.Values{"do": {"add"}})
	begun, of := appSecret.FindStringSubmatch(page), regexp.MustCompile(`name="factor" value="([^"]+)"`).FindStringSubmatch(page)
	if begun == nil || of == nil {
		t.Fatalf("no app was begun: %s", page)
	}
	code := testtotp.Code(strings.ReplaceAll(begun[1], " ", ""), time.Now())
	if status, page := enrol(root, "{}"); status != 422 || !strings.Contains(page, `id="passkey-error"`) {
		t.Errorf("no answer: %d %s", status, page)
	}
	if status, page := enrol(root, late); status != 422 {
		t.Errorf("the answer of another browser: %d %s", status, page)
	}
	if status, to := root.get("/account"); status != 303 {
		t.Errorf("the account before: %d %s", status, to)
	}
	if status, to := enrol(root, made(root)); status != 303 || to != "/account/passkeys" {
		t.Fatalf("%d %s", status, to)
	}
	list := h.want("sessions", "GET", "/admin/v1/realms/main/users/root/sessions", key, "", 200)
	if text := fmt.Sprint(list); !strings.Contains(text, "amr:[pwd pop user mfa]") || !strings.Contains(text, "acr:aal2") {
		t.Errorf("the session says %s", text)
	}
	for what, in := range map[string]url.Values{"a passkey": {"do": {"passkey"}, "answer": {late}}, "an app": {"do": {"add"}},
		"an app that was begun before": {"do": {"confirm"}, "factor": {of[1]}, "code": {code}}} {
		if status, to := thief.send("/signin/factor", "/signin/enrol", in); status != 303 || to != "/signin" {
			t.Errorf("%s, by who began by the password before: %d %s", what, status, to)
		}
	}
	if u := h.want("root", "GET", "/admin/v1/realms/main/users/root", key, "", 200); u["second_factor"] != false {
		t.Errorf("the app of who came by the password counts: %v", u)
	}
	if _, got := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/users/root/passkeys", key, ""); strings.Count(fmt.Sprint(got), "psk_") != 1 {
		t.Errorf("%v", got)
	}
}
