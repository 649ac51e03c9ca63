package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// registersSet makes a program for devices.
func registersSet(t *testing.T, d *server.Demo, members string) *program {
	t.Helper()
	if members == "" {
		members = `,"token_endpoint_auth_method":"client_secret_basic"`
	}
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body",
		`{"client_name":"Television","grant_types":["`+deviceGrant+`","refresh_token"],"scope":"offline_access documents:read documents:write"`+members+`}`).want(t, "client", 201)
	return &program{t: t, issuer: d.Issuer, id: made.text("client_id"), secret: made.text("client_secret")}
}

// waits has the program ask for a code.
func (p *program) waits(node string, fields ...string) answer {
	p.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		q.Set(fields[i], fields[i+1])
	}
	opts := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if p.secret == "" {
		q.Set("client_id", p.id)
	} else {
		opts = append(opts, "basic", p.id+":"+p.secret)
	}
	return call(p.t, "POST", node+"/device_authorization", append(opts, "body", q.Encode())...)
}

func (p *program) polls(node, code string) answer {
	p.t.Helper()
	return p.asks(node, "grant_type", deviceGrant, "device_code", code)
}

// says has v, who is signed in, look at the device of a code and say allow or deny.
func (p *program) says(v *visitor, node, code, do string) string {
	p.t.Helper()
	v.get(node + "/device")
	status, page := v.send(node+"/device", url.Values{"code": {code}})
	if status != 200 || !strings.Contains(page, `id="allow"`) {
		p.t.Fatalf("not asked: %d %s", status, page)
	}
	v.form = formToken.FindStringSubmatch(page)[1]
	status, said := v.send(node+"/device/say", url.Values{"code": {code}, "same": {"yes"}, "do": {do}})
	if status != 200 {
		p.t.Fatalf("not said: %d %s", status, said)
	}
	return page
}

// TestDeviceFlow: a device shows a code; a person types it elsewhere, sees who asks, and allows it; the device gets tokens that open an API
// and are renewed.
func TestDeviceFlow(t *testing.T) { onBoth(t, deviceFlow) }

