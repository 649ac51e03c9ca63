package pages

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// apps are the factors of whoever asks, and what was done to them.
type apps struct {
	list   []Factor
	done   []string
	refuse error
}

func (a *apps) did(what ...any) error {
	if a.refuse == nil {
		a.done = append(a.done, strings.TrimSpace(fmt.Sprintln(what...)))
	}
	return a.refuse
}

func (a *apps) List(_ context.Context, p *gatehouse.Principal) ([]Factor, error) { return a.list, nil }

func (a *apps) Add(_ context.Context, p *gatehouse.Principal, name string) (NewApp, error) {
	return NewApp{ID: "fac_new", Secret: "ABCDEFGHIJ", QR: `<svg id="image"></svg>`}, a.did(p.ID, "add", name)
}

func (a *apps) Confirm(_ context.Context, p *gatehouse.Principal, id string, code gatehouse.Secret) ([]gatehouse.Secret, error) {
	if code != rightCode {
		return nil, gatehouse.E(gatehouse.Unprocessable, "input_invalid", "")
	}
	if err := a.did(p.ID, "confirm", id); err != nil || len(a.list) > 0 {
		return nil, err
	}
	return []gatehouse.Secret{"aaaa-bbbb", "cccc-dddd"}, nil
}

func (a *apps) Rename(_ context.Context, p *gatehouse.Principal, id, name string) error {
	return a.did(p.ID, "rename", id, name)
}

func (a *apps) Remove(_ context.Context, p *gatehouse.Principal, id string) error {
	return a.did(p.ID, "remove", id)
}

func (a *apps) NewCodes(_ context.Context, p *gatehouse.Principal) ([]gatehouse.Secret, error) {
	return []gatehouse.Secret{"eeee-ffff"}, a.did(p.ID, "codes")
}

// age makes every session as old as that.
func (h *house) age(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.sessions {
		p.AuthTime = time.Now().Add(-d)
	}
}

// TestFactorForms: an app is added with picture, key and a code of its own, named and removed, and recovery codes are
// shown once.
func TestFactorForms(t *testing.T) {
	for _, prefix := range []string{"", "/realms/shop"} {
		h := newHouse(t, true)
		b := h.browser()
		at := prefix + "/account/factors"
		b.get(at).want(t, "nobody's", 303, prefix+"/signin?return="+url.QueryEscape(at))
		b.send(at, url.Values{"do": {"add"}}.Encode()).want(t, "nobody's", 303, prefix+"/signin?")
		b.signIn(prefix)
		b.get(prefix+"/account").want(t, "the account", 200, `href="`+at+`" id="factors"`)
		first := b.get(at)
		first.want(t, "none yet", 200, `id="none"`, `id="add-app"`)
		send := func(pairs ...string) page {
			return b.send(at, first.fields(append(pairs, "factor", "fac_new")...).Encode())
		}
		added := send("do", "add", "name", "<telephone>")
		added.want(t, "an app", 200, `<svg id="image"></svg>`, `<code id="secret">ABCD EFGH IJ</code>`, `value="fac_new"`, `name="code"`)
		if added.header.Get("Cache-Control") != "no-store" {
			t.Errorf("a page with a secret: Cache-Control %q", added.header.Get("Cache-Control"))
		}
		send("do", "confirm", "code", "000000").want(t, "a wrong code", 422, `id="problem"`, `aria-invalid="true"`)
		send("do", "confirm", "code", rightCode).want(t, "the right one", 200, `<code>aaaa-bbbb</code>`, `<code>cccc-dddd</code>`)
		h.apps.list = []Factor{{ID: "fac_1", Name: "<telephone>", App: true, Confirmed: true}, {ID: "fac_2", App: true}, {ID: "fac_3", CodesLeft: 7, Confirmed: true}}
		for _, p := range h.sessions { // as a sign-in with a code is
			p.AMR = []string{"pwd", "otp", gatehouse.AMRMultiFactor}
		}
		p := b.get(at)
		p.want(t, "one app", 200, `<bdi>&lt;telephone&gt;</bdi>`, "This is your only app", "Codes that are left: 7", `id="remove-fac_1"`)
		if strings.Contains(p.body, "fac_2") {
			t.Error("an app that does not count is shown")
		}
		send("do", "rename", "name", "").want(t, "no name", 422, "Enter a name")
		h.browser().signIn(prefix) // somewhere else
		named := send("do", "rename", "name", "tablet")
		named.want(t, "renamed", 200, `id="said"`)
		if strings.Contains(named.body, `id="end-others"`) {
			t.Error("a name is no reason to end sessions")
		}
		send("do", "remove").want(t, "not sure", 422, "Nothing was removed")
		send("do", "remove", "sure", "yes").want(t, "removed", 200, `id="said"`, `id="end-others"`)
		send("do", "codes").want(t, "codes", 200, `<code>eeee-ffff</code>`)
		if got := strings.Join(h.apps.done, "; "); got != "usr_bob add <telephone>; usr_bob confirm fac_new; usr_bob rename fac_new tablet; usr_bob remove fac_new; usr_bob codes" {
			t.Error(got)
		}
		h.apps.refuse = gatehouse.E(gatehouse.Conflict, "factor_limit", "")
		send("do", "add").want(t, "too many", 422, "Remove one first")
		h.apps.refuse = gatehouse.ErrInternal
		send("do", "codes").want(t, "broken", 500, "internal")
	}
}

