package follow_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// soon is long enough for a server on a busy machine.
const soon = 20 * time.Second

// event is one as a client reads it.
type event struct {
	name, id string
	data     map[string]any
}

// reader is a client of the stream.
type reader struct {
	t      *testing.T
	res    *http.Response
	events chan event
	id     string
}

// open opens the stream of a realm; query is added to its address.
func open(t *testing.T, base, key, realm, id, query string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", base+"/admin/v1/realms/"+realm+"/revocations/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	out := &reader{t: t, res: res, events: make(chan event, 100)}
	if res.StatusCode != 200 {
		close(out.events)
		return out
	}
	go func() {
		defer close(out.events)
		var e event
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				_ = json.Unmarshal([]byte(value), &e.data)
			case "":
				if e.name != "" {
					out.events <- e
				}
				e = event{}
			}
		}
	}()
	return out
}

// next is the next event; its name is "" when the stream has ended.
func (r *reader) next() event {
	r.t.Helper()
	select {
	case e := <-r.events:
		if e.id != "" {
			r.id = e.id
		}
		return e
	case <-time.After(soon):
		r.t.Fatal("no event, and no end")
	}
	return event{}
}

// ready reads up to the next event ready and returns the names of those before.
func (r *reader) ready() (names []string, last event) {
	r.t.Helper()
	for {
		e := r.next()
		switch e.name {
		case "":
			r.t.Fatalf("the stream ended after %q", names)
		case "ready":
			return names, last
		}
		names, last = append(names, e.name), e
	}
}

// news reads up to the next event ready that comes with others: alone it says that there are none.
func (r *reader) news() (names []string, last event) {
	r.t.Helper()
	for len(names) == 0 {
		names, last = r.ready()
	}
	return names, last
}

// ended waits for the end of the stream.
func (r *reader) ended(what string) {
	r.t.Helper()
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); {
		if r.next().name == "" {
			return
		}
	}
	r.t.Errorf("%s: the stream goes on", what)
}

// house is a management API on a socket, with the key of a guard of the realm acme.
type house struct {
	*testadmin.House
	url, root, guard, guardID, user string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: testadmin.New(t)}
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	h.url, h.root = srv.URL, h.Bootstrap()
	h.Want(201, h.root, "POST", "/realms", map[string]any{"name": "acme"})
	h.guard, h.guardID = h.Key(h.root, "acme", h.Person(h.root, "acme", "gus", "gatehouse-guard"), "admin:revocations", "admin:read")
	h.user = h.Person(h.root, "acme", "ann")
	return h
}

// login opens a grant of ann and returns its id.
func (h *house) login(t *testing.T) string {
	t.Helper()
	p := &gatehouse.Principal{Realm: "acme", Kind: gatehouse.KindUser, ID: h.user, AuthTime: time.Now()}
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "acme", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	return tokens.GrantID
}

func (h *house) end(id string) { h.Want(204, h.root, "POST", "/realms/acme/grants/"+id+"/end", nil) }

// TestFollow: who begins is told everything of his realm, then each change within a second.
func TestFollow(t *testing.T) {
	h := newHouse(t)
	h.end(h.login(t))
	h.Want(201, h.root, "POST", "/realms/acme/revocations", map[string]any{"kind": "client", "id": "old-client"})
	h.Want(201, h.root, "POST", "/realms/main/revocations", map[string]any{"kind": "client", "id": "of-main"})
	r := open(t, h.url, h.guard, "acme", "", "")
	if ct := r.res.Header; r.res.StatusCode != 200 || ct.Get("Content-Type") != "text/event-stream" || ct.Get("X-Accel-Buffering") != "no" || ct.Get("Cache-Control") != "no-store, no-transform" {
		t.Fatalf("%d %v", r.res.StatusCode, ct)
	}
	names, last := r.news()
	if !slices.Equal(names, []string{"reload", "status", "cutoff"}) || last.data["id"] != "old-client" || last.data["kind"] != "client" {
		t.Fatalf("%q %v", names, last)
	}
	before := last.data["before"].(float64)
	if at := time.UnixMilli(int64(before)); time.Since(at) > time.Hour || last.data["expires"].(float64) <= before {
		t.Errorf("%v", last.data)
	}
	var took []time.Duration
	for range 5 {
		grant := h.login(t)
		began := time.Now()
		h.end(grant)
		names, last := r.news()
		took = append(took, time.Since(began))
		uri, _ := last.data["uri"].(string)
		idx, _ := last.data["idx"].([]any)
		if !slices.Equal(names, []string{"status"}) || !strings.HasPrefix(uri, "https://id.example/realms/acme/status/") || len(idx) != 1 || last.data["exp"].(float64) < float64(time.Now().Unix()) {
			t.Errorf("%q %v", names, last)
		}
	}
	if slices.Sort(took); took[2] > time.Second {
		t.Errorf("an end was told after %v", took)
	}
	h.Want(201, h.root, "POST", "/realms/main/revocations", map[string]any{"kind": "client", "id": "of-main-too"})
	h.Want(201, h.root, "POST", "/realms/acme/revocations", map[string]any{"kind": "realm"})
	if names, last := r.news(); !slices.Equal(names, []string{"cutoff"}) || last.data["kind"] != "realm" {
		t.Errorf("%q %v", names, last)
	}
	h.Want(201, h.root, "POST", "/realms/acme/signing-keys/rotate", nil)
	if names, _ := r.news(); !slices.Contains(names, "keys") || slices.Contains(names, "reload") {
		t.Errorf("after a rotation: %q", names)
	}
}

