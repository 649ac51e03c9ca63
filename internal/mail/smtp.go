package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// TLS says how the connection to a server is protected.
type TLS string

// The ways of protection.
const (
	TLSRequired TLS = "required" // STARTTLS, or nothing is sent
	TLSImplicit TLS = "implicit" // from the first byte
	TLSNone     TLS = "none"     // to this machine only
)

// SMTP is a mail server.
type SMTP struct {
	Host         string
	Port         int // 0: the usual one of TLS
	TLS          TLS
	Roots        *x509.CertPool // nil: the system's
	User         string         // "": without authentication
	PasswordFile string         // read for each connection
}

// port is that which the server listens on.
func (s SMTP) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == TLSImplicit:
		return 465
	case s.TLS == TLSNone:
		return 25
	}
	return 587
}

const (
	// stepTime bounds the connection with its handshake, and then the message.
	stepTime = 20 * time.Second
	// sendTime bounds all of it, however the server spreads its bytes.
	sendTime = 45 * time.Second
	// maxPassword bounds the file of a password, in bytes.
	maxPassword = 4096
)

// ReadPassword reads the file of a password: its first line.
func ReadPassword(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > maxPassword {
		return "", errors.New("the file of the password is empty or too long")
	}
	return line, nil
}

// refusal is a server's answer that is for good: another try would be answered alike.
type refusal struct {
	code int
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// letter is a message on its way.
type letter struct {
	written
	id, to string
	date   time.Time
}

// message makes what is sent: the same at each try.
func (s Settings) message(l letter) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(&s.From)
	if err := m.To(l.to); err != nil {
		return nil, err
	}
	m.SetMessageIDWithValue(l.id + "@" + s.domain()) // the library's own would name this machine
	m.SetDateWithValue(l.date)
	m.Subject(l.Subject)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers from who is on holiday
	m.SetBodyString(gomail.TypeTextPlain, l.Plain)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	return m, nil
}

// domain is that of the sender.
func (s Settings) domain() string {
	return s.From.Address[strings.LastIndexByte(s.From.Address, '@')+1:]
}

// send hands a letter to the server. An error that is no [refusal] may be another one at
// the next try; nil is that the server has it.
func (s Settings) send(ctx context.Context, l letter) error {
	m, err := s.message(l)
	if err != nil {
		return &refusal{err: err}
	}
	if s.Outbox != "" {
		return keep(s.Outbox, l.id, m)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	c, err := s.client(ctx)
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, m)
	// The library returns an error, too, when the server has taken the message and then
	// fails to reset or to say goodbye: whoever believes that sends it again.
	if m.IsDelivered() {
		return nil
	}
	var se *gomail.SendError
	if errors.As(err, &se) && se.ErrorCode() >= 500 {
		return &refusal{code: se.ErrorCode(), err: err}
	}
	return err
}

func (s Settings) client(ctx context.Context) (*gomail.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.SMTP.Host, RootCAs: s.SMTP.Roots}
	options := []gomail.Option{gomail.WithPort(s.SMTP.port()), gomail.WithTimeout(stepTime), gomail.WithHELO(s.domain()),
		gomail.WithTLSConfig(conf), gomail.WithDialContextFunc(s.SMTP.dialer(ctx, conf)), gomail.WithoutSMTPUTF8()}
	switch s.SMTP.TLS {
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case TLSImplicit:
		// The dialer has made TLS of it already. With WithSSL the library would leave that
		// to a dialer of ours, too, and believe that nothing is encrypted.
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.SMTP.User != "" {
		password, err := ReadPassword(s.SMTP.PasswordFile)
		if err != nil {
			return nil, err
		}
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.SMTP.User), gomail.WithPassword(password))
	}
	return gomail.NewClient(s.SMTP.Host, options...)
}

// errNotLocal refuses to talk in the clear to another machine.
var errNotLocal = errors.New("mail.tls is none, and the server is not on this machine")

// dialer connects, and cuts the connection when sending ends: the library looks at the
// context while it dials only.
func (s SMTP) dialer(sending context.Context, conf *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(sending, func() { _ = conn.Close() })
		if s.TLS == TLSNone {
			if at, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
				_ = conn.Close()
				return nil, errNotLocal
			}
		}
		if s.TLS != TLSImplicit {
			return conn, nil
		}
		protected := tls.Client(conn, conf)
		if err := protected.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return protected, nil
	}
}

// keep writes a message into a directory, in the place of sending it: whole or not at all.
func keep(dir, id string, m *gomail.Msg) (err error) {
	f, err := os.CreateTemp(dir, ".mail-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = m.WriteTo(f); err != nil {
		_ = f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, id+".eml"))
}

// maxError bounds what is kept of a server's answer, in bytes.
const maxError = 300

// answer is what an error says, for a list: one line, bounded, without the address.
func answer(err error, to string) string {
	text := strings.ReplaceAll(err.Error(), to, "the address")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxError {
		text = text[:maxError]
	}
	return strings.ToValidUTF8(text, "")
}

// codeOf is the reason of a refusal in few words, for the record.
func codeOf(err error) string {
	var r *refusal
	if errors.As(err, &r) && r.code != 0 {
		return strconv.Itoa(r.code)
	}
	return "refused"
}

// String tells where mail goes.
func (s Settings) String() string {
	if s.Outbox != "" {
		return s.Outbox
	}
	return fmt.Sprintf("%s:%d", s.SMTP.Host, s.SMTP.port())
}

// answered reports whether it was the server who said no, to this message: then another one
// may be tried at once.
func answered(err error) bool {
	var se *gomail.SendError
	return errors.As(err, &se) && se.ErrorCode() != 0 && se.ErrorCode() != 421
}
