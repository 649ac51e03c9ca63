package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// demo starts everything, as `make run` does, on free ports.
func demo(t *testing.T) *server.Demo {
	t.Helper()
	return demoOn(t, server.StoreConfig{})
}

// onBoth runs a flow on SQLite and on PostgreSQL.
func onBoth(t *testing.T, flow func(t *testing.T, d *server.Demo)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); flow(t, demo(t)) })
	t.Run("postgres", func(t *testing.T) { flow(t, demoOn(t, postgresStore(t))) })
}

func demoOn(t *testing.T, st server.StoreConfig) *server.Demo {
	t.Helper()
	return demoWith(t, st, func(*server.Config) {})
}

// demoWith is a demo with what change makes of its configuration.
func demoWith(t *testing.T, st server.StoreConfig, change func(*server.Config)) *server.Demo {
	t.Helper()
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Store: st,
		Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}}.With(change))
	if err != nil {
		t.Fatal(err)
	}
	// Nobody asks it any more: it need not wait for anything.
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { d.Close(over) })
	return d
}

type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// code is the stable code of a problem.
func (a answer) code() string { return a.text("code") }

// text is a member of the answer that is a text.
func (a answer) text(member string) string { s, _ := a.json[member].(string); return s }

// call sends one request; opts are header pairs, "basic" with "user:password",
// or "body" with the body.
func call(t *testing.T, method, url string, opts ...string) answer {
	t.Helper()
	var body io.Reader
	for i := 0; i+1 < len(opts); i += 2 {
		if opts[i] == "body" {
			body = strings.NewReader(opts[i+1])
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(opts); i += 2 {
		switch opts[i] {
		case "body":
		case "basic":
			r.Header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(opts[i+1])))
		case "bearer":
			r.Header.Add("Authorization", "Bearer "+opts[i+1])
		default:
			r.Header.Add(opts[i], opts[i+1])
		}
	}
	if body != nil && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &out.json)
	return out
}

func (a answer) want(t *testing.T, what string, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d %s, want %d", what, a.status, a.body, status)
	}
	return a
}

