package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

const cibaGrant = "urn:openid:params:grant-type:ciba"

// registersBank makes a program that has people asked.
func registersBank(t *testing.T, d *server.Demo, members string) *program {
	t.Helper()
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body",
		`{"client_name":"Bank","token_endpoint_auth_method":"client_secret_basic","grant_types":["`+cibaGrant+`","refresh_token"],"scope":"openid offline_access documents:read","backchannel_token_delivery_mode":"poll"`+members+`}`).want(t, "client", 201)
	return &program{t: t, issuer: d.Issuer, id: made.text("client_id"), secret: made.text("client_secret")}
}

// asksFor has the program have a person asked.
func (p *program) asksFor(node string, fields ...string) answer {
	p.t.Helper()
	q := url.Values{"scope": {"openid offline_access documents:read"}, "login_hint": {"bob"}}
	for i := 0; i+1 < len(fields); i += 2 {
		if q.Set(fields[i], fields[i+1]); fields[i+1] == "" {
			q.Del(fields[i])
		}
	}
	return call(p.t, "POST", node+"/backchannel-authentication", "Content-Type", "application/x-www-form-urlencoded", "basic", p.id+":"+p.secret, "body", q.Encode())
}

func (p *program) polling(node, id string) answer {
	p.t.Helper()
	return p.asks(node, "grant_type", cibaGrant, "auth_req_id", id)
}

var askForm = regexp.MustCompile(`name="form" value="([^"]+)"><input type="hidden" name="ask" value="([^"]+)">`)

// answers has v, who is signed in, say allow or deny to the first request that waits, and returns the page that asked.
func answers(t *testing.T, v *visitor, node, do string) string {
	t.Helper()
	status, page := v.get(node + "/account/requests")
	m := askForm.FindStringSubmatch(page)
	if status != 200 || m == nil {
		t.Fatalf("nothing waits: %d %s", status, page)
	}
	v.form = m[1]
	if status, said := v.send(node+"/account/requests", url.Values{"ask": {m[2]}, "mine": {"yes"}, "do": {do}}); status != 200 || !strings.Contains(said, `id="said"`) {
		t.Fatalf("not said: %d %s", status, said)
	}
	return page
}

// TestCIBA: a client has a person asked, who sees it on the account's page and allows it, and gets tokens by asking for them; the record and
// the metadata say so, on both databases.
func TestCIBA(t *testing.T) { onBoth(t, ciba) }

