package server_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// siege is two nodes on one PostgreSQL with some hundred people, under attack. Its time is the database's, which the
// nodes follow, and can be moved forward: an attack of a day needs no day.
type siege struct {
	t      *testing.T
	d      *server.Demo
	nodes  []*server.Server
	outbox string
	db     *pgx.Conn
	ahead  time.Duration

	crowd  []string // names of people whose password nobody here knows
	people []*resident
	// newcomers have an account that they never signed in to, and of the breached an attacker has the passwords.
	newcomers, breached []*resident
	serial              atomic.Int64
}

// resident is a person with a browser that the account knows.
type resident struct {
	name, password, home string
	secret               string // of an authenticator app, if there is one
	browser              *http.Client
	used                 string // the code that was used last
}

// asFrom sends requests from an address, by the hands of a proxy that has done TLS.
type asFrom struct{ address string }

func (f asFrom) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	r.Header.Set("X-Forwarded-For", f.address)
	r.Header.Set("X-Forwarded-Proto", "https")
	return http.DefaultTransport.RoundTrip(r)
}

// lay begins a siege of so many people besides those who sign in while it lasts.
func lay(t *testing.T, crowd int) *siege {
	t.Helper()
	s := &siege{t: t, outbox: t.TempDir()}
	st := postgresStore(t)
	var err error
	if s.db, err = pgx.Connect(t.Context(), st.DSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close(t.Context()) })
	// The database's clock is a function that stands before its own from now on.
	for _, statement := range []string{
		"CREATE SCHEMA ahead",
		"CREATE TABLE ahead.by (microseconds bigint NOT NULL)",
		"INSERT INTO ahead.by VALUES (0)",
		"CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS " +
			"$$ SELECT pg_catalog.clock_timestamp() + (SELECT microseconds FROM ahead.by) * interval '1 microsecond' $$",
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, ahead, pg_catalog', current_database()); END $$`,
	} {
		if _, err := s.db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	s.d = demoOn(t, st)
	other, err := s.d.Another(t.Context(), t.TempDir(), func(*server.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		other.Close(over)
	})
	s.nodes = []*server.Server{s.d.Server(), other}
	for _, n := range s.nodes {
		server.KeepMail(n, s.outbox)
	}
	hasher, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := hasher.Hash(t.Context(), gatehouse.Secret(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range crowd {
		s.crowd = append(s.crowd, fmt.Sprintf("person%03d", i))
		s.account(s.crowd[i], `"password_hash":"`+unknown+`"`)
	}
	for i := range 2 {
		r := &resident{name: fmt.Sprintf("newcomer%d", i), password: rand.Text()}
		s.account(r.name, `"password":"`+r.password+`"`)
		s.newcomers = append(s.newcomers, r)
		r = &resident{name: fmt.Sprintf("breached%d", i), password: rand.Text()}
		s.account(r.name, `"password":"`+r.password+`"`)
		s.breached = append(s.breached, r)
	}
	return s
}

func (s *siege) account(name, more string) {
	s.t.Helper()
	if a := call(s.t, "POST", s.d.Issuer+"/admin/v1/realms/main/users", "bearer", s.d.AdminToken,
		"body", fmt.Sprintf(`{"username":%q,"email":"%s@example.com",%s}`, name, name, more)); a.status != 201 {
		s.t.Fatalf("%s: %d %s", name, a.status, a.body)
	}
}

// fresh is an address that nobody came from before.
func (s *siege) fresh() string {
	n := s.serial.Add(1)
	return fmt.Sprintf("100.%d.%d.%d", 64+n>>16, n>>8&255, n&255)
}

// settle has a person move in: an account, and a browser in which it has signed in.
func (s *siege) settle(name string) *resident {
	s.t.Helper()
	r := &resident{name: name, password: rand.Text(), home: s.fresh()}
	s.account(name, `"password":"`+r.password+`"`)
	r.browser = s.browser()
	if status := s.signIn(r, 0, r.home); status != http.StatusSeeOther {
		s.t.Fatalf("%s moves in: %d", name, status)
	}
	s.people = append(s.people, r)
	return r
}

// guard gives a person an authenticator app, and signs in with it.
func (s *siege) guard(r *resident) {
	s.t.Helper()
	login, _ := call(s.t, "POST", s.d.Issuer+"/tokens", "basic", r.name+":"+r.password, "X-Forwarded-For", r.home, "X-Forwarded-Proto", "https").
		want(s.t, "POST /tokens", 200).json["access_token"].(string)
	own := s.d.Issuer + "/admin/v1/realms/main/users/me/factors"
	begun := call(s.t, "POST", own+"/totp", "bearer", login, "body", fmt.Sprintf(`{"password":%q}`, r.password)).want(s.t, "an app", 201)
	about, _ := begun.json["factor"].(map[string]any)
	r.secret, _ = begun.json["secret"].(string)
	call(s.t, "POST", fmt.Sprint(own, "/", about["id"], "/confirm"), "bearer", login, "body", fmt.Sprintf(`{"code":%q}`, s.code(r))).want(s.t, "confirmed", 200)
	s.wait(time.Minute) // a code works once
	if status := s.signIn(r, 0, r.home); status != http.StatusSeeOther {
		s.t.Fatalf("%s signs in with a code: %d", r.name, status)
	}
}

func (s *siege) code(r *resident) string { return testtotp.Code(r.secret, time.Now().Add(s.ahead)) }

// wait moves the time of both nodes forward.
func (s *siege) wait(d time.Duration) {
	s.t.Helper()
	s.ahead += d
	if _, err := s.db.Exec(s.t.Context(), "UPDATE ahead.by SET microseconds = $1", s.ahead.Microseconds()); err != nil {
		s.t.Fatal(err)
	}
	for i, n := range s.nodes {
		testwait.Until(s.t, soon, fmt.Sprintf("node %d follows the time", i), func() bool {
			return server.Now(n).Sub(time.Now().Add(s.ahead)).Abs() < time.Second/2
		})
	}
}

func (s *siege) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signIn has a person sign in on the pages of a node, from an address, with the browser that the person has; 303 is that it
// is signed in.
func (s *siege) signIn(r *resident, node int, address string) (status int) {
	at := s.pages(node)
	c := *r.browser
	c.Transport = asFrom{address}
	// A session that is left over is none of the attack's business.
	form := s.form(c.Get(at + "/signin?again=1"))
	status, to := s.sent(c.PostForm(at+"/signin", url.Values{"identifier": {r.name}, "password": {r.password}, "step": {"password"}, "form": {form}}))
	if status != http.StatusSeeOther || !strings.HasPrefix(to, "/signin/factor") {
		return status
	}
	form = s.form(c.Get(at + "/signin/factor"))
	r.used = s.code(r)
	status, _ = s.sent(c.PostForm(at+"/signin/factor", url.Values{"code": {r.used}, "form": {form}}))
	return status
}

// pages is where the pages of a node are, behind the proxy.
func (s *siege) pages(node int) string {
	return strings.Replace(s.nodes[node].AuthURL(), "http:", "https:", 1)
}

func (s *siege) form(res *http.Response, err error) string {
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	m := formToken.FindSubmatch(b)
	if err != nil || m == nil {
		s.t.Errorf("no form: %d %v %s", res.StatusCode, err, b)
		return ""
	}
	return string(m[1])
}

func (s *siege) sent(res *http.Response, err error) (status int, to string) {
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Location")
}

// guess is what came of one try of an attacker.
type guess struct {
	hashed bool // the password (or the code) was looked at
	opened bool
	half   bool // the password was right, and a code is asked for
	busy   bool // too many passwords were being looked at
	wait   time.Duration
}

// try guesses at a node: at a code, too, where there is one.
func (s *siege) try(node int, address, name, password, code string) (g guess) {
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", s.nodes[node].AuthURL()+"/tokens", strings.NewReader(url.Values{"otp": {code}}.Encode()))
	if err != nil {
		s.t.Error(err)
		return g
	}
	r.SetBasicAuth(name, password)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", address)
	r.Header.Set("X-Forwarded-Proto", "https")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return g
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	g.wait = time.Duration(seconds) * time.Second
	text := string(b)
	switch {
	case res.StatusCode == 200:
		g.hashed, g.opened = true, true
	case strings.Contains(text, "/second_factor_required\""):
		g.hashed, g.half = true, true
	case res.StatusCode == 401, strings.Contains(text, "/second_factor_invalid\""):
		g.hashed = true
	case res.StatusCode == 429 && strings.Contains(text, "too_many_attempts"):
	case res.StatusCode == 503:
		g.busy = true
	default:
		s.t.Errorf("a guess: %d %s", res.StatusCode, text)
	}
	return g
}

// letters is how many messages were queued with a link to set a new password.
func (s *siege) letters() (n int) {
	s.t.Helper()
	if err := s.db.QueryRow(s.t.Context(), "SELECT count(*) FROM mails WHERE kind = 'reset_link'").Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// assault is one pattern of an attack, and what it came to.
type assault struct {
	name string
	// lasts is how long it went on, by the time of the nodes.
	lasts time.Duration
	// firstHour is how many tries were looked at in its first hour, later in each hour after that.
	firstHour, later float64
	// most and mostLater bound those.
	most, mostLater int
	victim          *resident // whose account alone is attacked, if it is one person's
	// note says what the figures do not.
	note string

	mu                               sync.Mutex
	made, hashed, opened, half, busy int
	// What people came to who signed in meanwhile, with a browser that the account knows and with one that it does not.
	knownSeen, knownIn, newSeen, newIn int
}

func (a *assault) took(g guess) guess {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made++
	if g.hashed {
		a.hashed++
	}
	if g.opened {
		a.opened++
	}
	if g.half {
		a.half++
	}
	if g.busy {
		a.busy++
	}
	return g
}
