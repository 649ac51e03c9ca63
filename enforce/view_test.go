package enforce

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// agingView is a view that has been whole at one moment.
type agingView struct {
	whole time.Time
	limit time.Duration // that was asked about last
}

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
