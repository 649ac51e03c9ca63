package server_test

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// describer serves documents about clients, by their paths.
type describer struct {
	*httptest.Server
	roots *x509.CertPool
	asked atomic.Int64

	mu        sync.Mutex
	documents map[string]http.HandlerFunc
}

func newDescriber(t *testing.T) *describer {
	t.Helper()
	d := &describer{documents: map[string]http.HandlerFunc{}, roots: x509.NewCertPool()}
	d.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		d.mu.Lock()
		h := d.documents[r.URL.Path]
		d.mu.Unlock()
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}))
	t.Cleanup(d.Close)
	d.roots.AddCert(d.Certificate())
	return d
}

// says puts a document at a path, with members that differ: nil for one that is left out. It returns the client_id.
func (d *describer) says(path string, members map[string]any) string {
	doc := map[string]any{"client_id": d.URL + path, "client_name": "Notes", "redirect_uris": []string{back}, "grant_types": []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_method": "none", "scope": "documents:read offline_access documents:write"}
	maps.Copy(doc, members)
	maps.DeleteFunc(doc, func(_ string, v any) bool { return v == nil })
	text, _ := json.Marshal(doc)
	d.at(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	return d.URL + path
}

func (d *describer) at(path string, h http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.documents[path] = h
}

func (d *describer) host() string { return strings.TrimPrefix(d.URL, "https://") }

// documented is a program whose client_id is a document.
func documented(t *testing.T, d *server.Demo, id string) *program {
	return &program{t: t, issuer: d.Issuer, id: id, redirect: back, verifier: strings.Repeat("v", 43)}
}

// TestClientDocument: a program that nobody registered is known by the document at its client_id, where the realm takes such
// (OAuth Client ID Metadata Document): a person is told whose it is and lets it in, it renews, is stored, and ends by what an administrator says.
func TestClientDocument(t *testing.T) { onBoth(t, clientDocument) }

func clientDocument(t *testing.T, d *server.Demo) {
	who := newDescriber(t)
	server.LetFetch(t, d.Server(), who.roots)
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	supported := func() any {
		return call(t, "GET", d.Issuer+"/.well-known/oauth-authorization-server").json["client_id_metadata_document_supported"]
	}
	id := who.says("/notes", nil)
	p, v := documented(t, d, id), signedIn(t, d)
	shown := func(query, code string) {
		t.Helper()
		if status, page := v.get(d.Issuer + "/authorize?" + query); status == 200 || !strings.Contains(page, code) {
			t.Errorf("not refused by %s: %d %s", code, status, page)
		}
	}
	// Nobody asks anywhere unless an administrator says so.
	shown(p.query(), "client_id_unknown")
	if supported() != nil || who.asked.Load() != 0 {
		t.Errorf("off by default: %v, %d fetches", supported(), who.asked.Load())
	}
	for _, hosts := range []string{`"https://app.example"`, `"App.example"`, `"app.example/x"`, `"app.example","app.example"`, `""`} {
		admin("PATCH", "", `{"settings":{"client_document_hosts":[`+hosts+`]}}`, 422)
	}
	admin("PATCH", "", `{"settings":{"client_document_hosts":["other.example"],"client_registration_scopes":["documents:read","offline_access"]}}`, 200)
	shown(p.query(), "client_id_unknown")
	if supported() != true || who.asked.Load() != 0 {
		t.Errorf("another host: %v, %d fetches", supported(), who.asked.Load())
	}
	admin("PATCH", "", `{"settings":{"client_document_hosts":["`+who.host()+`"]}}`, 200)

	// Documents that cannot be used; each one is looked at, and none is remembered.
	for what, c := range map[string]struct {
		members map[string]any
		handler http.HandlerFunc
		code    string
	}{
		"another's document": {members: map[string]any{"client_id": id + "x"}, code: "client_document_refused"},
		"no client_id":       {members: map[string]any{"client_id": nil}, code: "client_document_refused"},
		"a secret":           {members: map[string]any{"client_secret": "s"}, code: "client_document_refused"},
		"a shared secret":    {members: map[string]any{"token_endpoint_auth_method": "client_secret_basic"}, code: "client_document_refused"},
		"no keys":            {members: map[string]any{"token_endpoint_auth_method": "private_key_jwt"}, code: "client_document_refused"},
		"no address":         {members: map[string]any{"redirect_uris": []string{}}, code: "client_document_refused"},
		"an address in http": {members: map[string]any{"redirect_uris": []string{"http://app.example/"}}, code: "client_document_refused"},
		"no text":            {members: map[string]any{"client_name": "a\nb"}, code: "client_document_refused"},
		"no code":            {members: map[string]any{"grant_types": []string{"client_credentials"}}, code: "client_document_refused"},
		"too long":           {members: map[string]any{"x": strings.Repeat("x", 5<<10)}, code: "client_document_unavailable"},
		"a page": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("{}"))
		}, code: "client_document_refused"},
		"an error":  {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, code: "client_document_unavailable"},
		"elsewhere": {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/notes", http.StatusFound) }, code: "client_document_unavailable"},
	} {
		wrong := who.says("/wrong", c.members)
		if c.handler != nil {
			who.at("/wrong", c.handler)
		}
		shown(documented(t, d, wrong).query(), c.code)
		if a := documented(t, d, wrong).renews(d.Issuer, "ghr_x"); c.code == "client_document_refused" && (a.status != 400 || a.text("error") != "invalid_client") {
			t.Errorf("%s, at the token endpoint: %d %s", what, a.status, a.body)
		}
	}
	for _, other := range []string{strings.Replace(id, "https:", "http:", 1), d.Issuer, who.URL, id + "#x", who.URL + "/a/../notes", strings.Replace(id, "https://", "https://u@", 1)} {
		shown(documented(t, d, other).query(), "client_id_unknown")
	}

	// A person is told whose it is.
	before := who.asked.Load()
	_, page := v.get(d.Issuer + "/authorize?" + p.query())
	page = strings.ReplaceAll(page, "<wbr>", "")
	for _, want := range []string{`id="described"`, who.host(), `id="unverified"`, "app.example"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s: %s", want, page)
		}
	}
	shown(p.query("scope", "documents:write"), "invalid_scope")
	shown(p.query("redirect_uri", "https://other.example/"), "redirect_uri_refused")
	shown(p.query("code_challenge", "", "code_challenge_method", ""), "invalid_request")
	if list := admin("GET", "/clients", "", 200).body; strings.Contains(list, id) {
		t.Error("it is stored before anybody lets it have something")
	}
	tokens := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query())).want(t, "what a person allowed", 200)
	if tokens.text("scope") != "documents:read offline_access" {
		t.Errorf("%s", tokens.body)
	}
	tokens = p.renews(d.Issuer, tokens.text("refresh_token")).want(t, "renewed", 200)
	p.allows(v, d.Issuer, p.query("prompt", "none")) // it is remembered
	pushed := call(t, "POST", d.Issuer+"/par", "Content-Type", "application/x-www-form-urlencoded", "body", p.query()).want(t, "pushed", 201)
	p.allows(v, d.Issuer, url.Values{"client_id": {id}, "request_uri": {pushed.text("request_uri")}}.Encode())
	if n := who.asked.Load() - before; n != 1 {
		t.Errorf("%d fetches of one document", n)
	}
	at := "/clients/" + url.PathEscape(strings.TrimPrefix(id, "https://"))
	if c := admin("GET", at, "", 200); c.text("client_id") != id || c.json["registered_itself"] != true {
		t.Errorf("%s", c.body)
	}
	log := admin("GET", "/audit/events?kind=client.describe", "", 200).body
	if !strings.Contains(log, id) {
		t.Errorf("nothing is recorded: %s", log)
	}

	// What an administrator says counts, and what it is he does not say.
	if a := admin("PATCH", at, `{"scope":"documents:write"}`, 409); a.code() != "client_described_elsewhere" {
		t.Errorf("%s", a.body)
	}
	admin("PATCH", at, `{"disabled":true}`, 200)
	shown(p.query(), "client_id_unknown")
	if a := p.renews(d.Issuer, tokens.text("refresh_token")); a.text("error") != "invalid_client" {
		t.Errorf("disabled, it renews: %s", a.body)
	}
	admin("PATCH", at, `{"disabled":false}`, 200)
	again := p.redeems(d.Issuer, p.allows(v, d.Issuer, p.query("prompt", "consent"))).want(t, "let in again", 200)
	admin("PATCH", "", `{"settings":{"client_document_hosts":[]}}`, 200)
	shown(p.query(), "client_id_unknown")
	if a := p.renews(d.Issuer, again.text("refresh_token")); a.text("error") != "invalid_client" {
		t.Errorf("where there are no such clients, it renews: %s", a.body)
	}
}

