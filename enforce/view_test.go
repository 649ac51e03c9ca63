package enforce

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// agingView is a view that has been whole at one moment.
type agingView struct {
	whole         time.Time
	limit         time.Duration // that was asked about last
	served, asked int
}

func (v *agingView) Served(at time.Time) time.Duration { v.served++; return at.Sub(v.whole) }
func (v *agingView) Asked()                            { v.asked++ }

func (v *agingView) Stale(at time.Time, limit time.Duration) bool {
	v.limit = limit
	return at.Sub(v.whole) > 5*time.Second
}

// staleRoutes are all kinds of routes, by what the answer follows from.
func staleRoutes() []Route {
	judged := &ResourceRule{Type: "Document", ID: "1"}
	return []Route{{Pattern: "/any", Authenticated: true}, {Pattern: "/public", Anonymous: true}, {Pattern: "/judged", Anonymous: true, Action: "read", Resource: judged},
		{Pattern: "GET /filtered", Anonymous: true, Filter: &ListFilter{IDMember: "id", Action: "read", Resource: ResourceRule{Type: "Document"}}},
		{Pattern: "GET /ticket", Authenticated: true, Ticket: "ticket"}}
}

// TestStaleViewRefuses: whatever follows from the database is refused at every point while
// the view is too old, before a credential is looked at; and nothing else is.
func TestStaleViewRefuses(t *testing.T) {
	for _, c := range []struct {
		at          Point
		path        string
		header      []string
		want, young string
	}{
		{AtGateway, "/any", []string{"Authorization", bearer}, "stale_view", ""},
		{AtProxy, "/any", []string{"Authorization", bearer}, "stale_view", ""},
		{AtHandler, "/any", []string{"Authorization", bearer}, "stale_view", ""},
		{AtTickets, "/ticket", []string{"Authorization", bearer}, "stale_view", ""},
		{AtGateway, "/any", nil, "stale_view", "credential_missing"},
		{AtGateway, "/public", []string{"Authorization", bearer}, "stale_view", ""},
		{AtGateway, "/judged", nil, "stale_view", ""},
		{AtGateway, "/filtered", nil, "stale_view", ""},
		{AtGateway, "/public", nil, "", ""},
		{AtProxy, "/public", nil, "", ""},
		{AtGateway, "/nowhere", []string{"Authorization", bearer}, "no_route", "no_route"},
		{AtGateway, "/any", []string{"Authorization", "Basic"}, "basic_malformed", "basic_malformed"},
	} {
		f := newFakes()
		now := time.Now()
		view := &agingView{whole: now}
		p := f.pipeline(t, staleRoutes()...)
		p.cfg.View, p.cfg.Now = view, func() time.Time { return now }
		for age, want := range map[time.Duration]string{5 * time.Second: c.young, 5*time.Second + 1: c.want} {
			now = view.whole.Add(age)
			f.authCalls = 0
			r := request("GET", c.path, "", c.header...)
			x := p.Begin(c.at, r)
			v := x.Check(r)
			code := ""
			if v.Err != nil {
				code = v.Err.Code
			}
			if code != want {
				t.Errorf("%s %s, %v, a view of %v: %q, want %q", c.at.Name, c.path, c.header, age, code, want)
			}
			if code != ErrStale.Code {
				continue
			}
			if f.authCalls > 0 || v.Header.Get("Retry-After") != "1" || v.Err.Kind != gatehouse.Unavailable || len(v.Header.Values("Www-Authenticate")) > 0 {
				t.Errorf("%s %s: a credential was looked at %d times; header %v", c.at.Name, c.path, f.authCalls, v.Header)
			}
			x.Finish(503, 0)
			e := f.events[len(f.events)-1]
			if e.Outcome != gatehouse.OutcomeError || e.Reason != ErrStale.Code || e.Chain[len(e.Chain)-1].Name != "view" {
				t.Errorf("%s %s: recorded as %s %s %+v", c.at.Name, c.path, e.Outcome, e.Reason, e.Chain)
			}
		}
	}
}

// TestStaleViewEndsWhatIsOpen: what is open is judged again, and ends while the view is
// too old, also where it was opened when it was young.
func TestStaleViewEndsWhatIsOpen(t *testing.T) {
	f := newFakes()
	now := time.Now()
	view := &agingView{whole: now}
	p := f.pipeline(t, staleRoutes()...)
	p.cfg.View, p.cfg.Now = view, func() time.Time { return now }
	r := request("GET", "/any", "", "Authorization", bearer)
	x := p.Begin(AtGateway, r)
	if v := x.Check(r); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	for age, want := range map[time.Duration]string{time.Second: "", 6 * time.Second: ErrStale.Code} {
		now = view.whole.Add(age)
		if err := x.Recheck(r); (err != nil) != (want != "") || err != nil && gatehouse.CodeOf(err) != want {
			t.Errorf("a view of %v: %v", age, err)
		}
	}
	anonymous := request("GET", "/public", "")
	y := p.Begin(AtGateway, anonymous)
	if v := y.Check(anonymous); !v.Allowed {
		t.Fatalf("%+v", v.Err)
	}
	if err := y.Recheck(anonymous); err != nil {
		t.Errorf("a stream that nobody had to be let in to: %v", err)
	}
}

// TestViewIsAskedBeforeAnythingIsConcluded: the step stands before the ones that read what
// the database has.
func TestViewIsAskedBeforeAnythingIsConcluded(t *testing.T) {
	at := func(name string) int { return slices.IndexFunc(steps[:], func(s step) bool { return s.name == name }) }
	if view := at("view"); view < 0 || view > at("authenticate") || view > at("authorize") || !steps[view].again {
		t.Errorf("the step stands at %d", view)
	}
}

