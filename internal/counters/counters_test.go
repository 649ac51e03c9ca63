package counters

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testredis"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

const soon = 10 * time.Second

// log collects what a server logs.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// counting is a server of ours in front of r, with patience for a machine that is busy.
func counting(t *testing.T, address string, change func(*Config)) (*Server, *log) {
	t.Helper()
	out := &log{}
	cfg := Config{Address: address, Prefix: "gatehouse:", Secret: []byte("0123456789abcdef0123456789abcdef"), Timeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(out, nil))}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	s.Connect(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, out
}

// TestExact: however many ask on however many nodes, no more is let through than the limit,
// and all of it.
func TestExact(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	const tolerance = 100 * time.Hour // 100 at once, one more in an hour
	var allowed, unknown atomic.Int64
	var asking sync.WaitGroup
	for range 3 {
		s, _ := counting(t, r.Address, nil)
		for range 40 { // more than a server gets connections, all of them together
			asking.Go(func() {
				for range 5 {
					switch _, ok, known := s.GCRA("route", "usr_1", time.Hour, tolerance, 0); {
					case !known:
						unknown.Add(1)
					case ok:
						allowed.Add(1)
					}
				}
			})
		}
	}
	asking.Wait()
	if allowed.Load() != 100 || unknown.Load() != 0 {
		t.Errorf("%d were let through of 100, %d not counted", allowed.Load(), unknown.Load())
	}
	if n := len(strings.Split(r.Do("", "CLIENT", "LIST", "TYPE", "normal"), "\n")); n > 3*maxConnections+2 {
		t.Errorf("%d connections", n)
	}
}

// TestOwed: what is owed is exact to the nanosecond, also where a number has more digits than
// Lua writes, falls with time, and is never more than may be.
func TestOwed(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	const month = 31 * 24 * time.Hour
	owed, ok, known := s.GCRA("route", "a", month-1, month, 0)
	if owed != month-1 || !ok || !known {
		t.Fatalf("%d %v %v", owed, ok, known)
	}
	again, ok, _ := s.GCRA("route", "a", month-1, month, 0)
	if gone := owed - again; ok || gone < 0 || gone > soon {
		t.Errorf("refused %v, %v later", !ok, gone)
	}
	// Another rate: nobody can owe more by it, and it counts from now on.
	if owed, ok, _ := s.GCRA("route", "a", 50*time.Millisecond, 100*time.Millisecond, 0); ok || owed != 100*time.Millisecond {
		t.Errorf("%v %v", owed, ok)
	}
	testwait.Until(t, soon, "the new rate is what a caller waits by", func() bool {
		_, ok, _ := s.GCRA("route", "a", 50*time.Millisecond, 100*time.Millisecond, 0)
		return ok
	})
	if owed, ok, _ := s.GCRA("other", "a", time.Hour, time.Hour, 0); !ok || owed != time.Hour {
		t.Error("two routes share a count")
	}
	if _, ok, _ := s.GCRA("route", "b", time.Hour, time.Hour, 0); !ok {
		t.Error("two callers share a count")
	}
}

// TestFloor: nobody owes less than who asks knows, or more than may be owed; what is owed is
// kept, for others who ask.
func TestFloor(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	for i, c := range []struct {
		floor, least time.Duration
		ok           bool
	}{{2 * time.Hour, 3 * time.Hour, true}, {time.Hour, 4 * time.Hour, true}, {0, 5 * time.Hour, true}, {0, 4 * time.Hour, false}, {100 * time.Hour, 5 * time.Hour, false}} {
		if owed, ok, known := s.GCRA("route", "a", time.Hour, 5*time.Hour, c.floor); !known || ok != c.ok || owed > 5*time.Hour || owed < c.least-time.Minute {
			t.Errorf("%d: %v %v %v", i, owed, ok, known)
		}
	}
	r.Do("", "FLUSHALL")
	if _, ok, _ := s.GCRA("route", "a", time.Hour, 5*time.Hour, 9*time.Hour); ok {
		t.Error("lost counts have somebody begin anew")
	}
	if _, ok, _ := s.GCRA("route", "a", time.Hour, 5*time.Hour, 0); ok {
		t.Error("another one who asks has him begin anew")
	}
}

