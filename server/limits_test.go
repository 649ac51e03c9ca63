package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testredis"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/server"
)

// limited are two nodes on one PostgreSQL that let an address call a page 20 times in a day.
type limited struct {
	t     *testing.T
	demo  *server.Demo
	nodes [2]*server.Server
	next  atomic.Int64
}

func newLimited(t *testing.T, change func(*server.Config)) *limited {
	t.Helper()
	d := demoOn(t, postgresStore(t))
	d.StopServer(t.Context())
	l := &limited{t: t, demo: d}
	for i := range l.nodes {
		l.nodes[i] = another(t, d, func(c *server.Config) {
			c.TrustedProxies = []string{"127.0.0.0/8"}
			i := slices.IndexFunc(c.Routes, func(r enforce.Route) bool { return r.Pattern == "GET /public" })
			c.Routes[i].RateAddress = limit.Rate{Limit: 20, Window: 24 * time.Hour}
			c.Limits.Redis.Timeout = time.Second // the machine may be busy
			change(c)
		})
	}
	return l
}

// address is one that nobody called from.
func (l *limited) address() string {
	n := l.next.Add(1)
	return fmt.Sprintf("198.51.%d.%d", n/250, 1+n%250)
}

func (l *limited) ask(node int, address string) answer {
	return call(l.t, "GET", l.nodes[node].GatewayURL()+"/public", "X-Forwarded-For", address)
}

// lets is how many requests of one more address the nodes let through, of 30 to each.
func (l *limited) lets(nodes ...int) (n int) {
	l.t.Helper()
	address := l.address()
	var allowed atomic.Int64
	var asking sync.WaitGroup
	for _, node := range nodes {
		for range 3 {
			asking.Go(func() {
				for range 10 {
					switch a := l.ask(node, address); {
					case a.status == 200:
						allowed.Add(1)
					case a.code() != "rate_limited":
						l.t.Errorf("%d %s", a.status, a.body)
					}
				}
			})
		}
	}
	asking.Wait()
	return int(allowed.Load())
}

func (l *limited) until(what string, ok func() bool) { testwait.Until(l.t, 3*soon, what, ok) }

// notes are those of a node's readiness, which must be.
func (l *limited) notes(node int) string {
	a := call(l.t, "GET", l.nodes[node].MetricsURL()+"/readyz").want(l.t, "readiness", 200)
	return fmt.Sprint(a.json["notes"])
}

// TestLimitByShares: nodes without a server that counts for them share each limit by how many
// they are, and one that is left has it to itself.
func TestLimitByShares(t *testing.T) {
	l := newLimited(t, func(*server.Config) {})
	for i := range l.nodes {
		l.until("each counts its half", func() bool { return l.lets(i) == 10 })
	}
	if n := l.lets(0, 1); n != 20 {
		t.Errorf("%d of 20 let through", n)
	}
	a := l.ask(0, l.address())
	if got := a.header.Get("RateLimit-Policy") + " " + a.header.Get("RateLimit"); got != `"address";q=20;w=86400 "address";r=9;t=8640` {
		t.Errorf("%s", got)
	}
	for i := range l.nodes {
		if metric(t, l.nodes[i], "gatehouse_limit_server_away") != "0" || metric(t, l.nodes[i], "gatehouse_limit_local_total") != "0" {
			t.Error("a server is away that nobody has")
		}
	}
	l.nodes[1].Close(t.Context())
	l.until("the one that is left has the limit to itself", func() bool { return l.lets(0) == 20 })
}

