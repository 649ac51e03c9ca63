package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
)

func serve(t *testing.T, fn http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL+"/", "ghk_live_secret")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/admin/v1/realms" || r.Header.Get("Authorization") != "Bearer ghk_live_secret" ||
			r.Header.Get("Content-Type") != "application/json" || string(body) != `{"name":"acme"}` {
			t.Errorf("%s %s %v %s", r.Method, r.URL, r.Header, body)
		}
		_, _ = io.WriteString(w, `{"name":"acme"}`)
	})
	var out struct {
		Name string `json:"name"`
	}
	if err := c.Do(t.Context(), "POST", "/realms", map[string]string{"name": "acme"}, &out); err != nil || out.Name != "acme" {
		t.Fatalf("%+v %v", out, err)
	}
}

func TestProblems(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/page"):
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>a proxy's page</html>")
			return
		case strings.HasSuffix(r.URL.Path, "/redirect"):
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
			return
		}
		w.Header().Set("Retry-After", "3")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(429)
		_, _ = io.WriteString(w, `{"code":"rate_limited","detail":"Too many requests; try again later.","request_id":"req_1","fields":{"a":"b"}}`)
	})
	err := c.Do(t.Context(), "GET", "/me", nil, nil)
	var e *gatehouse.Error
	if !errors.As(err, &e) || e.Kind != gatehouse.RateLimited || e.Code != "rate_limited" || e.RetryAfter != 3*time.Second || e.Fields["a"] != "b" ||
		!strings.Contains(err.Error(), "req_1") {
		t.Fatalf("%v", err)
	}
	if err := c.Do(t.Context(), "GET", "/page", nil, nil); gatehouse.KindOf(err) != gatehouse.BadGateway || strings.Contains(err.Error(), "html") {
		t.Fatalf("%v", err)
	}
	if err := c.Do(t.Context(), "GET", "/redirect", nil, nil); err == nil {
		t.Fatal("followed a redirect with a credential")
	}
}

func TestUnreachable(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "GET", "/me", nil, nil); gatehouse.CodeOf(err) != "server_unreachable" {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, "GET", "/me", nil, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

// TestWhereCredentialsGo: never over plain HTTP to another machine, and not to
// anything that is not a plain address.
func TestWhereCredentialsGo(t *testing.T) {
	for _, bad := range []string{"http://gatehouse.example", "http://10.0.0.1", "http://127.0.0.1.evil.example", "ftp://x", "gatehouse.example", "https://user:pw@x.example", "https://x.example?token=1", ""} {
		if _, err := client.New(bad, "secret"); err == nil {
			t.Errorf("%s is accepted", bad)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: the error tells a secret: %v", bad, err)
		}
	}
	for _, good := range []string{"https://gatehouse.example", "http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:1"} {
		if _, err := client.New(good, "secret"); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
