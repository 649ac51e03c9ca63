package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

func TestAPIHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := http.Header{"Cache-Control": {"public"}, "X-Other": {"stays"}}
		APIHeaders(h, secure)
		want := http.Header{"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
			"Referrer-Policy": {"no-referrer"}, "Cross-Origin-Resource-Policy": {"same-origin"}, "Cache-Control": {"no-store"}, "X-Other": {"stays"}}
		if secure {
			want["Strict-Transport-Security"] = []string{"max-age=63072000"}
		}
		if !maps.EqualFunc(h, want, slices.Equal) {
			t.Errorf("over TLS %v: %v", secure, h)
		}
	}
	// The values are shared by all answers; adding to one changes no other.
	h := http.Header{}
	APIHeaders(h, true)
	h.Add("Content-Security-Policy", "mine")
	h.Add("Strict-Transport-Security", "mine")
	other := http.Header{}
	APIHeaders(other, true)
	if len(other["Content-Security-Policy"]) != 1 || len(other["Strict-Transport-Security"]) != 1 {
		t.Errorf("another answer has %v", other)
	}
}

// A handler may say otherwise, and whether the client used TLS is what a trusted proxy says.
func TestSecurityHeaders(t *testing.T) {
	keys := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=60") })
	for proto, want := range map[string]string{"https": HSTS, "http": ""} {
		w := httptest.NewRecorder()
		SecurityHeaders(proxies(t, "", "10.0.0.1"), keys).ServeHTTP(w, request("10.0.0.1:1", http.Header{"X-Forwarded-Proto": {proto}}))
		if h := w.Header(); h.Get("Strict-Transport-Security") != want || h.Get("Cache-Control") != "max-age=60" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", proto, h)
		}
	}
}

// What the upstream says itself stays; what it does not say is set.
func TestUpstreamHeaders(t *testing.T) {
	own := http.Header{"X-Content-Type-Options": {"own"}, "Referrer-Policy": {"own"}, "Strict-Transport-Security": {"own"}, "Content-Type": {"text/html"}}
	kept := own.Clone()
	UpstreamHeaders(kept, true)
	if !maps.EqualFunc(kept, own, slices.Equal) {
		t.Errorf("%v became %v", own, kept)
	}
	for _, c := range []struct {
		name   string
		h      http.Header
		secure bool
		want   []string
	}{
		{"nothing", http.Header{}, false, []string{"Referrer-Policy: no-referrer", "X-Content-Type-Options: nosniff"}},
		{"over TLS", http.Header{}, true, []string{"Referrer-Policy: no-referrer", "Strict-Transport-Security: " + HSTS, "X-Content-Type-Options: nosniff"}},
		{"JSON", http.Header{"Content-Type": {"application/json"}}, false, []string{"X-Content-Type-Options: nosniff"}},
		{"JSON with its own policy", http.Header{"Content-Type": {"application/json"}, "Referrer-Policy": {"own"}}, false,
			[]string{"Referrer-Policy: own", "X-Content-Type-Options: nosniff"}},
		{"two types, which a browser may read as either", http.Header{"Content-Type": {"application/json", "text/html"}}, false,
			[]string{"Referrer-Policy: no-referrer", "X-Content-Type-Options: nosniff"}},
		{"HTML without TLS", http.Header{"Content-Type": {"text/html"}, "Strict-Transport-Security": {"own"}}, false,
			[]string{"Referrer-Policy: no-referrer", "Strict-Transport-Security: own", "X-Content-Type-Options: nosniff"}},
	} {
		UpstreamHeaders(c.h, c.secure)
		delete(c.h, "Content-Type")
		var got []string
		for _, name := range slices.Sorted(maps.Keys(c.h)) {
			got = append(got, name+": "+strings.Join(c.h[name], ", "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A page may show itself, with the styles that are named, and do nothing else.
func TestPageHeaders(t *testing.T) {
	h := http.Header{}
	APIHeaders(h, false)
	PageHeaders(h, "'sha256-x'")
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-x'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !slices.Contains(strings.Split(csp, "; "), want) {
			t.Errorf("%s lacks %s", csp, want)
		}
	}
	for name, want := range map[string]string{"Cross-Origin-Opener-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
		if h.Get(name) != want {
			t.Errorf("%s: %s", name, h.Get(name))
		}
	}
}

// TestHeadersOfErrors: each part of the program that handles an error may add lines to its answer, and takes away none of another's.
func TestHeadersOfErrors(t *testing.T) {
	err := WithHeader(gatehouse.E(gatehouse.Unauthenticated, "use_dpop_nonce", "Text."), http.Header{"Dpop-Nonce": {"n"}, "X-Both": {"first"}})
	err = WithHeader(fmt.Errorf("seen: %w", err), http.Header{"WWW-Authenticate": {"DPoP"}, "X-Both": {"last"}})
	w := httptest.NewRecorder()
	(&Problems{}).Write(w, httptest.NewRequest("GET", "/", nil), err)
	if h := w.Header(); h.Get("DPoP-Nonce") != "n" || h.Get("WWW-Authenticate") != "DPoP" || h.Get("X-Both") != "last" {
		t.Error(h)
	}
}
