package attacks_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
)

// TestOthersDocument: one user reaches for another's (BOLA, horizontal).
//
// ASVS: 8.2.2
func TestOthersDocument(t *testing.T) {
	w := the(t)
	bob, eve := w.person(t, "main", "user"), w.person(t, "main", "user")
	doc, hers := w.document(t, bob, "private"), w.document(t, eve, "private")
	call(t, "GET", w.Gateway+doc, "bearer", bob.key).want(t, "his own", 200)
	call(t, "GET", w.Gateway+hers, "bearer", eve.key).want(t, "her own", 200)
	for what, opts := range map[string][]string{
		"GET": {}, "HEAD": {}, "DELETE": {}, "PUT": {"body", `{"title":"mine now"}`},
	} {
		m := random()
		call(t, what, w.Gateway+doc, append(opts, "bearer", eve.key, mark, m)...).want(t, what, 404)
		if len(w.api.marked(m)) > 0 {
			t.Errorf("%s: reached the API", what)
		}
	}
	// By claiming what decides.
	for _, body := range []string{`{"title":"x","owner":"` + eve.id + `"}`, `{"title":"x","visibility":"public"}`, `{"id":"` + strings.TrimPrefix(hers, "/documents/") + `","owner":"` + eve.id + `"}`} {
		call(t, "PUT", w.Gateway+doc, "bearer", eve.key, "body", body).want(t, "PUT "+body, 404)
	}
	call(t, "GET", w.Gateway+doc+"?owner="+eve.id+"&visibility=public", "bearer", eve.key).want(t, "claims in the query", 404)
	call(t, "GET", w.Gateway+doc+"?id="+strings.TrimPrefix(hers, "/documents/"), "bearer", eve.key).want(t, "her id in the query", 404)
	if list := call(t, "GET", w.Gateway+"/documents", "bearer", eve.key).want(t, "list", 200); strings.Contains(list.body, "SECRET-"+bob.name) || !strings.Contains(list.body, "SECRET-"+eve.name) {
		t.Error("the list shows another's document, or not her own")
	}
	if a := call(t, "GET", w.Gateway+doc, "bearer", bob.key); a.status != 200 || a.text("title") != "T" || a.text("owner") != bob.id {
		t.Errorf("his document was changed: %s", a.body)
	}
}

// TestInAnothersName: what decides is the owner that the body names, however it
// is named.
func TestInAnothersName(t *testing.T) {
	w := the(t)
	bob, eve := w.person(t, "main", "user"), w.person(t, "main", "user")
	docs := w.Gateway + "/documents"
	call(t, "POST", docs, "bearer", eve.key, "body", `{"title":"t","owner":"`+eve.id+`"}`).want(t, "in her own name", 201)
	before := call(t, "GET", docs, "bearer", bob.key).body
	for _, body := range []string{
		`{"title":"t","owner":"` + bob.id + `"}`,
		`{"title":"t","owner":"` + eve.id + `","owner":"` + bob.id + `"}`,
		`{"title":"t","owner":"` + bob.id + `","owner":"` + eve.id + `"}`,
		`{"title":"t","Owner":"` + bob.id + `"}`, `{"title":"t","owner":"` + eve.id + `","OWNER":"` + bob.id + `"}`,
		`{"title":"t","\u006fwner":"` + bob.id + `"}`, `{"title":"t","owner":["` + bob.id + `"]}`, `{"title":"t","owner":{"id":"` + bob.id + `"}}`,
		`{"title":"t","owner":"` + bob.id + `"}{"owner":"` + eve.id + `"}`, `[{"title":"t","owner":"` + bob.id + `"}]`,
		"\xef\xbb\xbf" + `{"title":"t","owner":"` + bob.id + `"}`, `{"title":"t","owner":"` + bob.id + `\u0000"}`,
	} {
		if a := call(t, "POST", docs, "bearer", eve.key, "body", body); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json, text/plain", "multipart/form-data; boundary=x", "application/json;charset=utf-7"} {
		if a := call(t, "POST", docs, "bearer", eve.key, "body", `{"title":"t","owner":"`+bob.id+`"}`, "Content-Type", contentType); a.status < 400 {
			t.Errorf("%s: %d", contentType, a.status)
		}
	}
	// She gives hers away: the owner is fixed at creation.
	hers := w.document(t, eve, "private")
	call(t, "PUT", w.Gateway+hers, "bearer", eve.key, "body", `{"title":"t","owner":"`+bob.id+`"}`).want(t, "giving away", 422, 403, 404)
	if after := call(t, "GET", docs, "bearer", bob.key).body; after != before {
		t.Errorf("bob has documents that he did not write:\n%s\n%s", before, after)
	}
}