func ciba(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	const through = 404
	p := registersBank(t, d, "")
	for name, c := range map[string]struct {
		fields []string
		error  string
	}{
		"no scope":          {[]string{"scope", ""}, "invalid_request"},
		"no openid":         {[]string{"scope", "documents:read"}, "invalid_scope"},
		"a scope too much":  {[]string{"scope", "openid admin:read"}, "invalid_scope"},
		"no hint":           {[]string{"login_hint", ""}, "invalid_request"},
		"two hints":         {[]string{"id_token_hint", "x"}, "invalid_request"},
		"a token of a hint": {[]string{"login_hint", "", "id_token_hint", "x"}, "invalid_request"},
		"a hint token":      {[]string{"login_hint", "", "login_hint_token", "x"}, "invalid_request"},
		"nobody":            {[]string{"login_hint", "nobody"}, "unknown_user_id"},
		"no name":           {[]string{"login_hint", "a b:c"}, "unknown_user_id"},
		"no id":             {[]string{"login_hint", "usr_01m8nd8dcg21xe949mymfb71df"}, "unknown_user_id"},
		"a link":            {[]string{"binding_message", "see https://evil.example"}, "invalid_binding_message"},
		"long":              {[]string{"binding_message", strings.Repeat("x", 65)}, "invalid_binding_message"},
		"lines":             {[]string{"binding_message", "a\nb"}, "invalid_binding_message"},
		"turned around":     {[]string{"binding_message", "a\u202eb"}, "invalid_binding_message"},
		"never":             {[]string{"requested_expiry", "0"}, "invalid_request"},
		"some time":         {[]string{"requested_expiry", "soon"}, "invalid_request"},
		"unregistered":      {[]string{"request", "e30.e30.e30"}, "invalid_request"},
		"elsewhere":         {[]string{"request_uri", "https://app.example/request"}, "invalid_request"},
		"another resource":  {[]string{"resource", "https://other.example"}, "invalid_target"},
	} {
		if a := p.asksFor(d.Issuer, c.fields...); a.status != 400 || a.text("error") != c.error || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := (&program{t: t, issuer: d.Issuer, id: p.id, secret: "x"}).asksFor(d.Issuer); a.status != 401 || a.text("error") != "invalid_client" {
		t.Errorf("another secret: %d %s", a.status, a.body)
	}
	if a := registersSet(t, d, "").asksFor(d.Issuer); a.status != 400 || a.text("error") != "unauthorized_client" {
		t.Errorf("a client that is not registered for it: %d %s", a.status, a.body)
	}
	w := p.asksFor(d.Issuer, "binding_message", "W4SCT, 100 €", "requested_expiry", "3600").want(t, "asked", 200)
	id := w.text("auth_req_id")
	if !strings.HasPrefix(id, "ghq_live_") || !strings.Contains(w.body, `"expires_in":600`) || !strings.Contains(w.body, `"interval":5`) {
		t.Errorf("%s", w.body)
	}
	if a := p.polling(d.Issuer, id); a.status != 400 || a.text("error") != "authorization_pending" {
		t.Errorf("pending: %d %s", a.status, a.body)
	}
	if a := p.polling(d.Issuer, id); a.status != 400 || a.text("error") != "slow_down" {
		t.Errorf("too soon: %d %s", a.status, a.body)
	}
	if a := p.polling(d.Issuer, ""); a.status != 400 || a.text("code") != "auth_req_id_missing" {
		t.Errorf("nothing: %d %s", a.status, a.body)
	}
	other := registersBank(t, d, "")
	if a := other.polling(d.Issuer, id); a.status != 400 || a.text("error") != "invalid_grant" {
		t.Errorf("another client: %d %s", a.status, a.body)
	}
	v := signedIn(t, d)
	page := strings.ReplaceAll(answers(t, v, d.Issuer, "allow"), "<wbr>", "")
	for _, want := range []string{"Bank", "W4SCT, 100 €", "Read documents", "127.0.0.1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	first := p.polling(d.Issuer, id).want(t, "allowed", 200)
	if first.text("scope") != "documents:read offline_access openid" || first.text("refresh_token") == "" || first.text("id_token") == "" || first.text("token_type") != "Bearer" {
		t.Errorf("%s", first.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", first.text("access_token")).want(t, "read", through)
	if a := p.polling(d.Issuer, id); a.text("error") != "invalid_grant" {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", first.text("access_token")).want(t, "what it gave stays", through)
	p.renews(d.Issuer, first.text("refresh_token")).want(t, "renewed", 200)

	w = p.asksFor(d.Issuer, "login_hint", "", "id_token_hint", first.text("id_token")).want(t, "by an ID token", 200)
	answers(t, v, d.Issuer, "deny")
	if a := p.polling(d.Issuer, w.text("auth_req_id")); a.status != 400 || a.text("error") != "access_denied" {
		t.Errorf("denied: %d %s", a.status, a.body)
	}
	if a := other.asksFor(d.Issuer, "login_hint", "", "id_token_hint", first.text("id_token")); a.text("error") != "invalid_request" {
		t.Errorf("the ID token of another client: %d %s", a.status, a.body)
	}
	for kind, want := range map[string]string{"authorization.ask": "documents:read", "authorization.grant": p.id, "authorization.deny": p.id} {
		if log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body; !strings.Contains(log, want) || strings.Contains(log, id) || strings.Contains(log, "W4SCT") {
			t.Errorf("%s: %s", kind, log)
		}
	}
	meta := call(t, "GET", d.Issuer+"/.well-known/openid-configuration").body
	for _, want := range []string{`"backchannel_authentication_endpoint":"` + d.Issuer + `/backchannel-authentication"`, cibaGrant, `"backchannel_user_code_parameter_supported":false`, `"backchannel_token_delivery_modes_supported":["poll"]`} {
		if !strings.Contains(meta, want) {
			t.Errorf("no %s in %s", want, meta)
		}
	}
}

// TestCIBAFlood: few requests wait for one person, fewer of one client, and nobody is asked more often than is configured.
func TestCIBAFlood(t *testing.T) {
	d := demo(t)
	p, other, third := registersBank(t, d, ""), registersBank(t, d, ""), registersBank(t, d, "")
	for range 5 {
		p.asksFor(d.Issuer).want(t, "asked", 200)
	}
	if a := p.asksFor(d.Issuer); a.status != 429 || a.text("code") != "too_many_asks" {
		t.Errorf("the sixth of a client: %d %s", a.status, a.body)
	}
	for range 5 {
		other.asksFor(d.Issuer).want(t, "asked", 200)
	}
	if a := third.asksFor(d.Issuer); a.status != 429 || a.text("code") != "too_many_asks" {
		t.Errorf("the eleventh: %d %s", a.status, a.body)
	}
	v := signedIn(t, d)
	for range 8 {
		answers(t, v, d.Issuer, "deny")
	}
	for range 8 {
		third.asksFor(d.Issuer)
	}
	if a := third.asksFor(d.Issuer); a.status != 429 || a.text("code") != "rate_limited" || a.header.Get("Retry-After") == "" {
		t.Errorf("the twenty-first: %d %s %v", a.status, a.body, a.header)
	}
	for range 10 { // one client keeps nobody else from asking
		p.asksFor(d.Issuer, "login_hint", "carol")
	}
	if a := p.asksFor(d.Issuer, "login_hint", "carol"); a.status != 429 || a.text("code") != "rate_limited" {
		t.Errorf("more than half: %d %s", a.status, a.body)
	}
	other.asksFor(d.Issuer, "login_hint", "carol").want(t, "another client", 200)
	for range 100 {
		other.asksFor(d.Issuer, "login_hint", "nobody")
	}
	for _, name := range []string{"nobody", "alice"} { // it learns nothing more
		if a := other.asksFor(d.Issuer, "login_hint", name); a.status != 429 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestCIBAOnceOnTwoNodes: of all that ask by one auth_req_id at once, on two nodes of one database, one gets tokens, and they stay; and of all
// that have one person asked at once, no more than may wait.
func TestCIBAOnceOnTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	p := registersBank(t, a, "")
	nodes := []string{a.Issuer, b.AuthURL()}
	atOnce := func(n int, ask func(node string) answer) map[string][]answer {
		var all sync.WaitGroup
		got := make(chan answer, n)
		for i := range n {
			all.Go(func() { got <- ask(nodes[i%2]) })
		}
		all.Wait()
		close(got)
		count := map[string][]answer{}
		for a := range got {
			count[fmt.Sprint(a.status, a.text("error"))] = append(count[fmt.Sprint(a.status, a.text("error"))], a)
		}
		return count
	}
	asked := atOnce(12, func(node string) answer { return p.asksFor(node) })
	if len(asked["200"]) != 5 || len(asked["429temporarily_unavailable"])+len(asked["503temporarily_unavailable"]) != 7 {
		t.Fatalf("%v", asked)
	}
	v := signedIn(t, a)
	for range 5 {
		answers(t, v, a.Issuer, "allow")
	}
	for _, one := range asked["200"] {
		got := atOnce(16, func(node string) answer { return p.polling(node, one.text("auth_req_id")) })
		if len(got["200"]) != 1 || len(got["400invalid_grant"]) != 15 {
			t.Fatalf("%v", got)
		}
		for _, node := range nodes {
			call(t, "GET", node+"/userinfo", "bearer", got["200"][0].text("access_token")).want(t, "it stays", 200)
		}
		p.renews(b.AuthURL(), got["200"][0].text("refresh_token")).want(t, "renewed", 200)
	}
}

// TestCIBAInTheBrowser: in Chromium, with scripts and without, a person signs in for what waits, forgets to say that it was begun there, says so, and
// the client goes on; another one is denied.
func TestCIBAInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	for name, view := range map[string]testbrowser.View{"scripts": {}, "none": {NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			d := demo(t)
			bank := registersBank(t, d, "")
			w := bank.asksFor(d.Issuer, "binding_message", "W4SCT").want(t, "asked", 200)
			p := chromium.Open(t, view)
			p.Go(d.Issuer + "/account/requests")
			p.Type("identifier", "bob")
			p.Follow("continue")
			p.Type("password", d.Users["bob"].Password)
			p.Follow("submit")
			p.Wait("allow-1")
			if p.Text("client-1") != "Bank" || p.Text("message-1") != "W4SCT" {
				t.Errorf("%q %q", p.Text("client-1"), p.Text("message-1"))
			}
			p.Follow("allow-1")
			p.Wait("mine-error-1")
			p.Press("mine-1")
			p.Follow("allow-1")
			p.Wait("said")
			bank.polling(d.Issuer, w.text("auth_req_id")).want(t, "allowed", 200)
			w = bank.asksFor(d.Issuer).want(t, "asked", 200)
			p.Follow("reload")
			p.Follow("deny-1")
			p.Wait("none")
			if a := bank.polling(d.Issuer, w.text("auth_req_id")); a.text("error") != "access_denied" {
				t.Errorf("%d %s", a.status, a.body)
			}
			if said := p.Complaints(); len(said) != 0 {
				t.Errorf("the browser complains: %q", said)
			}
		})
	}
}
