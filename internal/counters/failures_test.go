package counters

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/gatehouse-auth/gatehouse/internal/testredis"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// TestRefusals: a server that answers and does not count is away, the log has its word for
// why, and when it counts again it is back by itself.
func TestRefusals(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	config := func(key, value string) func() { return func() { r.Do("", "CONFIG", "SET", key, value) } }
	do := func(command string, args ...any) func() { return func() { r.Do("", command, args...) } }
	for word, c := range map[string]struct{ broken, mended func() }{
		"READONLY":   {do("REPLICAOF", "127.0.0.1", "1"), do("REPLICAOF", "NO", "ONE")}, // another one took over
		"OOM":        {config("maxmemory", "1"), config("maxmemory", "0")},
		"NOREPLICAS": {config("min-replicas-to-write", "1"), config("min-replicas-to-write", "0")},
		"NOPERM":     {do("ACL", "SETUSER", "default", "-evalsha"), do("ACL", "SETUSER", "default", "+evalsha")},
		"BUSY":       {func() { busy(t, r) }, do("SCRIPT", "KILL")},
	} {
		t.Run(word, func(t *testing.T) {
			s, out := counting(t, r.Address, nil)
			ask := func() bool { _, ok, known := s.GCRA(word, "a", time.Millisecond, time.Hour, 0); return ok && known }
			if !ask() {
				t.Fatalf("not there: %s", out.text())
			}
			c.broken()
			testwait.Until(t, soon, "it is away", func() bool { return !ask() && s.Away() })
			testwait.Until(t, soon, "the log says why", func() bool { return strings.Contains(out.text(), "reason="+word) })
			c.mended()
			testwait.Until(t, soon, "it is back", ask)
			if !strings.Contains(out.text(), "exact again") || strings.Contains(out.text(), "lead to the primary") != (word == "READONLY") {
				t.Error(out.text())
			}
		})
	}
}

