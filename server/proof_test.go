package server_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// standings are the states of the nodes in an answer that waited, by id.
func standings(t *testing.T, r answer) map[string]string {
	t.Helper()
	wait, _ := r.json["wait"].(map[string]any)
	nodes, _ := wait["nodes"].([]any)
	out := map[string]string{}
	for _, n := range nodes {
		n := n.(map[string]any)
		out[n["id"].(string)] = n["state"].(string)
	}
	return out
}

// verdictsOf are what the nodes' checkers make of what a panic has ended: of each node, how
// many it refuses. That one lets in, or says nothing, is an error.
func verdictsOf(t *testing.T, r answer) map[string]int {
	t.Helper()
	wait, _ := r.json["wait"].(map[string]any)
	nodes, _ := wait["nodes"].([]any)
	out := map[string]int{}
	for _, n := range nodes {
		n := n.(map[string]any)
		verdicts, _ := n["verdicts"].([]any)
		if len(verdicts) == 0 {
			t.Errorf("node %s gives no verdict: %v", n["id"], n)
		}
		for _, v := range verdicts {
			if v := v.(map[string]any); v["refused"] != true || v["reason"] == "" {
				t.Errorf("node %s: %v", n["id"], v)
			}
			out[n["id"].(string)]++
		}
	}
	return out
}