// TestPartialScope: a key or token does no more than its scopes say, whatever its
// owner may do.
func TestPartialScope(t *testing.T) {
	w := the(t)
	call(t, "PATCH", w.Issuer+"/admin/v1/realms/main", "bearer", w.AdminToken, "body", `{"settings":{"admin_mfa":"optional"}}`).want(t, "no second factor", 200)
	boss := w.person(t, "main", "gatehouse-admin")
	me := w.Issuer + "/admin/v1/realms/main/users"
	call(t, "GET", me, "bearer", boss.key).want(t, "an administrator's full key", 200)
	for _, scopes := range [][]string{{"documents:read"}, {"documents:read", "documents:write"}} {
		call(t, "GET", me, "bearer", w.key(t, boss, "live", scopes...)).want(t, "a key for documents", 403)
	}
	read := w.key(t, boss, "live", "admin:read")
	call(t, "GET", me, "bearer", read).want(t, "reading with a reading key", 200)
	call(t, "POST", me, "bearer", read, "body", `{"username":"x`+random()+`"}`).want(t, "writing with a reading key", 403)
	// A key does not mint a stronger one.
	for _, scopes := range []string{`["*"]`, `["admin:write"]`} {
		call(t, "POST", w.Issuer+"/admin/v1/realms/main/keys", "bearer", read, "body", `{"name":"n","scopes":`+scopes+`}`).want(t, "minting "+scopes, 403)
	}
	_, refresh := w.login(t, boss)
	narrow := call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`","scope":"documents:read"}`).want(t, "narrowed", 200)
	call(t, "GET", me, "bearer", narrow.text("access_token")).want(t, "a narrowed token", 403)
	call(t, "GET", w.Gateway+"/private", "bearer", narrow.text("access_token")).want(t, "where no scope is asked", 200)
}