func login(t *testing.T, d *server.Demo, user string) (access, refresh string) {
	t.Helper()
	a := call(t, "POST", d.Issuer+"/tokens", "basic", user+":"+d.Users[user].Password).want(t, "POST /tokens", 200)
	access, _ = a.json["access_token"].(string)
	refresh, _ = a.json["refresh_token"].(string)
	if access == "" || refresh == "" || a.json["token_type"] != "Bearer" || a.json["expires_in"] == nil {
		t.Fatalf("POST /tokens: %s", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("tokens may be cached: %q", a.header.Get("Cache-Control"))
	}
	return access, refresh
}

// TestEveryCredential: one route, every first-party kind of credential.
//
// ASVS: 14.2.1
func TestEveryCredential(t *testing.T) {
	t.Parallel()
	d := demo(t)
	call(t, "GET", d.Gateway+"/public").want(t, "public", 200)
	private := d.Gateway + "/private"
	none := call(t, "GET", private).want(t, "nobody", 401)
	challenges := none.header.Values("WWW-Authenticate")
	if len(challenges) < 2 || !strings.Contains(strings.Join(challenges, "\n"), `Basic realm="`) || !strings.Contains(strings.Join(challenges, "\n"), `charset="UTF-8"`) ||
		!strings.Contains(strings.Join(challenges, "\n"), "Bearer") {
		t.Errorf("challenges %q", challenges)
	}
	if ct := none.header.Get("Content-Type"); ct != "application/problem+json" || none.code() == "" || none.json["request_id"] == nil {
		t.Errorf("problem: %s %s", ct, none.body)
	}
	for name, p := range d.Users {
		call(t, "GET", private, "basic", name+":"+p.Password).want(t, name+" Basic", 200)
		call(t, "GET", private, "bearer", p.APIKey).want(t, name+" key as Bearer", 200)
		call(t, "GET", private, "X-API-Key", p.APIKey).want(t, name+" X-API-Key", 200)
		access, _ := login(t, d, name)
		call(t, "GET", private, "bearer", access).want(t, name+" token", 200)
	}
	// A wrong credential never falls through to "anonymous", even where nobody is asked.
	call(t, "GET", d.Gateway+"/public", "basic", "alice:wrong").want(t, "wrong on a public route", 401)
	call(t, "GET", private, "basic", "alice:wrong", "X-API-Key", d.Users["bob"].APIKey).want(t, "two credentials", 400)
	call(t, "GET", private, "bearer", d.Users["bob"].APIKey, "Authorization", "Basic eDp5").want(t, "two lines", 400)
	call(t, "GET", private+"?access_token="+d.Users["bob"].APIKey).want(t, "key in the URL", 400)
	call(t, "GET", d.Gateway+"/nothing", "bearer", d.Users["alice"].APIKey).want(t, "no route", 404)
}

// TestTokenLife: issue, use, refresh, reuse, end.
//
// ASVS: 14.3.2
func TestTokenLife(t *testing.T) { onBoth(t, tokenLife) }

func tokenLife(t *testing.T, d *server.Demo) {
	private := d.Gateway + "/private"
	access, refresh := login(t, d, "bob")
	call(t, "GET", private, "bearer", access).want(t, "fresh", 200)

	next := call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "refresh", 200)
	access2, refresh2 := next.json["access_token"].(string), next.json["refresh_token"].(string)
	if refresh2 == refresh || access2 == access {
		t.Error("refresh did not rotate")
	}
	third := call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh2+`"}`).want(t, "second refresh", 200)
	// The first refresh token comes back after its successor was used: stolen.
	call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "reuse", 400)
	for name, token := range map[string]string{"first": access, "second": access2, "third": third.json["access_token"].(string)} {
		call(t, "GET", private, "bearer", token).want(t, "after reuse, "+name, 401)
	}
	call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+third.json["refresh_token"].(string)+`"}`).want(t, "the family is over", 400)

	access, refresh = login(t, d, "bob")
	call(t, "GET", private, "bearer", access).want(t, "again", 200)
	call(t, "DELETE", d.Issuer+"/tokens", "bearer", access).want(t, "DELETE /tokens", 204)
	call(t, "GET", private, "bearer", access).want(t, "after DELETE", 401)
	call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "refresh after DELETE", 400)
	call(t, "DELETE", d.Issuer+"/tokens", "bearer", access).want(t, "DELETE again", 401)
}

