package grant_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// newBank is a client that has people asked.
func newBank(t *testing.T) *app {
	t.Helper()
	a := newSet(t)
	a.update(func(c *client.Client) {
		c.Metadata.GrantTypes = []string{client.GrantBackchannel, client.GrantRefreshToken}
		c.Metadata.Delivery, c.Metadata.Scope = client.DeliveryPoll, "openid offline_access read"
	})
	a.c.Version++
	return a
}

// wants has the client ask for bob.
func (a *app) wants() gatehouse.Secret {
	a.t.Helper()
	o := a.order()
	o.Scopes = []string{"openid", "read"}
	id, err := a.svc.AskPerson(gatehouse.WithRequest(a.t.Context(), gatehouse.RequestFacts{Address: "203.0.113.9"}), o, grant.Question{User: a.user.ID, Message: "W4SCT", Life: grant.AskLife})
	if err != nil {
		a.t.Fatal(err)
	}
	return id
}

// says answers the first question that waits for bob.
func (a *app) says(allow bool) {
	a.t.Helper()
	list, err := a.svc.WaitingFor(a.t.Context(), "main", a.user.ID)
	if err != nil || len(list) == 0 {
		a.t.Fatalf("%v %v", list, err)
	}
	if err := a.svc.DecideAsked(a.t.Context(), a.code, list[0].ID, allow); err != nil {
		a.t.Fatal(err)
	}
}

