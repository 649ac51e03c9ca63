package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestSlowUpload: a caller that is slow with a body that is being forwarded has as
// long as the exchange. The answer that says so must not wait for the body, and does
// not blame the API.
func TestSlowUpload(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	s.f.verdict = allow(enforce.Route{Timeout: time.Second}, alice)
	for _, tc := range []struct {
		what, lines, first, rest string
		status                   int
	}{
		{"in time", "Content-Length: 4\r\n", "ab", "cd", 200},
		{"in chunks, in time", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n", "2\r\ncd\r\n0\r\n\r\n", 200},
		{"length", "Content-Length: 4\r\n", "ab", "", 408},
		{"chunks", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n", "", 408},
		{"nothing at all", "Content-Length: 4\r\n", "", "", 408},
	} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\n"+tc.lines+"\r\n"+tc.first)
		if tc.rest != "" {
			testwait.Outlast(100 * time.Millisecond) // so that the first half is on its way already
			_, _ = io.WriteString(c, tc.rest)
		}
		_ = c.SetReadDeadline(began.Add(10 * time.Second))
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: no answer after %v: %v", tc.what, time.Since(began), err)
			_ = c.Close()
			continue
		}
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != tc.status || err != nil || tc.status == 200 && string(body) != "4" {
			t.Errorf("%s: %d %s %v", tc.what, res.StatusCode, body, err)
		}
		if tc.status != 200 {
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("%s: the connection goes on: %v", tc.what, err)
			}
		}
		_ = c.Close()
		if x := s.f.last(t); x.status != tc.status {
			t.Errorf("%s: recorded %d", tc.what, x.status)
		}
	}
}