// TestWaitForNodes: when a change is answered as proven, no node answers without it: each has
// applied it, or is cut off and refuses. A node that goes on however old its view is keeps
// the answer pending, and the change stands.
func TestWaitForNodes(t *testing.T) {
	const bound = 3 * time.Second
	a, b, way := twoNodes(t, func(c *server.Config) { c.Store.MaxStaleness = bound })
	c, err := a.Another(t.Context(), t.TempDir(), func(*server.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { c.Close(over) })
	manage, admin := a.Issuer+"/admin/v1/realms/main/users/", a.AdminToken
	gates := []string{a.Gateway, b.GatewayURL(), c.GatewayURL()}
	everywhere := func(token string, want ...int) {
		t.Helper()
		for i, gate := range gates {
			call(t, "GET", gate+"/private", "bearer", token).want(t, gate, want[min(i, len(want)-1)])
		}
	}
	signedIn := func(who string) string {
		access, _ := login(t, a, who)
		for _, gate := range gates {
			testwait.Until(t, soon, "the token is good at every node", func() bool { return call(t, "GET", gate+"/private", "bearer", access).status == 200 })
		}
		return access
	}
	token := signedIn("bob")
	r := call(t, "POST", manage+"bob/revoke?wait=nodes&wait_for=30s", "bearer", admin).want(t, "the end", 200)
	everywhere(token, 401) // at once
	if got := standings(t, r); len(got) != 3 {
		t.Errorf("%v", got)
	} else {
		for id, state := range got {
			if state != "confirmed" {
				t.Errorf("%s is %s", id, state)
			}
		}
	}
	outside, _ := r.json["wait"].(map[string]any)["outside"].([]any)
	until := map[string]time.Duration{}
	for _, o := range outside {
		o := o.(map[string]any)
		at, err := time.Parse(time.RFC3339, o["until"].(string))
		if err != nil {
			t.Fatal(err)
		}
		until[o["who"].(string)] = time.Until(at).Round(5 * time.Second)
	}
	// The realm was made a moment ago: tokens of before may live as long as any can.
	if len(until) != 4 || until["key_set"] != time.Hour || until["status_list"] != time.Minute || until["stream"] != 10*time.Second || until["open"] != 5*time.Second {
		t.Errorf("%v", until)
	}

	token = signedIn("carol")
	way.hush()
	r = call(t, "POST", manage+"carol/revoke?wait=nodes&wait_for=30s", "bearer", admin).want(t, "the end", 200)
	everywhere(token, 401, 503, 401)
	states := map[string]int{}
	for _, state := range standings(t, r) {
		states[state]++
	}
	if states["confirmed"] != 2 || states["silent"] != 1 {
		t.Errorf("%v", states)
	}
	way.mend()
	testwait.Until(t, soon, "the node knows", func() bool { return call(t, "GET", gates[1]+"/private", "bearer", token).status == 401 })
}

// TestWaitForOneThatGoesOn: see [TestWaitForNodes].
func TestWaitForOneThatGoesOn(t *testing.T) {
	a, b, way := twoNodes(t, func(c *server.Config) {
		c.Routes = append(c.Routes, enforce.Route{Pattern: "GET /goes-on", Upstream: c.Routes[0].Upstream, Authenticated: true, Stale: enforce.StaleServe})
	})
	access, _ := login(t, a, "bob")
	on := b.GatewayURL() + "/goes-on"
	testwait.Until(t, soon, "the token is good", func() bool { s := call(t, "GET", on, "bearer", access).status; return s == 200 || s == 404 })
	way.hush()
	r := call(t, "POST", a.Issuer+"/admin/v1/realms/main/users/bob/revoke?wait=nodes&wait_for=6s", "bearer", a.AdminToken).want(t, "the end", 202)
	if s := call(t, "GET", on, "bearer", access).status; s == 401 {
		t.Errorf("the node that hears nothing knows: %d", s)
	}
	call(t, "GET", a.Gateway+"/private", "bearer", access).want(t, "the change stands", 401)
	wait, _ := r.json["wait"].(map[string]any)
	if wait["outcome"] != "pending" {
		t.Errorf("%v", r.json)
	}
	way.mend()
	call(t, "POST", a.Issuer+"/admin/v1/realms/main/users/bob/revoke?wait=nodes&wait_for=30s", "bearer", a.AdminToken).want(t, "the end", 200)
	call(t, "GET", on, "bearer", access).want(t, "it is known now", 401)
}

// TestPanicOnThreeNodes: when a panic is proven, no node lets in anything of what the account
// held, and none does when the account is used again.
func TestPanicOnThreeNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	c, err := a.Another(t.Context(), t.TempDir(), func(*server.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { c.Close(over) })
	manage, admin := a.Issuer+"/admin/v1/realms/main/users/bob", a.AdminToken
	access, refresh := login(t, a, "bob")
	key, password := a.Users["bob"].APIKey, a.Users["bob"].Password
	auths := []string{a.Issuer, b.AuthURL(), c.AuthURL()}
	gates := []string{a.Gateway, b.GatewayURL(), c.GatewayURL()}
	for _, gate := range gates { // so that each has it in its caches
		for _, credential := range []string{access, key} {
			testwait.Until(t, soon, "it is good at every node", func() bool { return call(t, "GET", gate+"/private", "bearer", credential).status == 200 })
		}
	}
	dead := func(when string) {
		t.Helper()
		for i := range gates {
			call(t, "GET", gates[i]+"/private", "bearer", access).want(t, when+": the token", 401)
			call(t, "GET", gates[i]+"/private", "bearer", key).want(t, when+": the key", 401)
			call(t, "POST", auths[i]+"/tokens", "basic", "bob:"+password).want(t, when+": the password", 401)
			if got := call(t, "POST", auths[i]+"/tokens/refresh", "body", fmt.Sprintf(`{"refresh_token":%q}`, refresh)); got.status < 400 {
				t.Errorf("%s: the refresh token: %d", when, got.status)
			}
		}
	}
	began := time.Now()
	r := call(t, "POST", manage+"/panic?wait=nodes&wait_for=30s", "bearer", admin, "body", `{}`).want(t, "the panic", 200)
	t.Logf("%d nodes, proven and answered after %v", len(standings(t, r)), time.Since(began))
	verdicts := verdictsOf(t, r)
	for id, n := range verdicts {
		if n < 3 { // the account, its key, its login
			t.Errorf("node %s was asked %d questions", id, n)
		}
	}
	if len(verdicts) != 3 {
		t.Errorf("%v", verdicts)
	}
	dead("panic")
	call(t, "PATCH", manage+"?wait=nodes&wait_for=30s", "bearer", admin, "body", `{"disabled":false}`).want(t, "undone", 200)
	dead("undone")
}

// TestPanicOfRealmOnThreeNodes: the same for everything of a realm, which each node has in its
// caches: what was made before is dead on each, and what is made after is good on each.
func TestPanicOfRealmOnThreeNodes(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	c, err := a.Another(t.Context(), t.TempDir(), func(*server.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { c.Close(over) })
	auths, admin := []string{a.Issuer, b.AuthURL(), c.AuthURL()}, a.AdminToken
	const password = "violet-Kettle-marmot-71-orbit"
	manage := a.Issuer + "/admin/v1/realms/acme"
	call(t, "POST", a.Issuer+"/admin/v1/realms?wait=nodes&wait_for=30s", "bearer", admin, "body", `{"name":"acme"}`).want(t, "the realm", 200)
	call(t, "POST", manage+"/users", "bearer", admin, "body", fmt.Sprintf(`{"username":"anna","password":%q}`, password)).want(t, "anna", 201)
	key, _ := call(t, "POST", manage+"/keys?wait=nodes&wait_for=30s", "bearer", admin, "body", `{"name":"k","owner":"anna","scopes":["*"]}`).want(t, "her key", 200).json["answer"].(map[string]any)["text"].(string)
	signedIn := func(password string) (access, refresh string) {
		r := call(t, "POST", auths[0]+"/realms/acme/tokens", "basic", "anna:"+password).want(t, "a login", 200)
		access, _ = r.json["access_token"].(string)
		refresh, _ = r.json["refresh_token"].(string)
		return access, refresh
	}
	access, refresh := signedIn(password)
	for _, auth := range auths { // so that each has it in its caches
		for _, credential := range []string{access, key} {
			testwait.Until(t, soon, "it is good at every node", func() bool {
				return call(t, "GET", auth+"/admin/v1/realms/acme/me", "bearer", credential).status == 200
			})
		}
		call(t, "POST", auth+"/realms/acme/tokens", "basic", "anna:"+password).want(t, "the password", 200)
	}
	dead := func(when string) {
		t.Helper()
		for _, auth := range auths {
			call(t, "GET", auth+"/admin/v1/realms/acme/me", "bearer", access).want(t, when+": the token", 401)
			call(t, "GET", auth+"/admin/v1/realms/acme/me", "bearer", key).want(t, when+": the key", 401)
			for path, got := range map[string]answer{
				"tokens":         call(t, "POST", auth+"/realms/acme/tokens", "basic", "anna:"+password),
				"tokens/refresh": call(t, "POST", auth+"/realms/acme/tokens/refresh", "body", fmt.Sprintf(`{"refresh_token":%q}`, refresh)),
			} {
				if got.status < 400 || got.status >= 500 {
					t.Errorf("%s: %s: %d", when, path, got.status)
				}
			}
		}
	}
	began := time.Now()
	r := call(t, "POST", manage+"/panic?wait=nodes&wait_for=30s", "bearer", admin, "body", `{}`).want(t, "the panic", 200)
	t.Logf("%d nodes, proven and answered after %v", len(standings(t, r)), time.Since(began))
	if verdicts := verdictsOf(t, r); len(verdicts) != 3 {
		t.Errorf("%v", verdicts)
	}
	dead("panic")
	call(t, "PATCH", manage+"?wait=nodes&wait_for=30s", "bearer", admin, "body", `{"disabled":false}`).want(t, "undone", 200)
	dead("undone")
	link, _ := call(t, "POST", manage+"/users/anna/password/reset-link", "bearer", admin).want(t, "a link", 200).json["link"].(string)
	const made = "nine lapwings on a ploughed hill"
	v := newVisitor(t)
	v.get(link)
	v.get(a.Issuer + "/realms/acme/recover/new")
	if status, to := v.send(a.Issuer+"/realms/acme/recover/new", url.Values{"password": {made}}); status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	call(t, "PATCH", manage+"?wait=nodes&wait_for=30s", "bearer", admin, "body", `{"title":"Acme"}`).want(t, "everybody has heard", 200)
	again, _ := signedIn(made)
	for _, auth := range auths {
		call(t, "GET", auth+"/admin/v1/realms/acme/me", "bearer", again).want(t, "a new token", 200)
		call(t, "POST", auth+"/realms/acme/tokens", "basic", "anna:"+made).want(t, "a new password", 200)
	}
}

// TestPanicIsSignedAtOnce: the checkpoint that has the event of a panic is signed because the node that signs was woken,
// whichever of three nodes was asked: here none would look by itself within the hour.
func TestPanicIsSignedAtOnce(t *testing.T) {
	d := demoOn(t, postgresStore(t))
	d.StopServer(t.Context())
	over, cancel := context.WithCancel(context.Background())
	cancel()
	var manage [3]string
	for i := range manage {
		s, err := d.AnotherThatWaits(t.Context(), t.TempDir())
		if s != nil {
			t.Cleanup(func() { s.Close(over) })
		}
		if err != nil {
			t.Fatal(err)
		}
		manage[i] = s.AuthURL() + "/admin/v1/realms/main"
	}
	admin := []string{"bearer", d.AdminToken}
	made := func(at int, name string) (id string) {
		user := call(t, "POST", manage[at]+"/users", append(admin, "body", fmt.Sprintf(`{"username":%q,"kind":"service"}`, name))...).want(t, name, 201).json["user"]
		return user.(map[string]any)["id"].(string)
	}
	// place is where the log has an event; below zero while it does not.
	place := func(at int, kind, target string) float64 {
		items, _ := call(t, "GET", manage[at]+"/audit/events?limit=1&kind="+kind+"&target="+target, admin...).want(t, kind, 200).json["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("%d events of kind %s about %s", len(items), kind, target)
		}
		return items[0].(map[string]any)["index"].(float64)
	}
	end := func(at int, name, id string) {
		t.Helper()
		began := time.Now()
		r := call(t, "POST", manage[at]+"/users/"+name+"/panic?wait=nodes&wait_for=30s", append(admin, "body", `{}`)...).want(t, "the panic", 200)
		if got := standings(t, r); len(got) != 3 {
			t.Errorf("%v", got)
		}
		proven := time.Since(began)
		var size float64
		testwait.Until(t, soon, "a signed checkpoint has the panic", func() bool {
			note, _ := call(t, "GET", manage[at]+"/audit/checkpoint", admin...).json["note"].(string)
			lines := strings.SplitN(note, "\n", 3)
			if len(lines) == 3 {
				size, _ = strconv.ParseFloat(lines[1], 64)
			}
			index := place(at, "user.panic", id)
			return index >= 0 && size > index
		})
		t.Logf("proven after %v, signed after %v", proven, time.Since(began))
	}
	end(0, "first", made(0, "first")) // somebody holds the lease now, and has looked once
	for at := range manage {
		name := fmt.Sprintf("mallory-%d", at)
		id := made(at, name)
		if place(at, "user.create", id) >= 0 {
			t.Error("the log has an event that nobody has asked for")
		}
		end(at, name, id)
	}
}
