package enforce

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// TestStepUp: a route that asks how somebody signed in lets in who did so, at that level and not too long ago; whoever did not
// is told what to ask for (RFC 9470 §3), and a key, which is no sign-in, never gets in.
//
// ASVS: 7.5.3
func TestStepUp(t *testing.T) {
	now := time.Now()
	who := func(acr string, ago time.Duration) *gatehouse.Principal {
		p := *alice
		p.ACR, p.AuthTime = acr, now.Add(-ago)
		return &p
	}
	key := *alice
	for name, tt := range map[string]struct {
		acr    string
		maxAge time.Duration
		p      *gatehouse.Principal
		want   string // of the challenge; "" is let in
	}{
		"as asked":               {"aal2", 10 * time.Minute, who("aal2", time.Minute), ""},
		"more":                   {"aal1", 0, who("aal2", time.Hour), ""},
		"less":                   {"aal2", 0, who("aal1", 0), `error="insufficient_user_authentication", acr_values="aal2"`},
		"none":                   {"aal1", 0, who("", 0), `acr_values="aal1"`},
		"too long ago":           {"", 10 * time.Minute, who("aal2", 11*time.Minute), `error="insufficient_user_authentication", max_age="600"`},
		"ahead":                  {"", 10 * time.Minute, who("aal2", -2*time.Minute), `max_age="600"`},
		"a clock a little ahead": {"", 10 * time.Minute, who("aal2", -30*time.Second), ""},
		"both":                   {"aal3", time.Hour, who("aal2", 2*time.Hour), `acr_values="aal3", max_age="3600"`},
		"another's name":         {"urn:example:gold", 0, who("urn:example:gold", 0), ""},
		"ours for another's":     {"urn:example:gold", 0, who("aal3", 0), `acr_values="urn:example:gold"`},
		"another's for ours":     {"aal1", 0, who("urn:example:gold", 0), `acr_values="aal1"`},
		"a key, for a level":     {"aal1", 0, &key, `acr_values="aal1"`},
		"a key, for a time":      {"", time.Hour, &key, `max_age="3600"`},
	} {
		f := newFakes()
		f.principal = tt.p
		p := f.pipeline(t, Route{Pattern: "GET /a", Authenticated: true, ACR: tt.acr, MaxAuthAge: tt.maxAge})
		v := f.do(p, request("GET", "/a", "", "Authorization", bearer))
		if v.Allowed != (tt.want == "") {
			t.Errorf("%s: %+v", name, v.Err)
			continue
		}
		if v.Allowed {
			continue
		}
		line := strings.Join(v.Header["Www-Authenticate"], "\n")
		if v.Err.Code != authn.CodeStepUp || v.Err.Kind != gatehouse.Unauthenticated || !strings.Contains(line, tt.want) {
			t.Errorf("%s: %v, %s", name, v.Err, line)
		}
		if e := f.events[0]; e.Reason != authn.CodeStepUp || e.Outcome == gatehouse.OutcomeSuccess || !strings.Contains(e.Detail["asked"], "a sign-in ") {
			t.Errorf("%s: the record says %+v", name, e)
		}
	}
	for name, r := range map[string]Route{
		"anonymous": {Pattern: "/a", Anonymous: true, ACR: "aal2"}, "closed": {Pattern: "/a", Closed: true, MaxAuthAge: time.Hour},
		"a quote": {Pattern: "/a", Authenticated: true, ACR: `a"b`}, "two": {Pattern: "/a", Authenticated: true, ACR: "aal1 aal2"},
		"too short": {Pattern: "/a", Authenticated: true, MaxAuthAge: time.Second}, "below nothing": {Pattern: "/a", Authenticated: true, MaxAuthAge: -time.Hour},
		"says not who may call": {Pattern: "/a", ACR: "aal2"},
	} {
		if err := CheckRoutes([]Route{r}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestStepUpOfWhatIsOpen: a stream goes on while its sign-in gets old, and ends when the route has come to ask for more.
func TestStepUpOfWhatIsOpen(t *testing.T) {
	f := newFakes()
	p := *alice
	p.ACR, p.AuthTime = "aal1", time.Now()
	f.principal = &p
	route := Route{Pattern: "GET /a", Authenticated: true, MaxAuthAge: time.Minute}
	pipe := f.pipeline(t, route)
	now := time.Now()
	pipe.cfg.Now = func() time.Time { return now }
	r := request("GET", "/a", "", "Authorization", bearer)
	x := pipe.Begin(AtGateway, r)
	if v := x.Check(r); !v.Allowed {
		t.Fatal(v.Err)
	}
	now = now.Add(time.Hour)
	if err := x.Recheck(r); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	route.ACR = "aal2"
	if err := pipe.SetRoutes([]Route{route}); err != nil {
		t.Fatal(err)
	}
	if err := x.Recheck(r); gatehouse.CodeOf(err) != authn.CodeStepUp {
		t.Errorf("by the route of now: %v", err)
	}
}

// TestStepUpIsStricter: which of two routes asks for more.
func TestStepUpIsStricter(t *testing.T) {
	for _, tt := range []struct {
		a, o Assurance
		want bool
	}{
		{Assurance{}, Assurance{}, true}, {Assurance{ACR: "aal2"}, Assurance{}, true}, {Assurance{}, Assurance{ACR: "aal1"}, false},
		{Assurance{ACR: "aal2"}, Assurance{ACR: "aal1"}, true}, {Assurance{ACR: "aal1"}, Assurance{ACR: "aal2"}, false},
		{Assurance{MaxAge: time.Hour}, Assurance{MaxAge: time.Minute}, false}, {Assurance{MaxAge: time.Minute}, Assurance{MaxAge: time.Hour}, true},
		{Assurance{}, Assurance{MaxAge: time.Hour}, false}, {Assurance{ACR: "x"}, Assurance{ACR: "y"}, false},
	} {
		if got := tt.a.asksAsMuchAs(tt.o); got != tt.want {
			t.Errorf("%+v, %+v: %v", tt.a, tt.o, got)
		}
	}
}
