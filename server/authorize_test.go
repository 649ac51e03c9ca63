package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// program is a client by which a person is asked for something, as its makers would write it.
type program struct {
	t        *testing.T
	issuer   string
	id       string
	secret   string // "": it is public
	redirect string
	verifier string
}

const back = "https://app.example/back?of=app"

// registers makes a program; members are those of its registration that differ.
func registers(t *testing.T, d *server.Demo, members string) *program {
	t.Helper()
	body := `{"client_name":"App","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"scope":"offline_access documents:read documents:write","redirect_uris":["` + back + `"]` + members + `}`
	if strings.Contains(members, "token_endpoint_auth_method") {
		body = strings.Replace(body, `"token_endpoint_auth_method":"none",`, "", 1)
	}
	if strings.Contains(members, `"scope"`) {
		body = strings.Replace(body, `"scope":"offline_access documents:read documents:write",`, "", 1)
	}
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/main/clients", "bearer", d.AdminToken, "body", body).want(t, "client", 201)
	p := &program{t: t, issuer: d.Issuer, id: made.text("client_id"), secret: made.text("client_secret"), redirect: back}
	p.verifier = strings.Repeat(p.id[len(p.id)-8:], 6)
	return p
}

// query is that of a request, with changes: a name and a value, "" to leave it out.
func (p *program) query(change ...string) string {
	sum := sha256.Sum256([]byte(p.verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {p.redirect}, "scope": {"documents:read offline_access"}, "state": {"a b&c"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(change); i += 2 {
		if q.Del(change[i]); change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	return q.Encode()
}

// answers are the parameters with which v is sent to the program.
func (p *program) answers(status int, to string) url.Values {
	p.t.Helper()
	query, ok := strings.CutPrefix(to, p.redirect)
	q, err := url.ParseQuery(strings.TrimLeft(query, "?&#"))
	if status != 303 || !ok || err != nil || q.Get("iss") != p.issuer {
		p.t.Fatalf("not sent to the program: %d %s", status, to)
	}
	return q
}

// ticks is the form that allows all that a page asks for, but the scopes that are named.
func ticks(query, page string, not ...string) url.Values {
	form := url.Values{"request": {query}, "do": {"allow"}}
	for _, m := range regexp.MustCompile(`type="checkbox" name="scope:([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(not, m[1]) {
			form.Set("scope:"+m[1], "yes")
		}
	}
	return form
}

// allows has v, who is signed in, allow what query asks for, but the scopes that are named, and returns the code. Who allowed it
// before is not asked.
func (p *program) allows(v *visitor, node, query string, not ...string) string {
	p.t.Helper()
	status, to := v.get(node + "/authorize?" + query)
	if status != 303 {
		if status != 200 || !strings.Contains(to, `id="allow"`) {
			p.t.Fatalf("not asked: %d %s", status, to)
		}
		status, to = v.send(node+"/authorize/consent", ticks(query, to, not...))
	}
	code := p.answers(status, to).Get("code")
	if code == "" {
		p.t.Fatalf("no code: %s", to)
	}
	return code
}

// asks sends a request for tokens, with changes as for query.
func (p *program) asks(node string, fields ...string) answer {
	p.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] != "" {
			q.Set(fields[i], fields[i+1])
		}
	}
	opts := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if p.secret == "" {
		q.Set("client_id", p.id)
	} else {
		opts = append(opts, "basic", p.id+":"+p.secret)
	}
	return call(p.t, "POST", node+"/token", append(opts, "body", q.Encode())...)
}

func (p *program) redeems(node, code string, change ...string) answer {
	p.t.Helper()
	return p.asks(node, append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", p.redirect, "code_verifier", p.verifier}, change...)...)
}

func (p *program) renews(node, refresh string, change ...string) answer {
	p.t.Helper()
	return p.asks(node, append([]string{"grant_type", "refresh_token", "refresh_token", refresh}, change...)...)
}

// signedIn is bob with a session.
func signedIn(t *testing.T, d *server.Demo) *visitor {
	t.Helper()
	v := newVisitor(t)
	if status, to := v.password(d.Issuer, "bob", d.Users["bob"].Password); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	return v
}

// TestAuthorizationCode: a person comes from a program, signs in, is asked, and the program gets tokens that open an API; it renews
// them, and everything ends with what it stands for.
func TestAuthorizationCode(t *testing.T) { onBoth(t, authorizationCode) }

func authorizationCode(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}}, enforce.Route{Pattern: "GET /write", Scopes: []string{"documents:write"}}); err != nil {
		t.Fatal(err)
	}
	get := func(path, token string, status int) {
		t.Helper()
		call(t, "GET", d.Gateway+path, "bearer", token).want(t, path, status)
	}
	const through = 404
	p := registers(t, d, "")
	query := p.query()
	v := newVisitor(t)
	status, to := v.get(d.Issuer + "/authorize?" + query)
	at, err := url.Parse(to)
	if status != 303 || err != nil || at.Path != "/signin" {
		t.Fatalf("nobody is signed in: %d %s", status, to)
	}
	v.get(d.Issuer + to)
	status, to = v.send(d.Issuer+"/signin", url.Values{"identifier": {"bob"}, "password": {d.Users["bob"].Password}, "step": {"password"}, "return": at.Query()["return"]})
	if status != 303 || !strings.HasPrefix(to, "/authorize?") {
		t.Fatalf("not back at the request: %d %s", status, to)
	}
	_, page := v.get(d.Issuer + to)
	for _, want := range []string{"App", "app.example", "documents:read", "offline_access", "Read documents", "bob"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	asked := strings.TrimPrefix(to, "/authorize?")
	status, to = v.send(d.Issuer+"/authorize/consent", url.Values{"request": {asked}, "do": {"deny"}})
	if q := p.answers(status, to); q.Get("error") != "access_denied" || q.Get("state") != "a b&c" || q.Has("code") {
		t.Errorf("denied: %v", q)
	}
	status, to = v.send(d.Issuer+"/authorize/consent", ticks(asked, page))
	q := p.answers(status, to)
	if q.Get("state") != "a b&c" || q.Has("error") {
		t.Fatalf("allowed: %v", q)
	}
	code := q.Get("code")
	first := p.redeems(d.Issuer, code).want(t, "redeemed", 200)
	if first.text("scope") != "documents:read offline_access" || first.text("refresh_token") == "" || first.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", first.header, first.body)
	}
	access := first.text("access_token")
	get("/read", access, through)
	get("/write", access, 403)

	second := p.renews(d.Issuer, first.text("refresh_token")).want(t, "renewed", 200)
	get("/read", second.text("access_token"), through)
	if a := p.renews(d.Issuer, second.text("refresh_token"), "scope", "documents:write"); a.text("error") != "invalid_scope" {
		t.Errorf("wider: %d %s", a.status, a.body)
	}
	narrow := p.renews(d.Issuer, second.text("refresh_token"), "scope", "offline_access").want(t, "narrower", 200)
	get("/read", narrow.text("access_token"), 403)
	third := p.renews(d.Issuer, narrow.text("refresh_token")).want(t, "all of it again", 200)
	get("/read", third.text("access_token"), through)

	// The code comes back: somebody else has it, too.
	if a := p.redeems(d.Issuer, code); a.status != 400 || a.text("error") != "invalid_grant" {
		t.Errorf("used again: %d %s", a.status, a.body)
	}
	get("/read", third.text("access_token"), 401)
	if a := p.renews(d.Issuer, third.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("renewed after its end: %d %s", a.status, a.body)
	}
	for kind, want := range map[string]string{"authorization.grant": p.id, "authorization.deny": p.id, "authorization.reuse": "code_reuse"} {
		if log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind="+kind, "bearer", d.AdminToken).body; !strings.Contains(log, want) || strings.Contains(log, code) {
			t.Errorf("%s: %s", kind, log)
		}
	}
	codeEnds(t, d, p, get)
}

// codeEnds: what was given by a code ends with the session, unless the person allowed more, with the client and with the person.
func codeEnds(t *testing.T, d *server.Demo, p *program, get func(path, token string, status int)) {
	t.Helper()
	const through = 404
	admin := func(method, path, body string) {
		t.Helper()
		if a := call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body); a.status > 299 {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	v := signedIn(t, d)
	with := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("scope", "documents:read"))).want(t, "with the session", 200)
	beyond := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query())).want(t, "beyond it", 200)
	late := p.allows(v, d.Issuer, p.query())
	v.get(d.Issuer + "/signout")
	if status, to := v.send(d.Issuer+"/signout", url.Values{}); status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	get("/read", with.text("access_token"), 401)
	get("/read", beyond.text("access_token"), through)
	if a := p.renews(d.Issuer, with.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("renewed after the session: %d %s", a.status, a.body)
	}
	if a := p.redeems(d.Issuer, late); a.text("error") != "invalid_grant" {
		t.Errorf("redeemed after the session: %d %s", a.status, a.body)
	}
	beyond = p.renews(d.Issuer, beyond.text("refresh_token")).want(t, "beyond the session", 200)

	v = signedIn(t, d)
	late = p.allows(v, d.Issuer, p.query())
	admin("PATCH", "/clients/"+p.id, `{"disabled":true}`)
	get("/read", beyond.text("access_token"), 401)
	if a := p.redeems(d.Issuer, late); a.text("error") != "invalid_client" {
		t.Errorf("a client that is disabled: %d %s", a.status, a.body)
	}
	if status, page := v.get(d.Issuer + "/authorize?" + p.query()); status != 400 || !strings.Contains(page, "client_id_unknown") {
		t.Errorf("a client that is disabled: %d %s", status, page)
	}
	admin("PATCH", "/clients/"+p.id, `{"disabled":false}`)
	last := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query())).want(t, "enabled", 200)
	get("/read", last.text("access_token"), through)
	// It may less, and another address is registered: what was allowed a moment ago is judged by that.
	late = p.allows(v, d.Issuer, p.query())
	admin("PATCH", "/clients/"+p.id, `{"redirect_uris":["https://other.example"]}`)
	if a := p.redeems(d.Issuer, late); a.text("error") != "invalid_grant" {
		t.Errorf("an address that is registered no more: %d %s", a.status, a.body)
	}
	admin("PATCH", "/users/bob", `{"disabled":true}`)
	get("/read", last.text("access_token"), 401)
	if a := p.renews(d.Issuer, last.text("refresh_token")); a.text("error") != "invalid_grant" {
		t.Errorf("a person who is disabled: %d %s", a.status, a.body)
	}
}

// TestCodeOnce: of all that redeem one code at once, on two nodes of one database, one gets tokens, and they end with the first of
// the others.
func TestCodeOnce(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	tries := 1000
	if testing.Short() {
		tries = 40
	}
	p := registers(t, a, "")
	code := p.allows(signedIn(t, a), a.Issuer, p.query())
	answers := make(chan answer, tries)
	var all sync.WaitGroup
	at := make(chan string)
	for range 32 {
		all.Go(func() {
			for node := range at {
				answers <- p.redeems(node, code)
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