// askedAuthenticator is the database, asked about a credential.
type askedAuthenticator struct {
	*fakes
	err   error
	wait  bool // it never answers
	asked int
	rule  authn.Rule
}

func (a *askedAuthenticator) Authenticate(ctx context.Context, _ string, _ authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	a.asked++
	a.rule = rule
	if a.wait {
		<-ctx.Done()
		return alice, nil // too late
	}
	return alice, a.err
}

// TestStaleRoutes: while the view is too old, a route that serves goes on and is recorded,
// one that asks goes by what the database says, within a bound, and one that says neither
// refuses. While it is young none of them does anything else than usual.
func TestStaleRoutes(t *testing.T) {
	ended := gatehouse.E(gatehouse.Unauthenticated, "invalid_token", "").With(gatehouse.E(gatehouse.Unauthenticated, "token_revoked", ""))
	for _, c := range []struct {
		name, stale string
		header      []string
		asked       askedAuthenticator
		nobody      bool // there is no database to ask
		want        string
		step        string
	}{
		{"refuse", StaleRefuse, []string{"Authorization", bearer}, askedAuthenticator{}, false, "stale_view", ""},
		{"nothing said", "", []string{"Authorization", bearer}, askedAuthenticator{}, false, "stale_view", ""},
		{"serve", StaleServe, []string{"Authorization", bearer}, askedAuthenticator{}, false, "", "stale_served"},
		{"serve nobody", StaleServe, nil, askedAuthenticator{}, false, "credential_missing", "stale_served"},
		{"ask, and it is good", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{}, false, "", "stale_asked"},
		{"ask, and it has ended", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{err: ended}, false, "invalid_token", ""},
		{"ask, and nobody knows", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{err: authn.ErrUnavailable}, false, "stale_view", ""},
		{"ask, and too many ask", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{err: gatehouse.ErrRateLimited}, false, "stale_view", ""},
		{"ask, and no answer comes", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{wait: true}, false, "stale_view", ""},
		{"ask without a credential", StaleAsk, nil, askedAuthenticator{}, false, "stale_view", ""},
		{"ask without a database", StaleAsk, []string{"Authorization", bearer}, askedAuthenticator{}, true, "stale_view", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakes()
			now := time.Now()
			view := &agingView{whole: now}
			p := f.pipeline(t, Route{Pattern: "/any", Authenticated: true, Stale: c.stale, MaxStaleness: 7 * time.Second})
			p.cfg.View, p.cfg.Now = view, func() time.Time { return now }
			if c.asked.fakes = f; !c.nobody {
				p.cfg.Asking = &c.asked
			}
			for age, old := range map[time.Duration]bool{time.Second: false, 6 * time.Second: true} {
				now = view.whole.Add(age)
				r := request("GET", "/any", "", c.header...)
				x := p.Begin(AtGateway, r)
				v := x.Check(r)
				x.Finish(200, 0)
				code, want := "", c.want
				if v.Err != nil {
					code = v.Err.Code
				}
				if !old && len(c.header) > 0 {
					want = ""
				} else if !old {
					want = "credential_missing"
				}
				if code != want {
					t.Errorf("%s, a view of %v: %q, want %q", c.name, age, code, want)
				}
				if view.limit != 7*time.Second {
					t.Errorf("%s: asked about %v", c.name, view.limit)
				}
				steps := ""
				for _, s := range f.events[len(f.events)-1].Chain {
					if s.Name == "view" && s.Outcome == gatehouse.OutcomeSuccess {
						steps += s.Code
					}
				}
				if recorded := map[bool]string{true: c.step}[old]; steps != recorded {
					t.Errorf("%s, a view of %v: recorded %q, want %q", c.name, age, steps, recorded)
				}
			}
			if asks := c.stale == StaleAsk && c.header != nil && !c.nobody; asks != (c.asked.asked == 1) || asks && !c.asked.rule.Uncounted {
				t.Errorf("%s: the database was asked %d times, as %+v", c.name, c.asked.asked, c.asked.rule)
			}
			if (view.served == 1) != (c.stale == StaleServe) || (view.asked == 1) != (c.step == "stale_asked") {
				t.Errorf("%s: %d counted as served, %d as asked", c.name, view.served, view.asked)
			}
		})
	}
}

// TestStaleRoutesAreChecked: what a route may say, and that one which goes on longer is not
// taken for one as strict as the other.
func TestStaleRoutesAreChecked(t *testing.T) {
	for _, r := range []Route{{Stale: "always"}, {MaxStaleness: time.Second}, {MaxStaleness: -time.Second}} {
		r.Pattern, r.Authenticated = "/x", true
		if err := CheckRoutes([]Route{r}); err == nil {
			t.Errorf("%q, %v is taken", r.Stale, r.MaxStaleness)
		}
	}
	compiled := func(r Route) *compiled {
		r.Authenticated = true
		return &compiled{Route: r}
	}
	for _, c := range []struct {
		mine, other Route
		want        bool
	}{
		{Route{}, Route{}, true}, {Route{Stale: StaleRefuse}, Route{}, true}, {Route{Stale: StaleServe}, Route{}, false}, {Route{Stale: StaleAsk}, Route{}, false},
		{Route{Stale: StaleServe}, Route{Stale: StaleAsk}, false}, {Route{Stale: StaleAsk}, Route{Stale: StaleServe}, true},
		{Route{MaxStaleness: time.Minute}, Route{}, false}, {Route{MaxStaleness: time.Minute}, Route{MaxStaleness: time.Minute}, true},
	} {
		if got := compiled(c.mine).asksAsMuchAs(compiled(c.other)); got != c.want {
			t.Errorf("%q %v asks as much as %q %v: %v", c.mine.Stale, c.mine.MaxStaleness, c.other.Stale, c.other.MaxStaleness, got)
		}
	}
}
