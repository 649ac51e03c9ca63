package mail_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/lease"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/store"
)

var postgres *testpg.Server // nil where there is none

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	pg, err := testpg.Start()
	switch {
	case err == nil:
		postgres = pg
		defer pg.Stop()
	case !errors.Is(err, testpg.ErrMissing) || os.Getenv("GATEHOUSE_TEST_STRICT") == "1":
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return m.Run()
}

// onBoth runs a test on each database.
func onBoth(t *testing.T, fn func(t *testing.T, cfg store.Config)) {
	t.Run("sqlite", func(t *testing.T) {
		fn(t, store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		if postgres == nil {
			t.Skip("there is no PostgreSQL")
		}
		fn(t, store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(postgres.DSN(t)), Shared: true})
	})
}

// office is a process that queues and sends.
type office struct {
	t     *testing.T
	db    *store.DB
	set   mail.Settings
	queue *mail.Queue
	*mail.Sender

	clock *atomic.Int64 // what it has gone on by
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newOffice opens the database; offices of one key open what another one sealed.
func newOffice(t *testing.T, cfg store.Config, key seal.MasterKey, set mail.Settings) *office {
	t.Helper()
	o := &office{t: t, set: set, clock: new(atomic.Int64)}
	o.db = must(store.Open(t.Context(), cfg))
	t.Cleanup(func() { _ = o.db.Close() })
	o.queue = mail.NewQueue(mail.Config{Box: must(seal.NewBox(key)), Key: bytes.Repeat([]byte{1}, 32), Settings: func() mail.Settings { return o.set },
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(time.Duration(o.clock.Load())) }})
	o.Sender = mail.NewSender(mail.SenderConfig{Queue: o.queue, Store: o.db, Run: must(store.Run[mail.Settling](o.db)),
		Issuer: func(string) string { return "https://id.example" }})
	return o
}

func (o *office) pass(d time.Duration) { o.clock.Add(int64(d)) }

