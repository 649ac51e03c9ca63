package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestUnreadAnswersEnd: whoever asks for much and reads none of it is left after a while: a long poll, an export of the realm, and a
// stream through the gateway, whose API is then asked for no more of it. Nobody else waits for any of that.
func TestUnreadAnswersEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a limit; runs without -short")
	}
	t.Parallel()
	const longest = 50 * time.Second // thirty, and what a busy machine adds
	left := make(chan struct{}, 2)
	flood := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for line := "data: " + strings.Repeat("x", 32<<10) + "\n\n"; ; {
			if _, err := io.WriteString(w, line); err != nil {
				left <- struct{}{}
				return
			}
		}
	}))
	t.Cleanup(flood.Close)
	a, b, _ := twoNodes(t, func(c *server.Config) {
		c.Upstreams = map[string]gateway.Upstream{"documents": c.Upstreams["documents"], "flood": {URL: flood.URL}}
		c.Routes = append(c.Routes, enforce.Route{Pattern: "GET /flood", Upstream: "flood", Authenticated: true})
	})
	comment := "// " + strings.Repeat("x", 200<<10) + "\n"
	for i := range 36 { // more than the sockets hold, and what a file of the realm may
		call(t, "PUT", fmt.Sprintf("%s/admin/v1/realms/main/policies/long-%d", a.Issuer, i), "bearer", a.AdminToken,
			"body", fmt.Sprintf(`{"text":%q}`, comment+"forbid(principal, action, resource) when { false };")).want(t, "a long policy", 200)
	}
	const manage = "/admin/v1/realms/main"
	told := call(t, "GET", a.Issuer+manage+"/revocations/events?wait=1", "bearer", a.AdminToken).want(t, "where the events are", 200).body
	_, id, _ := strings.Cut(told, "id: ")
	id, _, _ = strings.Cut(id, "\n")
	long := strings.Repeat("x", 16<<10)
	for range 2000 {
		a.Tell(revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject, ID: long, Before: time.Now()})
	}
	unread := map[string]io.Reader{}
	for name, of := range map[string]struct{ origin, path, header string }{
		"long poll": {a.Issuer, manage + "/revocations/events?wait=60", "Last-Event-ID: " + id + "\r\n"},
		"export":    {b.AuthURL(), manage + "/file", ""},
		"stream":    {b.GatewayURL(), "/flood", ""},
	} {
		to, err := url.Parse(of.origin)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", to.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", of.path, to.Host, a.AdminToken, of.header)
		in := bufio.NewReaderSize(c, 16)
		_ = c.SetReadDeadline(time.Now().Add(longest + soon))
		if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("%s: %q %v", name, line, err)
		}
		unread[name] = in
	}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.GatewayURL()+"/flood", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.AdminToken)
	res, err := transport.RoundTrip(r)
	if err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Fatalf("%+v %v", res, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	begun := time.Now()
	for gone := 0; gone < 2; {
		select {
		case <-left:
			gone++
		case <-time.After(time.Second):
			for _, url := range []string{a.Gateway, b.GatewayURL()} {
				call(t, "GET", url+"/private", "bearer", a.AdminToken).want(t, "somebody else, meanwhile", 200)
			}
			if time.Since(begun) > longest {
				t.Fatalf("the API is asked for more of %d streams that nobody reads", 2-gone)
			}
		}
	}
	unread["stream over HTTP/2"] = res.Body
	testwait.Outlast(time.Until(begun.Add(35 * time.Second))) // the others began when the streams did
	for name, in := range unread {
		n, err := io.Copy(io.Discard, in)
		if n < 64<<10 || n > 7<<20 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes, then %v", name, n, err)
		}
		t.Logf("%s: %d bytes, then %v", name, n, err)
	}
}
