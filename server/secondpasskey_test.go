package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// TestSecondPasskey: where a second factor is demanded, a passkey is one, and whoever has one adds no app by the password alone;
// beside an app it is a choice. Another person's passkey opens nothing, and five wrong answers end the sign-in.
func TestSecondPasskey(t *testing.T) {
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	root := h.bootstrap()
	for _, name := range []string{"bob", "amy"} {
		h.want("user", "POST", "/admin/v1/realms/main/users", root, fmt.Sprintf(`{"username":%q,"password":%q}`, name, housePassword), 201)
	}
	bob, amy := h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()}), h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()})
	for name, v := range map[string]*visitor{"bob": bob, "amy": amy} {
		v.password(name)
		if status, page := v.add("telephone"); status != 200 {
			t.Fatalf("%d %s", status, page)
		}
	}
	h.want("demand", "PATCH", "/admin/v1/realms/main", root, `{"settings":{"mfa":"required"}}`, 200)
	answer := func(v *visitor, keys *testpasskey.Browser) string {
		t.Helper()
		status, question := v.get("/signin/factor/passkey")
		if status != 200 {
			t.Fatalf("the question: %d %s", status, question)
		}
		text, err := keys.Get([]byte(question))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	prove := func(v *visitor, answer string) (int, string) {
		t.Helper()
		return v.send("/signin/factor", "/signin/factor/passkey", url.Values{"answer": {answer}, "return": {"/account"}})
	}
	v := h.visitor(bob.keys)
	if status, _ := v.get("/signin/factor/passkey"); status != 401 {
		t.Errorf("a question before the password: %d", status)
	}
	v.password("bob")
	status, page := v.get("/signin/factor")
	if status != 200 || !strings.Contains(page, `id="second"`) || !strings.Contains(page, `id="no-passkeys"`) || strings.Contains(page, `id="code"`) || strings.Contains(page, "/signin/enrol") {
		t.Fatalf("the page for a second factor: %d %s", status, page)
	}
	if status, page := v.send("/signin/factor", "/signin/enrol", url.Values{"do": {"add"}}); status < 300 {
		t.Errorf("an app by the password alone, beside a passkey: %d %s", status, page)
	}
	if status, page := prove(v, answer(v, amy.keys)); status != 422 || !strings.Contains(page, `id="notice"`) {
		t.Errorf("another person's passkey: %d %s", status, page)
	}
	if status, to := v.get("/account"); status != 303 {
		t.Errorf("the account before: %d %s", status, to)
	}
	right := answer(v, bob.keys)
	if status, to := prove(v, right); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	_, list := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/users/bob/sessions", root, "")
	if text := fmt.Sprint(list); !strings.Contains(text, "amr:[pwd pop user mfa]") || !strings.Contains(text, "acr:aal2") {
		t.Errorf("the session says %s", text)
	}

	// With an app there is a choice, and a code opens as well.
	status, page = v.send("/account/factors", "/account/factors", url.Values{"do": {"add"}, "name": {"phone"}})
	secret, id := between(page, `<code id="secret">`, `<`), between(page, `name="factor" value="`, `"`)
	if status != 200 || secret == "" || id == "" {
		t.Fatalf("an app: %d %s", status, page)
	}
	app := strings.ReplaceAll(secret, " ", "")
	if status, page := v.send("/account/factors", "/account/factors", url.Values{"do": {"confirm"}, "factor": {id}, "code": {testtotp.Code(app, time.Now().Add(-30*time.Second))}}); status != 200 {
		t.Fatalf("confirmed: %d %s", status, page)
	}
	w := h.visitor(bob.keys)
	w.password("bob")
	if status, page := w.get("/signin/factor"); status != 200 || !strings.Contains(page, `id="second"`) || !strings.Contains(page, `id="code"`) || !strings.Contains(page, "with=recovery") {
		t.Errorf("the choice: %d %s", status, page)
	}
	for range 5 {
		if status, _ := w.send("/signin/factor", "/signin/factor/passkey", url.Values{"answer": {"{}"}}); status != 422 {
			t.Errorf("no answer: %d", status)
		}
	}
	if status, _ := w.get("/signin/factor"); status != 303 {
		t.Errorf("after five wrong answers: %d", status)
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}