// TestAsking: an auth_req_id is worth something to the client that it was given to, once, after its person said yes and while everything is as it was
// then; the errors say how to go on, and nothing that was given ends of them.
func TestAsking(t *testing.T) {
	for name, c := range map[string]struct {
		undecided, denied bool
		after             func(a *app)
		show              func(a *app, o *grant.Order, id *gatehouse.Secret)
		want              string
	}{
		"good":                      {},
		"undecided":                 {undecided: true, want: "authorization_pending"},
		"denied":                    {denied: true, want: "person_denied"},
		"undecided at its end":      {undecided: true, after: func(a *app) { a.pass(grant.AskLife) }, want: "expired_token"},
		"undecided just before":     {undecided: true, after: func(a *app) { a.pass(grant.AskLife - time.Millisecond) }, want: "authorization_pending"},
		"at its end":                {after: func(a *app) { a.pass(grant.AskLife) }, want: "expired_token"},
		"just before":               {after: func(a *app) { a.pass(grant.AskLife - time.Millisecond) }},
		"another client":            {show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another client, undecided": {undecided: true, show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another client, denied":    {denied: true, show: func(a *app, o *grant.Order, _ *gatehouse.Secret) { a.another(o) }, want: "invalid_grant"},
		"another realm":             {show: func(_ *app, o *grant.Order, _ *gatehouse.Secret) { o.Realm = "acme" }, want: "invalid_grant"},
		"what is none":              {show: func(_ *app, _ *grant.Order, id *gatehouse.Secret) { *id = "x" }, want: "invalid_grant"},
		"an unknown one":            {show: func(a *app, _ *grant.Order, id *gatehouse.Secret) { *id = newBank(a.t).wants() }, want: "invalid_grant"},
		"the session ended":         {after: func(a *app) { a.end() }, want: "transaction_failed"},
		"another password":          {after: func(a *app) { a.pass(time.Second); a.password() }, want: "transaction_failed"},
		"disabled":                  {after: func(a *app) { a.disable() }, want: "transaction_failed"},
		"client disabled":           {after: func(a *app) { a.update(func(c *client.Client) { c.Disabled = true }) }, want: "invalid_client"},
		"grant type taken back":     {after: func(a *app) { a.update(func(c *client.Client) { c.Metadata.GrantTypes = c.Metadata.GrantTypes[1:] }) }, want: "transaction_failed"},
	} {
		a := newBank(t)
		id := a.wants()
		if !c.undecided {
			a.says(!c.denied)
		}
		if c.after != nil {
			c.after(a)
		}
		o, shown := a.order(), id
		if c.show != nil {
			c.show(a, &o, &shown)
		}
		got, err := a.svc.RedeemAsked(t.Context(), o, shown)
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || (got.AccessToken == "") != (c.want != "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want != "" && c.show != nil && !c.undecided && !c.denied {
			if got, err = a.svc.RedeemAsked(t.Context(), a.order(), id); err != nil {
				t.Errorf("%s: the refusal used it up: %v", name, err)
			}
		}
		if got.AccessToken == "" {
			continue
		}
		if got.IDToken == "" || !slices.Equal(got.Scopes, []string{"openid", "read"}) {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := a.svc.RedeemAsked(t.Context(), a.order(), id); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: again: %v", name, err)
		}
		if _, err := a.claims(got.AccessToken); err != nil {
			t.Errorf("%s: what it gave ended of that: %v", name, err)
		}
	}
}

// TestAskingOnePerson: questions are found by their person alone, in the order in which they came, over the ends of stretches of time too; each is answered
// once; nobody who is not here is asked, and not too often.
func TestAskingOnePerson(t *testing.T) {
	a := newBank(t)
	hour := a.now().Truncate(time.Hour).Add(time.Hour)
	a.pass(hour.Add(-time.Minute).Sub(a.now()))
	first := a.wants()
	a.pass(2 * time.Minute)
	second := a.wants()
	list, err := a.svc.WaitingFor(t.Context(), "main", a.user.ID)
	if err != nil || len(list) != 2 || list[0].Message != "W4SCT" || list[0].Address != "203.0.113.9" || list[0].Client != a.c.ID || !list[0].AskedAt.Before(list[1].AskedAt) || !list[0].Ends.Equal(list[0].AskedAt.Add(grant.AskLife)) {
		t.Fatalf("%+v %v", list, err)
	}
	for _, who := range [][2]string{{"acme", a.user.ID}, {"main", "usr_other"}} {
		if list, err := a.svc.WaitingFor(t.Context(), who[0], who[1]); err != nil || len(list) != 0 {
			t.Errorf("%v: %+v %v", who, list, err)
		}
		c := a.code
		c.Realm, c.User = who[0], who[1]
		if err := a.svc.DecideAsked(t.Context(), c, list[0].ID, true); gatehouse.CodeOf(err) != "ask_gone" {
			t.Errorf("%v answers: %v", who, err)
		}
	}
	var all sync.WaitGroup
	said := make(chan string, 10)
	for i := range 10 {
		all.Go(func() {
			if err := a.svc.DecideAsked(t.Context(), a.code, list[0].ID, i%2 == 0); err != nil {
				said <- gatehouse.CodeOf(err)
			} else {
				said <- ""
			}
		})
	}
	all.Wait()
	close(said)
	good := 0
	for s := range said {
		if s == "" {
			good++
		} else if s != "ask_gone" {
			t.Error(s)
		}
	}
	if good != 1 {
		t.Errorf("%d answers", good)
	}
	if _, err := a.svc.RedeemAsked(t.Context(), a.order(), first); err != nil && gatehouse.CodeOf(err) != "person_denied" {
		t.Errorf("the first: %v", err)
	}
	if _, err := a.svc.RedeemAsked(t.Context(), a.order(), second); gatehouse.CodeOf(err) != "authorization_pending" {
		t.Errorf("the second: %v", err)
	}
	a.pass(grant.AskLife)
	if err := a.svc.DecideAsked(t.Context(), a.code, list[1].ID, true); gatehouse.CodeOf(err) != "ask_gone" {
		t.Errorf("after its end: %v", err)
	}
	for name, c := range map[string]struct {
		q    grant.Question
		o    func(o *grant.Order)
		want string
	}{
		"nobody":         {grant.Question{User: "usr_none", Life: time.Minute}, func(*grant.Order) {}, "unknown_user_id"},
		"without a user": {grant.Question{Life: time.Minute}, func(*grant.Order) {}, "unknown_user_id"},
		"by nobody":      {grant.Question{User: a.user.ID, Life: time.Minute}, func(o *grant.Order) { o.By = nil }, "invalid_client"},
		"too much":       {grant.Question{User: a.user.ID, Life: time.Minute}, func(o *grant.Order) { o.Scopes = []string{"openid", "admin:read"} }, "invalid_scope"},
		"for another":    {grant.Question{User: a.user.ID, Life: time.Minute}, func(o *grant.Order) { o.Resource = "https://evil.example" }, "invalid_target"},
	} {
		o := a.order()
		o.Scopes = []string{"openid"}
		c.o(&o)
		if _, err := a.svc.AskPerson(t.Context(), o, c.q); gatehouse.CodeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 5 {
		a.wants()
	}
	if _, err := a.svc.AskPerson(t.Context(), a.order(), grant.Question{User: a.user.ID, Life: time.Minute}); gatehouse.CodeOf(err) != "too_many_asks" {
		t.Errorf("the sixth: %v", err)
	}
	a.pass(grant.AskLife)
	if id := a.wants(); !strings.HasPrefix(id.Reveal(), "ghq_live_") { // those before are over
		t.Error(id)
	}
	a.disable()
	for scope, want := range map[string]string{"openid": "", "nonsense": "invalid_scope"} {
		o := a.order()
		o.Scopes = []string{scope}
		if err := a.svc.MayAsk(t.Context(), o); gatehouse.CodeOf(err) != want && (err != nil || want != "") {
			t.Errorf("%s: %v", scope, err)
		}
	}
	if _, err := a.svc.AskPerson(t.Context(), a.order(), grant.Question{User: a.user.ID, Life: time.Minute}); gatehouse.CodeOf(err) != "unknown_user_id" {
		t.Errorf("disabled: %v", err)
	}
}
