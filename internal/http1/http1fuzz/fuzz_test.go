package http1fuzz

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/http1"
)

// FuzzLines: a target, a name and a value are refused, or a server reads one request
// with them and nothing else: no text of theirs ends a line early.
func FuzzLines(f *testing.F) {
	f.Add("/a?b=c", "X-A", "1")
	f.Add("/a b", "X A", "1\r\nX-B: 2")
	f.Add("/\r\nX: y", "X-A: 1\r\nX-B", "\x00")
	f.Add("//a/%2e%2e?\xff", "User-Agent", "")
	f.Add("/", "x", "\t \xc3\xa4 \t")
	f.Fuzz(func(t *testing.T, target, name, value string) {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			return // the caller of the package writes these
		case "Pragma":
			return // net/http adds Cache-Control to it
		}
		if !http1.ValidTarget(target) || target[0] != '/' {
			return
		}
		b := append([]byte("GET "), target...)
		b = append(b, " HTTP/1.1\r\nHost: a\r\n"...)
		b, err := http1.AppendLines(b, name, []string{value})
		if err != nil {
			return
		}
		in := bufio.NewReader(bytes.NewReader(append(b, "\r\nrest"...)))
		r, err := http.ReadRequest(in)
		if err != nil {
			// The parser of URLs is stricter than the request line; a line is not.
			if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Replace(b, []byte(target), []byte("/"), 1), "\r\n"...)))); err != nil {
				t.Fatalf("%q cannot be read: %v", b, err)
			}
			return
		}
		if r.RequestURI != target {
			t.Errorf("%q became %q", target, r.RequestURI)
		}
		want := textproto.TrimString(value)
		switch got := r.Header[textproto.CanonicalMIMEHeaderKey(name)]; {
		case len(r.Header) > 1 || len(got) > 1:
			t.Errorf("%q: %q became %v", name, value, r.Header)
		case len(got) == 0 && (name != "User-Agent" || value != ""):
			t.Errorf("%q: %q is not there", name, value)
		case len(got) == 1 && got[0] != want:
			t.Errorf("%q: %q became %q", name, value, got[0])
		}
		if rest, _ := in.Peek(5); string(rest) != "rest" {
			t.Errorf("%q is left", rest)
		}
	})
}
