package pages

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// mostBytes is what a page may take on the wire when a browser has its styles: the line of status, the header, and all of it.
const mostBytes = 20 << 10

// TestWeight: every page in every state and language fits, counted at a socket, with the header that the auth listener adds.
func TestWeight(t *testing.T) {
	s := httptest.NewServer(galleryAsServed(t))
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	counted := &counter{r: c}
	in := bufio.NewReader(counted)
	most, at := 0, ""
	for _, e := range gallery() {
		for _, st := range e.states {
			for _, tag := range tags {
				path := "/" + e.page + "/" + st.name
				before := counted.n
				fmt.Fprintf(c, "GET %s?lang=%s HTTP/1.1\r\nHost: %s\r\n\r\n", path, tag, s.Listener.Addr())
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, res.Body)
				if n := counted.n - before; err != nil || n > mostBytes || n < 1000 {
					t.Errorf("%s in %s takes %d bytes: %v", path, tag, n, err)
				} else if n > most {
					most, at = n, path+" in "+tag
				}
			}
		}
	}
	t.Logf("the heaviest is %s, with %d bytes", at, most)
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

func galleryAsServed(t testing.TB) http.Handler {
	t.Helper()
	h, err := NewGallery(nil)
	if err != nil {
		t.Fatal(err)
	}
	return web.SecurityHeaders(nil, h)
}

// BenchmarkPages: what it takes to draw a page, from the request to the last byte of it (docs/performance.md).
func BenchmarkPages(b *testing.B) {
	h := galleryAsServed(b)
	for _, path := range []string{"/signin/password", "/account/full", "/keys/two", "/activity/all"} {
		b.Run(strings.ReplaceAll(path[1:], "/", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != http.StatusOK || w.Body.Len() < 1000 {
					b.Fatalf("%s: %d", path, w.Code)
				}
			}
		})
	}
}
