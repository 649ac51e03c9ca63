package pages

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const pageAccount = "/account"

// accountView is what account.html shows of the person who is signed in.
type accountView struct {
	frame
	Username, Initials string
	Name, Email        string // "" for none
	Verified           bool   // the address is
	Address            string // the page of the address
	Since, SinceISO    string
	BadName            bool   // the name that was sent cannot be used
	Password           string // the page of the password
	Factors            string // the page of second factors
	Keys               string // the page of API keys
	Apps               string // the page of connected apps
	Activity           string // the page of what happened
	Data               string // the page of what is kept
	Asks               string // the page of what clients ask
	Sessions           []sessionRow
	Others             bool   // there are sessions but this one
	Form               string // the token of the form
	Said               string // what the form did
	Links              string // where the accounts elsewhere are; "": the realm has no providers
	Passkeys           string // where the passkeys are; "": there are none here
}

// account shows somebody what is known here of him, and, after a change of the password, that it is done.
func (v *visit) account() error {
	if v.who != nil && one(v.r, "said") == "password" {
		return v.say("password.changed")
	}
	return v.showAccount("")
}

func (v *visit) showAccount(said string) error {
	return v.showAccountAs(http.StatusOK, accountView{Said: said})
}

// showAccountAs shows the account with what a form did, or why it did nothing.
func (v *visit) showAccountAs(status int, view accountView) error {
	if v.who == nil {
		return v.redirect(v.to(SignIn) + "?" + url.Values{"return": {v.to(pageAccount)}}.Encode())
	}
	u, err := v.h.c.Users.User(v.r.Context(), v.who.Realm, v.who.ID)
	if err != nil {
		return err
	}
	open, err := v.h.c.Own.OpenSessions(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	rows, err := v.sessionRows(open, v.who.SessionID)
	if err != nil {
		return err
	}
	view.Username, view.Name, view.Email, view.Sessions = u.Username, u.DisplayName, u.Email, rows
	view.Verified = u.EmailVerified()
	view.Since, view.SinceISO = moment(v.who.AuthTime), instant(v.who.AuthTime)
	return v.drawAccount(status, view)
}

func (v *visit) drawAccount(status int, view accountView) (err error) {
	view.Others = slices.ContainsFunc(view.Sessions, func(r sessionRow) bool { return !r.Current })
	view.Initials, view.Form, view.Factors, view.Keys = initials(view.Username), v.token(pageAccount), v.to(pageFactors), v.to(pageKeys)
	view.Password, view.Address, view.Activity = v.to(pagePassword), v.to(pageEmail), v.to(pageActivity)
	view.Data, view.Apps = v.to(pageData), v.to(pageApps)
	view.Asks = v.to(Asks)
	if view.frame, err = v.frame(pageAccount, "account.title", nil); err != nil {
		return err
	}
	if v.takesPasskeys() {
		view.Passkeys = v.to(pagePasskeys)
	}
	if len(v.realm.Settings.Providers) > 0 {
		view.Links = v.to(pageLinks)
	}
	return v.show(status, "account.html", view)
}

// accountStates are those of account.html.
func accountStates() []state {
	full := accountView{Username: "alice", Name: "Alice Liddell", Email: "alice@example.org", Verified: true, Since: "2026-11-28 08:12 UTC", SinceISO: "2026-11-28T08:12:00Z"}
	with := func(view accountView, open ...gatehouse.Session) func(*visit) error {
		return func(v *visit) (err error) {
			if view.Sessions, err = v.sessionRows(open, "here"); err != nil {
				return err
			}
			return v.drawAccount(http.StatusOK, view)
		}
	}
	day := time.Date(2026, 11, 28, 9, 14, 0, 0, time.UTC)
	here := gatehouse.Session{ID: "here", Address: "203.0.113.24", LastUsedAt: day, UserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"}
	phone := gatehouse.Session{ID: "phone", Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", LastUsedAt: day.Add(-11 * time.Hour), UserAgent: "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"}
	unknown := gatehouse.Session{ID: "unknown", Address: "198.51.100.7", LastUsedAt: day.AddDate(0, 0, -1), UserAgent: "Lynx/2.9"}
	return []state{
		{"full", func(v *visit) error { // with all that an account can have
			view := full
			view.Passkeys = v.to(pagePasskeys)
			v.realm.Settings.Providers = []gatehouse.Provider{{ID: "acme", Title: "Acme"}}
			return with(view, here, phone, unknown)(v)
		}},
		{"bare", with(accountView{Username: "bo", Since: full.Since, SinceISO: full.SinceISO}, here)},
		{"bad-name", with(accountView{Username: "alice", Name: full.Name, Email: full.Email, BadName: true, Since: full.Since, SinceISO: full.SinceISO}, here)},
		{"long", with(accountView{Username: "wilhelmina.featherstonehaugh-cholmondeley", Name: "Wilhelmina Alexandrina Featherstonehaugh-Cholmondeley von und zu Hohenberg", Email: "wilhelmina.featherstonehaugh-cholmondeley@subsidiary.of.a.long.example.com", Since: full.Since, SinceISO: full.SinceISO}, here, phone)},
		{"ended", func(v *visit) (err error) {
			view := full
			if view.Said, err = v.language.text("account.ended", 3); err != nil {
				return err
			}
			return with(view, here)(v)
		}},
	}
}

// instant is a time for programs (RFC 3339).
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// moment is a time that nobody can read in two ways, in UTC (RFC 3339).
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