// TestClockSetBack: a count of the future, as there is one after the server's clock was set
// back, locks nobody out for longer than the rate does.
func TestClockSetBack(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	r.Do("", "SET", s.name("route", "", "a", ""), fmt.Sprintf("%d %d", time.Now().Add(time.Hour).UnixMicro(), (100*time.Millisecond).Nanoseconds()))
	testwait.Until(t, soon, "the caller is let through", func() bool {
		_, ok, known := s.GCRA("route", "a", 100*time.Millisecond, 100*time.Millisecond, 0)
		return ok && known
	})
}

// TestMemory: what a count is called tells the route and nobody's address or id, and it ends
// by itself.
func TestMemory(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, func(c *Config) { c.Prefix = "shop:" })
	testwait.Until(t, soon, "the probe is forgotten", func() bool { return r.Do("", "DBSIZE") == "0" })
	s.GCRA("address\x00main\x00GET /x", "192.0.2.77", time.Minute, time.Minute, 0)
	s.GCRA(strings.Repeat("long", 100), "usr_77", time.Minute, time.Minute, 0)
	names := r.Do("", "KEYS", "*")
	if !strings.Contains(names, "shop:address:main:GET /x:") || strings.Contains(names, "77") || len(names) > 2*(maxScope+40) {
		t.Errorf("%s", names)
	}
	if ms := r.Do("", "PTTL", s.name("address\x00main\x00GET /x", "", "192.0.2.77", "")); len(ms) != 5 || ms > "60001" {
		t.Errorf("it ends after %s ms", ms)
	}
	other, _ := counting(t, r.Address, func(c *Config) { c.Prefix, c.Secret = "shop:", []byte("another installation") })
	if other.name("a", "", "b", "") == s.name("a", "", "b", "") || s.name("a", "", "bc", "") == s.name("ab", "", "c", "") {
		t.Error("names meet")
	}
	s.GCRA("short", "x", time.Millisecond, time.Millisecond, 0)
	testwait.Until(t, soon, "it is forgotten", func() bool { return !strings.Contains(r.Do("", "KEYS", "*"), "short") })
}

// TestScriptFlushed: a server that has forgotten the script is told it again.
func TestScriptFlushed(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, out := counting(t, r.Address, nil)
	for _, want := range []bool{true, true, false} {
		r.Do("", "SCRIPT", "FLUSH")
		if _, ok, known := s.GCRA("route", "a", time.Hour, 2*time.Hour, 0); !known || ok != want {
			t.Errorf("known %v, allowed %v", known, ok)
		}
	}
	if out.text() != "" {
		t.Error(out.text())
	}
}

// TestAway: a server that ends is away at once and told of once; when it is back it counts.
func TestAway(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, out := counting(t, r.Address, nil)
	if _, ok, known := s.GCRA("route", "a", time.Hour, time.Hour, 0); !ok || !known {
		t.Fatal("it does not count")
	}
	r.Kill()
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			if _, ok, known := s.GCRA("route", "a", time.Hour, time.Hour, 0); ok || known {
				t.Error("counted by nobody")
			}
		})
	}
	asking.Wait()
	if !s.Away() {
		t.Error("it is not known to be away")
	}
	if n := strings.Count(out.text(), "is away"); n != 1 {
		t.Errorf("told %d times: %s", n, out.text())
	}
	r.Up()
	testwait.Until(t, soon, "it is back", func() bool { return !s.Away() })
	if _, ok, known := s.GCRA("route", "a", time.Hour, time.Hour, 0); !ok || !known {
		t.Error("it does not count")
	}
	if n := strings.Count(out.text(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, out.text())
	}
}

