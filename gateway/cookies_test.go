package gateway_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestUpstreamSeesNoCookieOfOurs: what our pages give to browsers of the same host ends at the gateway, by either
// way to an upstream; the API's own cookies go on as they are.
func TestUpstreamSeesNoCookieOfOurs(t *testing.T) {
	s := start(t, http.HandlerFunc(echo))
	for name, c := range map[string]struct{ sent, seen []string }{
		"none of ours":   {[]string{"a=b;  c=\"d\"; gate=house", "e=f"}, []string{"a=b;  c=\"d\"; gate=house", "e=f"}},
		"ours alone":     {[]string{"__Host-gatehouse-session-main=ghs_live_x; gatehouse-device-acme=y"}, nil},
		"first":          {[]string{"__Host-gatehouse-session-main=ghs_live_x; a=b"}, []string{"a=b"}},
		"between, twice": {[]string{"a=b;__Host-gatehouse-form=x;c=d; gatehouse-session-main=y ;e=f"}, []string{"a=b;c=d;e=f"}},
		"of two lines":   {[]string{"gatehouse-theme=dark", "a=b"}, []string{"a=b"}},
		"a value":        {[]string{"a=gatehouse-session-main=1; b"}, []string{"a=gatehouse-session-main=1; b"}},
	} {
		for _, method := range []string{"GET", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if method == "POST" {
				r.Body = io.NopCloser(strings.NewReader("{}"))
			}
			r.Header["Cookie"] = c.sent
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if got := seen(t, string(body))["Cookie"]; !slices.Equal(got, c.seen) {
				t.Errorf("%s, %s: the upstream sees %q, not %q", name, method, got, c.seen)
			}
		}
	}
}
