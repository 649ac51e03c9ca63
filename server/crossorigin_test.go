package server_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestPagesOfClients: a page may call the endpoints of tokens where a client has pages of its origin, and read what that client is
// answered; what people are asked on, and what APIs ask, is for no page of another origin. What is published is for all.
func TestPagesOfClients(t *testing.T) { onBoth(t, pagesOfClients) }

func pagesOfClients(t *testing.T, d *server.Demo) {
	const app, other = "https://app.example", "https://other.example"
	p := registers(t, d, "") // of app
	secret := registers(t, d, `,"token_endpoint_auth_method":"client_secret_post","allowed_cors_origins":["`+other+`"]`)
	allowed := func(what string, a answer, origin string) {
		t.Helper()
		if got := a.header.Get("Access-Control-Allow-Origin"); got != origin || a.header.Get("Access-Control-Allow-Credentials") != "" ||
			(a.header.Get("Cross-Origin-Resource-Policy") == "") != (origin != "") || !slices.Contains(a.header.Values("Vary"), "Origin") && !strings.HasPrefix(a.header.Get("Vary"), "Origin, ") {
			t.Errorf("%s: %v, want %q", what, a.header, origin)
		}
	}
	ask := func(path, origin, method string) answer {
		return call(t, "OPTIONS", d.Issuer+path, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "dpop")
	}
	form := func(path, origin, body string) answer {
		return call(t, "POST", d.Issuer+path, "Origin", origin, "Content-Type", "application/x-www-form-urlencoded", "body", body)
	}
	for _, path := range []string{"/token", "/revoke"} {
		a := ask(path, app, "POST").want(t, path, 204)
		allowed("asked first: "+path, a, app)
		if a.header.Get("Access-Control-Allow-Methods") != "POST" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "DPoP") {
			t.Errorf("%s: %v", path, a.header)
		}
		allowed("a method that is not there", ask(path, app, "DELETE").want(t, path, 204), "")
		for _, stranger := range []string{"https://evil.example", "null", "https://app.example:8443", "http://app.example", "https://APP.example", app + "/", "*"} {
			allowed(stranger, ask(path, stranger, "POST").want(t, path, 204), "")
			allowed(stranger, form(path, stranger, "client_id="+p.id).want(t, path, 400), "")
		}
		allowed("in another realm", ask("/realms/none"+path, app, "POST").want(t, path, 204), "")
		allowed("its own", form(path, app, "client_id="+p.id+"&grant_type=refresh_token").want(t, path, 400), app)
		allowed("who it is is not known yet", form(path, app, "client_id=cli_none&grant_type=refresh_token").want(t, path, 401), app)
		allowed("another client's", form(path, other, "client_id="+p.id+"&grant_type=refresh_token").want(t, path, 400), "")
		allowed("another one by its secret", form(path, other, "client_id="+secret.id+"&client_secret="+secret.secret+"&grant_type=refresh_token").want(t, path, 400), other)
		allowed("where a client with a secret is sent", form(path, app, "client_id="+secret.id+"&client_secret="+secret.secret+"&grant_type=refresh_token").want(t, path, 400), "")
		if a := form(path, app, "client_id="+p.id+"&grant_type=refresh_token"); !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	for _, path := range []string{"/authorize", "/introspect", "/signin", "/account", "/admin/v1/me"} {
		for _, method := range []string{"GET", "POST"} {
			if a := ask(path, app, method); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", path, a.header)
			}
			if a := call(t, method, d.Issuer+path, "Origin", app); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", path, a.header)
			}
		}
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		a := ask(path, "https://evil.example", "GET").want(t, path, 204)
		if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Headers") != "*" {
			t.Errorf("%s: %v", path, a.header)
		}
		if a := ask(path, app, "POST").want(t, path, 405); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	// A change is in force when it is answered.
	change := func(body string) {
		t.Helper()
		call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+p.id, "bearer", d.AdminToken, "body", body).want(t, body, 200)
	}
	change(`{"disabled":true}`)
	allowed("disabled", ask("/token", app, "POST"), "")
	change(`{"disabled":false,"allowed_cors_origins":["https://late.example"]}`)
	allowed("enabled", ask("/token", app, "POST"), app)
	allowed("one more", ask("/token", "https://late.example", "POST"), "https://late.example")
	change(`{"allowed_cors_origins":[]}`)
	allowed("one less", ask("/token", "https://late.example", "POST"), "")
}