// TestSeedRules: the example policies of the seeds, over HTTP.
//
// ASVS: 8.2.2
func TestSeedRules(t *testing.T) {
	t.Parallel()
	d := demo(t)
	docs := d.Gateway + "/documents"
	key := func(who string) string { return d.Users[who].APIKey }
	create := func(who, visibility, team string) string {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"title": "T", "body": "B", "owner": d.Users[who].ID, "team": team, "visibility": visibility})
		a := call(t, "POST", docs, "bearer", key(who), "body", string(body)).want(t, who+" creates", 201)
		id, _ := a.json["id"].(string)
		if id == "" {
			t.Fatalf("created %s", a.body)
		}
		return docs + "/" + id
	}
	private, team, public := create("bob", "private", ""), create("bob", "team", "blue"), create("bob", "public", "")
	for _, tc := range []struct {
		who, method, url string
		want             int
	}{
		{"bob", "GET", private, 200}, {"alice", "GET", private, 200}, {"carol", "GET", private, 404}, {"dave", "GET", private, 404},
		{"bob", "GET", team, 200}, {"dave", "GET", team, 200}, {"carol", "GET", team, 404},
		{"carol", "GET", public, 200}, {"dave", "GET", public, 200},
		{"carol", "PUT", public, 404}, {"dave", "PUT", team, 404}, {"bob", "PUT", private, 200}, {"alice", "PUT", private, 200},
		{"carol", "DELETE", public, 404}, {"dave", "DELETE", team, 404}, {"bob", "DELETE", public, 204}, {"alice", "DELETE", team, 204},
	} {
		opts := []string{"bearer", key(tc.who)}
		if tc.method == "PUT" {
			opts = append(opts, "body", `{"title":"T2","body":"B2","visibility":"private"}`)
		}
		call(t, tc.method, tc.url, opts...).want(t, tc.who+" "+tc.method+" "+tc.url, tc.want)
	}
	// What may not be seen looks like what is not there.
	secret := call(t, "GET", private, "bearer", key("carol"))
	absent := call(t, "GET", docs+"/doc_doesnotexist", "bearer", key("carol"))
	if secret.status != absent.status || secret.code() != absent.code() || secret.json["title"] != absent.json["title"] || secret.json["detail"] != absent.json["detail"] {
		t.Errorf("existence shows:\n%s\n%s", secret.body, absent.body)
	}
	if list := call(t, "GET", docs, "bearer", key("carol")).want(t, "list", 200); strings.Contains(list.body, "Notes of bob") || !strings.Contains(list.body, "House rules") {
		t.Errorf("carol's list: %s", list.body)
	}
	call(t, "POST", docs, "bearer", key("carol"), "body", `{"title":"x","owner":"`+d.Users["carol"].ID+`"}`).want(t, "a viewer writes", 403)
	call(t, "POST", docs, "bearer", key("bob"), "body", `{"title":"x","owner":"`+d.Users["alice"].ID+`"}`).want(t, "in another's name", 403)
	mine := call(t, "POST", docs, "bearer", key("bob"), "body", `{"title":"no owner named"}`).want(t, "owner left to the API", 201)
	if mine.json["owner"] != d.Users["bob"].ID {
		t.Errorf("owner: %s", mine.body)
	}
}

// TestRevocationAtOnce: an answer of the management API means that it holds.
//
// ASVS: 8.3.2
func TestRevocationAtOnce(t *testing.T) { onBoth(t, revocationAtOnce) }

