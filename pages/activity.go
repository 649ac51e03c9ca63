package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const pageActivity = "/account/activity"

// maxActivityCursor bounds what is taken for a place in the record, in bytes.
const maxActivityCursor = 64

// Deed is something that happened to a person's account, or that the person did with it.
type Deed struct {
	Time      time.Time
	Kind      string // of the event (docs/audit-events.md)
	Failed    bool
	Others    bool   // somebody else did it, such as an administrator
	Name      string // of what it was about, as its owner calls it; "" for none
	Address   string // "": not known, or not the person's
	UserAgent string // of the browser, where it is still known
	Request   string // what was done by one request belongs together
}

// Activity tells what happened to the account of who is signed in (admin/records).
type Activity interface {
	// Deeds are those of one page, the newest first. after is the next of the page before, "" for the first one; a place that
	// the record did not give out is gatehouse.Invalid. A page may hold nothing and have a next one.
	Deeds(ctx context.Context, who *gatehouse.Principal, after string) (deeds []Deed, next string, err error)
}

// activityView is what activity.html shows.
type activityView struct {
	ownView
	Deeds         []deedRow
	Older, Newest string // addresses; "" where there is no such page
}

type deedRow struct {
	What, Name, Device, Address string
	Time, ISO                   string
	Tone, Tag                   string // "" for what is plain
}

// activity shows somebody what happened to the account.
func (v *visit) activity() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageActivity))
	}
	after := one(v.r, "after")
	if len(after) > maxActivityCursor {
		after = ""
	}
	deeds, next, err := v.h.c.Activity.Deeds(v.r.Context(), v.who, after)
	if gatehouse.KindOf(err) == gatehouse.Invalid { // a link that somebody has changed
		return v.redirect(v.to(pageActivity))
	}
	if err != nil {
		return err
	}
	return v.showActivity(deeds, after, next)
}

func (v *visit) showActivity(deeds []Deed, after, next string) error {
	own, err := v.own(pageActivity, "activity.title")
	if err != nil {
		return err
	}
	view := activityView{ownView: own}
	if after != "" {
		view.Newest = v.to(pageActivity)
	}
	if next != "" {
		view.Older = v.to(pageActivity) + "?" + url.Values{"after": {next}}.Encode()
	}
	devices := map[string]string{} // by what a browser calls itself: most deeds are of one
	for _, d := range told(deeds) {
		row, err := v.deed(d, devices)
		if err != nil {
			return err
		}
		view.Deeds = append(view.Deeds, row)
	}
	return v.show(http.StatusOK, "activity.html", view)
}

// told leaves out what pages have no words for, and what is part of something that is told: whoever signs in has entered a
// right password, too.
func told(deeds []Deed) []Deed {
	whole := map[string]bool{}
	for _, d := range deeds {
		if d.Request != "" && (d.Kind == "session.open" || d.Kind == "session.rotate" || d.Kind == "token.issue" || d.Kind == "user.password" || d.Kind == "user.panic") {
			whole[d.Request] = true
		}
	}
	var out []Deed
	for _, d := range deeds {
		part := !d.Failed && (d.Kind == "login.success" || d.Kind == "factor.use" || d.Kind == "passkey.use" || d.Kind == "session.end")
		if part && whole[d.Request] || !slices.Contains(deedKinds[:], d.Kind) {
			continue
		}
		out = append(out, d)
	}
	return out
}

// deedKinds are the events that pages have words for: "activity." before each is its message.
var deedKinds = [...]string{
	"login.success", "login.failure", "login.throttled", "token.issue", "session.open", "session.rotate", "session.end", "session.disown",
	"factor.add", "factor.update", "factor.remove", "factor.codes", "factor.use", "factor.failure", "factor.throttled",
	"passkey.add", "passkey.update", "passkey.remove", "passkey.use", "passkey.failure", "passkey.cloned",
	"provider.link", "provider.unlink", "consent.revoke",
	"key.create", "key.update", "key.rotate", "key.revoke", "key.leaked",
	"user.create", "user.update", "user.password", "user.reset_link", "user.factors_link", "user.factors", "user.email_link", "user.email", "user.register_link", "user.terms", "user.revoke", "user.panic",
}

func (v *visit) deed(d Deed, devices map[string]string) (row deedRow, err error) {
	row = deedRow{Name: d.Name, Address: d.Address, Time: moment(d.Time), ISO: instant(d.Time)}
	if row.What, err = v.language.text("activity." + d.Kind); err != nil {
		return row, err
	}
	if d.UserAgent != "" {
		known := false
		if row.Device, known = devices[d.UserAgent]; !known {
			if row.Device, err = v.browserName(d.UserAgent); err != nil {
				return row, err
			}
			devices[d.UserAgent] = row.Device
		}
	}
	switch {
	case d.Others:
		row.Tone = "ask"
		row.Tag, err = v.language.text("activity.others")
	case d.Failed || strings.HasSuffix(d.Kind, ".throttled") || d.Kind == "passkey.cloned" || d.Kind == "key.leaked":
		row.Tone = "bad"
		row.Tag, err = v.language.text("activity.failed")
	}
	return row, err
}

func activityStates() []state {
	day := time.Date(2026, 11, 28, 9, 14, 7, 0, time.UTC)
	safari := "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
	some := []Deed{
		{Time: day, Kind: "session.open", Address: "203.0.113.24", UserAgent: safari},
		{Time: day.Add(-time.Minute), Kind: "login.failure", Failed: true, Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348"},
		{Time: day.Add(-3 * time.Hour), Kind: "key.create", Name: "Spreadsheet of the accounting department", Address: "203.0.113.24"},
		{Time: day.Add(-5 * time.Hour), Kind: "user.password", Others: true},
		{Time: day.AddDate(0, 0, -1), Kind: "factor.add", Name: "Phone", Address: "203.0.113.24"},
		{Time: day.AddDate(0, 0, -2), Kind: "token.issue", Address: "198.51.100.7"},
	}
	var all []Deed
	for i := range 50 { // as many as stand on a page
		all = append(all, Deed{Time: day.Add(-time.Duration(i) * time.Hour), Kind: deedKinds[i%len(deedKinds)], Address: "203.0.113.24", UserAgent: safari})
	}
	shown := func(deeds []Deed, after, next string) func(*visit) error {
		return func(v *visit) error { return v.showActivity(deeds, after, next) }
	}
	return []state{{"some", shown(some, "", "2.0")}, {"all", shown(all, "9.0", "")}, {"none", shown(nil, "", "")}, {"gap", shown(nil, "9.0", "2.0")}}
}