// TestSilent: a server that accepts and says nothing costs a time-out once, and those who ask
// together pay it together.
func TestSilent(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, func(c *Config) { c.Timeout = 500 * time.Millisecond })
	testwait.Until(t, soon, "it is there", func() bool { return !s.Away() })
	r.Stop()
	defer r.Continue()
	began := time.Now()
	var asking sync.WaitGroup
	for range 200 { // more than there can be connections
		asking.Go(func() {
			for range 10 {
				if _, ok, known := s.GCRA("route", "a", time.Hour, time.Hour, 0); ok || known {
					t.Error("counted by nobody")
				}
			}
		})
	}
	asking.Wait()
	if took := time.Since(began); took < 400*time.Millisecond || took > 3*time.Second {
		t.Errorf("2,000 questions to a silent server with a time-out of 0.5 s took %v", took)
	}
	// One that never said anything.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	never := New(Config{Address: l.Addr().String(), Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
	began = time.Now()
	if _, _, known := never.GCRA("route", "a", time.Hour, time.Hour, 0); known || time.Since(began) > time.Second/2 {
		t.Errorf("it was waited for: %v", time.Since(began))
	}
}

// TestPassword: the server and its log say that a password is wrong, and not which; a user
// of the access list who may do no more than count is enough.
func TestPassword(t *testing.T) {
	r := testredis.Start(t, testredis.Options{Password: "rather-secret", User: "gate"})
	s, out := counting(t, r.Address, func(c *Config) { c.Password = "wrong-secret" })
	if !s.Away() || !strings.Contains(out.text(), "WRONGPASS") || strings.Contains(out.text(), "secret") {
		t.Errorf("away %v: %s", s.Away(), out.text())
	}
	s, out = counting(t, r.Address, nil)
	if !s.Away() || !strings.Contains(out.text(), "NOAUTH") {
		t.Errorf("away %v: %s", s.Away(), out.text())
	}
	for _, user := range []string{"", "gate"} {
		s, out := counting(t, r.Address, func(c *Config) { c.Password, c.Username, c.Database = "rather-secret", user, 3 })
		if _, ok, known := s.GCRA("route", "by "+user, time.Hour, time.Hour, 0); !ok || !known {
			t.Errorf("%q: %s", user, out.text())
		}
	}
	// What it may not do is found before the first request.
	s, out = counting(t, r.Address, func(c *Config) { c.Password, c.Username, c.Prefix = "rather-secret", "gate", "other:" })
	if !s.Away() || !strings.Contains(out.text(), "No permissions") && !strings.Contains(out.text(), "NOPERM") {
		t.Errorf("away %v: %s", s.Away(), out.text())
	}
}

// TestTLS: a server is verified: by the authority that is named, and by its name.
func TestTLS(t *testing.T) {
	r := testredis.Start(t, testredis.Options{TLS: true, Password: "rather-secret"})
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	_, port, _ := net.SplitHostPort(r.Address)
	for name, c := range map[string]struct {
		address string
		tls     *tls.Config
		there   bool
	}{
		"its authority":      {r.Address, &tls.Config{RootCAs: roots}, true},
		"unknown":            {r.Address, &tls.Config{}, false},
		"by another name":    {"localhost:" + port, &tls.Config{RootCAs: roots}, false},
		"without encryption": {r.Address, nil, false},
	} {
		s, out := counting(t, c.address, func(cfg *Config) { cfg.TLS, cfg.Password = c.tls, gatehouse.Secret("rather-secret") })
		if s.Away() == c.there || strings.Contains(out.text(), "secret") {
			t.Errorf("%s: away %v: %s", name, s.Away(), out.text())
		}
		if _, ok, known := s.GCRA("route", name, time.Hour, time.Hour, 0); ok != c.there || known != c.there {
			t.Errorf("%s: allowed %v, known %v", name, ok, known)
		}
	}
}

// TestNonsense: an answer that cannot be is none.
func TestNonsense(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answers := make(chan string, 4)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write([]byte(<-answers)); err != nil {
						return
					}
				}
			}()
		}
	}()
	for _, answer := range []string{"*2\r\n:1\r\n:-1\r\n", fmt.Sprintf("*2\r\n:1\r\n:%d\r\n", 2*time.Hour), "*1\r\n:1\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "+OK\r\n", "-OOM no room\r\n", "hello\r\n"} {
		s := New(Config{Address: l.Addr().String(), Timeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		answers <- "*2\r\n:1\r\n:0\r\n"
		if !s.Connect(t.Context()) {
			t.Fatal("it is away")
		}
		answers <- answer
		if _, ok, known := s.GCRA("route", "a", time.Hour, time.Hour, 0); ok || known || !s.Away() {
			t.Errorf("%q: allowed %v, known %v", answer, ok, known)
		}
	}
}