// TestAdminAsViewer: the management API as somebody who administers nothing
// (BFLA, vertical).
//
// ASVS: 8.2.1
func TestAdminAsViewer(t *testing.T) {
	w := the(t)
	carol, victim := w.person(t, "main", "viewer"), w.person(t, "main", "user")
	token, _ := w.login(t, carol)
	base := w.Issuer + "/admin/v1"
	if a := call(t, "GET", base+"/me", "bearer", carol.key).want(t, "who she is", 200); a.text("id") != carol.id {
		t.Errorf("me: %s", a.body)
	}
	call(t, "GET", base+"/realms/main/users/me", "bearer", carol.key).want(t, "her own account", 200)
	for _, op := range [][3]string{
		{"GET", "/realms"}, {"POST", "/realms", `{"name":"x` + random()[:8] + `"}`}, {"PATCH", "/realms/main", `{"title":"owned"}`},
		{"GET", "/realms/main/users"}, {"GET", "/realms/main/users/" + victim.name}, {"POST", "/realms/main/users", `{"username":"x` + random() + `","roles":["gatehouse-admin"]}`},
		{"PATCH", "/realms/main/users/me", `{"roles":["gatehouse-admin"]}`}, {"PATCH", "/realms/main/users/" + carol.id, `{"roles":["admin"]}`},
		{"PATCH", "/realms/main/users/" + victim.name, `{"disabled":true}`}, {"DELETE", "/realms/main/users/" + victim.name}, {"PUT", "/realms/main/users/" + victim.name + "/password", `{"current":"x","new":"x"}`}, {"POST", "/realms/main/users/" + victim.name + "/password/reset-link"},
		{"POST", "/realms/main/users/" + victim.name + "/revoke"}, {"POST", "/realms/main/keys", `{"owner":"` + victim.id + `","name":"n","scopes":["*"]}`},
		{"GET", "/realms/main/keys?owner=" + victim.id}, {"PUT", "/realms/main/roles/viewer", `{"permissions":[{"actions":["*"],"resource_type":"Document"}]}`},
		{"PUT", "/realms/main/policies/open", `{"text":"permit(principal,action,resource);"}`}, {"GET", "/realms/main/policies"}, {"GET", "/realms/main/audit/events"},
		{"POST", "/realms/main/signing-keys/rotate"}, {"POST", "/realms/main/tokens/verify", `{"token":"x"}`}, {"POST", "/realms/main/revocations", `{"kind":"realm"}`},
		{"GET", "/realms/main/grants"}, {"POST", "/backup"}, {"POST", "/bootstrap", `{"secret":"x","username":"x","password":"0123456789abcdefX"}`},
	} {
		for how, opts := range map[string][]string{"key": {"bearer", carol.key}, "token": {"bearer", token}, "password": {"basic", carol.name + ":" + carol.password}} {
			if op[2] != "" {
				opts = append(opts, "body", op[2])
			}
			a := call(t, op[0], base+op[1], opts...)
			if a.status != 403 && a.status != 404 && !(strings.HasSuffix(op[1], "bootstrap") && a.status == 401) {
				t.Errorf("%s %s with %s: %d %s", op[0], op[1], how, a.status, a.body)
			}
		}
		opts := []string{}
		if op[2] != "" {
			opts = append(opts, "body", op[2])
		}
		if a := call(t, op[0], base+op[1], opts...); a.status != 401 && a.status != 403 {
			t.Errorf("%s %s as nobody: %d", op[0], op[1], a.status)
		}
	}
	w.accepted(t, "the victim is well", victim.key)
}

// TestAdminOfAnotherRealm: whoever administers one realm is nobody in the next.
//
// ASVS: 8.4.1
func TestAdminOfAnotherRealm(t *testing.T) {
	w := the(t)
	red, blue := w.realm(t, nil), w.realm(t, nil)
	boss := w.person(t, red, "realm-admin")
	base := w.Issuer + "/admin/v1/realms/"
	call(t, "GET", base+red+"/users", "bearer", boss.key).want(t, "his own realm", 200)
	call(t, "POST", base+red+"/users", "bearer", boss.key, "body", `{"username":"x`+random()+`"}`).want(t, "his own realm", 201)
	for _, other := range []string{blue, "main"} {
		for _, op := range [][3]string{{"GET", "/users"}, {"POST", "/users", `{"username":"x` + random() + `","roles":["realm-admin"]}`}, {"GET", "/keys"}, {"PATCH", "", `{"title":"owned"}`},
			{"GET", "/audit/events"}, {"POST", "/signing-keys/rotate"}, {"PUT", "/policies/p", `{"text":"permit(principal,action,resource);"}`}, {"POST", "/revocations", `{"kind":"realm"}`}} {
			opts := []string{"bearer", boss.key}
			if op[2] != "" {
				opts = append(opts, "body", op[2])
			}
			call(t, op[0], base+other+op[1], opts...).want(t, op[0]+" "+other+op[1], 401, 403, 404)
		}
	}
	// A realm's administrator opens no way into the machine's own network.
	inside := object{"settings": object{"trusted_issuers": []any{object{"issuer": "http://127.0.0.1", "audience": "a", "jwks_url": "http://127.0.0.1/", "algorithms": []string{"ES256"}, "allow_private_address": true}}}}
	call(t, "PATCH", base+red, "bearer", boss.key, "body", string(must(json.Marshal(inside)))).want(t, "private addresses", 403)
	call(t, "POST", base[:len(base)-1], "bearer", boss.key, "body", `{"name":"x`+random()[:8]+`"}`).want(t, "another realm", 401, 403)
}