// TestClientDocumentsEverywhere: what a person lets such a program have is good at every node, and a document that changes asks people
// anew and takes back what it may no longer, wherever the change is seen.
func TestClientDocumentsEverywhere(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	who := newDescriber(t)
	server.LetFetch(t, a.Server(), who.roots)
	server.LetFetch(t, b, who.roots)
	call(t, "PATCH", a.Issuer+"/admin/v1/realms/main", "bearer", a.AdminToken, "body",
		`{"settings":{"client_document_hosts":["*"],"client_registration_scopes":["documents:read","offline_access"]}}`).want(t, "setting", 200)
	id := who.says("/notes", nil)
	p, v := documented(t, a, id), signedIn(t, a)
	testwait.Until(t, soon, "the other node knows the setting", func() bool {
		return call(t, "POST", b.AuthURL()+"/par", "Content-Type", "application/x-www-form-urlencoded", "body", p.query()).status == 201
	})
	tokens := p.redeems(b.AuthURL(), p.allows(v, a.Issuer, p.query())).want(t, "redeemed at the other node", 200)
	tokens = p.renews(b.AuthURL(), tokens.text("refresh_token")).want(t, "renewed at the other node", 200)
	if list := call(t, "GET", b.AuthURL()+"/admin/v1/realms/main/clients", "bearer", a.AdminToken).body; !strings.Contains(list, id) {
		t.Errorf("the other node does not know it: %s", list)
	}
	if a := call(t, "GET", b.AuthURL()+"/admin/v1/me", "bearer", tokens.text("access_token")); a.status == 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	who.says("/notes", map[string]any{"client_name": "Other Notes", "redirect_uris": []string{back, "https://evil.example/"}, "grant_types": []string{"authorization_code"}})
	server.ForgetDocuments(a.Server())
	if _, page := v.get(a.Issuer + "/authorize?" + p.query("scope", "documents:read")); !strings.Contains(page, "Other Notes") {
		t.Errorf("nobody is asked about what it says now: %s", page)
	}
	testwait.Until(t, soon, "what it had by what it may no longer ends everywhere", func() bool {
		return call(t, "GET", b.AuthURL()+"/admin/v1/me", "bearer", tokens.text("access_token")).status == 401 &&
			p.renews(b.AuthURL(), tokens.text("refresh_token")).status != 200
	})
}
