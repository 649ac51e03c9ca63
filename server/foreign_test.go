package server_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// foreignIssuer is an issuer on a host of its own, whose certificate only its own
// authority vouches for. Its tokens have no jti.
type foreignIssuer struct {
	t    *testing.T
	site *httptest.Server
	keys atomic.Pointer[[]*token.Key]
	down atomic.Bool
}

func newForeignIssuer(t *testing.T) *foreignIssuer {
	f := &foreignIssuer{t: t}
	f.rotate()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tenant/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": f.name(), "jwks_uri": f.site.URL + "/keys?tenant=1", "response_types_supported": []string{"code"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		if f.down.Load() || r.URL.RawQuery != "tenant=1" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		set := string(token.MarshalJWKSet(*f.keys.Load()))
		_, _ = w.Write([]byte(strings.Replace(set, `{"keys":[`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"bad","x":"AA","y":"AA"},`, 1)))
	})
	f.site = httptest.NewTLSServer(mux)
	t.Cleanup(f.site.Close)
	return f
}

func (f *foreignIssuer) name() string { return f.site.URL + "/tenant" }

func (f *foreignIssuer) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.site.Certificate().Raw}))
}

// rotate makes a key and signs with it from now on; those before stay published.
func (f *foreignIssuer) rotate() {
	k, err := token.GenerateKey(token.ES256)
	if err != nil {
		f.t.Fatal(err)
	}
	list := []*token.Key{k}
	if old := f.keys.Load(); old != nil {
		list = append(list, *old...)
	}
	f.keys.Store(&list)
}

func (f *foreignIssuer) token(change map[string]any) string {
	c := map[string]any{"iss": f.name(), "aud": "https://api.example", "sub": "42", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	b, _ := json.Marshal(c)
	s, err := (*f.keys.Load())[0].Sign(token.TypeJWT, b)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// trust makes realm main trust the issuer.
func (f *foreignIssuer) trust(d *server.Demo, change map[string]any) answer {
	t := map[string]any{"issuer": f.name(), "audience": "https://api.example", "algorithms": []string{"ES256"}, "ca": f.ca(), "allow_private_address": true}
	for k, v := range change {
		if t[k] = v; v == nil {
			delete(t, k)
		}
	}
	body, err := json.Marshal(map[string]any{"settings": map[string]any{"trusted_issuers": []any{t}}})
	if err != nil {
		f.t.Fatal(err)
	}
	return call(f.t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", string(body))
}

// verdict is what token verify says.
func verdict(t *testing.T, d *server.Demo, text string) map[string]any {
	t.Helper()
	return call(t, "POST", d.Issuer+"/admin/v1/realms/main/tokens/verify", "bearer", d.AdminToken, "body", `{"token":"`+text+`"}`).want(t, "verify", 200).json
}

// TestIssuerWithoutJTI: large issuers write no jti. Their tokens are accepted, a
// cut-off finds them by iat, and a realm that wants jti says so.
func TestIssuerWithoutJTI(t *testing.T) {
	t.Parallel()
	d, f := demo(t), newForeignIssuer(t)
	f.trust(d, nil).want(t, "trust", 200)
	text := f.token(nil)
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "without jti", 200)
	for missing, value := range map[string]any{"iat": nil, "exp": nil, "sub": nil, "aud": nil} {
		bad := f.token(map[string]any{missing: value})
		call(t, "GET", d.Gateway+"/private", "bearer", bad).want(t, "without "+missing, 401)
		if v := verdict(t, d, bad); v["active"] != false || v["reason"] != "token_claim_missing" || v["detail"] != missing {
			t.Errorf("without %s: %v", missing, v)
		}
	}
	wrong := f.token(map[string]any{"aud": "https://other.example"})
	if v := verdict(t, d, wrong); v["reason"] != "token_wrong_audience" || v["detail"] != `the token says "https://other.example"; accepted here: https://api.example` {
		t.Errorf("wrong audience: %v", v)
	}
	call(t, "POST", d.Issuer+"/admin/v1/realms/main/revocations", "bearer", d.AdminToken, "body", `{"kind":"realm"}`).want(t, "cut-off", 201)
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "after the cut-off", 401)
	later := f.token(map[string]any{"iat": time.Now().Add(time.Second).Unix()})
	call(t, "GET", d.Gateway+"/private", "bearer", later).want(t, "issued after the cut-off", 200)

	f.trust(d, map[string]any{"required_claims": []string{"jti"}}).want(t, "jti is required", 200)
	refused := call(t, "GET", d.Gateway+"/private", "bearer", later).want(t, "without the required jti", 401)
	if strings.Contains(refused.body, "jti") {
		t.Errorf("the caller is told: %s", refused.body)
	}
	id, _ := refused.json["request_id"].(string)
	var out answer
	testwait.For(5*time.Second, func() bool {
		out = call(t, "GET", d.Issuer+"/admin/v1/realms/main/explain/"+id, "bearer", d.AdminToken)
		return out.status == 200
	})
	if !strings.Contains(out.body, "token_claim_missing") || !strings.Contains(out.body, "; jti") {
		t.Errorf("explain does not name the claim: %s", out.body)
	}
	call(t, "GET", d.Gateway+"/private", "bearer", f.token(map[string]any{"jti": "1", "iat": time.Now().Add(time.Second).Unix()})).want(t, "with jti", 200)
}

