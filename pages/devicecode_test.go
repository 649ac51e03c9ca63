package pages

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

// devices are those that wait: one, with a code.
type devices struct {
	mu    sync.Mutex
	looks int // that were counted
	found int // and went on
	said  []grant.Code
	yes   []bool
}

const deviceWaits = "WDJB-MJHT"

func (d *devices) allow(context.Context, *gatehouse.Principal) (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	return 7 * time.Minute, d.looks <= 10
}

func (d *devices) Find(_ context.Context, _ *gatehouse.Principal, typed string) (grant.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found++
	if grant.UserCode(typed) != deviceWaits {
		return grant.Device{}, gatehouse.E(gatehouse.NotFound, codeWrong, "none")
	}
	return grant.Device{Realm: "main", Client: "cli_app", Scopes: []string{"offline_access"}, Resources: []string{"https://api.example"}, Address: "203.0.113.9", AskedAt: time.Date(2026, 11, 30, 9, 12, 0, 0, time.UTC)}, nil
}

func (d *devices) Decide(_ context.Context, c grant.Code, typed string, allow bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.said, d.yes = append(d.said, c), append(d.yes, allow); grant.UserCode(typed) != deviceWaits {
		return gatehouse.ErrInternal
	}
	return nil
}

// TestDeviceCode: a person types the code, or has it from a link, which alone looks nothing up; the page shows it for comparison with
// who asks, for what and from where; nothing is allowed that was not compared, and the answer is of the browser, the session and the
// code that it was shown to.
func TestDeviceCode(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get("/device?user_code=wdjbmjht").want(t, "nobody is signed in", 303, "/signin?return=%2Fdevice%3Fuser_code%3DWDJB-MJHT")
	b.signIn("")
	link := b.get("/device?user_code=wdjbmjht")
	link.want(t, "by a link", 200, `value="WDJB-MJHT"`, `id="warning"`, ">bob<")
	b.get("/device?user_code=%22%3E%3Cscript%3E").want(t, "by a link that holds no code", 200, `value=""`)
	if h.devices.looks != 0 || strings.Contains(link.body, `id="allow"`) {
		t.Errorf("a link alone looked a code up: %s", link.body)
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
		if got := link.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	b.send(Device, link.fields("code", deviceWaits, "form", "").Encode()).want(t, "without the token", 403)
	b.send(Device, link.fields("code", deviceWaits).Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site's page", 403)
	b.send(Device, link.fields("code", "BBBB-BBBB").Encode()).want(t, "no device", 422, `id="user-code-error"`, `value="BBBB-BBBB"`)
	ask := b.send(Device, link.fields("code", deviceWaits).Encode())
	ask.want(t, "the question", 200, `id="code">WDJB-MJHT<`, "App &lt;b&gt;", "203.0.113.9", "2026-11-30 09:12 UTC", "Act for you while you are away", "https://api.example", `id="warning"`, `name="same"`, `id="allow"`, `id="deny"`)
	if strings.Contains(ask.body, "btn main") || strings.Contains(ask.body, " checked") {
		t.Error("one of the two answers is made to look better, or was given")
	}
	answer := func(change ...string) string {
		return ask.fields(append([]string{"do", "allow", "same", "yes"}, change...)...).Encode()
	}
	b.send(pageDeviceSay, answer(), "Sec-Fetch-Site", "cross-site").want(t, "another site's page", 403)
	b.send(pageDeviceSay, answer("form", link.fields().Get("form"))).want(t, "the token of the other form", 403)
	b.send(pageDeviceSay, answer("code", "BBBB-BBBB")).want(t, "another code", 403)
	b.send(pageDeviceSay, answer("do", "maybe")).want(t, "neither", 400)
	b.send(pageDeviceSay, answer("scope", "x")).want(t, "one field more", 400)
	b.send(pageDeviceSay, answer("same", "")).want(t, "not compared", 422, `id="same-error"`, `id="code">WDJB-MJHT<`)
	stranger := h.browser()
	stranger.signIn("")
	stranger.send(pageDeviceSay, answer()).want(t, "another browser", 403)
	if len(h.devices.said) != 0 {
		t.Fatalf("%+v", h.devices.said)
	}
	b.send(pageDeviceSay, answer()).want(t, "yes", 200, "Allowed", "App &lt;b&gt;")
	b.send(pageDeviceSay, answer("do", "deny", "same", "")).want(t, "no", 200, "Not allowed")
	if said := h.devices.said; len(said) != 2 || !h.devices.yes[0] || h.devices.yes[1] || said[0].User != "usr_bob" || said[0].Session == "" || said[0].Realm != "main" {
		t.Errorf("%+v %v", h.devices.said, h.devices.yes)
	}
	h.settings.TermsVersion = "1"
	b.get("/device?user_code=WDJB-MJHT").want(t, "terms first", 303, "/terms?return=%2Fdevice%3F")
}

// TestDeviceCodeTries: each code that somebody shows is counted, right or wrong, at both forms: the token of the second one is made by what
// the browser has, so whoever guesses can make it.
func TestDeviceCodeTries(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	first := b.get(Device)
	ask := b.send(Device, first.fields("code", deviceWaits).Encode())
	ask.want(t, "asked", 200, `id="allow"`)
	for range 4 {
		b.send(Device, first.fields("code", "BBBB-BBBB").Encode()).want(t, "wrong", 422, `id="user-code-error"`)
		b.send(pageDeviceSay, ask.fields("do", "allow").Encode()).want(t, "not compared", 422)
	}
	b.send(pageDeviceSay, ask.fields("do", "allow").Encode()).want(t, "the tenth", 422)
	for _, last := range []page{b.send(Device, first.fields("code", deviceWaits).Encode()), b.send(pageDeviceSay, ask.fields("do", "allow", "same", "yes").Encode())} {
		last.want(t, "too many", 429, `id="notice"`, "7 min")
		if last.header.Get("Retry-After") == "" {
			t.Errorf("%v", last.header)
		}
	}
	if h.devices.found != 10 || len(h.devices.said) != 0 {
		t.Errorf("%d looked up, %d said", h.devices.found, len(h.devices.said))
	}
}
