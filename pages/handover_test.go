package pages

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/session"
)

// handOvers stands for the gateway, of which one address takes sessions.
type handOvers struct {
	begun []string
	acr   string // what the address asks for
}

func (h *handOvers) Enough(p *gatehouse.Principal, _ string) (bool, string) {
	return h.acr == "" || p.ACR == h.acr, h.acr
}

func (h *handOvers) Admits(realm, to string) (string, bool) {
	return "https://app.example", realm == "shop" && to == "https://app.example/a?b=c"
}

func (h *handOvers) Begin(_ context.Context, p *gatehouse.Principal, to, browser string) (string, error) {
	h.begun = append(h.begun, p.ID+" "+to+" "+browser)
	return "https://app.example/.gatehouse/session/shop?ticket=t", nil
}

// TestHandOver: a browser that the gateway sent signs in and goes back there; to no other address, and nowhere
// before it has signed in.
func TestHandOver(t *testing.T) {
	h := newHouse(t, true)
	at := func(prefix, to, browser string) string {
		return prefix + "/handover?" + url.Values{"to": {base64.RawURLEncoding.EncodeToString([]byte(to))}, "browser": {browser}}.Encode()
	}
	const to = "https://app.example/a?b=c"
	browser := strings.Repeat("b", 43)
	way := at("/realms/shop", to, browser)
	b := h.browser()
	first := b.get(way)
	first.want(t, "before signing in", 303, "/realms/shop/signin?return=")
	door := b.get(first.header.Get("Location"))
	if csp := door.header.Get("Content-Security-Policy"); door.status != 200 || !strings.Contains(csp, "; form-action 'self' https://app.example; ") {
		t.Errorf("the page to sign in: %d, %s", door.status, csp)
	}
	second := b.send("/realms/shop/signin", door.fields("identifier", "bob", "step", "identifier").Encode())
	if csp := second.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example;") {
		t.Errorf("the page for the password: %s", csp)
	}
	third := b.send("/realms/shop/signin", second.fields("password", rightPassword, "step", "password").Encode())
	third.want(t, "after the password", 303, "/realms/shop/handover?")
	if len(h.over.begun) != 0 {
		t.Fatalf("handed over before: %q", h.over.begun)
	}
	back := b.get(third.header.Get("Location"))
	back.want(t, "signed in", 303, "https://app.example/.gatehouse/session/shop?ticket=t")
	if len(h.over.begun) != 1 || h.over.begun[0] != "usr_bob "+to+" "+browser || back.header.Get("Referrer-Policy") != "no-referrer" || back.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%q, %v", h.over.begun, back.header)
	}
	// Signed in, and asked for what the gateway never asks.
	for name, wrong := range map[string]string{
		"another address": at("/realms/shop", "https://evil.example/", browser),
		"another realm":   at("", to, browser),
		"no browser":      at("/realms/shop", to, ""),
		"a long browser":  at("/realms/shop", to, browser+"b"),
		"no address":      "/realms/shop/handover?browser=" + browser,
		"two addresses":   way + "&to=x",
		"two browsers":    way + "&browser=x",
		"not in base64":   "/realms/shop/handover?to=" + url.QueryEscape(to) + "&browser=" + browser,
	} {
		p := b.get(wrong)
		if p.status != 400 || p.code() != "handover_address_refused" || p.header.Get("Location") != "" {
			t.Errorf("%s: %d %s %s", name, p.status, p.code(), p.header.Get("Location"))
		}
	}
	for _, other := range []string{"/account", at("/realms/shop", "https://evil.example/", browser), "https://app.example/a?b=c"} {
		if csp := h.browser().get("/realms/shop/signin?" + url.Values{"return": {other}}.Encode()).header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
			t.Errorf("on the way to %s: %s", other, csp)
		}
	}
}

// TestHandOverRefused: who comes back with a ticket that does not count reads so in the own language, as of every error that
// pages have no form for.
func TestHandOverRefused(t *testing.T) {
	h := newHouse(t, true)
	for prefix, language := range map[string]string{"": "de", "/realms/shop": "ja"} {
		b := h.browser()
		b.header.Set("Accept-Language", language)
		b.get(prefix+"/handover/refused").want(t, language, 403, `<html lang="`+language+`"`, "handover_refused", `<p id="phrase" >`)
		b.get(prefix+"/handover/refused?why=rate_limited").want(t, language, 429, `<html lang="`+language+`"`, "rate_limited", `<p id="phrase" >`)
		b.get(prefix+"/handover/refused?why=internal").want(t, language, 503, `<html lang="`+language+`"`, "internal", `<p id="phrase" >`)
		b.get(prefix+"/handover/refused?why=whatever").want(t, language, 403, "handover_refused")
	}
	languages, err := readLanguages()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []*gatehouse.Error{session.ErrHandOver, errAddress, errBeyond, errForm, errExpired, errPlain, web.ErrBodyTooLarge, web.ErrCrossOrigin, gatehouse.ErrVersionConflict, gatehouse.ErrInternal, gatehouse.ErrRealmNotFound} {
		for _, l := range languages {
			if _, terr := l.text("error." + err.Code); terr != nil {
				t.Errorf("%s: %v", l.Tag, terr)
			}
		}
	}
}
