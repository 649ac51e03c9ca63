package gateway

import (
	"net"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/http1"
)

// Accepting listens on loopback until the test ends and gives serve each connection
// in a goroutine of its own.
func Accepting(t *testing.T, serve func(c net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l
}

// ReverseProxyOnly sends every request to u through httputil.ReverseProxy, for
// tests that compare.
func ReverseProxyOnly(u *Upstreams) {
	for _, up := range u.byName {
		up.transport = struct{ http1.Transport }{up.transport}
	}
}

// Relayed reports whether the upstream of that name is reached directly.
func Relayed(u *Upstreams, name string) bool {
	_, ok := u.byName[name].transport.(*http1.Client)
	return ok
}

// ProtectedNames are names that callers may not set: each one that is listed, and one
// for each prefix.
func ProtectedNames() []string {
	var out []string
	for name := range strippedNames {
		out = append(out, name)
	}
	for _, p := range strippedPrefixes {
		out = append(out, p+"user")
	}
	return out
}

// AnswerLines are the lines that a gateway with these options sets on answers.
func AnswerLines(response map[string]string) http.Header {
	return (&Options{ResponseHeaders: response}).answerLines()
}