// TestIssuerRotates: the first token under a new key is accepted; an issuer that is
// out of reach is no fault of the token.
func TestIssuerRotates(t *testing.T) {
	t.Parallel()
	d, f := demo(t), newForeignIssuer(t)
	f.down.Store(true)
	f.trust(d, nil).want(t, "trust", 200)
	res := call(t, "GET", d.Gateway+"/private", "bearer", f.token(nil)).want(t, "the keys cannot be had", 503)
	if res.code() != "authentication_unavailable" {
		t.Errorf("code %s", res.code())
	}
	f.down.Store(false)
	f.trust(d, map[string]any{"name_claim": "name"}).want(t, "trust again", 200) // its source begins anew
	call(t, "GET", d.Gateway+"/private", "bearer", f.token(nil)).want(t, "first key", 200)
	f.rotate()
	call(t, "GET", d.Gateway+"/private", "bearer", f.token(nil)).want(t, "the first token under the next key", 200)
	f.rotate()
	f.down.Store(true)
	call(t, "GET", d.Gateway+"/private", "bearer", f.token(nil)).want(t, "a new key while the issuer is down", 503)
}

// TestIssuerSettings: several audiences, and each way to the keys.
func TestIssuerSettings(t *testing.T) {
	t.Parallel()
	d, f := demo(t), newForeignIssuer(t)
	f.trust(d, map[string]any{"audience": nil, "audiences": []string{"https://a.example", "https://b.example"}, "jwks_url": f.site.URL + "/keys?tenant=1"}).want(t, "several", 200)
	for _, c := range []struct {
		aud  any
		want int
	}{{"https://a.example", 200}, {"https://b.example", 200}, {[]string{"x", "https://b.example"}, 200}, {"https://api.example", 401}, {"https://a.example,https://b.example", 401}} {
		call(t, "GET", d.Gateway+"/private", "bearer", f.token(map[string]any{"aud": c.aud})).want(t, "audience", c.want)
	}
	f.trust(d, map[string]any{"audiences": []string{"https://b.example"}}).want(t, "both", 200)
	for _, aud := range []string{"https://api.example", "https://b.example"} {
		call(t, "GET", d.Gateway+"/private", "bearer", f.token(map[string]any{"aud": aud})).want(t, aud, 200)
	}
	f.trust(d, map[string]any{"ca": nil}).want(t, "no authority", 200)
	call(t, "GET", d.Gateway+"/private", "bearer", f.token(nil)).want(t, "a certificate that nobody vouches for", 503)
	for name, bad := range map[string]map[string]any{
		"no audience":          {"audience": nil},
		"an empty audience":    {"audiences": []string{""}},
		"no certificate":       {"ca": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"},
		"set and address":      {"jwks": `{"keys":[]}`, "jwks_url": "https://x.example/"},
		"fragment":             {"jwks_url": "https://x.example/#a"},
		"user name":            {"jwks_url": "https://u:p@x.example/"},
		"issuer with a query":  {"issuer": "https://x.example/?a"},
		"unnamed claim":        {"required_claims": []string{""}},
		"authority, no fetch":  {"jwks": string(token.MarshalJWKSet(*f.keys.Load()))},
		"http, public address": {"jwks_url": "http://x.example/", "allow_private_address": false},
	} {
		f.trust(d, bad).want(t, name, 422)
	}
}