// busy has a script run on the server that does not end.
func busy(t *testing.T, r *testredis.Server) {
	t.Helper()
	r.Do("", "CONFIG", "SET", "busy-reply-threshold", "1")
	conn, err := redis.Dial("tcp", r.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := errors.Join(conn.Send("EVAL", "while true do end", 0), conn.Flush()); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, soon, "it is busy", func() bool {
		other, err := redis.Dial("tcp", r.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		_, err = other.Do("PING")
		return err != nil && strings.HasPrefix(err.Error(), "BUSY")
	})
}

// TestConnectionsCut: a server that has ended every connection, as a firewall or one that was
// restarted in between does, is back at once.
func TestConnectionsCut(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, _ := counting(t, r.Address, nil)
	for range 3 {
		testwait.Until(t, soon, "it counts", func() bool { _, _, known := s.GCRA("route", "a", time.Millisecond, time.Hour, 0); return known })
		r.Do("", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
}

// way is a connection to a server that can be slow: what it answers is held back for a time,
// on each connection after the first answers.
type way struct {
	address string
	delay   atomic.Int64 // ns
	quick   atomic.Int64 // so many answers come at once on each connection
}

func newWay(t *testing.T, to string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &way{address: l.Addr().String()}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() {
				defer out.Close()
				_, _ = io.Copy(out, in)
			}()
			go func() {
				defer in.Close()
				buf := make([]byte, 4096)
				for n := int64(0); ; n++ {
					k, err := out.Read(buf)
					if err != nil {
						return
					}
					if n >= w.quick.Load() {
						select {
						case <-time.After(time.Duration(w.delay.Load())):
						case <-ended:
							return
						}
					}
					if _, err := in.Write(buf[:k]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return w
}

// TestSlow: a server that is slower than the time-out costs who asks that time and no more, is
// asked in vain ever less often, even if it answers those who look for it quickly, and is back
// when it is quick again. One that is slow and in time is there.
func TestSlow(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	w := newWay(t, r.Address)
	const timeout = 100 * time.Millisecond
	s, out := counting(t, w.address, func(c *Config) { c.Timeout = timeout })
	ask := func() bool { _, ok, known := s.GCRA("route", "a", time.Microsecond, time.Hour, 0); return ok && known }
	testwait.Until(t, soon, "it counts", ask)
	w.delay.Store(int64(timeout / 10))
	testwait.Until(t, soon, "it counts, slowly", ask)

	w.quick.Store(1) // whoever looks for it gets his answer
	w.delay.Store(int64(time.Minute))
	began := time.Now()
	var waits atomic.Int64
	var asking sync.WaitGroup
	pace := time.NewTicker(200 * time.Microsecond)
	defer pace.Stop()
	for range 8 {
		asking.Go(func() {
			for time.Since(began) < 3*time.Second {
				before := time.Now()
				ask()
				if took := time.Since(before); took > timeout/2 {
					waits.Add(1)
				} else {
					<-pace.C // who asks has something else to do, too
				}
			}
		})
	}
	asking.Wait()
	// After 50, 100, 200, 400, 800 ms and each second, each of eight waits once.
	if n := waits.Load(); n > 8*8 {
		t.Errorf("%d waited for a server that does not answer in time", n)
	}
	if !strings.Contains(out.text(), "no answer") {
		t.Error(out.text())
	}
	w.delay.Store(0)
	testwait.Until(t, soon, "it is back", ask)
}

// TestShardOfACluster: a server that knows of others, and has all counts, takes both counts of
// one id: they belong together.
func TestShardOfACluster(t *testing.T) {
	r := testredis.Start(t, testredis.Options{Cluster: true})
	s, out := counting(t, r.Address, nil)
	testwait.Until(t, soon, "it is there", func() bool { return !s.Away() })
	for i := range int64(10) {
		u := Use{Scope: "quota\x00main", ID: string(rune('a' + i)), Of: []Period{period("2026-03-17", 0, 3), period("2026-03", 0, 4)}}
		if v, _, known := s.Use(u); v != Counted || !known {
			t.Fatalf("%v %v: %s", v, known, out.text())
		}
	}
}

// TestShardsOfACluster: one of several servers that have some of the counts each is away for all of them, and stays so, though
// it has most of those that it is asked for: the log says once what is wrong.
func TestShardsOfACluster(t *testing.T) {
	r, other := testredis.Start(t, testredis.Options{Cluster: true}), testredis.Start(t, testredis.Options{Cluster: true})
	out := &log{}
	s := New(Config{Address: r.Address, Prefix: "gatehouse:", Timeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(out, nil))})
	asked := 0
	ask := func() bool {
		s.Connect(t.Context())
		asked++
		_, _, known := s.GCRA("route", strconv.Itoa(asked), time.Millisecond, time.Hour, 0)
		return known
	}
	testwait.Until(t, soon, "it counts", ask)
	const from = 16384 - 1638 // the other one gets a tenth
	r.Do("", "CLUSTER", "DELSLOTSRANGE", from, 16383)
	other.Do("", "CLUSTER", "DELSLOTSRANGE", 0, from-1)
	host, port, _ := net.SplitHostPort(other.Address)
	r.Do("", "CLUSTER", "MEET", host, port, other.Bus)
	testwait.Until(t, 3*soon, "it says that another one has some", func() bool {
		ask()
		return strings.Contains(out.text(), "reason=MOVED")
	})
	before := out.text()
	for range 100 {
		if ask() {
			t.Fatalf("it counts some: %s", out.text())
		}
	}
	if out.text() != before || !strings.Contains(before, "Clusters of several shards are not supported") {
		t.Errorf("%s", out.text())
	}
}

// TestDropsKeys: a server that drops counts to make room counts on, and has nobody begin anew
// who is known to have used his.
func TestDropsKeys(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	s, out := counting(t, r.Address, nil)
	r.Do("", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	r.Do("", "CONFIG", "SET", "maxmemory", "3mb")
	owed, ok, known := s.GCRA("route", "mine", time.Hour, time.Hour, 0)
	if !ok || !known {
		t.Fatal(out.text())
	}
	held := func() bool { return r.Do("", "EXISTS", s.name("route", "", "mine", "")) == "1" }
	testwait.Until(t, 3*soon, "my count is dropped", func() bool {
		for range 200 {
			if _, _, known := s.GCRA("route", time.Now().String(), time.Hour, time.Hour, 0); !known {
				t.Fatal(out.text())
			}
		}
		return !held()
	})
	if _, ok, known := s.GCRA("route", "mine", time.Hour, time.Hour, owed-time.Second); ok || !known {
		t.Errorf("allowed %v, known %v", ok, known)
	}
}