// TestPageInTheBrowser: a page without a server of its own gets tokens in Chromium by its script alone (code, PKCE, DPoP), and ends them;
// the same script at an origin that is not registered reads nothing.
func TestPageInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	d := demo(t)
	var id string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(strings.NewReplacer("ISSUER", d.Issuer, "CLIENT", id).Replace(singlePage)))
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here := "http://localhost:" + port + "/"
	id = registers(t, d, `,"dpop_bound_access_tokens":true`).id
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+id, "bearer", d.AdminToken, "body", `{"redirect_uris":["`+here+`"]}`).want(t, "address", 200)
	p := chromium.Open(t, testbrowser.View{})
	p.Go(here)
	p.Wait("sign-in")
	p.Follow("sign-in")
	p.Type("identifier", "bob")
	p.Follow("continue")
	p.Type("password", d.Users["bob"].Password)
	p.Follow("submit")
	p.Follow("allow")
	p.Wait("said")
	if got := p.Text("said"); got != "DPoP documents:read 200 invalid_grant" {
		t.Errorf("%q at %s", got, p.URL())
	}
	p.Go(s.URL + "/?code=x") // the same page, at 127.0.0.1
	p.Wait("said")
	if got := p.Text("said"); got != "TypeError" {
		t.Errorf("at another origin: %q", got)
	}
}

// singlePage is a program that is a page and nothing else.
const singlePage = `<!doctype html><link rel="icon" href="data:,"><title>App</title><body><script type="module">
const b64 = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
const text = s => new TextEncoder().encode(s);
const show = (id, tag, words) => { const e = document.body.appendChild(document.createElement(tag)); e.id = id; e.textContent = words; return e; };
const m = await (await fetch("ISSUER/.well-known/oauth-authorization-server", {headers: {"MCP-Protocol-Version": "2026-07-28"}})).json();
const back = location.origin + "/", code = new URLSearchParams(location.search).get("code");
if (!code) {
  const verifier = b64(crypto.getRandomValues(new Uint8Array(32)));
  sessionStorage.setItem("verifier", verifier);
  const q = new URLSearchParams({response_type: "code", client_id: "CLIENT", redirect_uri: back, scope: "documents:read",
    code_challenge: b64(await crypto.subtle.digest("SHA-256", text(verifier))), code_challenge_method: "S256"});
  show("sign-in", "a", "Sign in").href = m.authorization_endpoint + "?" + q;
} else try {
  const keys = await crypto.subtle.generateKey({name: "ECDSA", namedCurve: "P-256"}, false, ["sign"]);
  const {kty, crv, x, y} = await crypto.subtle.exportKey("jwk", keys.publicKey);
  let nonce;
  const proof = async url => {
    const head = b64(text(JSON.stringify({typ: "dpop+jwt", alg: "ES256", jwk: {kty, crv, x, y}})));
    const said = b64(text(JSON.stringify({jti: crypto.randomUUID(), htm: "POST", htu: url, iat: Math.floor(Date.now() / 1000), nonce})));
    return head + "." + said + "." + b64(await crypto.subtle.sign({name: "ECDSA", hash: "SHA-256"}, keys.privateKey, text(head + "." + said)));
  };
  const send = async (url, form) => fetch(url, {method: "POST", headers: {DPoP: await proof(url)}, body: new URLSearchParams({client_id: "CLIENT", ...form})});
  const post = async (url, form) => {
    const first = await send(url, form);
    if (!(nonce = first.headers.get("DPoP-Nonce"))) return first;
    return send(url, form);
  };
  const form = {grant_type: "authorization_code", code, redirect_uri: back, code_verifier: sessionStorage.getItem("verifier") ?? "x".repeat(43)};
  const t = await (await post(m.token_endpoint, form)).json();
  const ended = await post(m.revocation_endpoint, {token: t.refresh_token});
  const again = await (await post(m.token_endpoint, {grant_type: "refresh_token", refresh_token: t.refresh_token})).json();
  show("said", "p", [t.token_type, t.scope, ended.status, again.error].join(" "));
} catch (e) { show("said", "p", e.name); }
</script>`
