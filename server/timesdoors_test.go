package server_test

import (
	"crypto/rand"
	"fmt"
	randv2 "math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server"
)

// guessed is a server at which somebody guesses names.
type guessed struct {
	*server.Demo
	clock   *stepped
	guesses atomic.Int64
}

// door is a place where guesses are answered.
type door struct {
	name  string
	lanes int // guesses at the same time: more than one where an answer is waited for and not worked for
	step  time.Duration
	want  int // the status
	alike bool
	least time.Duration // what every answer is waited for
	// names are one that exists and two that do not, for a try.
	names func(try int) [3]string
	// ready makes the guesses of a lane.
	ready func(t *testing.T) func(name, address string) answer
}

func newGuessed(t *testing.T) *guessed {
	t.Helper()
	g := &guessed{clock: new(stepped)}
	var err error
	g.Demo, err = server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}}.WithClock(g.clock.now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(t.Context()) })
	return g
}

// account makes an account with a password and an address.
func (g *guessed) account(t *testing.T, name string) string {
	t.Helper()
	if call(t, "POST", g.Issuer+"/admin/v1/realms/main/users", "bearer", g.AdminToken,
		"body", `{"username":"`+name+`","email":"`+name+`@example.com","password":"`+rand.Text()+`"}`).want(t, "a user", 201); t.Failed() {
		t.FailNow()
	}
	return name
}

// open has the server write to people, and lets everybody make an account.
func (g *guessed) open(t *testing.T) {
	t.Helper()
	g.KeepMail(t.TempDir())
	call(t, "PATCH", g.Issuer+"/admin/v1/realms/main", "bearer", g.AdminToken, "Content-Type", "application/merge-patch+json",
		"body", `{"settings":{"registration":"open"}}`).want(t, "open", 200)
}

// passwordDoors are those that take a password. Every stranger's guess takes of one bucket, which a second fills.
func (g *guessed) passwordDoors() []door {
	basic := func(method, url string) func(*testing.T) func(string, string) answer {
		return func(t *testing.T) func(string, string) answer {
			return func(name, address string) answer {
				return call(t, method, url, "basic", name+":wrong password for anybody", "X-Forwarded-For", address, "X-Forwarded-Proto", "https")
			}
		}
	}
	return []door{
		{name: "POST tokens", lanes: 1, step: time.Second, want: 401, ready: basic("POST", g.Issuer+"/tokens")},
		{name: "Basic at the gateway", lanes: 1, step: time.Second, want: 401, ready: basic("GET", g.Gateway+"/private")},
		{name: "the page to sign in", lanes: 1, step: time.Second, want: 422, ready: g.page("/signin", func(name string) url.Values {
			return url.Values{"step": {"password"}, "identifier": {name}, "password": {"wrong password for anybody"}}
		})},
	}
}

// mailDoors are the pages that write to the person of a name, or to an address. A realm writes to a thousand strangers
// in an hour: a message in four seconds.
func (g *guessed) mailDoors(people []string) []door {
	const lanes, step, quarter = 6, 4 * time.Second, 250 * time.Millisecond
	names := func(at string) func(try int) [3]string {
		return func(try int) [3]string {
			return [3]string{people[try%len(people)] + at, fmt.Sprintf("nobody%06d", try) + at, fmt.Sprintf("noone_%06d", try) + at}
		}
	}
	return []door{
		{name: "the page of a forgotten password", lanes: lanes, step: step, want: 200, alike: true, least: quarter, names: names(""),
			ready: g.page("/recover", func(name string) url.Values { return url.Values{"identifier": {name}} })},
		{name: "the page to make an account", lanes: lanes, step: step, want: 200, alike: true, least: quarter, names: names("@example.com"),
			ready: g.page("/register", func(name string) url.Values { return url.Values{"email": {name}} })},
	}
}

// page makes guesses by a form of a page, in one browser.
func (g *guessed) page(path string, fields func(name string) url.Values) func(*testing.T) func(string, string) answer {
	return func(t *testing.T) func(string, string) answer {
		shown := call(t, "GET", g.Issuer+path, "X-Forwarded-Proto", "https")
		token := formToken.FindStringSubmatch(shown.body)
		if token == nil {
			t.Fatalf("%s: %d %s", path, shown.status, shown.body)
		}
		var cookies []string
		for _, c := range (&http.Response{Header: shown.header}).Cookies() {
			cookies = append(cookies, c.Name+"="+c.Value)
		}
		return func(name, address string) answer {
			in := fields(name)
			in.Set("form", token[1])
			return call(t, "POST", g.Issuer+path, "Content-Type", "application/x-www-form-urlencoded", "body", in.Encode(),
				"Cookie", strings.Join(cookies, "; "), "X-Forwarded-For", address, "X-Forwarded-Proto", "https")
		}
	}
}

// timed makes the guesses of a door, each kind as often as the others, and fails where their times, and
// answers that have to be alike, tell the kinds apart; or where nobody would have seen a difference of late.
func (g *guessed) timed(t *testing.T, d door, tries int, late time.Duration) {
	var lanes []func(name, address string) answer
	for range d.lanes {
		lanes = append(lanes, d.ready(t))
	}
	var mu sync.Mutex
	var all []try
	var pages [3]map[string]bool
	for kind := range pages {
		pages[kind] = map[string]bool{}
	}
	var done sync.WaitGroup
	for lane, guess := range lanes {
		turn := randv2.New(randv2.NewPCG(1, uint64(lane)))
		done.Go(func() {
			for i := lane; i < tries && !t.Failed(); i += d.lanes {
				names := d.names(i)
				for _, kind := range turn.Perm(len(names)) {
					n := g.guesses.Add(1)
					g.clock.step(d.step)
					address := fmt.Sprintf("10.%d.%d.1", n>>8&255, n&255)
					begun := time.Now()
					a := guess(names[kind], address)
					if a.status != d.want {
						t.Errorf("%s, try %d: %d %s", names[kind], i, a.status, a.body)
						return
					}
					if took := time.Since(begun); took < d.least {
						t.Errorf("%s, try %d: answered in %v: when it was done, and not when everybody is answered", names[kind], i, took)
						return
					}
					if kind == 2 {
						for answered := time.Now(); time.Since(answered) < late; { // busy, as a server would be
						}
					}
					took := time.Since(begun)
					mu.Lock()
					all = append(all, try{kind, took})
					a.header.Del("Date")
					a.header.Del("X-Request-Id")
					pages[kind][fmt.Sprint(a.header, a.body)] = true
					mu.Unlock()
				}
			}
		})
	}
	done.Wait()
	if t.Failed() {
		return
	}
	for kind, these := range pages {
		if d.alike && (len(these) != 1 || fmt.Sprint(these) != fmt.Sprint(pages[0])) {
			t.Errorf("kind %d is answered by other pages: %.800q", kind, fmt.Sprint(these))
		}
	}
	took := steady(all)
	found, ours, bound := smirnov(took[1], took[2]), smirnov(took[0], took[1]), smirnovBound(tries, tries)
	t.Logf("a distance of %.3f between names that exist and names that do not, of %.3f for planted %v; one of %.3f comes by chance once in a thousand runs",
		ours, found, late, bound)
	if found < bound {
		t.Errorf("a difference of %v was not found: the machine is too busy to say anything", late)
	}
	if ours >= bound {
		t.Errorf("time tells which names exist")
	}
}
