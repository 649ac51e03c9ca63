package pages

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// deeds are what happened to everybody's account, made up, by the page they stand on.
type deeds map[string][]Deed

func (d deeds) Deeds(_ context.Context, _ *gatehouse.Principal, after string) ([]Deed, string, error) {
	page, ok := d[after]
	if !ok {
		return nil, "", gatehouse.E(gatehouse.Invalid, "audit_cursor_invalid", "")
	}
	if after == "" {
		return page, "7.0", nil
	}
	return page, "", nil
}

// TestActivity: somebody reads in plain words what happened, page by page; what is part of another deed is not told twice, and
// what there are no words for is not told.
func TestActivity(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	day := time.Date(2026, 11, 28, 9, 14, 7, 0, time.UTC)
	h.deeds = deeds{
		"": {
			{Time: day, Kind: "session.open", Request: "r1", Address: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"},
			{Time: day, Kind: "login.success", Request: "r1", Address: "192.0.2.2"}, {Time: day, Kind: "session.handover", Address: "192.0.2.3"},
			{Time: day, Kind: "login.failure", Failed: true, Request: "r1", Address: "192.0.2.4"}, {Time: day, Kind: "login.success", Request: "r2", Address: "192.0.2.5"},
			{Time: day, Kind: "key.create", Name: "<b>", Others: true},
		},
		"7.0": {{Time: day.AddDate(0, 0, -1), Kind: "user.create"}},
	}
	b.get(pageActivity).want(t, "nobody's", 303, "/signin?return=%2Faccount%2Factivity")
	b.signIn("")
	b.get("/account").want(t, "the way there", 200, `href="/account/activity"`)
	page := b.get(pageActivity)
	page.want(t, "the newest", 200, "Signed in", "Firefox on Linux", "192.0.2.1", "192.0.2.4", "192.0.2.5", "A wrong password was entered", "&lt;b&gt;", "By somebody else",
		"2026-11-28 09:14 UTC", `href="/account/activity?after=7.0"`)
	for _, hidden := range []string{"192.0.2.2", "192.0.2.3", `id="newest"`} {
		if strings.Contains(page.body, hidden) {
			t.Errorf("%s is shown", hidden)
		}
	}
	b.get(pageActivity+"?after=7.0").want(t, "older", 200, "The account was made", `id="newest"`)
	b.get(pageActivity+"?after=nonsense").want(t, "a place that is not there", 303, pageActivity)
}

// TestDeedWords: every kind of event that can be about somebody's account has words, or is left out on purpose.
func TestDeedWords(t *testing.T) {
	silent := map[string]bool{"session.handover": true, "factor.begin": true, "user.rehash": true, "user.delete": true,
		"provider.secret": true, "provider.use": true, "provider.failure": true}
	words := map[string]bool{}
	for _, k := range deedKinds {
		words[k] = true
	}
	text, err := os.ReadFile("../audit/kinds.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`= "([a-z_]+\.[a-z_]+)"`).FindAllStringSubmatch(string(text), -1)
	if len(found) < 50 {
		t.Fatalf("%d kinds", len(found))
	}
	for _, m := range found {
		k := m[1]
		group, _, _ := strings.Cut(k, ".")
		if about := strings.Contains(" login session factor passkey key user provider ", " "+group+" "); about && words[k] == silent[k] {
			t.Errorf("%s: words %v, silent %v", k, words[k], silent[k])
		}
	}
}