func revocationAtOnce(t *testing.T, d *server.Demo) {
	private, admin := d.Gateway+"/private", d.Issuer+"/admin/v1/realms/main"
	as := []string{"bearer", d.AdminToken}
	access, refresh := login(t, d, "bob")
	call(t, "GET", private, "bearer", access).want(t, "before", 200)
	call(t, "POST", admin+"/users/bob/revoke", as...).want(t, "revoke", 204)
	call(t, "GET", private, "bearer", access).want(t, "after the cut-off", 401)
	call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`).want(t, "refresh after the cut-off", 400)
	again, _ := login(t, d, "bob")
	call(t, "GET", private, "bearer", again).want(t, "a new login", 200)

	id := strings.Split(d.Users["bob"].APIKey, "_")[2][:12]
	call(t, "GET", private, "bearer", d.Users["bob"].APIKey).want(t, "key before", 200)
	call(t, "POST", admin+"/keys/"+id+"/revoke", as...).want(t, "revoke key", 200)
	call(t, "GET", private, "bearer", d.Users["bob"].APIKey).want(t, "key after", 401)

	call(t, "POST", d.Issuer+"/admin/v1/keys/leaked", "body", `{"key":"`+d.Users["carol"].APIKey+`"}`).want(t, "leaked", 204)
	call(t, "GET", private, "bearer", d.Users["carol"].APIKey).want(t, "leaked key", 401)

	token, _ := login(t, d, "dave")
	call(t, "PATCH", admin+"/users/dave", append(as, "body", `{"disabled":true}`)...).want(t, "disable", 200)
	call(t, "GET", private, "bearer", token).want(t, "token of a disabled user", 401)
	call(t, "GET", private, "bearer", d.Users["dave"].APIKey).want(t, "key of a disabled user", 401)
	call(t, "GET", private, "basic", "dave:"+d.Users["dave"].Password).want(t, "password of a disabled user", 401)

	// A role that is taken away is gone with the answer, tokens or not.
	mine, _ := login(t, d, "alice")
	doc := call(t, "POST", d.Gateway+"/documents", "bearer", mine, "body", `{"title":"t","visibility":"private"}`).want(t, "create", 201)
	call(t, "PATCH", admin+"/users/alice", append(as, "body", `{"roles":[]}`)...).want(t, "take the role", 200)
	call(t, "POST", d.Gateway+"/documents", "bearer", mine, "body", `{"title":"t"}`).want(t, "without the role", 403)
	_ = doc
}

// TestExplain: under the request id of a refusal the operator finds why.
//
// ASVS: 16.2.1, 16.2.4, 16.3.2
func TestExplain(t *testing.T) { onBoth(t, explain) }

func explain(t *testing.T, d *server.Demo) {
	refused := call(t, "POST", d.Gateway+"/documents", "bearer", d.Users["carol"].APIKey, "body", `{"title":"x"}`).want(t, "refused", 403)
	id, _ := refused.json["request_id"].(string)
	var out answer
	testwait.For(5*time.Second, func() bool {
		out = call(t, "GET", d.Issuer+"/admin/v1/realms/main/explain/"+id, "bearer", d.AdminToken)
		return out.status == 200
	})
	out.want(t, "explain", 200)
	for _, want := range []string{`"carol"`, `"authorize"`, `"no_permit"`, `/documents`} {
		if !strings.Contains(out.body, want) {
			t.Errorf("explain lacks %s: %s", want, out.body)
		}
	}
	if strings.Contains(refused.body, "no_permit") || strings.Contains(refused.body, "carol") {
		t.Errorf("the refusal tells too much: %s", refused.body)
	}
	call(t, "GET", d.Issuer+"/admin/v1/realms/main/explain/"+id, "bearer", d.Users["bob"].APIKey).want(t, "explain for bob", 403)
}

// TestNoSecretAtRest: what was minted is nowhere in the data directory.
//
// ASVS: 13.3.1, 14.2.4, 16.2.5
func TestNoSecretAtRest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: dir, Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	access, refresh := login(t, d, "bob")
	secrets := []string{d.AdminToken, access, refresh}
	for _, p := range d.Users {
		secrets = append(secrets, p.Password, p.APIKey)
	}
	call(t, "GET", d.Gateway+"/private", "basic", "alice:"+d.Users["alice"].Password).want(t, "Basic", 200)
	d.Close(context.Background())
	files := 0
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) || bytes.Contains(b, []byte(s[len(s)/2:])) {
				t.Errorf("%s holds a secret in clear", filepath.Base(path))
			}
		}
		return err
	})
	if err != nil || files < 2 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// TestDemoTwice: a second demo in the same directory, as of somebody who forgot the
// first, takes nothing from it; and an address that is taken is told in plain words.
func TestDemoTwice(t *testing.T) {
	data := filepath.Join(t.TempDir(), "demo")
	start := func(data, listen string) (*server.Demo, error) {
		return server.StartDemo(t.Context(), server.DemoConfig{Data: data, Listen: listen, Gateway: "127.0.0.1:0",
			Log: server.LogConfig{Level: "error", Format: "text"}})
	}
	first, err := start(data, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(context.Background())
	if _, err := start(data, "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "a demo runs in "+data+" already") {
		t.Errorf("a second one in its directory: %v", err)
	}
	address := strings.TrimPrefix(first.Issuer, "http://")
	if _, err := start(filepath.Join(t.TempDir(), "other"), address); err == nil || !strings.Contains(err.Error(), "another program has "+address+" already") ||
		!strings.Contains(err.Error(), "--listen") {
		t.Errorf("a second one at its address: %v", err)
	}
	if files, err := filepath.Glob(filepath.Join(data, "gatehouse.db")); err != nil || len(files) != 1 {
		t.Errorf("the first one has lost its database: %q, %v", files, err)
	}
	first.Close(t.Context())
	again, err := start(data, "127.0.0.1:0")
	if err != nil {
		t.Fatal("after its end: ", err)
	}
	again.Close(t.Context())
}
