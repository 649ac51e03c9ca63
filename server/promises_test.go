package server

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// observed is what a whole installation was seen to do: each kind of event that it wrote with its members, and each metric.
type observed struct {
	members map[string]map[string]bool // kind → "target", "status", "detail.owner"
	metrics map[string]bool
	rules   map[string]bool // policies that took part in a decision
}

// TestPromisesAreKept uses an installation in every way that writes something, and compares what was written with the
// pages that promise it: docs/audit-events.md (every kind, every member), docs/metrics.md and docs/operate.md (every
// metric), docs/policies.md (every fact of a request). A promise that nothing kept fails, and so does what is written
// and stands on no page.
func TestPromisesAreKept(t *testing.T) {
	h := newHouse(t)
	seen := &observed{members: map[string]map[string]bool{}, metrics: map[string]bool{}, rules: map[string]bool{}}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer api.Close()
	h.cfg.Upstreams = map[string]gateway.Upstream{"api": {URL: api.URL}}
	h.cfg.Routes = []enforce.Route{{Pattern: "/", Upstream: "api", Authenticated: true},
		{Pattern: "/judged/{id}", Upstream: "api", Action: "read", Resource: &enforce.ResourceRule{Type: "Thing", ID: "{id}"}}}
	h.cfg.Audit.Overflow, h.cfg.Audit.Queue, h.cfg.Audit.RefusalsPerMinute = "drop", 16, 2
	h.cfg.Disk.WarnPercent = 100
	h.cfg.Mail.Server, h.cfg.Mail.Port, h.cfg.Mail.TLS, h.cfg.Mail.From = "127.0.0.1", refusingPost(t), "none", "id@example.com"
	file := h.fromFile(t)
	h.cfg.Issuer = "http://localhost:0" // for passkeys
	h.start()
	key := h.bootstrap()
	h.realms(key)
	h.people(t, key)
	h.keysOf(key)
	h.rules(key)
	h.signing(key)
	h.removedNode(t, key)
	h.mails(t, key)
	h.want("an address", "PATCH", "/admin/v1/realms/main/users/ann", key, `{"email":"ann@example.com"}`, 200)
	h.want("a link to set a password by", "POST", "/admin/v1/realms/main/users/ann/password/reset-link", key, "", 200)
	h.addressOf(t, key)
	h.want("open to everybody", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"registration":"open"}}`, 200)
	if err := h.s.admin.Users.AskRegistration(t.Context(), gatehouse.MainRealm, "new@example.com"); err != nil {
		t.Fatal(err)
	}
	h.facts(t, key)
	h.want("a wrong secret of the first start", "POST", "/admin/v1/bootstrap", "", fmt.Sprintf(`{"secret":%q,"username":"late","password":%q}`, "wrong", housePassword), 401)
	h.want("verify", "POST", "/admin/v1/realms/main/audit/verify", key, `{"checkpoints":[]}`, 200)
	backup, _, err := h.s.backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.want("backup", "POST", "/admin/v1/backup", key, `{}`, 200)
	h.rewrite(t, file, "key_prefix: ghk\n", "key_prefix: abc\n", "hello_page: show\n", "hello_page: hide\n")
	h.want("reload", "POST", "/admin/v1/config/reload", key, "", 200)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := h.s.Reload(t.Context()); err == nil {
		t.Error("a configuration that is not there was reloaded")
	}
	for range 100 * h.cfg.Audit.Queue { // faster than any store
		h.s.record.Record(&gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindRequestDecide, Outcome: gatehouse.OutcomeSuccess, Status: 200,
			Actor: gatehouse.Actor{ID: "usr_1"}})
	}
	for range 5 {
		if status, _ := h.call("GET", h.s.GatewayURL()+"/", "", ""); status != 401 {
			t.Errorf("nobody: %d", status)
		}
	}
	h.scrape(seen)
	h.stop()
	h.collect(seen)

	old := h.copyData() // and here somebody sets the database back
	h.start()
	h.want("one more event", "POST", "/admin/v1/realms/main/audit/verify", key, `{"checkpoints":[]}`, 200)
	testwait.Until(t, 5*time.Second, "a new head is signed", func() bool { return h.s.sequencer.Events() > 0 })
	h.stop()
	h.replaceData(old)
	h.start()
	testwait.Until(t, 10*time.Second, "it is noticed and recorded", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind=audit.broken", key, "")
		items, _ := out["items"].([]any)
		return len(items) > 0
	})
	h.stop()
	h.collect(seen)
	h.replaceData(nil)
	if _, err := Restore(t.Context(), h.cfg, backup); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.stop()
	if _, err := Recover(t.Context(), h.cfg, "root"); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "next")
	if _, err := Move(t.Context(), h.cfg, MoveOptions{To: StoreConfig{Driver: "sqlite"}, Data: next}); err != nil {
		t.Fatal(err)
	}
	h.cfg.Data = next
	h.start()
	h.stop()
	h.collect(seen)
	h.cfg.Audit.Retention = 1
	h.start()
	testwait.Until(t, 5*time.Second, "old events are removed", func() bool {
		_, err := h.s.db.AuditRemoval(t.Context(), gatehouse.MainRealm)
		return err == nil
	})
	h.stop()
	h.collect(seen)

	seen.compareEvents(t)
	seen.compareMetrics(t)
	for _, f := range policy.Facts() {
		if !seen.rules["fact-"+f.Name] {
			t.Errorf("docs/policies.md promises context.%s, and no request had it", f.Name)
		}
	}
}

// realms makes one, changes everything of it, and asks for what the caller may not.
func (h *house) realms(key string) {
	h.want("realm", "POST", "/admin/v1/realms", key, `{"name":"shop"}`, 201)
	h.want("change of the realm", "PATCH", "/admin/v1/realms/shop", key, `{"title":"Shop","settings":{"access_token_ttl":"10m"}}`, 200)
	h.want("realm off", "PATCH", "/admin/v1/realms/shop", key, `{"disabled":true}`, 200)
	h.want("a panic of the realm", "POST", "/admin/v1/realms/shop/panic", key, "{}", 200)
}

// people makes accounts, changes everything of them, logs them in and out, and deletes them.
// browser has sessions of browsers, as the pages of sign-in open them.
func (h *house) browser(t *testing.T, key string) {
	out := h.want("a user", "GET", "/admin/v1/realms/main/users/ann", key, "", 200)
	id, _ := out["id"].(string)
	p := &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: id, AMR: []string{"pwd"}, ACR: "aal1", IssuedAt: time.Now()}
	_, opened, err := h.s.sessions.Open(t.Context(), p, session.Browser{})
	if err == nil {
		p.SessionID, p.AMR = opened.ID, []string{"pwd", "otp"}
		_, _, err = h.s.sessions.Rotate(t.Context(), p, session.Browser{})
	}
	var odd gatehouse.Session
	if err == nil {
		_, odd, err = h.s.sessions.Open(t.Context(), p, session.Browser{Odd: identity.Odd{Unknown: true}})
	}
	if err == nil {
		err = h.s.sessions.Disown(t.Context(), p.Realm, p.ID, odd.ID)
	}
	var ticket gatehouse.Secret
	if err == nil {
		p.Scheme = gatehouse.SchemeSession
		ticket, err = h.s.handOver.Begin(t.Context(), p, session.Way{To: "https://app.example/", Origin: "https://app.example", Host: "app.example", Browser: "b"})
	}
	if err == nil {
		_, _, _, err = h.s.handOver.Arrive(t.Context(), ticket, gatehouse.MainRealm, "https://app.example", "b")
	}
	if err != nil {
		t.Fatal(err)
	}
	h.want("terms", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"terms_url":"https://example.com/terms","terms_version":"1"}}`, 200)
	p.Scopes = []string{gatehouse.ScopeAll} // as the session has them
	if err := h.s.admin.Users.AcceptTerms(t.Context(), p, "1"); err != nil {
		t.Error(err)
	}
	h.want("no terms", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"terms_url":null,"terms_version":null}}`, 200)
	h.want("its end", "DELETE", "/admin/v1/realms/main/users/ann/sessions/"+opened.ID, key, "", 204)
}

func (h *house) people(t *testing.T, key string) {
	const users = "/admin/v1/realms/main/users"
	for _, name := range []string{"ann", "ben"} {
		h.want("user", "POST", users, key, fmt.Sprintf(`{"username":%q,"password":%q}`, name, housePassword), 201)
	}
	h.want("role", "PUT", "/admin/v1/realms/main/roles/guest", key, `{}`, 200)
	h.want("role", "PUT", "/admin/v1/realms/main/roles/reader", key, `{"parents":["guest"]}`, 200)
	h.want("change", "PATCH", users+"/ben", key,
		`{"display_name":"Ben","email":"ben@example.com","roles":["reader"],"groups":["g"],"attributes":{"a":1},"disabled":true}`, 200)
	weak, err := bcrypt.GenerateFromPassword([]byte(housePassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h.want("a password that somebody else makes", "POST", users, key, `{"username":"newcomer","generate_password":true}`, 201)
	h.want("an account of another system", "POST", users, key, fmt.Sprintf(`{"username":"old","password_hash":%q}`, weak), 201)
	h.want("its first login", "POST", "/tokens", "old:"+housePassword, "", 200)

	h.want("a panic", "POST", users+"/old/panic", key, "{}", 200)

	login := func() (access, refresh string) {
		out := h.want("login", "POST", "/tokens", "ann:"+housePassword, "", 200)
		access, _ = out["access_token"].(string)
		refresh, _ = out["refresh_token"].(string)
		return access, refresh
	}
	h.browser(t, key)
	h.factors(t, key)
	h.passkeys(t, key)
	h.elsewhere(t, key)
	h.clients(t, key)
	access, refresh := login()
	h.want("request", "GET", "/admin/v1/me", access, "", 200)
	if status, _ := h.call("GET", h.s.GatewayURL()+"/x", access, ""); status != 200 {
		t.Errorf("gateway: %d", status)
	}
	renew := func(token string) string {
		_, out := h.call("POST", h.s.AuthURL()+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, token))
		next, _ := out["refresh_token"].(string)
		return next
	}
	renew(renew(refresh))
	renew(refresh) // spent, and its successor too: a thief has it
	access, _ = login()
	h.want("denied", "GET", users, access, "", 403)
	h.want("logout", "DELETE", "/tokens", access, "", 204)
	h.want("password", "POST", users+"/ann/password/reset-link", key, `{"end":true}`, 200)
	for range 30 { // wrong, until it is not even looked at
		h.call("POST", h.s.AuthURL()+"/tokens", "ann:wrong", "")
	}
	for _, c := range []string{`{"kind":"subject","id":"usr_none"}`, `{"kind":"client","id":"c"}`, `{"kind":"session","id":"s"}`, `{"kind":"key","id":"k"}`} {
		h.want("cut-off "+c, "POST", "/admin/v1/realms/main/revocations", key, c, 201)
	}
	h.want("all logins", "POST", users+"/ann/revoke", key, "", 204)
	h.want("deleted", "DELETE", users+"/ben", key, "", 204)
	h.want("a service", "POST", users, key, `{"username":"robot","kind":"service","roles":[]}`, 201)
	h.want("deleted", "DELETE", users+"/robot", key, "", 204)
}

// clients registers a client, changes it, lets it show a wrong secret, and removes it.
func (h *house) clients(t *testing.T, key string) {
	const all = "/admin/v1/realms/main/clients"
	made := h.want("client", "POST", all, key, `{"client_name":"Robot","token_endpoint_auth_method":"client_secret_post","grant_types":["client_credentials","urn:ietf:params:oauth:grant-type:token-exchange"],"allowed_cors_origins":["https://app.example"],"backchannel_logout_uri":"https://app.example/out","introspection_audiences":[`+strconv.Quote(h.s.Issuer())+`],
		"token_exchange":[{"from":["cli_1"],"audiences":[`+strconv.Quote(h.s.Issuer())+`]}]}`, 201)
	id, secret := fmt.Sprint(made["client_id"]), fmt.Sprint(made["client_secret"])
	one := all + "/" + id
	h.want("change", "PATCH", one, key, `{"client_name":"R"}`, 200)
	next := h.want("another secret", "POST", one+"/rotate", key, `{"overlap":"0"}`, 201)
	h.want("leaked", "POST", "/admin/v1/keys/leaked", "", fmt.Sprintf(`{"key":%q}`, next["client_secret"]), 204)
	h.codes(t, key)
	h.dynamicClients(t, key)
	h.device(t, key)
	h.logouts(t, key)
	h.exchange(t, key)
	h.asks(t, key)
	r, err := http.PostForm(h.s.AuthURL()+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	if err != nil || r.StatusCode != 401 {
		t.Errorf("the secret before: %v %v", r, err)
	} else {
		_ = r.Body.Close()
	}
	h.want("panic", "POST", one+"/panic", key, `{}`, 200)
	h.want("removed", "DELETE", one, key, "", 204)
}

// dynamicClients has clients register themselves, and removes the one that nobody uses.
func (h *house) dynamicClients(t *testing.T, key string) {
	h.want("open", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"client_registration":"token"}}`, 200)
	const tokens = "/admin/v1/realms/main/client-registration-tokens"
	token := h.want("token", "POST", tokens, key, `{}`, 201)
	h.want("registered", "POST", "/client-registration", fmt.Sprint(token["token"]), `{"redirect_uris":["https://app.example"]}`, 201)
	h.want("removed", "DELETE", tokens+"/"+fmt.Sprint(token["id"]), key, "", 204)
	for _, name := range []string{"App", "App 2"} { // one that a document describes
		m := client.Metadata{Name: name, AuthMethod: client.AuthNone, GrantTypes: []string{client.GrantAuthorizationCode}, Flow: client.Flow{RedirectURIs: []string{"https://app.example"}}}
		if _, err := h.s.admin.Clients.KeepDescribed(t.Context(), gatehouse.MainRealm, "https://app.example/client", m); err != nil {
			t.Error(err)
		}
	}
	run, err := store.Run[clients.TokenPurger](h.s.db)
	if err == nil {
		err = (&clients.Expiry{Service: h.s.admin.Clients, Unused: h.s.db, Run: run, Now: func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }}).Purge(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	h.want("closed", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"client_registration":"closed"}}`, 200)
}

// codes has somebody refuse a program, and allow it something; it redeems the code twice.
func (h *house) codes(t *testing.T, key string) {
	made := h.want("a program", "POST", "/admin/v1/realms/main/clients", key, `{"client_name":"App","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["https://app.example"],"first_party":true}`, 201)
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"cody","password":%q}`, housePassword), 201)
	user := h.want("user", "GET", "/admin/v1/realms/main/users/cody", key, "", 200)
	p := &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: fmt.Sprint(user["id"]), AMR: []string{"pwd"}, ACR: "aal1", IssuedAt: time.Now()}
	_, opened, err := h.s.sessions.Open(t.Context(), p, session.Browser{})
	c := grant.Code{Realm: p.Realm, Client: fmt.Sprint(made["client_id"]), RedirectURI: "https://app.example", User: p.ID, Session: opened.ID, SessionEnds: opened.ExpiresAt}
	if err == nil {
		err = h.s.grants.Deny(t.Context(), c)
	}
	var code gatehouse.Secret
	if err == nil {
		code, err = h.s.grants.Authorize(t.Context(), c, grant.Wish{}, grant.Spared)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 400} {
		r, err := http.PostForm(h.s.AuthURL()+"/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {c.Client}, "code": {code.Reveal()}})
		if err != nil || r.StatusCode != status {
			t.Fatalf("%v %v", r, err)
		}
		_ = r.Body.Close()
	}
	h.want("taken back", "DELETE", "/admin/v1/realms/main/users/cody/apps/"+c.Client, key, "", 200)
}

// logouts has two programs be told of the end of a session: one hears it, and one is gone.
func (h *house) logouts(t *testing.T, key string) {
	told := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(told.Close)
	made := h.want("a program", "POST", "/admin/v1/realms/main/clients", key, `{"client_name":"Told","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["https://app.example"],"backchannel_logout_uri":"`+told.URL+`","allow_private_address":true}`, 201)
	run, err := store.Run[grant.Families](h.s.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{fmt.Sprint(made["client_id"]), "cli_gone"} {
		if err := run(t.Context(), func(ctx context.Context, tx grant.Families) error {
			return tx.InsertIssued(ctx, grant.Issued{Listener: &grant.Listener{Realm: gatehouse.MainRealm, Session: "ses_1", Client: id, User: "usr_1", Ends: time.Now()}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	testwait.Until(t, 10*time.Second, "both are settled", func() bool {
		due, err := h.s.db.DueLogouts(t.Context(), time.Now(), 10)
		return err == nil && len(due) == 0
	})
}

// exchange has an API exchange the token of a person's login, and another one that there is not.
func (h *house) exchange(t *testing.T, key string) {
	made := h.want("an API", "POST", "/admin/v1/realms/main/clients", key, fmt.Sprintf(`{"client_name":"API","token_endpoint_auth_method":"client_secret_post","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],
		"introspection_audiences":[%[1]q],"token_exchange":[{"from":["gatehouse-first-party"],"audiences":[%[1]q]}]}`, h.s.Issuer()), 201)
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"exa","password":%q}`, housePassword), 201)
	login := h.want("login", "POST", "/tokens", "exa:"+housePassword, "", 200)
	for text, status := range map[string]int{fmt.Sprint(login["access_token"]): 200, "x": 400} {
		r, err := http.PostForm(h.s.AuthURL()+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {fmt.Sprint(made["client_id"])}, "client_secret": {fmt.Sprint(made["client_secret"])},
			"subject_token": {text}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}})
		if err != nil || r.StatusCode != status {
			t.Fatalf("%v %v", r, err)
		}
		_ = r.Body.Close()
	}
}

// asks has a program have a person asked.
func (h *house) asks(t *testing.T, key string) {
	made := h.want("a program", "POST", "/admin/v1/realms/main/clients", key, `{"client_name":"Bank","token_endpoint_auth_method":"client_secret_post","grant_types":["urn:openid:params:grant-type:ciba"],"scope":"openid","backchannel_token_delivery_mode":"poll"}`, 201)
	h.want("a user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"asked","password":%q,"roles":[]}`, housePassword), 201)
	r, err := http.PostForm(h.s.AuthURL()+"/backchannel-authentication", url.Values{"client_id": {fmt.Sprint(made["client_id"])}, "client_secret": {fmt.Sprint(made["client_secret"])}, "scope": {"openid"}, "login_hint": {"asked"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Body.Close(); r.StatusCode != 200 {
		t.Errorf("asked: %d", r.StatusCode)
	}
}

// device has a program wait for a person, and somebody type another code.
func (h *house) device(t *testing.T, key string) {
	made := h.want("a program", "POST", "/admin/v1/realms/main/clients", key, `{"client_name":"Set","token_endpoint_auth_method":"none","grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`, 201)
	r, err := http.PostForm(h.s.AuthURL()+"/device_authorization", url.Values{"client_id": {fmt.Sprint(made["client_id"])}})
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("%v %v", r, err)
	}
	_ = r.Body.Close()
	if _, err := h.s.grants.Find(t.Context(), &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: "usr_1"}, "BBBB-BBBB"); gatehouse.CodeOf(err) != "user_code_wrong" {
		t.Fatal(err)
	}
}

// factors has somebody add an authenticator app, use it, guess, and lose it.
func (h *house) factors(t *testing.T, key string) {
	const own = "/admin/v1/realms/main/users/me/factors"
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"cas","password":%q}`, housePassword), 201)
	proof := func(code string) string {
		return fmt.Sprintf(`{"password":%q,"code":%q,"name":"telephone"}`, housePassword, code)
	}
	user, _ := h.want("login", "POST", "/tokens", "cas:"+housePassword, "", 200)["access_token"].(string)
	begun := h.want("an app", "POST", own+"/totp", user, proof(""), 201)
	secret, _ := begun["secret"].(string)
	about, _ := begun["factor"].(map[string]any)
	app := fmt.Sprint(own, "/", about["id"])
	done := h.want("confirmed", "POST", app+"/confirm", user, fmt.Sprintf(`{"code":%q}`, testtotp.Code(secret, time.Now())), 200)
	codes, _ := done["recovery_codes"].([]any)
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	h.want("its name", "PATCH", app, user, `{"name":"old telephone"}`, 200)
	h.want("new codes", "POST", own+"/recovery", user, fmt.Sprintf(`{"password":%q,"code":%q}`, housePassword, codes[0]), 200)
	for range 25 { // wrong, until they are not even looked at
		h.call("POST", h.s.AuthURL()+own+"/totp", user, proof("guess"))
	}
	link, _ := h.want("a link to replace them", "POST", "/admin/v1/realms/main/users/cas/factors/reset-link", key, "", 200)["link"].(string)
	_, link, _ = strings.Cut(link, "code=")
	browser := []byte("some browser")
	text, err := h.s.admin.Users.ProveFactorsLink(t.Context(), gatehouse.MainRealm, gatehouse.Secret(link), housePassword, browser)
	if err != nil {
		t.Fatal(err)
	}
	_, shown, err := h.s.admin.Users.Replacing(t.Context(), gatehouse.MainRealm, text, browser)
	if err == nil {
		_, err = h.s.admin.Users.ReplaceByApp(t.Context(), gatehouse.MainRealm, text, browser, gatehouse.Secret(testtotp.Code(shown.Text.Reveal(), time.Now())))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// passkeys has somebody add a passkey, name it, sign in by it and by a copy, fail, and remove it.
func (h *house) passkeys(t *testing.T, key string) {
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"dot","password":%q}`, housePassword), 201)
	v := h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()})
	v.password("dot")
	if status, page := v.add("telephone"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	list := h.want("passkeys", "GET", "/admin/v1/realms/main/users/dot/passkeys", key, "", 200)["items"].([]any)
	id, _ := list[0].(map[string]any)["id"].(string)
	v.send("/account/passkeys", "/account/passkeys", url.Values{"step": {"name"}, "passkey": {id}, "name": {"laptop"}})
	for range 2 {
		v.keys.Tamper = func(a *testpasskey.Answer) { a.Count = 1 }
		if status, page := h.visitor(v.keys).signIn(""); status != 303 {
			t.Fatalf("%d %s", status, page)
		}
	}
	v.keys.Tamper = func(a *testpasskey.Answer) { a.Flags = 1 }
	if status, page := h.visitor(v.keys).signIn(""); status != 422 {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := v.send("/account/passkeys", "/account/passkeys", url.Values{"step": {"remove"}, "passkey": {id}, "name": {"laptop"}}); status != 200 || !strings.Contains(page, `id="none"`) {
		t.Fatalf("%d %s", status, page)
	}
}

// elsewhere has somebody sign in at a provider, come back in another browser, link a second account there, and unlink one.
func (h *house) elsewhere(t *testing.T, key string) {
	o := newOpening(t)
	h.acme(o, key, nil)
	v := h.visitor(nil)
	back := o.there(v.to("/signin/with/acme"), "code")
	if status, page := h.visitor(nil).back(back); status != 422 {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := v.back(back); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	o.set(func() { o.claims = map[string]any{"sub": "another"} })
	if status, page := v.back(o.there(v.toLink(), "code 2")); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := v.unlink(); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
}

// keysOf makes API keys, changes everything of one, and ends them in every way.
func (h *house) keysOf(key string) {
	const keys = "/admin/v1/realms/main/keys"
	made := func() (id, text string) {
		out := h.want("key", "POST", keys, key, `{"name":"k","scopes":["*"],"expires_at":"2100-01-01T00:00:00Z"}`, 201)
		k, _ := out["key"].(map[string]any)
		id, _ = k["id"].(string)
		text, _ = out["text"].(string)
		return id, text
	}
	id, text := made()
	h.want("change", "PATCH", keys+"/"+id, key, `{"name":"n","scopes":["*"],"allowed_nets":["127.0.0.0/8"],"disabled":false,`+
		`"metadata":{"a":"b"},"quota_day":100000,"quota_month":1000000,"expires_at":"2099-01-01T00:00:00Z"}`, 200)
	h.want("use", "GET", "/admin/v1/me", text, "", 200)
	h.want("rotate", "POST", keys+"/"+id+"/rotate", key, `{"overlap":"1h"}`, 201)
	h.want("off", "PATCH", keys+"/"+id, key, `{"disabled":true}`, 200)
	h.want("revoke", "POST", keys+"/"+id+"/revoke", key, `{}`, 200)
	h.want("a key of another system", "POST", keys+"/import", key,
		`{"name":"old","scopes":["*"],"sha256":"`+"9f2c51d07be84a6613c8ef0925d7b1a40c6e93f75ab82d1e64037fc9be1528d3"+`","bits":128,"prefix":"old_"}`, 201)
	_, text = made()
	h.want("leaked", "POST", "/admin/v1/keys/leaked", "", fmt.Sprintf(`{"key":%q}`, text), 204)
}

// rules puts and deletes roles, policies, a schema and entities.
func (h *house) rules(key string) {
	const realm = "/admin/v1/realms/main"
	h.want("role", "PUT", realm+"/roles/clerk", key, `{"parents":["reader"]}`, 200)
	h.want("role", "DELETE", realm+"/roles/clerk", key, "", 204)
	h.want("policy", "PUT", realm+"/policies/p", key, `{"text":"forbid(principal, action == Action::\"never\", resource);"}`, 200)
	h.want("policy", "DELETE", realm+"/policies/p", key, "", 204)
	h.want("schema", "PUT", realm+"/schema", key, `{"text":""}`, 200)
	h.want("entity", "PUT", realm+"/entities/Thing/1", key, `{"attributes":{"a":1}}`, 200)
	h.want("entity", "DELETE", realm+"/entities/Thing/1", key, "", 204)
}

// removedNode removes a node that has long said nothing.
func (h *house) removedNode(t *testing.T, key string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+databasePath(h.cfg.Data)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `INSERT INTO nodes VALUES ('node_gone','h','v','{}',1,5000000,1,'','',0,'')`); err != nil {
		t.Fatal(err)
	}
	h.want("remove a node", "DELETE", "/admin/v1/nodes/node_gone", key, "", 204)
}

// mails asks for a message that the mail server refuses.
func (h *house) mails(t *testing.T, key string) {
	out := h.want("a test message", "POST", "/admin/v1/mails", key, `{"to":"ann@example.com"}`, 201)
	id, _ := out["id"].(string)
	testwait.Until(t, 10*time.Second, "it is given up", func() bool {
		_, out := h.call("GET", h.s.AuthURL()+"/admin/v1/mails/"+id, key, "")
		return out["state"] == "failed"
	})
}

// addressOf verifies an address of ann by the link in a mail to it.
func (h *house) addressOf(t *testing.T, key string) {
	box := t.TempDir()
	h.s.keepMail(box)
	h.want("an address", "PATCH", "/admin/v1/realms/main/users/ann", key, `{"email":"ann@example.org","email_verified":false}`, 200)
	h.want("a link to verify it by", "POST", "/admin/v1/realms/main/users/ann/email/link", key, "", 204)
	code := ""
	testwait.Until(t, 10*time.Second, "the link arrives", func() bool {
		names, _ := filepath.Glob(filepath.Join(box, "*.eml"))
		for _, name := range names {
			b, _ := os.ReadFile(name)
			text := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b))
			if _, after, ok := strings.Cut(text, "/verify?code="); ok && len(after) > 26 {
				code = after[:26]
			}
		}
		return code != ""
	})
	id, _ := h.want("an invitation", "POST", "/admin/v1/realms/main/invitations", key, `{"email":"cat@example.org"}`, 201)["id"].(string)
	invitation := ""
	testwait.Until(t, 10*time.Second, "it arrives", func() bool {
		names, _ := filepath.Glob(filepath.Join(box, "*.eml"))
		for _, name := range names {
			b, _ := os.ReadFile(name)
			text := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b))
			if _, after, ok := strings.Cut(text, "/register?code="); ok && len(after) > len(id)+27 {
				invitation = after[:len(id)+27]
			}
		}
		return invitation != ""
	})
	if err := h.s.admin.Users.Register(t.Context(), gatehouse.MainRealm, gatehouse.Secret(invitation), "cat", housePassword); err != nil {
		t.Error(err)
	}
	id, _ = h.want("an invitation", "POST", "/admin/v1/realms/main/invitations", key, `{"email":"cat@example.org"}`, 201)["id"].(string)
	h.want("taken back", "DELETE", "/admin/v1/realms/main/invitations/"+id, key, "", 204)
	if err := h.s.admin.Users.VerifyAddress(t.Context(), nil, gatehouse.MainRealm, gatehouse.Secret(code)); err != nil {
		t.Error(err)
	}
}

