package pages

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// connected is made-up apps, by their ids.
type connected struct{ all []ConnectedApp }

func (c *connected) List(context.Context, *gatehouse.Principal) ([]ConnectedApp, error) {
	return c.all, nil
}

func (c *connected) Revoke(_ context.Context, _ *gatehouse.Principal, id string) error {
	for i := range c.all {
		if c.all[i].ClientID == id {
			c.all = append(c.all[:i], c.all[i+1:]...)
			return nil
		}
	}
	return gatehouse.ErrNotFound
}

// TestConnectedApps: the page says who may do what, and takes it back by its own form alone, when the person says so twice.
func TestConnectedApps(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get(pageApps).want(t, "nobody's apps", 303, "/signin?return=%2Faccount%2Fapps")
	b.send(pageApps, "client=cli_1&sure=yes").want(t, "nobody's form", 303, "/signin?")
	b.signIn("")
	b.get(pageApps).want(t, "none", 200, `id="none"`)
	b.get(pageAccount).want(t, "the account", 200, `href="/account/apps"`)
	at := time.Date(2026, 11, 27, 18, 5, 0, 0, time.UTC)
	h.connected.all = []ConnectedApp{{ClientID: "cli_1", Name: "<b>Mail</b>", Hosts: []string{"mail.example"}, Scopes: []string{"openid", "own:thing"}, Resources: []string{"https://api.example"}, Tokens: true, Since: at, Used: at},
		{ClientID: "cli_2", Unverified: true, Since: at}}
	page := b.get(pageApps)
	page.want(t, "listed", 200, "&lt;b&gt;Mail&lt;/b&gt;", "mail.example", "Know who you are here", "own:thing", "https://api.example", "Since 2026-11-27 18:05 UTC.", "It holds tokens now.", "cli_2", "Not verified", "It holds no tokens now.")
	form := page.fields("client", "cli_1", "sure", "yes")
	b.send(pageApps, form.Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	for what, pairs := range map[string][]string{"not sure": {"sure", ""}, "no client": {"client", ""}, "a long id": {"client", strings.Repeat("x", maxClientID+1)}} {
		wrong := page.fields("client", "cli_1", "sure", "yes")
		wrong.Set(pairs[0], pairs[1])
		b.send(pageApps, wrong.Encode()).want(t, what, 400, "form_invalid")
	}
	b.send(pageApps, page.fields("client", "cli_1", "sure", "yes", "form", "").Encode()).want(t, "no token", 403, "form_expired")
	if len(h.connected.all) != 2 {
		t.Fatal("something was taken back")
	}
	b.send(pageApps, form.Encode()).want(t, "taken back", 200, "The program has no access any more.", "cli_2")
	b.send(pageApps, form.Encode()).want(t, "again", 422, "That program has no access.")
	if len(h.connected.all) != 1 {
		t.Errorf("%+v", h.connected.all)
	}
}