// put queues a message; "" is none.
func (o *office) put(m mail.Message) (id string) {
	o.t.Helper()
	if m.Kind == "" {
		m.Kind = mail.KindKeyExpires
	}
	if m.Realm == "" {
		m.Realm = "main"
	}
	err := must(store.Run[mail.Outgoing](o.db))(o.t.Context(), func(ctx context.Context, tx mail.Outgoing) (err error) {
		id, err = o.queue.Put(ctx, tx, m)
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// round sends what is due.
func (o *office) round() (away bool) {
	o.t.Helper()
	away, err := o.SendRound(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return away
}

func (o *office) get(id string) mail.Record {
	o.t.Helper()
	r, err := o.db.Mail(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// is checks what has become of a message.
func (o *office) is(id string, state mail.State, tries int64) mail.Record {
	o.t.Helper()
	r := o.get(id)
	if r.State != state || r.Tries != tries || (r.Sealed == nil) != (state != mail.Waiting) {
		o.t.Errorf("%s after %d tries, %d bytes: %s; want %s after %d", r.State, r.Tries, len(r.Sealed), r.Error, state, tries)
	}
	return r
}

var masterKey = sync.OnceValue(func() seal.MasterKey { return seal.GenerateMasterKey(time.Now()) })

// TestMessageArrives: a message that was queued is at the mail server once, as a whole, by
// TLS; in the database nothing of it can be read, before or after.
func TestMessageArrives(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
		ends := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
		id := o.put(mail.Message{To: "ann@bücher.example", Data: mail.Data{Account: "ann", Key: "k1", KeyName: "a <b>key</b>", Ends: ends}})
		waiting := o.is(id, mail.Waiting, 0)
		for _, blob := range [][]byte{waiting.Sealed, waiting.SealedTo, waiting.Recipient} {
			if bytes.Contains(blob, []byte("ann")) || bytes.Contains(blob, []byte("b>key")) || len(blob) == 0 {
				t.Errorf("stored as %q", blob)
			}
		}
		o.round()
		o.round()
		o.is(id, mail.Sent, 1)
		got := p.letters()
		if len(got) != 1 {
			t.Fatalf("%d letters", len(got))
		}
		l := got[0]
		if !l.secure || l.from != "id@gate.example" || l.to != "ann@xn--bcher-kva.example" {
			t.Errorf("from %s to %s, TLS %v", l.from, l.to, l.secure)
		}
		for name, want := range map[string]string{"From": `"Gatehouse" <id@gate.example>`, "To": "<ann@xn--bcher-kva.example>", "Subject": "An API key ends soon",
			"Message-Id": "<" + id + "@gate.example>", "Auto-Submitted": "auto-generated", "Bcc": "", "User-Agent": "", "X-Mailer": ""} {
			if l.Header.Get(name) != want {
				t.Errorf("%s: %q", name, l.Header.Get(name))
			}
		}
		plain, html := parts(t, l.Message)
		if !strings.Contains(plain, "Hello ann,") || !strings.Contains(plain, "“a <b>key</b>” (k1) ends on 24 December 2026, 18:00 UTC") {
			t.Errorf("%s", plain)
		}
		if !strings.Contains(html, "“a &lt;b&gt;key&lt;/b&gt;”") || strings.Contains(html, "http-equiv") || strings.Contains(html, "<img") {
			t.Errorf("%s", html)
		}
		if to := must(o.queue.To(o.get(id))); to != "ann@xn--bcher-kva.example" {
			t.Errorf("it was to %s", to)
		}
		if o.Sent() != 1 || o.Retried() != 0 || o.Failed() != 0 {
			t.Error(o.Sent(), o.Retried(), o.Failed())
		}
	})
}

// parts are the two forms of a message.
func parts(t *testing.T, m *netmail.Message) (plain, html string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart() // decodes quoted-printable
		if err != nil {
			return plain, html
		}
		text := string(must(io.ReadAll(part)))
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			plain = text
		} else {
			html = text
		}
	}
}

// TestTLSIsKept: without TLS, or with that of somebody else, nothing is said to a server,
// least of all a password.
func TestTLSIsKept(t *testing.T) {
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("house\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOffice(t, cfg, masterKey(), mail.Settings{})
	other := newPost(t, mail.TLSRequired) // whose roots are not those of the servers
	for name, c := range map[string]struct {
		server, says mail.TLS
		user         string // "": the library has no password that it would keep to itself
		strange      bool
		sent         bool
	}{
		"STARTTLS":                        {mail.TLSRequired, mail.TLSRequired, "gate", false, true},
		"STARTTLS, no password":           {mail.TLSRequired, mail.TLSRequired, "", false, true},
		"from the first byte":             {mail.TLSImplicit, mail.TLSImplicit, "gate", false, true},
		"a server that has taken it away": {mail.TLSNone, mail.TLSRequired, "gate", false, false},
		"taken away, no password":         {mail.TLSNone, mail.TLSRequired, "", false, false},
		"a server without":                {mail.TLSNone, mail.TLSImplicit, "gate", false, false},
		"a server without, no password":   {mail.TLSNone, mail.TLSImplicit, "", false, false},
		"another's certificate":           {mail.TLSRequired, mail.TLSRequired, "gate", true, false},
		"another's, no password":          {mail.TLSRequired, mail.TLSRequired, "", true, false},
		"another's, from the first byte":  {mail.TLSImplicit, mail.TLSImplicit, "gate", true, false},
	} {
		p := newPost(t, c.server)
		o.set = p.settings(c.says)
		o.set.PerAddress, o.set.PerRealm = 100, 100
		if c.user != "" {
			o.set.SMTP.User, o.set.SMTP.PasswordFile = c.user, password
		}
		if c.strange {
			o.set.SMTP.Roots = other.roots
		}
		id := o.put(mail.Message{To: "ann@example.com"})
		away := o.round()
		if got := p.letters(); c.sent && (len(got) != 1 || !got[0].secure || got[0].user != c.user) || !c.sent && len(got) > 0 || away == c.sent {
			t.Errorf("%s: %d letters, away %v: %+v", name, len(got), away, o.get(id))
		}
		o.pass(25 * time.Hour) // nothing waits for the next one
		o.round()
	}
	// In the clear only to this machine, whatever its name is said to be.
	p := newPost(t, mail.TLSNone)
	o.set = p.settings(mail.TLSNone)
	o.put(mail.Message{To: "ann@example.com"})
	if o.round(); len(p.letters()) != 1 {
		t.Error("nothing arrived in the clear, on this machine")
	}
}

// TestRefusals: what a server refuses for now is tried again, with waits that grow, until it
// is too old; what it refuses for good is given up at once. Both ends are recorded, without
// the address.
func TestRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
		p.answers(func(to string) error {
			if strings.HasPrefix(to, "gone") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no " + to + " here"}
			}
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
		}, nil)
		gone, grey := o.put(mail.Message{To: "gone@example.com"}), o.put(mail.Message{To: "grey@example.com"})
		if o.round() {
			t.Error("a server that answers is called away")
		}
		r := o.is(gone, mail.Failed, 1)
		if !strings.Contains(r.Error, "550") || strings.Contains(r.Error, "gone@") {
			t.Errorf("the list shows %q", r.Error)
		}
		var waits []time.Duration
		for tries := int64(1); ; tries++ {
			r := o.get(grey)
			if r.State != mail.Waiting {
				break
			}
			o.is(grey, mail.Waiting, tries)
			o.round() // not yet
			if o.get(grey).Tries != tries || tries > 100 {
				t.Fatalf("tried again at once: %+v", r)
			}
			wait := time.Until(r.DueAt) - time.Duration(o.clock.Load())
			waits = append(waits, wait.Round(time.Minute))
			o.pass(wait.Abs() + time.Second)
			o.round()
		}
		same := len(waits) > 20 && len(waits) < 40
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			same = same && waits[i] == want*time.Minute
		}
		if !same {
			t.Errorf("waits of %v", waits)
		}
		if r := o.get(grey); r.State != mail.Failed || r.Sealed != nil || !strings.Contains(r.Error, "greylisted") {
			t.Errorf("in the end: %+v", r)
		}
		if len(p.letters()) > 0 || o.Failed() != 2 {
			t.Errorf("%d letters, %d failed", len(p.letters()), o.Failed())
		}
		if got := failures(t, o.db); len(got) != 2 || !strings.Contains(got[0], `"550"`) || !strings.Contains(got[1], `"too_old"`) || strings.Contains(got[0], "example.com") {
			t.Errorf("recorded: %q", got)
		}
	})
}

