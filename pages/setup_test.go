package pages

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// firsts is a server that nobody administers until the right secret comes.
type firsts struct {
	made   bool
	refuse error
	last   FirstForm
}

func (f *firsts) Missing(context.Context) (bool, error) { return !f.made, nil }
func (f *firsts) NewID() string                         { return "usr_01kb5n8q3wd7y2f6h9m4t0xzrv" }
func (f *firsts) Offer(string, string, string, []byte) (passkey.Offer, error) {
	return passkey.Offer{}, nil
}

func (f *firsts) Make(_ context.Context, in FirstForm) (gatehouse.Secret, error) {
	f.last = in
	switch {
	case f.refuse != nil:
		return "", f.refuse
	case in.Secret != "the-secret":
		return "", gatehouse.E(gatehouse.Unauthenticated, "bootstrap_refused", "")
	}
	f.made = true
	return "ghk_live_first", nil
}

// TestSetup: the page is there while nobody administers and only then; a form counts only from this page and browser; what is wrong
// stands beside its field.
func TestSetup(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	shown := b.get("/setup")
	shown.want(t, "the page", 200, `name="secret"`, `value="admin"`)
	if strings.Contains(shown.body, "the-secret") || !strings.Contains(shown.header.Get("Cache-Control"), "no-store") {
		t.Errorf("%v", shown.header)
	}
	b.get("/realms/shop/setup").want(t, "of another realm", 404)
	send := func(secret, name, password string, more ...string) page {
		form := shown.fields("secret", secret, "identifier", name, "password", password, "email", "")
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return b.send("/setup", form.Encode())
	}
	refused := func(what string, p page, part string) {
		t.Helper()
		p.want(t, what, 422, part)
		if h.first.made {
			t.Fatalf("%s: made", what)
		}
	}
	refused("no secret", send("", "ada", rightPassword), `id="secret-error"`)
	wrong := send("another", "ada", rightPassword)
	refused("a wrong one", wrong, `id="secret-error"`)
	if !strings.Contains(wrong.header.Get("Set-Cookie"), cookieSetup+"=; Path=/; Max-Age=0") {
		t.Errorf("a wrong one is kept: %v", wrong.header)
	}
	refused("a wrong one is not kept", send("", "ada", rightPassword), `id="secret-error"`)
	kept := send("the-secret", " ", rightPassword)
	refused("no name", kept, `id="identifier-error"`)
	if strings.Contains(kept.body, "the-secret") || !strings.Contains(kept.body, "This browser has kept") || !strings.Contains(kept.header.Get("Set-Cookie"), "HttpOnly; Secure") {
		t.Errorf("the secret is shown, or not kept: %v %s", kept.header, kept.body)
	}
	refused("the one that is kept", send("", "ada", ""), `id="password" name="password" type="password" autocomplete="new-password" autofocus aria-invalid="true"`)
	refused("neither password nor passkey", send("the-secret", "ada", ""), `id="password" name="password" type="password" autocomplete="new-password" autofocus aria-invalid="true"`)
	for code, id := range map[string]string{"username_invalid": "identifier-error", "bootstrap_refused": "secret-error"} {
		h.first.refuse = gatehouse.E(gatehouse.Unprocessable, code, "")
		refused(code, send("the-secret", "ada", rightPassword), `id="`+id+`"`)
	}
	address := gatehouse.E(gatehouse.Unprocessable, "user_invalid", "")
	address.Fields = map[string]string{"email": "is none"}
	h.first.refuse = address
	refused("an address", send("the-secret", "ada", rightPassword, "email", "nobody"), `id="email-error"`)
	h.first.refuse = nil
	send("the-secret", "ada", rightPassword, "roles", "all").want(t, "another field", 400)
	h.browser().send("/setup", shown.fields("secret", "the-secret", "identifier", "ada", "password", rightPassword).Encode()).want(t, "another browser", 403)
	b.send("/setup", shown.fields("secret", "the-secret").Encode(), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").want(t, "another site", 403)
	if h.first.made {
		t.Fatal("made")
	}
	refused("no name, once more", send("the-secret", "", rightPassword), `id="identifier-error"`)
	done := send("", "ada", rightPassword, "email", "ada@example.org")
	done.want(t, "the right secret", 200, "ghk_live_first")
	if got := h.first.last; got.Username != "ada" || got.Email != "ada@example.org" || got.Password != rightPassword || got.ID == "" || len(got.Browser) == 0 {
		t.Errorf("%+v", got)
	}
	if h.first.last.Secret != "the-secret" || !strings.Contains(done.header.Get("Set-Cookie"), cookieSetup+"=; Path=/; Max-Age=0") {
		t.Errorf("the secret that was kept: sent %v, then %v", h.first.last.Secret, done.header)
	}
	b.get("/setup").want(t, "afterwards", 404)
	send("the-secret", "eve", rightPassword).want(t, "a second one", 404)
}
