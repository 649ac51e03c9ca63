package token_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testdpop"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// pushed is what clients pushed, in place of the judge of requests.
type pushed struct {
	by   []string
	form url.Values
	jkt  string
	err  error
}

func (p *pushed) Push(_ context.Context, realm gatehouse.Realm, c client.Client, form url.Values, jkt string) (string, time.Duration, error) {
	p.by, p.form, p.jkt = append(p.by, realm.Name+" "+c.ID), form, jkt
	return "urn:ietf:params:oauth:request_uri:1", 90 * time.Second, p.err
}

func answerOf(t *testing.T, res *http.Response) (out map[string]any) {
	t.Helper()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPushed: who pushes a request proves who it is as at the token endpoint, and its proof goes no further (RFC 9126 §2).
func TestPushed(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	s := httptest.NewServer(site(h, new(bool)))
	defer s.Close()
	id, secret := h.register(client.AuthBasic, "", func(*client.Client) {})
	post, postSecret := h.register(client.AuthPost, "", func(*client.Client) {})
	key := testdpop.New()
	send := func(path, body string, lines ...string) *http.Response {
		t.Helper()
		r := must(http.NewRequestWithContext(t.Context(), "POST", s.URL+path, strings.NewReader(body)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(lines); i += 2 {
			if lines[i] == "basic" {
				r.SetBasicAuth(id, lines[i+1])
				continue
			}
			r.Header.Add(lines[i], lines[i+1])
		}
		res := must(http.DefaultClient.Do(r))
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	for name, c := range map[string]struct {
		path, body string
		lines      []string
		want       string
	}{
		"basic":                    {"/par", "scope=read", []string{"basic", secret}, "201"},
		"post":                     {"/par", "scope=read&client_id=" + post + "&client_secret=" + postSecret, nil, "201"},
		"nobody":                   {"/par", "scope=read", nil, "401 invalid_client"},
		"a name":                   {"/par", "scope=read&client_id=" + id, nil, "401 invalid_client"},
		"a wrong secret":           {"/par", "scope=read", []string{"basic", "ghc_live_x"}, "401 invalid_client"},
		"in two ways":              {"/par", "client_secret=x", []string{"basic", secret}, "400 invalid_request"},
		"another's name":           {"/par", "client_id=" + post, []string{"basic", secret}, "400 invalid_request"},
		"in the address":           {"/par?scope=read", "", []string{"basic", secret}, "400 invalid_request"},
		"scope twice":              {"/par", "scope=read&scope=write", []string{"basic", secret}, "400 invalid_request"},
		"resource twice":           {"/par", "resource=a&resource=b", []string{"basic", secret}, "201"},
		"too long":                 {"/par", "state=" + strings.Repeat("x", 17<<10), []string{"basic", secret}, "413 invalid_request"},
		"a proof":                  {"/par", "scope=read", []string{"basic", secret, "DPoP", key.Proof("POST", issuer+"/par", "", nil)}, "201"},
		"a proof for the token":    {"/par", "scope=read", []string{"basic", secret, "DPoP", key.Proof("POST", issuer+"/token", "", nil)}, "400 invalid_dpop_proof"},
		"another realm's endpoint": {"/realms/acme/par", "scope=read", []string{"basic", secret}, "401 invalid_client"},
	} {
		n := len(h.pushed.by)
		res := send(c.path, c.body, c.lines...)
		got, a := res.Status[:3], answerOf(t, res)
		if e, _ := a["error"].(string); e != "" {
			got += " " + e
		}
		if got != c.want || (len(h.pushed.by) > n) != (got == "201") || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", name, got, a)
		}
		if got != "201" {
			continue
		}
		if a["request_uri"] != "urn:ietf:params:oauth:request_uri:1" || a["expires_in"] != 90.0 || h.pushed.form.Has("client_secret") {
			t.Errorf("%s: %v %v", name, a, h.pushed.form)
		}
		if want := map[bool]string{true: key.Thumbprint()}[name == "a proof"]; h.pushed.jkt != want {
			t.Errorf("%s: bound to %q", name, h.pushed.jkt)
		}
		if name == "resource twice" && len(h.pushed.form["resource"]) != 2 {
			t.Errorf("%v", h.pushed.form)
		}
	}
	h.pushed.err = &gatehouse.Error{Kind: gatehouse.Invalid, Code: "unsupported_response_type", Public: "It is code."}
	if a := answerOf(t, send("/par", "response_type=token", "basic", secret)); a["error"] != "unsupported_response_type" || a["error_description"] != "It is code." {
		t.Errorf("%v", a)
	}
	res := must(http.Get(s.URL + "/par"))
	defer res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", res.StatusCode)
	}
}