// TestLimitOnRedis: nodes that count together let through one limit, exactly. While their
// server is away each counts its share, and says so; when it is back they are exact again.
func TestLimitOnRedis(t *testing.T) {
	r := testredis.Start(t, testredis.Options{TLS: true, Clients: true, Password: "rather-secret"})
	l := newLimited(t, func(c *server.Config) {
		c.Limits.Redis.URL, c.Limits.Redis.Password, c.Limits.Redis.CAFile = "rediss://"+r.Address+"/2", "rather-secret", r.CAFile
		c.Limits.Redis.CertFile, c.Limits.Redis.KeyFile = r.CAFile, r.KeyFile // an authority's own is one that it knows
	})
	away := func(state string) func() bool {
		return func() bool {
			return metric(t, l.nodes[0], "gatehouse_limit_server_away") == state && metric(t, l.nodes[1], "gatehouse_limit_server_away") == state
		}
	}
	if !away("0")() {
		t.Fatal("not there from the start on")
	}
	if n := l.lets(0, 1); n != 20 {
		t.Errorf("%d of 20 let through", n)
	}
	if n := l.lets(1); n != 20 {
		t.Errorf("%d of 20 let through by one that is asked alone", n)
	}
	address := l.address()
	for i, want := range []string{"r=19;t=4320", "r=18;t=8640", "r=17;t=12960"} {
		if a := l.ask(i%2, address); a.header.Get("RateLimit") != `"address";`+want {
			t.Errorf("%d: %s", i, a.header.Get("RateLimit"))
		}
	}
	r.Kill()
	l.ask(0, address)
	l.ask(1, address)
	l.until("both know that it is away", away("1"))
	for i := range l.nodes {
		l.until("each counts its half", func() bool { return l.lets(i) == 10 })
		if notes := l.notes(i); !strings.Contains(notes, "limits_local") {
			t.Errorf("%s", notes)
		}
		if metric(t, l.nodes[i], "gatehouse_limit_local_total") == "0" {
			t.Error("nobody counted what was judged alone")
		}
	}
	if n := l.lets(0, 1); n != 20 {
		t.Errorf("%d of 20 let through while it is away", n)
	}
	r.Up()
	l.until("both know that it is back", away("0"))
	if n := l.lets(0); n != 20 {
		t.Errorf("%d of 20 let through when it is back", n)
	}
	if n := l.lets(0, 1); n != 20 {
		t.Errorf("%d of 20 let through when it is back", n)
	}
	if notes := l.notes(0); strings.Contains(notes, "limits_local") {
		t.Errorf("%s", notes)
	}
}

// TestLimitWithAWrongPassword: a node starts all the same, counts its share, and says so.
func TestLimitWithAWrongPassword(t *testing.T) {
	r := testredis.Start(t, testredis.Options{Password: "rather-secret"})
	l := newLimited(t, func(c *server.Config) { c.Limits.Redis.URL, c.Limits.Redis.Password = "redis://"+r.Address, "wrong" })
	if metric(t, l.nodes[0], "gatehouse_limit_server_away") != "1" || !strings.Contains(l.notes(0), "limits_local") {
		t.Error("nothing tells that it is away")
	}
	l.until("each counts its half", func() bool { return l.lets(0) == 10 })
}

// quotaKey makes a key that may be used so often in a day.
func (l *limited) quotaKey(quota int) string {
	l.t.Helper()
	made := call(l.t, "POST", l.nodes[0].AuthURL()+"/admin/v1/realms/main/keys", "bearer", l.demo.AdminToken,
		"body", fmt.Sprintf(`{"name":"q","owner":%q,"scopes":["*"],"quota_day":%d}`, l.demo.Users["alice"].ID, quota)).want(l.t, "a key", 201)
	text, _ := made.json["text"].(string)
	return text
}

// uses are how many uses of a key the nodes let pass, of so many of each, by many at once; wait is
// the longest that it was told to wait.
func (l *limited) uses(key string, of int, nodes ...int) (n int, wait int) {
	l.t.Helper()
	var mu sync.Mutex
	var using sync.WaitGroup
	for _, node := range nodes {
		for range 3 {
			using.Go(func() {
				for range of / 3 {
					a := call(l.t, "GET", l.nodes[node].GatewayURL()+"/private", "bearer", key)
					mu.Lock()
					switch after, _ := strconv.Atoi(a.header.Get("Retry-After")); {
					case a.status == 200:
						n++
					case a.code() == "key_quota_used_up":
						wait = max(wait, after)
					default:
						l.t.Errorf("%d %s", a.status, a.body)
					}
					mu.Unlock()
				}
			})
		}
	}
	using.Wait()
	return n, wait
}