// refusingPost is a mail server that takes no messages.
func refusingPost(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "220 mx.example ESMTP\r\n")
				for lines := bufio.NewScanner(c); lines.Scan(); {
					answer := "250 yes"
					if strings.HasPrefix(lines.Text(), "MAIL") {
						answer = "550 nothing from here"
					}
					_, _ = io.WriteString(c, answer+"\r\n")
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// signing makes a new signing key, which retires the old one, and removes that.
func (h *house) signing(key string) {
	const keys = "/admin/v1/realms/main/signing-keys"
	out := h.want("signing keys", "GET", keys, key, "", 200)
	items, _ := out["items"].([]any)
	kid := ""
	for _, k := range items {
		if k, _ := k.(map[string]any); k["state"] == "active" {
			kid, _ = k["kid"].(string)
		}
	}
	h.want("rotate", "POST", keys+"/rotate", key, `{"now":true}`, 201)
	h.want("remove", "DELETE", keys+"/"+kid, key, "", 204)
}

// facts asks the gateway for something that one policy a fact permits to whoever has it.
func (h *house) facts(t *testing.T, key string) {
	if status, out := h.call("GET", h.s.GatewayURL()+"/judged/1", key, ""); status != 403 {
		t.Errorf("before there is a policy: %d %v", status, out)
	}
	for _, f := range policy.Facts() {
		text := fmt.Sprintf("permit(principal, action == Action::%q, resource) when { context has %s };", "read", f.Name)
		b, _ := json.Marshal(map[string]string{"text": text})
		h.want("policy about "+f.Name, "PUT", "/admin/v1/realms/main/policies/fact-"+f.Name, key, string(b), 200)
	}
	h.want("somebody", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"eve","password":%q}`, housePassword), 201)
	out := h.want("login", "POST", "/tokens", "eve:"+housePassword, "", 200)
	access, _ := out["access_token"].(string)
	foreign := h.foreignToken(t, key)
	for what, credential := range map[string]string{"key": key, "token": access, "password": "eve:" + housePassword, "foreign token": foreign} {
		if status, out := h.call("GET", h.s.GatewayURL()+"/judged/1", credential, ""); status != 200 {
			t.Errorf("judged by policies, with a %s: %d %v", what, status, out)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.s.GatewayURL()+"/judged/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer nobody")
	r.Header.Set("X-Request-Id", "theirs")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("a wrong credential: %d", res.StatusCode)
	}
}

// foreignToken is a token of an issuer that the main realm trusts, of a login that its issuer calls strong.
func (h *house) foreignToken(t *testing.T, key string) string {
	k, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(token.MarshalJWKSet([]*token.Key{k}))
	}))
	t.Cleanup(site.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw})
	trust, _ := json.Marshal(map[string]any{"settings": map[string]any{"trusted_issuers": []any{map[string]any{"issuer": site.URL, "jwks_url": site.URL + "/keys",
		"audience": "https://api.example", "algorithms": []string{"ES256"}, "ca": string(ca), "allow_private_address": true}}}})
	h.want("trust", "PATCH", "/admin/v1/realms/main", key, string(trust), 200)
	now := time.Now()
	claims, _ := json.Marshal(map[string]any{"iss": site.URL, "aud": "https://api.example", "sub": "42", "acr": "2", "amr": []string{"mfa"}, "act": map[string]any{"sub": "43"},
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix()})
	text, err := k.Sign(token.TypeJWT, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// scrape notes the metrics that are there.
func (h *house) scrape(o *observed) {
	_, out := h.call("GET", h.s.MetricsURL()+"/metrics", "", "")
	text, _ := out["text"].(string)
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE gatehouse_"); ok {
			name, _, _ := strings.Cut(rest, " ")
			o.metrics["gatehouse_"+name] = true
		}
	}
}

// collect reads every event that is stored, of every realm, those that wait for their place in the log too.
func (h *house) collect(o *observed) {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), storeConfig(h.cfg, nil))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	for _, realm := range []string{gatehouse.MainRealm, "shop"} {
		for _, sequenced := range []bool{true, false} {
			batches, err := db.Batches(context.Background(), realm, audit.BatchQuery{Sequenced: sequenced, LastIndex: 1 << 40, Limit: 100_000})
			if err != nil {
				h.t.Fatal(err)
			}
			for _, b := range batches {
				for line := range strings.Lines(string(b.Data)) {
					o.event(h.t, line)
				}
			}
		}
	}
}

func (o *observed) event(t *testing.T, line string) {
	var e map[string]json.RawMessage
	var kind string
	if err := json.Unmarshal([]byte(line), &e); err != nil || json.Unmarshal(e["kind"], &kind) != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if o.members[kind] == nil {
		o.members[kind] = map[string]bool{}
	}
	for name, raw := range e {
		if name != "detail" {
			o.members[kind][name] = true
			continue
		}
		var detail map[string]string
		_ = json.Unmarshal(raw, &detail)
		for d := range detail {
			o.members[kind]["detail."+d] = true
		}
	}
	var chain []gatehouse.Step
	_ = json.Unmarshal(e["chain"], &chain)
	for _, step := range chain {
		for _, r := range step.Reasons {
			name, _, _ := strings.Cut(r.PolicyID, "#")
			o.rules[name] = true
		}
	}
}

// everywhere are the members that the page promises of all events at once, above the table.
var everywhere = []string{"id", "time", "realm", "kind", "outcome", "actor", "address", "request_id", "reason", "detail.truncated"}

// waiting are promises whose code is on its way; each is struck off as soon as it is seen.
var waiting []string

func (o *observed) compareEvents(t *testing.T) {
	page := readPage(t, "audit-events.md")
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| [^|]+ \\|([^|]*)\\|$")
	span := regexp.MustCompile("`([a-z_.]+)`")
	told := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		told[m[1]] = nil
		for _, s := range span.FindAllStringSubmatch(m[2], -1) {
			told[m[1]] = append(told[m[1]], s[1])
		}
	}
	if len(told) < 35 {
		t.Fatalf("found only %d kinds on the page: the search is broken", len(told))
	}
	for _, kind := range slices.Sorted(maps.Keys(told)) {
		got := o.members[kind]
		if slices.Contains(waiting, kind) != (got == nil) {
			t.Errorf("docs/audit-events.md promises %s: written %v", kind, got != nil)
			continue
		}
		for _, member := range told[kind] {
			if got != nil && !got[member] {
				t.Errorf("docs/audit-events.md promises `%s` of %s, and none had it", member, kind)
			}
		}
		for _, member := range slices.Sorted(maps.Keys(got)) {
			if !slices.Contains(told[kind], member) && !slices.Contains(everywhere, member) {
				t.Errorf("%s has the member `%s`, and docs/audit-events.md does not say so", kind, member)
			}
		}
	}
	for kind := range o.members {
		if _, ok := told[kind]; !ok {
			t.Errorf("%s was written, and docs/audit-events.md does not know it", kind)
		}
	}
}

func (o *observed) compareMetrics(t *testing.T) {
	name := regexp.MustCompile("`(gatehouse_[a-z_]+)`")
	told := map[string]bool{}
	for _, page := range []string{"metrics.md", "operate.md"} {
		for _, m := range name.FindAllStringSubmatch(readPage(t, page), -1) {
			told[m[1]] = true
			if !o.metrics[m[1]] {
				t.Errorf("docs/%s names %s, which was not served", page, m[1])
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(o.metrics)) {
		if !told[m] {
			t.Errorf("%s is served, and docs/metrics.md does not say so", m)
		}
	}
	if len(told) < 15 {
		t.Fatalf("found only %d metrics on the pages: the search is broken", len(told))
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
