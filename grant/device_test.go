package grant_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// newSet is an app that runs on a device without a browser.
func newSet(t *testing.T) *app {
	t.Helper()
	a := newApp(t, codeSettings)
	a.c.Metadata.GrantTypes = []string{client.GrantDeviceCode, client.GrantRefreshToken}
	a.c.Metadata.Flow = client.Flow{}
	a.update(func(*client.Client) {})
	a.c.Version++
	a.code = grant.Code{Realm: "main", User: a.user.ID, Username: "bob", Session: "ses_1", SessionEnds: a.code.SessionEnds, AuthTime: a.code.AuthTime, AMR: []string{"pwd"}, ACR: "aal1"}
	return a
}

func (a *app) who() *gatehouse.Principal {
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: a.user.ID, Name: "bob", Scheme: gatehouse.SchemeSession, SessionID: "ses_1"}
}

func (a *app) waits(scopes ...string) grant.Waiting {
	a.t.Helper()
	o := a.order()
	o.Scopes = scopes
	w, err := a.svc.Ask(gatehouse.WithRequest(a.t.Context(), gatehouse.RequestFacts{Address: "203.0.113.9"}), o)
	if err != nil {
		a.t.Fatal(err)
	}
	return w
}

func (a *app) decides(w grant.Waiting, allow bool) {
	a.t.Helper()
	if err := a.svc.Decide(a.t.Context(), a.code, w.UserCode, allow); err != nil {
		a.t.Fatal(err)
	}
}