// internals are words that a caller must never read.
var internals = regexp.MustCompile(`(?i)goroutine|panic|runtime error|\.go:\d+|/home/|/tmp/|sqlite|postgres|sql:|select .* from|cedar|no_permit|stack|github\.com|golang|nil pointer|dial tcp|unknown_user|wrong_password|user_disabled|token_signature|key_secret_mismatch|subject_|policy_`)

// TestVerboseErrors: a refusal says what the caller needs, and nothing about the
// inside.
//
// ASVS: 16.5.1
func TestVerboseErrors(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "viewer")
	ok := call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "a good answer", 200)
	if ok.header.Get("Server") != "" || ok.header.Get("X-Powered-By") != "" {
		t.Errorf("the server names itself: %v", ok.header)
	}
	dead := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIiwidHlwIjoiYXQrand0In0.eyJpc3MiOiJ4In0.AAAA"
	altered := p.key[:30] + "0000" + p.key[34:]
	root, err := filepath.Abs("..") // where the program was built
	if err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]answer{
		"nobody":             call(t, "GET", w.Gateway+"/private"),
		"dead token":         call(t, "GET", w.Gateway+"/private", "bearer", dead),
		"altered token":      call(t, "GET", w.Gateway+"/private", "bearer", w.idp.honest()+"AA"),
		"altered key":        call(t, "GET", w.Gateway+"/private", "bearer", altered),
		"nonsense":           call(t, "GET", w.Gateway+"/private", "Authorization", "Bearer %%%"),
		"unknown scheme":     call(t, "GET", w.Gateway+"/private", "Authorization", "Digest x=y"),
		"denied":             call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":"t"}`),
		"broken body":        call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":`),
		"no route":           call(t, "GET", w.Gateway+"/%41%42", "bearer", p.key),
		"odd path":           call(t, "GET", w.Gateway+"/a%00b", "bearer", p.key),
		"wrong password":     call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":wrong", "from", "198.51.100.200"),
		"broken form":        call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "body", "{"),
		"broken refresh":     call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"' OR 1=1"}`),
		"admin, broken body": call(t, "POST", w.Issuer+"/admin/v1/realms/main/users", "bearer", w.AdminToken, "body", `{"username":1}`),
		"admin, bad policy":  call(t, "GET", w.Issuer+"/admin/v1/realms/none/users", "bearer", w.AdminToken),
		"admin, odd id":      call(t, "GET", w.Issuer+"/admin/v1/realms/main/users/'%20OR%201=1", "bearer", w.AdminToken),
		"admin, unknown":     call(t, "GET", w.Issuer+"/admin/v1/nothing", "bearer", w.AdminToken),
	} {
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		if a.header.Get("Content-Type") != "application/problem+json" || a.text("request_id") == "" {
			t.Errorf("%s: no problem document: %s", what, a.body)
		}
		if strings.Contains(a.body, root) {
			t.Errorf("%s: tells where it was built: %s", what, a.body)
		}
		if m := internals.FindString(a.body); m != "" {
			t.Errorf("%s: tells %q: %s", what, m, a.body)
		}
		for _, secret := range []string{p.key, p.password, dead, altered, w.api.server.URL} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s: repeats a secret", what)
			}
		}
	}
}

// TestHiddenLooksAbsent: a document that one may not see, and one that is not
// there, differ in nothing.
func TestHiddenLooksAbsent(t *testing.T) {
	w := the(t)
	bob, eve := w.person(t, "main", "user"), w.person(t, "main", "viewer")
	doc := w.document(t, bob, "private")
	call(t, "GET", w.Gateway+doc, "bearer", bob.key).want(t, "its owner", 200)
	absent := "/documents/doc_" + strings.Repeat("0", len(doc)-len("/documents/doc_"))
	for _, method := range []string{"GET", "DELETE", "PUT", "HEAD"} {
		opts := []string{"bearer", eve.key}
		if method == "PUT" {
			opts = append(opts, "body", `{"title":"t"}`)
		}
		a, b := call(t, method, w.Gateway+doc, opts...), call(t, method, w.Gateway+absent, opts...)
		if a.status != 404 || !same(a, b) {
			t.Errorf("%s: they differ:\n%d %v %s\n%d %v %s", method, a.status, a.header, a.body, b.status, b.header, b.body)
		}
	}
}

var requestID = regexp.MustCompile(`req_[0-9A-Za-z]+`)

// same compares two answers apart from request id, date and what rate limits count.
func same(a, b answer) bool {
	clean := func(x answer) string {
		h := x.header.Clone()
		for _, name := range []string{"Date", "X-Request-Id", "Ratelimit", "Ratelimit-Policy"} {
			if v := h[name]; v != nil {
				h[name] = []string{"…"}
			}
		}
		out, _ := json.Marshal(h)
		return string(out) + requestID.ReplaceAllString(x.body, "…")
	}
	return a.status == b.status && len(a.body) == len(b.body) && clean(a) == clean(b)
}

// listed is an API with a guard that checks tokens itself and learns from status
// lists what was revoked. Its clock can be moved.
func (w *world) listed(t *testing.T) (check func(text string) int, pass func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: w.Issuer, Audience: w.Issuer, AllowPrivateAddress: true,
		Routes: []enforce.Route{{Pattern: "GET /private", Authenticated: true}},
		Now:    func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	srv := serve(t, g.Protect(func(http.ResponseWriter, *http.Request) {}))
	return func(s string) int { return call(t, "GET", srv+"/private", "bearer", s).status }, func(d time.Duration) { ahead.Add(int64(d)) }
}

// TestRevokedEverywhere: what was taken back is dead at every checker when the
// call that took it back has returned, and at a guard elsewhere when it has read
// the status list again.
//
// ASVS: 8.3.2
func TestRevokedEverywhere(t *testing.T) {
	w := the(t)
	checkers := map[string]func(text string) int{
		"gateway": func(s string) int { return call(t, "GET", w.Gateway+"/private", "bearer", s).status },
		"forward-auth": func(s string) int {
			return call(t, "GET", w.Gateway+"/.gatehouse/auth/nginx", "bearer", s, "X-Original-Method", "GET", "X-Original-Uri", "/private", "X-Original-Host", "h").status
		},
		"management API": func(s string) int { return call(t, "GET", w.Issuer+"/admin/v1/me", "bearer", s).status },
		"token verify": func(s string) int {
			a := w.admin(t, "POST", "/realms/main/tokens/verify", object{"token": s}, 200)
			if a.json["active"] == true {
				return 200
			}
			return 401
		},
	}
	all := func(what, text string, want int) {
		t.Helper()
		for name, check := range checkers {
			if got := check(text); got != want {
				t.Errorf("%s, %s: %d, want %d", what, name, got, want)
			}
		}
	}
	for how, revoke := range map[string]func(p person, access string){
		"logout": func(_ person, access string) {
			call(t, "DELETE", w.Issuer+"/tokens", "bearer", access).want(t, "logout", 204)
		},
		"the token": func(_ person, access string) {
			w.admin(t, "POST", "/realms/main/tokens/revoke", object{"token": access}, 204)
		},
		"the user": func(p person, _ string) { w.admin(t, "POST", "/realms/main/users/"+p.id+"/revoke", nil, 204) },
		"cut-off": func(p person, _ string) {
			w.admin(t, "POST", "/realms/main/revocations", object{"kind": "subject", "id": p.id}, 201)
		},
		"disabled": func(p person, _ string) {
			w.admin(t, "PATCH", "/realms/main/users/"+p.id, object{"disabled": true}, 200)
		},
		"deleted": func(p person, _ string) { w.admin(t, "DELETE", "/realms/main/users/"+p.id, nil, 204) },
		"password reset": func(p person, _ string) {
			w.admin(t, "POST", "/realms/main/users/"+p.id+"/password/reset-link", object{"end": true}, 200)
		},
	} {
		p, twin := w.person(t, "main"), w.person(t, "main")
		access, refresh := w.login(t, p)
		other, _ := w.login(t, twin)
		all(how+", before", access, 200) // warms every cache
		elsewhere, pass := w.listed(t)
		if a, b := elsewhere(access), elsewhere(other); a != 200 || b != 200 {
			t.Errorf("%s, before, a guard elsewhere: %d and %d", how, a, b)
		}
		revoke(p, access)
		all(how+", after", access, 401)
		pass(31 * time.Second) // the list's ttl
		status := elsewhere(access)
		for deadline := time.Now().Add(10 * time.Second); status != 401 && how != "cut-off" && time.Now().Before(deadline); {
			status = elsewhere(access)
		}
		if status != 401 && how != "cut-off" { // which ends no grant, and so is on no list
			t.Errorf("%s, after, a guard elsewhere: %d, want 401", how, status)
		}
		if got := elsewhere(other); got != 200 {
			t.Errorf("%s, somebody else, a guard elsewhere: %d", how, got)
		}
		call(t, "DELETE", w.Issuer+"/tokens", "bearer", access).want(t, how+": /tokens", 401)
		call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, how+": refresh", 400)
		all(how+", somebody else", other, 200)
	}
	for how, revoke := range map[string]func(p person, id string){
		"the key": func(_ person, id string) { w.admin(t, "POST", "/realms/main/keys/"+id+"/revoke", nil, 200) },
		"leaked":  func(p person, _ string) { w.admin(t, "POST", "/keys/leaked", object{"key": p.key}, 204) },
		"by its text": func(p person, _ string) {
			w.admin(t, "POST", "/realms/main/tokens/revoke", object{"token": p.key}, 204)
		},
		"its owner": func(p person, _ string) {
			w.admin(t, "PATCH", "/realms/main/users/"+p.id, object{"disabled": true}, 200)
		},
		"rotated": func(_ person, id string) {
			w.admin(t, "POST", "/realms/main/keys/"+id+"/rotate", object{"overlap": "0s"}, 201)
		},
		"owner erased": func(p person, _ string) { w.admin(t, "DELETE", "/realms/main/users/"+p.id, nil, 204) },
	} {
		p, twin := w.person(t, "main"), w.person(t, "main")
		all(how+", before", p.key, 200)
		revoke(p, strings.Split(p.key, "_")[2][:12])
		all(how+", after", p.key, 401)
		all(how+", somebody else", twin.key, 200)
	}
}

// TestStolenRefreshToken: its second use ends the family, and with it what the
// thief got.
func TestStolenRefreshToken(t *testing.T) {
	w := the(t)
	renew := func(r string) answer {
		return call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+r+`"}`)
	}
	p := w.person(t, "main")
	_, stolen := w.login(t, p)
	owner := renew(stolen).want(t, "the owner renews", 200)
	again := renew(owner.text("refresh_token")).want(t, "and again", 200)
	w.accepted(t, "the owner's", again.text("access_token"))
	renew(stolen).want(t, "the thief comes late", 400)
	w.refused(t, "the owner's, after the theft was noticed", again.text("access_token"))
	renew(again.text("refresh_token")).want(t, "the family is over", 400)

	_, refresh := w.login(t, p)
	for _, forged := range []string{refresh[:len(refresh)-1] + "0", refresh + "0", strings.ToUpper(refresh), "ghr_live_" + strings.Repeat("0", 48), "", "' OR ''='"} {
		if forged != refresh {
			renew(forged).want(t, "forged", 400)
		}
	}
	realm := w.realm(t, nil)
	call(t, "POST", w.base(realm)+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "in another realm", 400)
	call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`","scope":"documents:read admin:everything"}`).want(t, "more scope than there is", 400)
	renew(refresh).want(t, "untouched by all that", 200)
}

