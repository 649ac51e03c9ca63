package ldap_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/ldap"
	"github.com/gatehouse-auth/gatehouse/internal/testldap"
)

// What a directory says in BER: to the first question that TLS may begin; to the second and the
// fourth that the bind was right; to the third an entry "uid=alice" with the uid and an entryUUID.
const (
	saysTLS  = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	saysBind = "\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
	saysWho  = "\x30\x30\x02\x01\x03\x64\x2b\x04\x09uid=alice\x30\x1e\x30\x0c\x04\x03uid\x31\x05\x04\x03ali\x30\x0e\x04\x09entryUUID\x31\x01\x04"
)

// TestHostile: a directory, or who sits before it, that hangs, sends without end, sends nonsense, ends the
// connection or says in the clear what only counts under TLS: nobody is let in, within the time, and
// nothing of the passwords is in the clear.
func TestHostile(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	protect := func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: web.TLS.Certificates}) }
	sends := func(text string, times int) func(net.Conn) {
		return func(c net.Conn) {
			for range times {
				if _, err := c.Write([]byte(text)); err != nil {
					return
				}
			}
			_, _ = io.Copy(io.Discard, c) // until it is ended there
		}
	}
	many := strings.Repeat("\x04\x00", 1<<15)
	for name, c := range map[string]struct {
		scheme string
		does   func(net.Conn)
	}{
		"silent from the first byte":  {"ldaps", sends("", 1)},
		"silent once TLS may begin":   {"ldap", sends(saysTLS, 1)},
		"answers before TLS began":    {"ldap", func(c net.Conn) { sends(saysTLS+saysBind+saysWho, 1)(c) }},
		"answers between TLS and TLS": {"ldap", func(c net.Conn) { _, _ = c.Write([]byte(saysTLS + saysBind + saysWho)); sends("", 1)(protect(c)) }},
		"silent under TLS":            {"ldaps", func(c net.Conn) { sends("", 1)(protect(c)) }},
		"ends at once":                {"ldaps", func(net.Conn) {}},
		"ends under TLS":              {"ldaps", func(c net.Conn) { _ = protect(c).(*tls.Conn).Handshake() }},
		"a long answer":               {"ldaps", func(c net.Conn) { sends("\x30\x84\x3f\xff\xff\xff"+many, 1)(protect(c)) }},
		"an answer without end":       {"ldaps", func(c net.Conn) { sends("\x30\x80"+many, 1000)(protect(c)) }},
		"one within the other":        {"ldaps", func(c net.Conn) { sends(strings.Repeat("\x30\x80", 1<<15), 1000)(protect(c)) }},
		"answers that nobody asked": {"ldaps", func(c net.Conn) {
			sends(strings.Repeat("\x30\x0c\x02\x01\x63\x61\x07\x0a\x01\x00\x04\x00\x04\x00", 4096), 1000)(protect(c))
		}},
		"no BER":                        {"ldaps", func(c net.Conn) { sends("HTTP/1.1 400 Bad Request\r\n\r\n", 1)(protect(c)) }},
		"a certificate of another name": {"ldaps-name", func(c net.Conn) { sends("", 1)(protect(c)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						c.does(conn)
					}()
				}
			}()
			at := l.Addr().String()
			scheme, other := strings.CutSuffix(c.scheme, "-name")
			if other {
				at = strings.Replace(at, "127.0.0.1", "localhost", 1)
			}
			d := directory(t, ldap.Config{Roots: roots, Same: strings.EqualFold, Password: func() (string, error) { return testldap.Password, nil },
				Search: ldap.Search{URL: scheme + "://" + at, BindDN: testldap.BindDN, Base: testldap.Base, Filter: "(uid={username})", UsernameAttribute: "uid", Timeout: time.Second / 2}})
			answer := make(chan error, 1)
			go func() {
				_, err := d.Authenticate(t.Context(), "alice", "velvet otter canyon")
				answer <- err
			}()
			select {
			case err := <-answer:
				if reason(err) != "no answer" {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("it waits on")
			}
		})
	}
}
