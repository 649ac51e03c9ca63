package enforce

import (
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// TestRulesKeepTogether: a request that begins with rules is judged by them, their
// trusted proxies and their resolver, also when others have been put in force since; what
// is judged again goes by those in force.
func TestRulesKeepTogether(t *testing.T) {
	f := newFakes()
	f.entity = func(string) (map[string]any, error) { return map[string]any{"of": "old"}, nil }
	p := f.pipeline(t)
	trusting, err := web.NewProxies(web.ProxyConfig{Trusted: []string{"192.0.2.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	old, err := p.Prepare([]Route{{Pattern: "GET /a", Action: "read", Resource: &ResourceRule{Type: "T", Source: "upstream", Fetch: "/a"}}}, trusting, f)
	if err != nil {
		t.Fatal(err)
	}
	next, err := p.Prepare([]Route{{Pattern: "GET /b", Anonymous: true}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Enforce(next)
	r := request("GET", "/a", "", "Authorization", bearer, "X-Forwarded-For", "198.51.100.1")
	x := old.Begin(AtGateway, r)
	if v := x.Check(r); !v.Allowed || v.Route.Pattern != "GET /a" {
		t.Errorf("by the rules it began with: %+v", v)
	}
	x.Finish(200, 0)
	if e := f.events[len(f.events)-1]; e.Address != "198.51.100.1" {
		t.Errorf("the address is %q", e.Address)
	}
	if x.Recheck(r) == nil {
		t.Error("judged again, it is allowed by routes that are gone")
	}
	y := p.Begin(AtGateway, r)
	if v := y.Check(r); v.Allowed || v.Route != nil {
		t.Errorf("a request of now: %+v", v)
	}
	if old.Match(r) == nil || next.Match(r) != nil || p.Match(r) != nil {
		t.Error("a question about the route goes by other rules")
	}
	y.Finish(http.StatusNotFound, 0)
}