// TestCrossRealm: a credential of one realm is nothing in another.
//
// ASVS: 8.4.1
func TestCrossRealm(t *testing.T) {
	w := the(t)
	red := w.realm(t, nil)
	p, q := w.person(t, red), w.person(t, "main")
	access, refresh := w.login(t, p)
	verify := func(realm, text string) bool {
		return w.admin(t, "POST", "/realms/"+realm+"/tokens/verify", object{"token": text}, 200).json["active"] == true
	}
	mine, _ := w.login(t, q)
	for what, text := range map[string]string{"token": access, "key": p.key} {
		if !verify(red, text) || verify("main", text) {
			t.Errorf("%s: verified in its realm %v, in main %v", what, verify(red, text), verify("main", text))
		}
		w.refused(t, what+" of another realm", text)
	}
	for what, text := range map[string]string{"token": mine, "key": q.key} {
		if !verify("main", text) || verify(red, text) {
			t.Errorf("%s of main in another realm", what)
		}
		w.accepted(t, what, text)
	}
	call(t, "DELETE", w.Issuer+"/tokens", "bearer", access).want(t, "ended in main", 401)
	call(t, "DELETE", w.base(red)+"/tokens", "bearer", mine).want(t, "main's ended elsewhere", 401)
	call(t, "POST", w.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "renewed in main", 400)
	call(t, "POST", w.Issuer+"/tokens", "basic", p.name+":"+p.password, "from", "198.51.100.201").want(t, "password in main", 401)
	call(t, "GET", w.Gateway+"/private", "basic", p.name+":"+p.password, "from", "198.51.100.202").want(t, "password at main's gateway", 401)
	// The issuer that main trusts is none that red trusts.
	if verify(red, w.idp.honest()) || !verify("main", w.idp.honest()) {
		t.Error("the trusted issuer of one realm counts in another")
	}
	// A token that names main and is signed by red's key.
	_, claims, _ := parts(t, access)
	h, _, sig := parts(t, access)
	w.refused(t, "re-labelled", input(h, with(claims, "iss", w.Issuer, "aud", w.Issuer))+"."+b64.EncodeToString(sig))
}

