package faults_test

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// truth is what callers were told, and what must therefore hold for ever. What
// was asked for without an answer is in no list: it may or may not have happened.
type truth struct {
	mu      sync.Mutex
	serial  atomic.Int64
	users   []string // exist
	good    []string // API keys that are let in
	revoked []string // API keys that are refused: revoked, or of a disabled owner
	ended   []string // access tokens that are refused
	spent   []string // refresh tokens whose successor was used too
	// lost are refresh tokens that were used without an answer.
	lost []string
	ends []ending
}

// ending is a credential of the gateway whose end was acknowledged.
type ending struct {
	credential string
	at         time.Time
}

// end notes that a credential must not be let in any more.
func (w *truth) end(credentials ...string) {
	for _, c := range credentials {
		w.ends = append(w.ends, ending{c, time.Now()})
	}
}

func (w *truth) note(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }

func (w *truth) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.users) + len(w.good) + len(w.revoked) + len(w.ended) + len(w.spent)
}

// person is a user with a password, whose logins the load makes and ends.
var personPassword = rand.Text()

func (w *truth) person(t *testing.T, n *node) {
	n.manage("POST", "/users", fmt.Sprintf(`{"username":"person","password":%q}`, personPassword)).want(t, "create person", 201)
	n.secret(personPassword)
}

// load runs writers of every kind until stop is closed, and returns when all
// have ended.
func (w *truth) load(n *node, stop <-chan struct{}) {
	var wg sync.WaitGroup
	run := func(f func(n *node)) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f(n)
				}
			}
		})
	}
	for range 3 {
		run(w.services)
	}
	for range 2 {
		run(w.tokens)
		run(w.decisions)
	}
	wg.Wait()
}

// services makes a service with keys, revokes one of them, and now and then
// disables the service.
func (w *truth) services(n *node) {
	name := fmt.Sprintf("svc-%d", w.serial.Add(1))
	if n.manage("POST", "/users", fmt.Sprintf(`{"username":%q,"kind":"service"}`, name)).status != 201 {
		return
	}
	w.note(func() { w.users = append(w.users, name) })
	var keys []string
	for i := range 3 {
		a := n.manage("POST", "/keys", fmt.Sprintf(`{"owner":%q,"name":"k%d","environment":"live","scopes":[]}`, name, i))
		if a.status != 201 {
			break
		}
		keys = append(keys, a.text("text"))
		n.secret(a.text("text"))
	}
	if len(keys) == 0 {
		return
	}
	n.private(keys[0]) // so that it is known from memory
	// From here on keys[0] is good only until somebody has asked to revoke it.
	if n.manage("POST", "/keys/"+keyID(keys[0])+"/revoke", "").status == 200 {
		w.note(func() { w.revoked = append(w.revoked, keys[0]); w.end(keys[0]) })
	}
	if mathrand.IntN(4) == 0 {
		if n.manage("PATCH", "/users/"+name, `{"disabled":true}`).status == 200 {
			w.note(func() { w.revoked = append(w.revoked, keys[1:]...); w.end(keys[1:]...) })
		}
		return
	}
	w.note(func() { w.good = append(w.good, keys[1:]...) })
}

// keyID is the public part of a key.
func keyID(key string) string { return strings.Split(key, "_")[2][:12] }

// tokens logs in, refreshes three times, and ends the login or leaves it.
func (w *truth) tokens(n *node) {
	login := n.do("POST", n.auth+"/tokens", "person:"+personPassword, "")
	if login.status != 200 {
		return
	}
	access, refresh := login.text("access_token"), login.text("refresh_token")
	n.secret(access, refresh)
	var used []string
	for range 3 {
		next := n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
		if next.status != 200 {
			if next.status == 0 {
				w.note(func() { w.lost = append(w.lost, refresh) })
			}
			return
		}
		used = append(used, refresh)
		access, refresh = next.text("access_token"), next.text("refresh_token")
		n.secret(access, refresh)
	}
	n.private(access)
	if mathrand.IntN(2) == 0 {
		if n.do("DELETE", n.auth+"/tokens", access, "").status == 204 {
			w.note(func() { w.ended = append(w.ended, access); w.spent = append(w.spent, refresh); w.end(access) })
		}
		return
	}
	// All but the last of the used ones have a successor that was used: no grace.
	w.note(func() { w.spent = append(w.spent, used[:len(used)-1]...) })
}

// decisions asks the gateway with what is good and what is not.
func (w *truth) decisions(n *node) {
	var credential string
	w.note(func() {
		switch list := [][]string{w.good, w.revoked, nil}[mathrand.IntN(3)]; {
		case len(list) > 0:
			credential = list[mathrand.IntN(len(list))]
		default:
			credential = n.adminKey
		}
	})
	n.private(credential)
}

// check asks for everything that was acknowledged; of lists that are longer
// than most (0: no bound), for a sample of them.
func (w *truth) check(t *testing.T, n *node, most int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	// Of the answers of the last round all are looked at, of older ones some.
	each := func(list []string, f func(s string)) {
		work := make(chan string)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for s := range work {
					f(s)
				}
			})
		}
		for i, s := range list {
			if most == 0 || len(list)-i <= most || mathrand.IntN(len(list)) < most/4 {
				work <- s
			}
		}
		close(work)
		wg.Wait()
	}
	each(w.users, func(s string) { n.manage("GET", "/users/"+s, "").want(t, "acknowledged user "+s, 200) })
	each(w.good, func(s string) { n.private(s).want(t, "acknowledged key "+keyID(s), 200) })
	each(w.revoked, func(s string) { n.private(s).want(t, "revoked key "+keyID(s), 401) })
	each(w.ended, func(s string) { n.private(s).want(t, "ended token", 401) })
	each(w.spent, func(s string) {
		n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, s)).want(t, "spent refresh token", 400)
	})
	// A client that lost the answer asks again, soon: it gets its tokens, once.
	each(w.lost, func(s string) {
		n.do("POST", n.auth+"/tokens/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, s)).want(t, "refresh after a lost answer", 200)
	})
	w.lost = nil
}
