package pages

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// belongings is what is kept of somebody, made up, and whether it is gone.
type belongings struct {
	gone bool
	last bool // the account is the last administrator's
}

func (b *belongings) Export(context.Context, *gatehouse.Principal) ([]byte, error) {
	return []byte(`{"profile":{}}`), nil
}

func (b *belongings) DeleteAccount(context.Context, *gatehouse.Principal) error {
	if b.last {
		return gatehouse.E(gatehouse.Conflict, "last_administrator", "")
	}
	b.gone = true
	return nil
}

// TestOwnData: a moment after signing in somebody takes the data of the account along, as a file, and deletes the account by typing
// its name; the last administrator does not. Later, and for another site's page, neither goes.
func TestOwnData(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.get(pageData).want(t, "nobody's", 303, "/signin?return=%2Faccount%2Fdata")
	b.signIn("")
	b.get("/account").want(t, "the way there", 200, `href="/account/data"`)
	page := b.get(pageData)
	page.want(t, "the page", 200, `id="download"`, `id="delete-account"`)
	export, leave := page.fields("do", "export"), page.fields("do", "delete", "confirm", " Bob ")
	b.send(pageData, leave.Encode(), "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	b.send(pageData, page.fields("do", "x").Encode()).want(t, "something else", 400, "form_invalid")
	got := b.send(pageData, export.Encode())
	got.want(t, "the file", 200, `{"profile":{}}`)
	if h := got.header; h.Get("Content-Type") != "application/json" || h.Get("Content-Disposition") != `attachment; filename="account.json"` || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
	b.send(pageData, page.fields("do", "delete", "confirm", "alice").Encode()).want(t, "another name", 422, `id="confirm-error"`)
	h.belongings.last = true
	b.send(pageData, leave.Encode()).want(t, "the last administrator", 409, "only administrator")
	h.belongings.last = false
	for _, p := range h.sessions { // a screen that was left open
		p.AuthTime = p.AuthTime.Add(-time.Hour)
	}
	b.get(pageData).want(t, "later", 200, `id="stale"`)
	for what, fields := range map[string]string{"the file": export.Encode(), "the end": leave.Encode()} {
		b.send(pageData, fields).want(t, what+" much later", 303, "/signin?")
	}
	if h.belongings.gone {
		t.Fatal("deleted by what was refused")
	}
	for _, p := range h.sessions {
		p.AuthTime = p.AuthTime.Add(time.Hour)
	}
	b.send(pageData, leave.Encode()).want(t, "the end", 303, "/signedout")
	if !h.belongings.gone {
		t.Error("the account is still there")
	}
}