// TestTestKeyOnLive: keys for trying things out open nothing real.
func TestTestKeyOnLive(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "gatehouse-admin")
	test := w.key(t, p, "test", "*")
	w.accepted(t, "the live key", p.key)
	w.refused(t, "the test key", test)
	w.refused(t, "the test key, re-labelled", strings.Replace(test, "_test_", "_live_", 1))
	call(t, "GET", w.Issuer+"/admin/v1/me", "bearer", test).want(t, "management API", 401)
	call(t, "GET", w.Gateway+"/private", "X-API-Key", test).want(t, "X-API-Key", 401)
}

// TestGuardKnowsOnlyItsIssuer: the middleware that checks tokens by itself.
func TestGuardKnowsOnlyItsIssuer(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	access, refresh := w.login(t, p)
	other, _ := w.login(t, w.person(t, w.realm(t, nil)))
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: w.Issuer, Audience: w.Issuer, AllowPrivateAddress: true,
		Routes: []enforce.Route{{Pattern: "GET /private", Authenticated: true}}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	srv := serve(t, g.Protect(func(rw http.ResponseWriter, r *http.Request) {
		if p := guard.Principal(r.Context()); p.Kind == gatehouse.KindUser {
			_, _ = rw.Write([]byte(p.ID))
		}
	}))
	if a := call(t, "GET", srv+"/private", "bearer", access).want(t, "our token", 200); a.body != p.id {
		t.Errorf("principal %q", a.body)
	}
	h, c, sig := parts(t, access)
	for what, text := range map[string]string{"none": input(with(h, "alg", "none"), c) + ".AA", "altered": input(h, with(c, "sub", "x")) + "." + b64.EncodeToString(sig),
		"HMAC": hs("HS256", []byte("secret"), with(h, "alg", "HS256"), c), "refresh token": refresh, "key": p.key, "another realm's": other, "another issuer's": w.idp.honest()} {
		call(t, "GET", srv+"/private", "bearer", text).want(t, what, 401)
	}
	call(t, "GET", srv+"/private").want(t, "nobody", 401)
	call(t, "GET", srv+"/elsewhere", "bearer", access).want(t, "no route", 404)
}
