package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
)

// TestConformance: the issuer for the conformance suite is this machine's alone, over TLS; its person signs in with what the suite's
// configuration says, by the ids that it says, and a client of it gets an ID token for a request without PKCE.
func TestConformance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	cfg := server.ConformanceConfig{Data: dir, Listen: "127.0.0.1:0", Suite: "https://suite.example:8443", Alias: "us", Log: server.LogConfig{Level: "error", Format: "text"}}
	for name, change := range map[string]func(*server.ConformanceConfig){
		"for everybody":   func(c *server.ConformanceConfig) { c.Listen = "0.0.0.0:0" },
		"by a name":       func(c *server.ConformanceConfig) { c.Listen = "example.com:0" },
		"a suite in http": func(c *server.ConformanceConfig) { c.Suite = "http://suite.example" },
		"no certificate":  func(c *server.ConformanceConfig) { c.SuiteCA = "conformance_test.go" },
		"somebody's data": func(c *server.ConformanceConfig) { c.Data = "." },
	} {
		wrong := cfg
		change(&wrong)
		if d, err := server.StartConformance(t.Context(), wrong); err == nil {
			d.Close(context.Background())
			t.Errorf("%s: it starts", name)
		}
	}
	d, err := server.StartConformance(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })

	roots := x509.NewCertPool()
	chain, err := os.ReadFile(filepath.Join(dir, "tls.pem"))
	if err != nil || !roots.AppendCertsFromPEM(chain) {
		t.Fatal("no certificate")
	}
	v := newVisitor(t)
	v.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(v.client.CloseIdleConnections)

	// RFC 9325 §4.2: nothing in CBC mode, whatever a caller offers.
	for suite, want := range map[uint16]bool{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: false} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(d.Issuer, "https://"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}

	var suite struct {
		Server map[string]any
		Client struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		Browser []struct {
			Tasks []struct{ Commands [][]any }
		}
	}
	text, err := json.Marshal(d.Configuration)
	if err == nil {
		err = json.Unmarshal(text, &suite)
	}
	if err != nil {
		t.Fatal(err)
	}
	// What the suite's browser would do, by the ids that the pages have.
	typed := map[string]string{}
	for _, task := range suite.Browser[0].Tasks {
		for _, c := range task.Commands {
			if c[0] == "text" {
				typed[strings.Trim(strings.TrimSuffix(c[2].(string), ":not([readonly])"), "#")] = c[3].(string)
			}
		}
	}
	discovery := suite.Server["discoveryUrl"].(string)
	_, page := v.get(discovery)
	metadata := object(t, []byte(page))
	callback := "https://suite.example:8443/test/a/us/callback"
	query := url.Values{"response_type": {"code"}, "client_id": {suite.Client.ID}, "redirect_uri": {callback}, "scope": {"openid email"}, "state": {"s"}, "nonce": {"n"}}.Encode()
	status, to := v.get(metadata["authorization_endpoint"].(string) + "?" + query)
	if status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	_, page = v.get(d.Issuer + to)
	for _, id := range []string{"identifier", "continue"} {
		if !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("nothing has the id %s: %s", id, page)
		}
	}
	at, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	fields := url.Values{"identifier": {typed["identifier"]}, "step": {"identifier"}, "return": at.Query()["return"]}
	if _, page = v.send(d.Issuer+"/signin", fields); !strings.Contains(page, `id="password"`) || !strings.Contains(page, `id="submit"`) {
		t.Errorf("the second page: %s", page)
	}
	if m := formToken.FindStringSubmatch(page); m != nil {
		v.form = m[1]
	}
	fields.Set("step", "password")
	fields.Set("password", typed["password"])
	status, to = v.send(d.Issuer+"/signin", fields)
	if status != 303 {
		t.Fatalf("not signed in: %d %s", status, to)
	}
	if _, page = v.get(d.Issuer + to); !strings.Contains(page, `id="allow"`) {
		t.Fatalf("not asked: %s", page)
	}
	_, query, _ = strings.Cut(to, "?")
	_, to = v.send(d.Issuer+"/authorize/consent", url.Values{"request": {query}, "do": {"allow"}})
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, callback) {
		t.Fatal(to)
	}

	// The key of its ID tokens was published before the first of them.
	keys := func() (algorithms []string) {
		_, page := v.get(metadata["jwks_uri"].(string))
		for _, k := range object(t, []byte(page))["keys"].([]any) {
			algorithms = append(algorithms, k.(map[string]any)["alg"].(string))
		}
		return algorithms
	}
	if have := keys(); !slices.Contains(have, "RS256") {
		t.Errorf("published: %v", have)
	}
	r, _ := http.NewRequest("POST", metadata["token_endpoint"].(string), strings.NewReader(url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {callback}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(suite.Client.ID, suite.Client.Secret)
	res, err := v.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if tokens := object(t, body); err != nil || tokens["id_token"] == nil {
		t.Errorf("%d %s", res.StatusCode, body)
	}

	// Clients that register themselves are held to what OpenID Connect asks, and no more.
	res, err = v.client.Post(metadata["registration_endpoint"].(string), "application/json", strings.NewReader(`{"redirect_uris":["`+callback+`"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://suite.example/keys"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if made := object(t, body); err != nil || made["require_pkce"] != false || made["legacy_assertion_aud"] != true {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestConformanceMTLS: with the variants for it, the suite is given certificates by which its clients prove who they are and get tokens
// that are bound to them.
func TestConformanceMTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	cfg := server.ConformanceConfig{Data: dir, Listen: "127.0.0.1:0", Suite: "https://suite.example:8443", Alias: "us", ClientAuth: "mtls", SenderConstrain: "mtls", Log: server.LogConfig{Level: "error", Format: "text"}}
	for name, change := range map[string]func(*server.ConformanceConfig){"without FAPI 2.0": func(*server.ConformanceConfig) {}, "another method": func(c *server.ConformanceConfig) { c.FAPI2, c.ClientAuth = true, "dpop" }} {
		wrong := cfg
		change(&wrong)
		if d, err := server.StartConformance(t.Context(), wrong); err == nil {
			d.Close(context.Background())
			t.Errorf("%s: it starts", name)
		}
	}
	cfg.FAPI2 = true
	d, err := server.StartConformance(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })
	roots := x509.NewCertPool()
	chain, err := os.ReadFile(filepath.Join(dir, "tls.pem"))
	if err != nil || !roots.AppendCertsFromPEM(chain) {
		t.Fatal("no certificate")
	}
	for i, of := range []struct {
		id, cert, key string
	}{{d.Configuration.Client.ID, d.Configuration.MTLS.Certificate, d.Configuration.MTLS.Key}, {d.Configuration.Client2.ID, d.Configuration.MTLS2.Certificate, d.Configuration.MTLS2.Key}} {
		shown, err := tls.X509KeyPair([]byte(of.cert), []byte(of.key))
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{shown}}}}
		t.Cleanup(c.CloseIdleConnections)
		token := strings.Replace(d.Configuration.Resource["resourceUrl"], "/userinfo", "/token", 1)
		for id, want := range map[string]string{of.id: "invalid_grant", d.Configuration.Client.ID + "x": "invalid_client"} {
			res, err := c.PostForm(token, url.Values{"grant_type": {"authorization_code"}, "client_id": {id}, "code": {"x"}, "code_verifier": {strings.Repeat("v", 43)}, "redirect_uri": {"https://suite.example:8443/test/a/us/callback"}})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if answer := object(t, body); err != nil || answer["error"] != want {
				t.Errorf("client %d as %s: %d %s", i+1, id, res.StatusCode, body)
			}
		}
	}
}
