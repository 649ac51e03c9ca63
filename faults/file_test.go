package faults_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKillFile kills the program in the middle of applying a realm's file, again and
// again. Afterwards the realm is as one of the files says, never as parts of two, and
// the log has the events of all changes of a file or of none.
func TestKillFile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for a quarter of a minute")
	}
	rounds, things := 4, 150
	if long {
		rounds = 50
	}
	file := func(round, i int) string {
		mark := fmt.Sprintf("%d-%d", round, i)
		var users, roles []string
		for n := range things {
			users = append(users, fmt.Sprintf(`"u%d":{"display_name":%q,"roles":["r%d"]},"u%d-%s":{}`, n, mark, n%10, n, mark))
		}
		for n := range 10 {
			roles = append(roles, fmt.Sprintf(`"r%d":{"description":%q}`, n, mark))
		}
		return fmt.Sprintf(`{"file":{"title":%q,"scopes":{"s":%q},"roles":{%s},"users":{%s}},"prune":true}`,
			mark, mark, strings.Join(roles, ","), strings.Join(users, ","))
	}
	onBoth(t, func(t *testing.T, n *node) {
		n.start(t)
		n.do("POST", n.auth+"/admin/v1/realms", n.adminKey, `{"name":"filed"}`).want(t, "create realm", 201)
		at := n.auth + "/admin/v1/realms/filed"
		acknowledged := map[string]bool{}
		last, interrupted := "", 0
		for round := range rounds {
			done, first := make(chan string), make(chan struct{})
			applied := sync.OnceFunc(func() { close(first) })
			go func() {
				newest := ""
				for i := 0; ; i++ {
					if n.do("POST", at+"/file/apply", n.adminKey, file(round, i)).status != 200 {
						done <- newest
						return
					}
					newest = fmt.Sprintf("%d-%d", round, i)
					applied()
				}
			}()
			select { // however slow the machine is
			case <-first:
			case <-time.After(patience):
			}
			time.AfterFunc(time.Duration(rand.IntN(900))*time.Millisecond, func() { _ = n.process.Process.Kill() })
			if newest := <-done; newest != "" {
				last = newest
				acknowledged[newest] = true
			}
			n.kill()
			n.start(t)
			var now struct {
				File struct {
					Title  string                     `json:"title"`
					Scopes map[string]string          `json:"scopes"`
					Roles  map[string]map[string]any  `json:"roles"`
					Users  map[string]json.RawMessage `json:"users"`
				} `json:"file"`
			}
			a := n.do("GET", at+"/file", n.adminKey, "").want(t, "export", 200)
			if err := json.Unmarshal([]byte(a.body), &now); err != nil {
				t.Fatal(err)
			}
			mark := now.File.Title
			if last != "" && mark != last {
				interrupted++ // committed, and the answer was lost
			}
			if mark == "" {
				if len(now.File.Scopes)+len(now.File.Roles)+len(now.File.Users) > 0 {
					t.Fatalf("round %d: parts of a file: %s", round, tail(a.body, 500))
				}
				continue
			}
			if now.File.Scopes["s"] != mark || len(now.File.Roles) != 10 || len(now.File.Users) != 2*things {
				t.Fatalf("round %d: %s has scope %s, %d roles, %d users", round, mark, now.File.Scopes["s"], len(now.File.Roles), len(now.File.Users))
			}
			for name, r := range now.File.Roles {
				if r["description"] != mark {
					t.Errorf("role %s is of %v, not of %s", name, r["description"], mark)
				}
			}
			for name, raw := range now.File.Users {
				if !strings.Contains(string(raw), `"`+mark+`"`) && !strings.HasSuffix(name, "-"+mark) {
					t.Errorf("user %s is not of %s: %s", name, mark, raw)
				}
			}
			// Of each user that the last file made, the log has the event.
			events := n.createdBy(t, at, mark)
			if events != things {
				t.Errorf("round %d: %d of %d users of %s have their event", round, events, things, mark)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		n.verify(t)
		if len(acknowledged) == 0 {
			t.Error("no file was applied: nothing was interrupted")
		}
		t.Logf("%d kills, %d with a file acknowledged in that round, %d committed without an answer", rounds, len(acknowledged), interrupted)
	})
}

// createdBy counts the events of users whose names end in a mark.
func (n *node) createdBy(t *testing.T, realm, mark string) (count int) {
	t.Helper()
	for after := ""; ; {
		a := n.do("GET", realm+"/audit/events?kind=user.create&limit=200"+after, n.adminKey, "").want(t, "audit", 200)
		if a.status != 200 {
			return count
		}
		count += strings.Count(a.body, "-"+mark+`"`)
		next := a.text("next")
		if next == "" {
			return count
		}
		after = "&after=" + next
	}
}