// TestResume: a stream that was cut goes on where it was, without a gap and without a second telling; from anywhere else
// it begins anew.
func TestResume(t *testing.T) {
	h := newHouse(t)
	r := open(t, h.url, h.guard, "acme", "", "")
	r.news()
	h.end(h.login(t))
	r.news()
	r.res.Body.Close()
	for range 3 {
		h.end(h.login(t))
	}
	h.Want(201, h.root, "POST", "/realms/acme/revocations", map[string]any{"kind": "subject", "id": "usr_x"})
	again := open(t, h.url, h.guard, "acme", r.id, "")
	if names, _ := again.news(); !slices.Equal(names, []string{"status", "status", "status", "cutoff"}) {
		t.Errorf("after the cut: %q", names)
	}
	ofMain := open(t, h.url, h.root, "main", "", "")
	ofMain.ready()
	name, _, _ := strings.Cut(r.id, "-")
	for _, id := range []string{"AAAAAAAAAAAAAAAA-0", r.id + "0", "hello", strings.ToLower(r.id), ofMain.id, name + "-18446744073709551615", name + "-0",
		strings.Repeat("A", 64), "-", "--", strings.Replace(r.id, "-", "-0", 1)} {
		names, _ := open(t, h.url, h.guard, "acme", id, "").ready()
		if len(names) == 0 {
			t.Fatalf("from %q it goes on", id)
		}
		statuses := 0
		for _, n := range names[1:] {
			if n == "status" {
				statuses++
			}
		}
		if names[0] != "reload" || statuses < 1 || !slices.Contains(names, "cutoff") {
			t.Errorf("from %q: %q", id, names)
		}
	}
	if err := h.ViewLoad(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, _ := again.news(); names[0] != "reload" || !slices.Contains(names, "cutoff") {
		t.Errorf("after the view was loaded anew: %q", names)
	}
}

// TestHugePosition: what is no position of ours by far is refused, not read.
func TestHugePosition(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{strings.Repeat("A", 65), strings.Repeat("A", 60<<10)} {
		if r := open(t, h.url, h.guard, "acme", id, "?wait=1"); r.res.StatusCode != 422 {
			t.Errorf("%d letters: %d", len(id), r.res.StatusCode)
		}
	}
}

// TestLongPoll: an answer ends with the first news, or says after a while that there are none.
func TestLongPoll(t *testing.T) {
	h := newHouse(t)
	poll := func(id string, wait int) *reader {
		return open(t, h.url, h.guard, "acme", id, fmt.Sprint("?wait=", wait))
	}
	r := poll("", 60)
	if names, _ := r.ready(); !slices.Equal(names, []string{"reload"}) {
		t.Errorf("%q", names)
	}
	r.ended("everything was told")
	next := poll(r.id, 60)
	h.end(h.login(t))
	if names, _ := next.ready(); !slices.Equal(names, []string{"status"}) {
		t.Errorf("%q", names)
	}
	next.ended("the news were told")
	began := time.Now()
	quiet := poll(next.id, 1)
	if names, _ := quiet.ready(); len(names) != 0 || quiet.id == "" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%q after %v, with the id %q", names, time.Since(began), quiet.id)
	}
	quiet.ended("nothing happened")
	for _, query := range []string{"?wait=0", "?wait=61", "?wait=1&wait=2", "?wait=", "?since=1"} {
		if r := open(t, h.url, h.guard, "acme", "", query); r.res.StatusCode != 422 {
			t.Errorf("%s: %d", query, r.res.StatusCode)
		}
	}
}

// refused is the code with which a stream is refused, "" when it is not.
func (h *house) refused(t *testing.T, key, realm string) string {
	t.Helper()
	r := open(t, h.url, key, realm, "", "?wait=1")
	if r.res.StatusCode == 200 {
		return ""
	}
	var p struct{ Code string }
	_ = json.NewDecoder(r.res.Body).Decode(&p)
	return p.Code
}

