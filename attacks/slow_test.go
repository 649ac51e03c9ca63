package attacks_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSlowBody: a caller announces a body and sends a byte now and then (R.U.D.Y.).
// It needs no credential for that: who refuses a request still has its body before
// it on the connection.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	w := the(t)
	p := w.person(t, "main", "user")
	const bound = 15 * time.Second // as configured
	bearer := "Authorization: Bearer " + p.key + "\r\n"
	var all sync.WaitGroup
	for what, a := range map[string]struct{ url, head, body string }{
		"gateway, nobody":          {w.Gateway, "POST /documents", `{"title":`},
		"gateway, no route":        {w.Gateway, "POST /nothing", `x`},
		"gateway, body to judge":   {w.Gateway, "POST /documents\r\n" + bearer, `{"title":`},
		"forward-auth":             {w.Gateway, "POST /.gatehouse/auth/nginx", `x`},
		"tokens, nobody":           {w.Issuer, "POST /tokens", `{`},
		"refresh, nobody":          {w.Issuer, "POST /tokens/refresh", `{"refresh_token":`},
		"issuer, nothing there":    {w.Issuer, "POST /nothing", `x`},
		"management, nobody":       {w.Issuer, "POST /admin/v1/realms/main/users", `{`},
		"management, known caller": {w.Issuer, "POST /admin/v1/realms/main/users\r\n" + bearer, `{`},
	} {
		for form, lines := range map[string]string{"length": "Content-Length: 2000\r\n", "chunks": "Transfer-Encoding: chunked\r\n"} {
			all.Go(func() {
				c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				head, more, _ := strings.Cut(a.head, "\r\n")
				if _, err := io.WriteString(c, head+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"+more+lines+"\r\n"); err != nil {
					t.Error(err)
					return
				}
				send := func(s string) error {
					if form == "chunks" {
						s = hex(len(s)) + "\r\n" + s + "\r\n"
					}
					_, err := io.WriteString(c, s)
					return err
				}
				_ = send(a.body)
				began, ended := time.Now(), make(chan struct{})
				go func() { // a byte a second, as long as anybody listens
					drip := time.NewTicker(time.Second)
					defer drip.Stop()
					for {
						select {
						case <-ended:
							return
						case <-drip.C:
							if send(" ") != nil {
								return
							}
						}
					}
				}()
				_ = c.SetReadDeadline(began.Add(bound + 5*time.Second))
				out, err := io.ReadAll(c)
				close(ended)
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Errorf("%s, %s: still open after %v, answered %q", what, form, time.Since(began).Round(time.Second), statuses(string(out)))
				}
				for _, s := range statuses(string(out)) {
					if s[0] == '2' {
						t.Errorf("%s, %s: %s", what, form, s)
					}
				}
			})
		}
	}
	call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":"t"}`).want(t, "meanwhile", 201)
	all.Wait()
	call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":"t"}`).want(t, "afterwards", 201)
}