// failures are the events of messages that were given up.
func failures(t *testing.T, db *store.DB) (out []string) {
	t.Helper()
	var dump bytes.Buffer
	if err := db.DumpAll(t.Context(), &dump); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(dump.String()) {
		if strings.Contains(line, "mail.failed") {
			out = append(out, strings.ReplaceAll(line, `\"`, `"`))
		}
	}
	return out
}

// TestNoServer: while there is none, the others are not tried either; a server that says
// nothing ends a try when sending ends.
func TestNoServer(t *testing.T) {
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")}
	p := newPost(t, mail.TLSNone)
	o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSNone))
	o.set.SMTP.Port = 1 // nobody listens there
	first, second := o.put(mail.Message{To: "ann@example.com"}), o.put(mail.Message{To: "bob@example.com"})
	if !o.round() {
		t.Error("the server is not away")
	}
	o.is(first, mail.Waiting, 1)
	o.is(second, mail.Waiting, 0)

	held := make(chan struct{})
	p.answers(nil, func(*smtp.Conn) error { <-held; return nil })
	defer close(held)
	o.set = p.settings(mail.TLSNone)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _, _ = o.SendRound(ctx); close(done) }()
	testwait.Until(t, 10*time.Second, "the server has a message and says nothing", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.got) > 0 })
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for the server when it should end")
	}
	o.is(second, mail.Waiting, 0)
}

// TestDroppedAfterData: a server that takes a message and goes away before it says so has
// it; the sender cannot know, sends it again, and both copies have one Message-ID.
func TestDroppedAfterData(t *testing.T) {
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")}
	p := newPost(t, mail.TLSRequired)
	o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
	p.answers(nil, func(c *smtp.Conn) error { _ = c.Conn().Close(); return nil })
	id := o.put(mail.Message{To: "ann@example.com"})
	o.round()
	o.is(id, mail.Waiting, 1)
	p.answers(nil, nil)
	o.pass(2 * time.Minute)
	o.round()
	o.is(id, mail.Sent, 2)
	got := p.letters()
	if len(got) != 2 || got[0].Header.Get("Message-Id") != got[1].Header.Get("Message-Id") || got[0].Header.Get("Date") != got[1].Header.Get("Date") {
		t.Errorf("%d letters", len(got))
	}
}