// TestWhoMayFollow: it takes a role and a scope that give nothing else, and an API key.
func TestWhoMayFollow(t *testing.T) {
	h := newHouse(t)
	reads, _ := h.Key(h.root, "acme", "gus", "admin:read")
	roleless, _ := h.Key(h.root, "acme", "ann", "*")
	admin, _ := h.Key(h.root, "acme", h.Person(h.root, "acme", "rita", "realm-admin"), "admin:revocations")
	for what, c := range map[string]struct{ key, realm, code string }{
		"a guard":                {h.guard, "acme", ""},
		"a guard, elsewhere":     {h.guard, "main", "invalid_token"},
		"without the scope":      {reads, "acme", "insufficient_scope"},
		"without the role":       {roleless, "acme", "admin_denied"},
		"an administrator's key": {admin, "acme", ""},
		"from main":              {h.root, "acme", ""},
		"no such realm":          {h.root, "nowhere", "realm_not_found"},
		"nobody":                 {"ghk_live_nonsense", "acme", "token_unrecognized"},
	} {
		if code := h.refused(t, c.key, c.realm); code != c.code {
			t.Errorf("%s: %q, want %q", what, code, c.code)
		}
	}
	if r := h.Call("root:"+testadmin.Password, "GET", "/realms/acme/revocations/events?wait=1", nil); r.Status != 403 || r.Str("code") != "revocations_key_required" {
		t.Errorf("with a password: %d %s", r.Status, r.Body)
	}
	for _, path := range []string{"/realms/acme/users", "/realms/acme/grants", "/realms/acme/keys", "/realms/acme"} {
		h.Want(403, h.guard, "GET", path, nil)
	}
	h.Unsure.Store(gatehouse.ErrInternal)
	if code := h.refused(t, h.guard, "acme"); code != "internal" {
		t.Errorf("a node that does not know: %q", code)
	}
}

// TestJudgedAgain: an open stream ends when it would not be opened now.
func TestJudgedAgain(t *testing.T) {
	for what, change := range map[string]func(h *house){
		"the key is revoked": func(h *house) { h.Want(200, h.root, "POST", "/realms/acme/keys/"+h.guardID+"/revoke", nil) },
		"the role is taken": func(h *house) {
			h.Want(200, h.root, "PATCH", "/realms/acme/users/gus", map[string]any{"roles": []string{}})
		},
		"the node is not sure":  func(h *house) { h.Unsure.Store(gatehouse.ErrInternal) },
		"the realm is disabled": func(h *house) { h.Want(200, h.root, "PATCH", "/realms/acme", map[string]any{"disabled": true}) },
		"the key loses the scope": func(h *house) {
			h.Want(200, h.root, "PATCH", "/realms/acme/keys/"+h.guardID, map[string]any{"scopes": []string{"admin:read"}})
		},
		"the account is disabled": func(h *house) {
			h.Want(200, h.root, "PATCH", "/realms/acme/users/gus", map[string]any{"disabled": true})
		},
		"the realm of others is disabled": func(h *house) {
			h.guard = h.root
			h.Want(200, h.root, "PATCH", "/realms/acme", map[string]any{"disabled": true})
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			r, ofMain := open(t, h.url, h.guard, "acme", "", ""), open(t, h.url, h.root, "acme", "", "")
			r.ready()
			ofMain.ready()
			change(h)
			if h.guard == h.root {
				r = ofMain
			}
			r.ended(what)
			if code := h.refused(t, h.guard, "acme"); code == "" {
				t.Error("it can be opened again")
			}
		})
	}
}

// TestStreamsAreCounted: nobody takes all the streams there are, and one that ends makes room.
func TestStreamsAreCounted(t *testing.T) {
	h := newHouse(t)
	first := open(t, h.url, h.guard, "acme", "", "")
	first.ready()
	for range 99 {
		open(t, h.url, h.guard, "acme", "", "").ready()
	}
	if code := h.refused(t, h.guard, "acme"); code != "too_many_streams" {
		t.Errorf("one more than a hundred: %q", code)
	}
	second, _ := h.Key(h.root, "acme", "gus", "admin:revocations")
	if code := h.refused(t, second, "acme"); code != "too_many_streams" {
		t.Errorf("one more by another key of the account: %q", code)
	}
	if code := h.refused(t, h.root, "acme"); code != "" {
		t.Errorf("of another account: %q", code)
	}
	first.res.Body.Close()
	for deadline := time.Now().Add(soon); h.refused(t, h.guard, "acme") != ""; {
		if time.Now().After(deadline) {
			t.Fatal("one that ended makes no room")
		}
	}
}

// TestSlowReader: one who does not read what comes is left after a while, whatever the sockets between hold.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	to, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", to.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /admin/v1/realms/acme/revocations/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", h.guard); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for line := ""; !strings.HasPrefix(line, "event: ready"); {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	// From here on it reads nothing, and more is told than any buffer holds.
	long := strings.Repeat("x", 16<<10)
	for range 2000 {
		h.Journal.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation,
			Value: revocation.Cutoff{Realm: "acme", Kind: revocation.CutoffSubject, ID: long, Before: time.Now()}})
	}
	testwait.Outlast(12 * time.Second)
	_ = c.SetReadDeadline(time.Now().Add(soon))
	if n, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stream goes on: %d bytes, then %v", n, err)
	}
}