func deviceFlow(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	const through = 404
	p := registersSet(t, d, "")
	if a := (&program{t: t, issuer: d.Issuer, id: p.id}).waits(d.Issuer); a.status != 401 || a.text("error") != "invalid_client" {
		t.Errorf("without its secret: %d %s", a.status, a.body)
	}
	if a := registers(t, d, "").waits(d.Issuer); a.status != 400 || a.text("error") != "unauthorized_client" {
		t.Errorf("a client that is not registered for it: %d %s", a.status, a.body)
	}
	if a := p.waits(d.Issuer, "scope", "admin:read"); a.status != 400 || a.text("error") != "invalid_scope" {
		t.Errorf("a scope of another: %d %s", a.status, a.body)
	}
	w := p.waits(d.Issuer, "scope", "documents:read offline_access").want(t, "waits", 200)
	code, typed := w.text("device_code"), w.text("user_code")
	if !regexp.MustCompile(`^[B-Z]{4}-[B-Z]{4}$`).MatchString(typed) || w.text("verification_uri") != d.Issuer+"/device" || w.text("verification_uri_complete") != d.Issuer+"/device?user_code="+typed ||
		!strings.Contains(w.body, `"expires_in":600`) || !strings.Contains(w.body, `"interval":5`) || w.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s", w.body)
	}
	if a := p.polls(d.Issuer, code); a.status != 400 || a.text("error") != "authorization_pending" {
		t.Errorf("pending: %d %s", a.status, a.body)
	}
	if a := p.polls(d.Issuer, code); a.status != 400 || a.text("error") != "slow_down" {
		t.Errorf("too soon: %d %s", a.status, a.body)
	}
	if a := p.polls(d.Issuer, ""); a.status != 400 || a.text("code") != "device_code_missing" {
		t.Errorf("no code: %d %s", a.status, a.body)
	}
	v := signedIn(t, d)
	page := strings.ReplaceAll(p.says(v, d.Issuer, typed, "allow"), "<wbr>", "")
	for _, want := range []string{"Television", typed, "documents:read", "Read documents", "bob", "127.0.0.1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	first := p.polls(d.Issuer, code).want(t, "allowed", 200)
	if first.text("scope") != "documents:read offline_access" || first.text("refresh_token") == "" || first.text("token_type") != "Bearer" {
		t.Errorf("%s", first.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", first.text("access_token")).want(t, "read", through)
	second := p.renews(d.Issuer, first.text("refresh_token")).want(t, "renewed", 200)
	if a := p.polls(d.Issuer, code); a.text("error") != "invalid_grant" {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	call(t, "GET", d.Gateway+"/read", "bearer", second.text("access_token")).want(t, "what came of it", 401)

	public := registersSet(t, d, `,"token_endpoint_auth_method":"none"`)
	w = public.waits(d.Issuer).want(t, "public", 200)
	public.says(v, d.Issuer, w.text("user_code"), "deny")
	if a := public.polls(d.Issuer, w.text("device_code")); a.status != 400 || a.text("error") != "access_denied" {
		t.Errorf("denied: %d %s", a.status, a.body)
	}
	for kind, want := range map[string]string{"authorization.device": "documents:read", "authorization.grant": p.id, "authorization.deny": public.id} {
		if log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body; !strings.Contains(log, want) || strings.Contains(log, code) || strings.Contains(log, typed) {
			t.Errorf("%s: %s", kind, log)
		}
	}
	meta := call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").body
	if !strings.Contains(meta, `"device_authorization_endpoint":"`+d.Issuer+`/device_authorization"`) || !strings.Contains(meta, deviceGrant) {
		t.Errorf("%s", meta)
	}
}

// TestUserCodeTries: whoever is signed in shows at most twenty codes in ten minutes, whatever they are and wherever that is sent.
func TestUserCodeTries(t *testing.T) {
	d := demo(t)
	p := registersSet(t, d, "")
	v := signedIn(t, d)
	v.get(d.Issuer + "/device")
	for i := range 20 {
		if status, page := v.send(d.Issuer+"/device", url.Values{"code": {"BBBB-BBBB"}}); status != 422 {
			t.Fatalf("try %d: %d %s", i, status, page)
		}
	}
	if status, page := v.send(d.Issuer+"/device", url.Values{"code": {p.waits(d.Issuer).text("user_code")}}); status != 429 {
		t.Errorf("one more: %d %s", status, page)
	}
	log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=authorization.failure", "bearer", d.AdminToken).body
	if strings.Count(log, `"user_code_wrong"`) != 20 || strings.Contains(log, "BBBB") {
		t.Errorf("%s", log)
	}
}

// TestDeviceOnceOnTwoNodes: of all that ask by one device code at once, on two nodes of one database, one gets tokens, and they end with the
// first of the others.
func TestDeviceOnceOnTwoNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	tries := 300
	if testing.Short() {
		tries = 40
	}
	p := registersSet(t, a, `,"token_endpoint_auth_method":"none"`)
	w := p.waits(b.AuthURL(), "scope", "offline_access documents:read").want(t, "waits", 200)
	p.says(signedIn(t, a), a.Issuer, w.text("user_code"), "allow")
	answers := make(chan answer, tries)
	var all sync.WaitGroup
	at := make(chan string)
	for range 32 {
		all.Go(func() {
			for node := range at {
				answers <- p.polls(node, w.text("device_code"))
			}
		})
	}
	for i := range tries {
		at <- []string{a.Issuer, b.AuthURL()}[i%2]
	}
	close(at)
	all.Wait()
	close(answers)
	count := map[string]int{}
	won := answer{}
	for got := range answers {
		count[fmt.Sprint(got.status, got.text("error"))]++
		if got.status == 200 {
			won = got
		}
	}
	if count["200"] != 1 || count["400invalid_grant"] != tries-1 {
		t.Fatalf("%v", count)
	}
	for _, node := range []string{a.Issuer, b.AuthURL()} {
		if r := p.renews(node, won.text("refresh_token")); r.text("error") != "invalid_grant" {
			t.Errorf("the family goes on: %d %s", r.status, r.body)
		}
		testwait.Until(t, 10*time.Second, "the access token ends everywhere", func() bool {
			return call(t, "GET", node+"/admin/v1/me", "bearer", won.text("access_token")).status == 401
		})
	}
}