// TestSenderDiesBeforeItsCommit: who dies between the server's word and his own commit has
// sent a message that the next one sends again, under the same Message-ID; none is lost.
func TestSenderDiesBeforeItsCommit(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
		id := o.put(mail.Message{To: "ann@example.com"})
		dead := errors.New("dead")
		dying := mail.NewSender(mail.SenderConfig{Queue: o.queue, Store: o.db, Issuer: func(string) string { return "https://id.example" },
			Run: func(ctx context.Context, fn func(context.Context, mail.Settling) error) error {
				return must(store.Run[mail.Settling](o.db))(ctx, func(ctx context.Context, tx mail.Settling) error {
					if err := fn(ctx, tx); err != nil || len(p.letters()) == 0 {
						return err
					}
					return dead // all is written, and nothing committed
				})
			}})
		if _, err := dying.SendRound(t.Context()); !errors.Is(err, dead) {
			t.Fatal(err)
		}
		o.is(id, mail.Waiting, 0)
		o.round()
		o.is(id, mail.Sent, 1)
		if got := p.letters(); len(got) != 2 || got[0].Header.Get("Message-Id") != got[1].Header.Get("Message-Id") {
			t.Errorf("%d letters", len(got))
		}
	})
}

// TestTwoNodesOneSends: of two nodes on one database one sends; when it has lost its lease,
// nothing that it writes counts any more.
func TestTwoNodesOneSends(t *testing.T) {
	if postgres == nil {
		t.Skip("there is no PostgreSQL")
	}
	cfg := store.Config{Driver: store.DriverPostgres, DSN: gatehouse.Secret(postgres.DSN(t)), Shared: true}
	p := newPost(t, mail.TLSRequired)
	set := p.settings(mail.TLSRequired)
	set.PerAddress, set.PerRealm = 1000, 1000
	key := masterKey()
	nodes := []*office{newOffice(t, cfg, key, set), newOffice(t, cfg, key, set)}
	var ids []string
	for range 20 {
		ids = append(ids, nodes[0].put(mail.Message{To: "ann@example.com"}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var both sync.WaitGroup
	defer both.Wait()
	defer cancel()
	for _, n := range nodes {
		k := lease.NewKeeper(lease.Config{Store: n.db, Holder: n.db.NodeID(), Term: lease.Term, Logger: slog.New(slog.DiscardHandler)})
		both.Go(func() {
			_ = k.Hold(ctx, "mail", func(ctx context.Context) error {
				for ctx.Err() == nil {
					if _, err := n.SendRound(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	testwait.Until(t, 20*time.Second, "all are sent", func() bool {
		for _, id := range ids {
			if r, err := nodes[0].db.Mail(ctx, id); err != nil || r.State != mail.Sent {
				return false
			}
		}
		return true
	})
	if a, b := nodes[0].Sent(), nodes[1].Sent(); a+b != 20 || a*b != 0 || len(p.letters()) != 20 {
		t.Errorf("%d and %d, %d letters", a, b, len(p.letters()))
	}
}

// TestBounds: beyond what an address or a realm may get in an hour nothing is queued,
// however the address is written; the change that it would have told of goes on.
//
// ASVS: 6.3.1
func TestBounds(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired)) // 5 an address, 8 a realm
		queued := func(to, realm string) bool { return o.put(mail.Message{To: to, Realm: realm}) != "" }
		for i, to := range []string{"ann@example.com", "Ann@example.com", "a.nn@example.com", "ann+1@example.com", "ann+2@example.com"} {
			if !queued(to, []string{"main", "shop"}[i%2]) {
				t.Errorf("%d was not queued", i)
			}
		}
		if queued("ann+3@example.com", "main") || queued("ann@example.com", "third") {
			t.Error("a sixth one to ann")
		}
		for _, to := range []string{"b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com"} {
			if !queued(to, "main") {
				t.Errorf("%s was not written to", to)
			}
		}
		if queued("g@example.com", "main") || !queued("g@example.com", "shop") {
			t.Error("the bound of one realm")
		}
		if o.queue.Limited() != 3 {
			t.Errorf("%d counted", o.queue.Limited())
		}
		o.pass(time.Hour + time.Minute)
		if !queued("ann@example.com", "main") {
			t.Error("an hour later, still none")
		}
	})
}

// TestOnceIsOnce: of several messages of one name one is queued, over all nodes; another
// goes into the list with each that is queued, and leaves it after two weeks.
func TestOnceIsOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
		first := o.put(mail.Message{To: "ann@example.com", Once: "x"})
		if first == "" || o.put(mail.Message{To: "ann@example.com", Once: "x"}) != "" || o.put(mail.Message{To: "ann@example.com", Once: "y"}) == "" {
			t.Error("twice, or not at all")
		}
		if o.put(mail.Message{To: "no address"}) != "" || o.put(mail.Message{}) != "" {
			t.Error("a message to nobody")
		}
		o.set = mail.Settings{}
		if o.put(mail.Message{To: "ann@example.com"}) != "" {
			t.Error("queued while mail is off")
		}
		o.round() // off: nothing is sent
		if r := o.is(first, mail.Waiting, 0); r.Once != "x" {
			t.Error(r.Once)
		}
		o.pass(14*24*time.Hour + time.Minute)
		o.round()
		if list := must(o.db.Mails(t.Context(), "", "", 10)); len(list) != 0 {
			t.Errorf("after two weeks there are %d", len(list))
		}
	})
}

// TestOtherMasterKey: what cannot be opened is given up, and shown without an address.
func TestOtherMasterKey(t *testing.T) {
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")}
	p := newPost(t, mail.TLSRequired)
	o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
	id := o.put(mail.Message{To: "ann@example.com"})
	if err := o.db.Close(); err != nil {
		t.Fatal(err)
	}
	o = newOffice(t, cfg, seal.GenerateMasterKey(time.Now().Add(time.Second)), p.settings(mail.TLSRequired))
	o.round()
	o.is(id, mail.Failed, 1)
	if _, err := o.queue.To(o.get(id)); err == nil || len(p.letters()) > 0 {
		t.Error("opened by another master key")
	}
}

// TestOutbox: in the place of a server a directory gets the messages, readable by their
// owner alone.
func TestOutbox(t *testing.T) {
	cfg := store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "mail.db")}
	dir := t.TempDir()
	o := newOffice(t, cfg, masterKey(), mail.Settings{Outbox: dir, From: netmail.Address{Address: "id@gate.example"}, Language: "de", Bounds: mail.Bounds{PerAddress: 5, PerRealm: 5}})
	id := o.put(mail.Message{Kind: mail.KindPasswordChanged, To: "ann@example.com", Data: mail.Data{Account: "ann", At: time.Now()}})
	o.round()
	o.is(id, mail.Sent, 1)
	f, err := os.Open(filepath.Join(dir, id+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st := must(f.Stat()); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	plain, _ := parts(t, must(netmail.ReadMessage(f)))
	if !strings.Contains(plain, "Guten Tag ann,") || !strings.Contains(plain, "geändert") {
		t.Error(plain)
	}
	o.set.Outbox = filepath.Join(dir, "away")
	id = o.put(mail.Message{To: "ann@example.com"})
	if !o.round() {
		t.Error("a directory that is not there is not away")
	}
	o.is(id, mail.Waiting, 1)
}

// TestStrangersMessages: what anybody can have sent to anybody goes to one mailbox once in a while, however its address is spelled,
// and takes half of what the realm may send.
func TestStrangersMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		o := newOffice(t, cfg, masterKey(), mail.Settings{Outbox: t.TempDir(), From: netmail.Address{Address: "id@example.com"}, Bounds: mail.Bounds{PerAddress: 10, PerRealm: 5}})
		put := func(to string) bool {
			return o.put(mail.Message{Kind: mail.KindRegister, To: to, Every: 15 * time.Minute, Stranger: true}) != ""
		}
		if !put("a.nn@example.com") || put("ANN+x@example.com") || !put("ben@example.com") || !put("carl@example.com") || put("dora@example.com") {
			t.Error("of five, the first, the third and the fourth go out")
		}
		if o.put(mail.Message{Kind: mail.KindPasswordChanged, To: "dora@example.com"}) == "" {
			t.Error("what strangers asked for kept a notice back")
		}
		o.pass(61 * time.Minute)
		if !put("ann@example.com") {
			t.Error("an hour later")
		}
	})
}
