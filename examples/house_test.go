package examples_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/openapi"
	"github.com/gatehouse-auth/gatehouse/server"
)

// facade stands before Gatehouse's auth listener, under the issuer's URL. It
// passes everything on, and adds one key of the test to the published set. So a
// token can be made that is wrong in one way only: were that way not checked, the
// token would be accepted, as the one that is right in every way is.
type facade struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	target  atomic.Pointer[url.URL]
	fetched atomic.Int64 // how often the key set was asked for
	client  atomic.Value // X-Forwarded-For of the last request to /tokens
}

const facadeKID = "key-of-the-test"

func newFacade(t *testing.T) *facade {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &facade{key: key}
	f.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(f.target.Load())
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} {
				if lines := pr.In.Header[name]; lines != nil {
					pr.Out.Header[name] = lines
				}
			}
			switch pr.In.URL.Path {
			case "/tokens":
				f.client.Store(strings.Join(pr.In.Header["X-Forwarded-For"], ", "))
			case "/.well-known/jwks.json":
				pr.Out.Header.Del("Accept-Encoding")
				pr.Out.Header.Del("If-None-Match")
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path != "/.well-known/jwks.json" {
				return nil
			}
			f.fetched.Add(1)
			var set struct {
				Keys []json.RawMessage `json:"keys"`
			}
			if err := json.NewDecoder(r.Body).Decode(&set); err != nil {
				return err
			}
			set.Keys = append(set.Keys, f.jwk(t))
			body, err := json.Marshal(set)
			if err != nil {
				return err
			}
			r.Body.Close()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Del("Content-Length")
			r.Header.Del("ETag")
			return nil
		},
	})
	t.Cleanup(f.Close)
	return f
}

// jwk is the public half of the facade's key.
func (f *facade) jwk(t *testing.T) json.RawMessage {
	point, err := f.key.PublicKey.Bytes()
	if err != nil {
		t.Error(err)
		return nil
	}
	b64 := base64.RawURLEncoding.EncodeToString
	b, err := json.Marshal(map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": facadeKID,
		"x": b64(point[1:33]), "y": b64(point[33:])})
	if err != nil {
		t.Error(err)
	}
	return b
}

// house is a running Gatehouse with one user, alice.
type house struct {
	*facade
	cfg                     server.Config
	server                  *server.Server
	gateway                 string
	alice, password, apiKey string
	operator                string // key of the first administrator
}

// newHouse starts Gatehouse as `gatehouse protect` does for an API, with further
// upstreams under host names of their own, and what change makes of its configuration.
func newHouse(t *testing.T, f *facade, upstream, openAPI string, hosts map[string]string, change ...func(*server.Config)) *house {
	t.Helper()
	ctx := context.Background()
	data := t.TempDir()
	var api *openapi.API
	if openAPI != "" {
		var err error
		if api, err = server.ReadOpenAPI(ctx, openAPI); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := server.ProtectConfig(upstream, api, data, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Issuer = f.URL
	cfg.Log.Level = "warn"
	cfg.TrustedProxies = []string{"127.0.0.0/8"} // the facade, and the services that pass log-ins on
	for _, c := range change {
		c(&cfg)
	}
	for i := range cfg.Routes {
		cfg.Routes[i].Upstream = "api"
	}
	for name, at := range hosts {
		cfg.Upstreams[name] = gateway.Upstream{URL: at}
		for _, r := range []enforce.Route{{Pattern: "GET /public", Anonymous: true}, {Pattern: "GET /private", Authenticated: true}} {
			r.ID, r.Host, r.Upstream = name+" "+r.Pattern, name+".test", name
			cfg.Routes = append(cfg.Routes, r)
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := server.GenerateMasterKey(filepath.Join(data, "master.key")); err != nil {
		t.Fatal(err)
	}
	h := &house{facade: f, cfg: cfg, password: rand.Text()}
	t.Cleanup(h.stop)
	h.run(t)
	s := h.server
	do := func(token gatehouse.Secret, method, path string, in, out any) {
		t.Helper()
		c, err := client.New(s.AuthURL(), token)
		if err == nil {
			err = c.Do(ctx, method, path, in, out)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	var first struct {
		APIKey gatehouse.Secret `json:"api_key"`
	}
	do("", "POST", "/bootstrap", map[string]any{"secret": s.BootstrapSecret().Reveal(), "username": "operator", "password": rand.Text()}, &first)
	do(first.APIKey, "PUT", "/realms/main/roles/reader", map[string]any{"description": "Reads.", "parents": []string{}, "permissions": []string{}}, nil)
	var made struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	do(first.APIKey, "POST", "/realms/main/users", map[string]any{"username": "alice", "password": h.password, "roles": []string{"reader"}}, &made)
	var key struct {
		Text string `json:"text"`
	}
	do(first.APIKey, "POST", "/realms/main/keys", map[string]any{"owner": made.User.ID, "name": "test", "environment": "live",
		"scopes": []string{gatehouse.ScopeAll}}, &key)
	h.alice, h.apiKey, h.operator = made.User.ID, key.Text, first.APIKey.Reveal()
	return h
}

// run starts Gatehouse on the data that there is.
func (h *house) run(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	s, err := server.New(ctx, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.server = s
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(s.AuthURL())
	if err != nil {
		t.Fatal(err)
	}
	h.target.Store(target)
	h.gateway = s.GatewayURL()
}

// stop ends Gatehouse. Its data stay.
func (h *house) stop() {
	if h.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	h.server.Close(ctx)
	h.server = nil
}

// login gets an access token from Gatehouse itself.
func (h *house) login(t *testing.T) string {
	t.Helper()
	a := call(t, "POST", h.URL+"/tokens", func(r *http.Request) { r.SetBasicAuth("alice", h.password) })
	if a.status != http.StatusOK || a.text("access_token") == "" {
		t.Fatalf("POST /tokens: %d %s", a.status, a.body)
	}
	return a.text("access_token")
}

// end ends the grant of a token.
func (h *house) end(t *testing.T, token string) {
	t.Helper()
	if a := call(t, "DELETE", h.URL+"/tokens", bearer(token)); a.status != http.StatusNoContent {
		t.Fatalf("DELETE /tokens: %d %s", a.status, a.body)
	}
}

// answer is what a program said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text is a member of the JSON object in the body.
func (a answer) text(name string) string {
	var m map[string]any
	if json.Unmarshal(a.body, &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

var httpClient = &http.Client{Timeout: 10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func call(t *testing.T, method, target string, change ...func(*http.Request)) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func line(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = []string{value} }
}

// missing skips the test, or fails it where nothing may be skipped.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_STRICT") == "1" {
		t.Fatalf("missing: %s (scripts/test-deps installs it)", what)
	}
	t.Skipf("missing: %s (scripts/test-deps installs it)", what)
}
