package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// maxConnections to one directory, of one process.
	maxConnections = 8
	// maxWaiting is how many questions may wait for one; more are refused at once.
	maxWaiting = 64
	// pause is how long nobody asks a directory that could not be asked.
	pause = 2 * time.Second
	// maxAnswer bounds what a directory sends in one question, in bytes. In memory it may be a hundred times
	// as much: the parser makes an object of each two bytes.
	maxAnswer = 512 << 10
)

var (
	errTooLarge = errors.New("the answer is too large")
	errBusy     = errors.New("too many questions wait for the directory")
	errAway     = errors.New("it could not be asked a moment ago")
)

// conn is a connection on which TLS has begun.
type conn struct {
	*ldap.Conn
	raw  *meter
	stop func() bool // of the question that it is used for
}

// meter is the network's end of a connection, which gives out so many bytes a question.
type meter struct {
	net.Conn
	left atomic.Int64
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left.Load() <= 0 {
		return 0, errTooLarge
	}
	n, err := m.Conn.Read(b)
	m.left.Add(-int64(n))
	return n, err
}

// dial connects, and returns a connection only when it is protected by TLS.
func (d *Directory) dial(ctx context.Context) (_ *conn, err error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.server.address)
	if err != nil {
		return nil, err
	}
	m := &meter{Conn: raw}
	m.left.Store(maxAnswer)
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline)
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: d.server.host, RootCAs: d.cfg.Roots}
	c := &conn{raw: m}
	if d.server.implicit {
		protected := tls.Client(m, conf)
		if err := protected.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		c.Conn = ldap.NewConn(protected, true)
		c.Start()
	} else {
		c.Conn = ldap.NewConn(m, false)
		c.Start()
		c.SetTimeout(d.cfg.Timeout)
		if err := c.StartTLS(conf); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	c.SetTimeout(d.cfg.Timeout)
	if _, protected := c.TLSConnectionState(); !protected {
		_ = c.Close()
		return nil, errors.New("the connection is not protected")
	}
	return c, nil
}

// with calls ask with a connection that is bound as the account of the configuration. One
// that was kept may have ended meanwhile: then another is made, once.
func (d *Directory) with(ctx context.Context, ask func(*conn) error) error {
	if d.Away() {
		return errAway
	}
	if d.waiting.Add(1) > maxWaiting+maxConnections {
		d.waiting.Add(-1)
		return errBusy
	}
	defer d.waiting.Add(-1)
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		var c *conn
		kept := true
		select {
		case c = <-d.idle:
		default:
			var err error
			if c, err = d.dial(ctx); err != nil {
				return d.failed(err)
			}
			kept = false
		}
		if err := d.begin(ctx, c); err != nil {
			if kept && ctx.Err() == nil && ldap.IsErrorWithCode(err, ldap.ErrorNetwork) {
				continue // it has ended since
			}
			return d.failed(err)
		}
		d.failedAt.Store(0)
		return d.end(c, ask(c))
	}
}

// failed notes that the directory cannot be asked: for a moment nobody tries, so that those
// who come meanwhile do not all wait for as long.
func (d *Directory) failed(err error) error {
	d.failedAt.Store(time.Now().UnixNano())
	return err
}

// Away reports whether the directory could not be asked a moment ago.
func (d *Directory) Away() bool {
	at := d.failedAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < pause
}

// begin makes a connection that of the account of the configuration, for a question that ends
// with ctx.
func (d *Directory) begin(ctx context.Context, c *conn) error {
	c.raw.left.Store(maxAnswer)
	deadline, _ := ctx.Deadline()
	_ = c.raw.SetDeadline(deadline)
	c.stop = context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	err := d.bind(c)
	if err != nil {
		c.stop()
		_ = c.Close()
	}
	return err
}

// end keeps the connection for the next question when this one went well.
func (d *Directory) end(c *conn, err error) error {
	if !c.stop() || !answered(err) || c.IsClosing() {
		_ = c.Close()
		return err
	}
	_ = c.raw.SetDeadline(time.Time{})
	select {
	case d.idle <- c:
	default:
		_ = c.Close()
	}
	return err
}

// answered reports whether the directory said what err is, so that the connection is good.
func answered(err error) bool {
	var r *Refusal
	return err == nil || errors.As(err, &r)
}

// bind proves to the directory that this is the account of the configuration.
func (d *Directory) bind(c *conn) error {
	password, err := d.cfg.Password()
	if err != nil {
		return err
	}
	if password == "" {
		return errors.New("the password of bind_dn is empty")
	}
	if err := c.Bind(d.cfg.BindDN, password); err != nil {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return errors.New("the directory refuses bind_dn with its password")
		}
		return err
	}
	return nil
}