// TestQuotaOnRedis: nodes that count together let pass a quota exactly. A server that lost its
// counts gives none anew; while it is away, each node counts its share, and it is told.
func TestQuotaOnRedis(t *testing.T) {
	r := testredis.Start(t, testredis.Options{})
	l := newLimited(t, func(c *server.Config) { c.Limits.Redis.URL = "redis://" + r.Address })
	for _, s := range l.nodes {
		testwait.Until(t, 3*soon, "they know of each other", func() bool { return metric(t, s, "gatehouse_nodes_live") == "2" })
	}
	key := l.quotaKey(60)
	if n, wait := l.uses(key, 60, 0, 1); n != 60 || wait < 60 {
		t.Errorf("%d of 60 let pass, then a wait of %d s", n, wait)
	}
	r.Do("", "FLUSHALL")
	if n, wait := l.uses(key, 6, 0, 1); n != 0 || wait < 60 {
		t.Errorf("%d let pass anew, then a wait of %d s", n, wait)
	}
	// One node knows of uses by the database alone.
	key = l.quotaKey(30)
	if n, _ := l.uses(key, 30, 0); n != 30 {
		t.Errorf("%d of 30 by one node", n)
	}
	l.until("uses are stored", func() bool {
		r.Do("", "FLUSHALL")
		n, wait := l.uses(key, 3, 1)
		return n == 0 && wait > 60
	})

	key = l.quotaKey(40)
	if n, _ := l.uses(key, 9, 0, 1); n != 18 {
		t.Errorf("%d of 18", n)
	}
	r.Kill()
	var used int
	l.until("it is used up by shares", func() bool {
		n, a := l.uses(key, 3, 0)
		m, b := l.uses(key, 3, 1)
		used += n + m
		return a > 60 && b > 60
	})
	if used < 22 || used > 23 {
		t.Errorf("%d of 22 let pass by shares", used)
	}
	if metric(t, l.nodes[0], "gatehouse_limit_server_away") != "1" || metric(t, l.nodes[0], "gatehouse_limit_local_total") == "0" {
		t.Error("nothing tells that it is away")
	}
	r.Up()
	for _, s := range l.nodes {
		l.until("it is back", func() bool { return metric(t, s, "gatehouse_limit_server_away") == "0" })
	}
	if n, wait := l.uses(key, 3, 0, 1); n != 0 || wait < 60 {
		t.Errorf("%d let pass when it is back, then a wait of %d s", n, wait)
	}
	if n, _ := l.uses(l.quotaKey(20), 15, 0, 1); n != 20 {
		t.Errorf("%d of 20 of another key", n)
	}
}

// TestQuotaOverNodes: nodes share the quotas of keys; they let pass all of one, and of the last
// uses at most one for the other node beyond it. Uses are added up, and the last is the latest.
func TestQuotaOverNodes(t *testing.T) {
	d := demoOn(t, postgresStore(t))
	d.StopServer(t.Context())
	nodes := [2]*server.Server{another(t, d, func(*server.Config) {}), another(t, d, func(*server.Config) {})}
	for _, s := range nodes {
		testwait.Until(t, 3*soon, "they know of each other", func() bool { return metric(t, s, "gatehouse_nodes_live") == "2" })
	}
	const keys = "/admin/v1/realms/main/keys"
	made := call(t, "POST", nodes[0].AuthURL()+keys, "bearer", d.AdminToken, "body", fmt.Sprintf(`{"name":"q","owner":%q,"scopes":["*"],"quota_day":60}`, d.Users["alice"].ID)).want(t, "a key", 201)
	text, _ := made.json["text"].(string)
	id, _ := made.json["key"].(map[string]any)["id"].(string)
	used, last := 0, [2]int{}
	testwait.Until(t, 6*soon, "it is used up on both", func() bool {
		for i, s := range nodes {
			for range 1 + 5*i { // the second one is asked oftener
				switch a := call(t, "GET", s.GatewayURL()+"/private", "bearer", text); {
				case a.status == 200:
					used++
				case a.code() == "key_quota_used_up":
					last[i], _ = strconv.Atoi(a.header.Get("Retry-After"))
				default:
					t.Fatalf("%d %s", a.status, a.body)
				}
			}
		}
		return last[0] > 60 && last[1] > 60
	})
	if used < 60 || used > 61 {
		t.Errorf("%d of 60 let pass", used)
	}
	testwait.Until(t, soon, "all uses are stored", func() bool {
		a := call(t, "GET", nodes[0].AuthURL()+keys+"/"+id+"/usage", "bearer", d.AdminToken).want(t, "usage", 200)
		sum := 0.0
		for _, day := range a.json["items"].([]any) {
			sum += day.(map[string]any)["count"].(float64)
		}
		return int(sum) == used
	})
}