// TestDevice: the code of a device is worth something to the client that it was given to, once the person allowed it and while
// everything is as it was then; the errors say how to go on.
func TestDevice(t *testing.T) {
	for name, c := range map[string]struct {
		undecided, denied bool
		after             func(a *app)                                         // it was decided
		show              func(a *app, o *grant.Order, code *gatehouse.Secret) // what is shown in another way
		want              string
	}{
		"good":                      {},
		"undecided":                 {undecided: true, want: "authorization_pending"},
		"denied":                    {denied: true, want: "device_denied"},
		"undecided at its end":      {undecided: true, after: func(a *app) { a.pass(grant.DeviceLife) }, want: "expired_token"},
		"undecided just before":     {undecided: true, after: func(a *app) { a.pass(grant.DeviceLife - time.Millisecond) }, want: "authorization_pending"},
		"at its end":                {after: func(a *app) { a.pass(grant.DeviceLife) }, want: "expired_token"},
		"just before":               {after: func(a *app) { a.pass(grant.DeviceLife - time.Millisecond) }},
		"another client":            {show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another client, undecided": {undecided: true, show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another client, denied":    {denied: true, show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another realm":             {show: func(_ *app, o *grant.Order, _ *gatehouse.Secret) { o.Realm = "acme" }, want: "invalid_grant"},
		"another realm, undecided":  {undecided: true, show: func(_ *app, o *grant.Order, _ *gatehouse.Secret) { o.Realm = "acme" }, want: "invalid_grant"},
		"nobody's proof":            {show: func(_ *app, o *grant.Order, _ *gatehouse.Secret) { o.By = nil }, want: "invalid_grant"},
		"a code that is none":       {show: func(_ *app, _ *grant.Order, code *gatehouse.Secret) { *code = "x" }, want: "invalid_grant"},
		"a code of a browser":       {show: func(a *app, _ *grant.Order, code *gatehouse.Secret) { *code = a.allow() }, want: "invalid_grant"},
		"an unknown code":           {show: func(a *app, _ *grant.Order, code *gatehouse.Secret) { *code = newSet(a.t).waits().DeviceCode }, want: "invalid_grant"},
		"the session ended":         {after: func(a *app) { a.end() }, want: "invalid_grant"},
		"another password":          {after: func(a *app) { a.pass(time.Second); a.password() }, want: "invalid_grant"},
		"disabled":                  {after: func(a *app) { a.disable() }, want: "invalid_grant"},
		"client disabled":           {after: func(a *app) { a.update(func(c *client.Client) { c.Disabled = true }) }, want: "invalid_client"},
		"grant type taken back":     {after: func(a *app) { a.update(func(c *client.Client) { c.Metadata.GrantTypes = c.Metadata.GrantTypes[1:] }) }, want: "invalid_grant"},
		"for nobody's resource":     {show: func(_ *app, o *grant.Order, _ *gatehouse.Secret) { o.Resource = "https://api.example" }, want: "invalid_target"},
	} {
		a := newSet(t)
		w := a.waits()
		if !c.undecided {
			a.decides(w, !c.denied)
		}
		if c.after != nil {
			c.after(a)
		}
		o, code := a.order(), w.DeviceCode
		if c.show != nil {
			c.show(a, &o, &code)
		}
		got, err := a.svc.RedeemDevice(t.Context(), o, code)
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || (got.AccessToken == "") != (c.want != "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want != "" && c.after == nil && !c.undecided && !c.denied {
			if _, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode); err != nil {
				t.Errorf("%s: the refusal used the code up: %v", name, err)
			}
		}
	}
}

// TestDeviceAsks: a device gets what it asked for and its client may have, by codes of which the database holds neither.
func TestDeviceAsks(t *testing.T) {
	a := newSet(t)
	w := a.waits("offline_access", "read")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(w.UserCode) || !strings.HasPrefix(w.DeviceCode.Reveal(), "ghd_live_") {
		t.Errorf("%+v", w)
	}
	for _, typed := range []string{w.UserCode, strings.ToLower(w.UserCode), strings.ReplaceAll(w.UserCode, "-", ""), " " + strings.Join(strings.Split(w.UserCode, ""), " ") + "."} {
		d, err := a.svc.Find(t.Context(), a.who(), typed)
		if err != nil || d.Client != a.c.ID || !slices.Equal(d.Scopes, []string{"offline_access", "read"}) || d.Address != "203.0.113.9" || !d.AskedAt.Equal(a.now()) {
			t.Errorf("%q: %+v %v", typed, d, err)
		}
	}
	stranger := a.who()
	stranger.Realm = "acme"
	if _, err := a.svc.Find(t.Context(), stranger, w.UserCode); gatehouse.CodeOf(err) != "user_code_wrong" {
		t.Errorf("in another realm: %v", err)
	}
	for _, typed := range []string{"", "AAAA-AAAA", "BBBB-BBBB", w.UserCode + "B", w.UserCode + "\u0412", strings.Repeat(" ", 60) + w.UserCode} {
		if _, err := a.svc.Find(t.Context(), a.who(), typed); gatehouse.CodeOf(err) != "user_code_wrong" {
			t.Errorf("%q: %v", typed, err)
		}
	}
	a.decides(w, true)
	got, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode)
	if err != nil || got.RefreshToken == "" || !slices.Equal(got.Scopes, []string{"offline_access", "read"}) {
		t.Fatalf("%+v %v", got, err)
	}
	c, err := a.claims(got.AccessToken)
	if err != nil || c.Subject != a.user.ID || c.ClientID != a.c.ID || c.SessionID != "" || c.ACR != "aal1" {
		t.Errorf("%+v %v", c, err)
	}
	if d, err := a.svc.Find(t.Context(), a.who(), a.waits().UserCode); err != nil || !slices.Equal(d.Scopes, []string{"read", "write"}) {
		t.Errorf("without scopes: %+v %v", d, err)
	}
	for want, change := range map[string]func(o *grant.Order){"invalid_scope": func(o *grant.Order) { o.Scopes = []string{"admin:read"} }, "invalid_target": func(o *grant.Order) { o.Resource = "https://evil.example" },
		"invalid_client": func(o *grant.Order) { o.By = nil }} {
		o := a.order()
		if change(&o); gatehouse.CodeOf(second(a.svc.Ask(t.Context(), o))) != want {
			t.Errorf("no %s", want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestDevicePolls: who asks too soon waits longer from then on, up to a minute; of those that ask at once, one does not.
func TestDevicePolls(t *testing.T) {
	a := newSet(t)
	w := a.waits()
	poll := func(after time.Duration, want string) {
		t.Helper()
		a.pass(after)
		if _, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode); gatehouse.CodeOf(err) != want {
			t.Errorf("after %v: %v, want %s", after, err, want)
		}
	}
	poll(0, "authorization_pending")
	poll(5*time.Second, "authorization_pending")
	poll(4100*time.Millisecond, "authorization_pending") // its answer took a second
	poll(3*time.Second, "slow_down")                     // 10 from now on
	poll(5*time.Second, "slow_down")                     // 15
	poll(15*time.Second, "authorization_pending")
	for range 12 {
		poll(time.Second, "slow_down")
	}
	poll(58*time.Second, "slow_down") // a minute, and no more
	poll(60*time.Second, "authorization_pending")
	a.pass(time.Minute)
	var all sync.WaitGroup
	said := make(chan string, 20)
	for range 20 {
		all.Go(func() {
			_, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode)
			said <- gatehouse.CodeOf(err)
		})
	}
	all.Wait()
	close(said)
	pending := 0
	for s := range said {
		if s == "authorization_pending" {
			pending++
		} else if s != "slow_down" {
			t.Errorf("%s", s)
		}
	}
	if pending != 1 {
		t.Errorf("%d asked in time", pending)
	}
	a.decides(w, true)
	if _, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

// TestDeviceOnce: of all that decide about a device one does, and a code that gave tokens ends them when it comes back.
func TestDeviceOnce(t *testing.T) {
	a := newSet(t)
	w := a.waits("offline_access", "read")
	decided := make(chan error, 20)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { decided <- a.svc.Decide(t.Context(), a.code, w.UserCode, i%2 == 0) })
	}
	all.Wait()
	close(decided)
	done := 0
	for err := range decided {
		if err == nil {
			done++
		} else if gatehouse.CodeOf(err) != "user_code_wrong" {
			t.Errorf("%v", err)
		}
	}
	if done != 1 {
		t.Errorf("%d decided", done)
	}
	w = a.waits("offline_access", "read")
	a.decides(w, true)
	got, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.svc.RedeemDevice(t.Context(), a.order(), w.DeviceCode); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("again: %v", err)
	}
	if _, err := a.claims(got.AccessToken); gatehouse.CodeOf(err) != "token_revoked" {
		t.Errorf("it goes on: %v", err)
	}
	if _, err := a.svc.Renew(t.Context(), a.order(), got.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("it is renewed: %v", err)
	}
	late := a.waits()
	a.pass(grant.DeviceLife)
	if _, err := a.svc.Find(t.Context(), a.who(), late.UserCode); gatehouse.CodeOf(err) != "user_code_wrong" {
		t.Errorf("found too late: %v", err)
	}
	if err := a.svc.Decide(t.Context(), a.code, late.UserCode, true); gatehouse.CodeOf(err) != "user_code_wrong" {
		t.Errorf("decided too late: %v", err)
	}
}