// TestFactorsTakeAFreshSignIn: a change takes a session of a moment ago, with a code where there is a factor; to prove again ends
// the session of before.
//
// ASVS: 7.5.1
func TestFactorsTakeAFreshSignIn(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	b.signIn("")
	const at = "/account/factors"
	fields := func(do string) string {
		return b.get(at).fields("do", do, "factor", "fac_1", "name", "n", "sure", "yes").Encode()
	}
	token := b.get(at).fields().Get("form") // is that of the session, whatever its age
	again := "/signin?again=1&return=" + url.QueryEscape(at)
	stale := func(what string) {
		t.Helper()
		p := b.get(at)
		p.want(t, what, 200, `id="again"`, strings.ReplaceAll(again, "&", "&amp;"))
		if strings.Contains(p.body, "<form") {
			t.Errorf("%s: there is a form", what)
		}
		for _, do := range []string{"add", "rename", "remove", "codes"} {
			b.send(at, url.Values{"form": {token}, "do": {do}, "factor": {"fac_1"}, "name": {"n"}, "sure": {"yes"}}.Encode()).want(t, what+": "+do, 303, again)
		}
	}
	h.age(6 * time.Minute)
	stale("an old session")
	h.age(-6 * time.Minute)
	stale("a session of tomorrow")
	h.age(0)
	h.apps.list = []Factor{{ID: "fac_1", App: true, Confirmed: true}}
	stale("by the password alone")
	h.apps.list = nil
	b.send(at, fields("add")).want(t, "a fresh one", 200, `id="secret"`)
	h.age(6 * time.Minute)
	asked := b.get(again)
	asked.want(t, "again", 200, `name="password"`, `value="bob"`)
	b.send("/signin", asked.fields("password", rightPassword, "step", "password").Encode()).want(t, "proved again", 303, at)
	if h.open() != 1 {
		t.Errorf("%d sessions", h.open())
	}
	b.send(at, fields("add")).want(t, "afterwards", 200, `id="secret"`)
	// A form is of this page, this browser, and has these fields alone.
	good := fields("add")
	b.send(at, good, "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "cross_origin_refused")
	b.send(at, strings.Replace(good, "form=", "form=x", 1)).want(t, "another token", 403, "form_expired")
	b.send(at, good+"&realm=main").want(t, "a field", 400, "form_invalid")
	b.send(at, strings.Replace(good, "do=add", "do=all", 1)).want(t, "no such thing", 400, "form_invalid")
	b.send(at, strings.Replace(good, "name=n", "name="+strings.Repeat("n", 65), 1)).want(t, "a long name", 400, "form_invalid")
	if got := strings.Join(h.apps.done, "; "); got != "usr_bob add n; usr_bob add n" {
		t.Error(got)
	}
}
