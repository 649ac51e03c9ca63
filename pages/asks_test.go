package pages

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/backchannel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// questions are those that wait for bob.
type questions struct {
	mu   sync.Mutex
	list []backchannel.Question
	said []string
}

func (q *questions) Waiting(_ context.Context, who *gatehouse.Principal) ([]backchannel.Question, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if who.ID != "usr_bob" {
		return nil, nil
	}
	return slices.Clone(q.list), nil
}

func (q *questions) Decide(_ context.Context, who *gatehouse.Principal, id string, allow bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.list, func(one backchannel.Question) bool { return one.ID == id })
	if i < 0 || who.ID != "usr_bob" {
		return gatehouse.E(gatehouse.NotFound, "ask_gone", "gone")
	}
	q.list = slices.Delete(q.list, i, i+1)
	q.said = append(q.said, id+map[bool]string{true: " yes", false: " no"}[allow])
	return nil
}

func question(id, message string) backchannel.Question {
	at := time.Date(2026, 11, 30, 9, 12, 0, 0, time.UTC)
	return backchannel.Question{Of: client.Client{Metadata: client.Metadata{Name: "Bank <b>"}, Registration: []byte{1}},
		Pending: grant.Pending{ID: id, User: "usr_bob", Message: message, Ends: at.Add(5 * time.Minute),
			Device: grant.Device{Realm: "main", Scopes: []string{"openid", "offline_access"}, Resources: []string{"https://api.example"}, Address: "203.0.113.9", AskedAt: at}}}
}

// TestAsks: somebody who is signed in sees what waits, with who asks for what; nothing is allowed without saying that it was begun there, and an
// answer is of the browser, the session and the question that it was shown for. Looking decides nothing.
func TestAsks(t *testing.T) {
	h := newHouse(t, true)
	h.asked.list = []backchannel.Question{question("ask_1", "W4SCT <i>"), question("ask_2", "")}
	b := h.browser()
	b.get(Asks).want(t, "nobody is signed in", 303, "/signin?return=%2Faccount%2Frequests")
	b.signIn("")
	b.get("/account").want(t, "the account", 200, `href="/account/requests"`)
	list := b.get(Asks)
	list.want(t, "the list", 200, "Bank &lt;b&gt;", "W4SCT &lt;i&gt;", "Act for you while you are away", "https://api.example", "203.0.113.9", "2026-11-30 09:12 UTC", "2026-11-30 09:17 UTC",
		`id="unverified-1"`, `id="warning"`, `id="allow-1"`, `id="deny-2"`, `name="mine"`)
	if strings.Contains(list.body, "btn main") || strings.Contains(list.body, " checked") || len(h.asked.said) != 0 {
		t.Error("one of the two answers is made to look better, or was given")
	}
	tokens := regexp.MustCompile(`name="form" value="([^"]+)"><input type="hidden" name="ask" value="ask_1"`).FindStringSubmatch(list.body)
	if tokens == nil {
		t.Fatal(list.body)
	}
	answer := func(from page, change ...string) string {
		return from.fields(append([]string{"form", tokens[1], "ask", "ask_1", "do", "allow", "mine", "yes"}, change...)...).Encode()
	}
	b.send(Asks, answer(list), "Sec-Fetch-Site", "cross-site").want(t, "another site's page", 403)
	b.send(Asks, answer(list, "ask", "ask_2")).want(t, "another question", 403)
	b.send(Asks, answer(list, "form", "")).want(t, "without the token", 403)
	b.send(Asks, answer(list, "do", "maybe")).want(t, "neither", 400)
	b.send(Asks, answer(list, "scope", "x")).want(t, "one field more", 400)
	b.send(Asks, answer(list, "mine", "")).want(t, "not begun there", 422, `id="mine-error-1"`)
	stranger := h.browser()
	stranger.signIn("")
	stranger.send(Asks, answer(list)).want(t, "another browser", 403)
	if len(h.asked.said) != 0 {
		t.Fatalf("%q", h.asked.said)
	}
	b.send(Asks, answer(list)).want(t, "yes", 200, "Allowed", `id="said"`)
	b.send(Asks, answer(list)).want(t, "again", 422, `id="problem"`)
	rest := b.get(Asks)
	b.send(Asks, rest.fields("ask", "ask_2", "do", "deny").Encode()).want(t, "no", 200, "Not allowed", `id="none"`)
	if !slices.Equal(h.asked.said, []string{"ask_1 yes", "ask_2 no"}) {
		t.Errorf("%q", h.asked.said)
	}
}
