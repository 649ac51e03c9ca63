package mail_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	netmail "net/mail"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// post is a mail server, whose answers a test chooses.
type post struct {
	t     *testing.T
	port  int
	roots *x509.CertPool

	mu    sync.Mutex
	got   []letter
	rcpt  func(to string) error // nil takes everybody
	taken func(c *smtp.Conn) error
}

// letter is what the server has.
type letter struct {
	from, to, user string
	secure         bool
	*netmail.Message
	body string
}

type session struct {
	p *post
	c *smtp.Conn
	l letter
}

func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{p: p, c: c}, nil }

func (s *session) AuthMechanisms() []string {
	if _, secure := s.c.TLSConnectionState(); !secure {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "gate" || password != "house" {
			return errors.New("no")
		}
		s.l.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.l.from = from; return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.l.to = to
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.rcpt != nil {
		return s.p.rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l := s.l
	_, l.secure = s.c.TLSConnectionState()
	if l.Message, err = netmail.ReadMessage(bytes.NewReader(text)); err != nil {
		s.p.t.Error(err)
		return err
	}
	l.body = string(text)
	s.p.mu.Lock()
	s.p.got = append(s.p.got, l)
	taken := s.p.taken
	s.p.mu.Unlock()
	if taken != nil {
		return taken(s.c)
	}
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

// letters are those that the server has until now.
func (p *post) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// answers sets what the server says, to a recipient and to a message.
func (p *post) answers(rcpt func(to string) error, taken func(c *smtp.Conn) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rcpt, p.taken = rcpt, taken
}

// newPost starts a server: without TLS, with STARTTLS, or with TLS from the first byte.
func newPost(t *testing.T, how mail.TLS) *post {
	t.Helper()
	p := &post{t: t, roots: x509.NewCertPool()}
	s := smtp.NewServer(p)
	s.Domain, s.ReadTimeout, s.WriteTimeout = "mx.example", 10*time.Second, 10*time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	if how != mail.TLSNone {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, p.roots)}}
	}
	if how == mail.TLSImplicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return p
}

// settings sends to the server.
func (p *post) settings(how mail.TLS) mail.Settings {
	return mail.Settings{SMTP: mail.SMTP{Host: "127.0.0.1", Port: p.port, TLS: how, Roots: p.roots},
		From: netmail.Address{Name: "Gatehouse", Address: "id@gate.example"}, Language: "en", Bounds: mail.Bounds{PerAddress: 5, PerRealm: 8}}
}

// certificate is one for this machine, which roots trust.
func certificate(t *testing.T, roots *x509.CertPool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(made)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
