package guard_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// authority is an issuer on a socket, with keys and status lists made by the
// product's own code, and a clock that tests move.
type authority struct {
	url   string
	key   *token.Key
	view  *revocation.View
	begun time.Time
	ahead atomic.Int64 // of the clock, since begun

	mu    sync.Mutex
	asked map[string]int // fetches by path
	// list answers for a status list; nil: honestly.
	list func(w http.ResponseWriter, number int64, honest string)
}

type empty struct{}

func (empty) EachStatusBit(context.Context, func(revocation.StatusBit) error) error { return nil }
func (empty) EachCutoff(context.Context, func(revocation.Cutoff) error) error       { return nil }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), begun: time.Now().Truncate(time.Second), view: revocation.NewView(), asked: map[string]int{}}
	if err := a.view.Load(t.Context(), empty{}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/jwks.json", func(w http.ResponseWriter, r *http.Request) {
		a.note(r)
		_, _ = w.Write(jwksOf(t, a.key))
	})
	mux.HandleFunc("/status/{list}", func(w http.ResponseWriter, r *http.Request) {
		answer := a.note(r)
		number, _ := strconv.ParseInt(r.PathValue("list"), 10, 64)
		text := a.sign(t, a.key, number, number)
		if answer != nil {
			answer(w, number, text)
			return
		}
		_, _ = w.Write([]byte(text))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

func (a *authority) note(r *http.Request) func(http.ResponseWriter, int64, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.Path]++
	return a.list
}

// answers sets what status lists are answered with; nil: honestly.
func (a *authority) answers(f func(w http.ResponseWriter, number int64, honest string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = f
}

// fetched counts the fetches of status lists.
func (a *authority) fetched() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path, times := range a.asked {
		if strings.HasPrefix(path, "/status/") {
			n += times
		}
	}
	return n
}

// now is of a clock that stands between two calls of pass: times of issue are whole
// seconds, so one that goes on may be in the next second by chance.
func (a *authority) now() time.Time       { return a.begun.Add(time.Duration(a.ahead.Load())) }
func (a *authority) pass(d time.Duration) { a.ahead.Add(int64(d)) }

func (a *authority) revoke(list, index int64) {
	a.view.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "main", Value: revocation.NewStatusBit("main", list, index)})
}

// sign signs the bits of one list under the name of another.
func (a *authority) sign(t *testing.T, key *token.Key, bitsOf, named int64) string {
	lst, err := revocation.Encode(a.view.Bits("main", bitsOf))
	if err != nil {
		t.Error(err)
	}
	text, _, err := endpoint.SignStatusList(key, a.url, named, lst, a.now(), 30*time.Second)
	if err != nil {
		t.Error(err)
	}
	return text
}

// token issues one with a place in a list.
func (a *authority) token(t *testing.T, list, index int64) string {
	t.Helper()
	now := a.now()
	return access(t, a.key, func(c *token.Access) {
		c.Issuer, c.IssuedAt, c.ExpiresAt = a.url, now, now.Add(10*time.Minute)
		c.ID, c.StatusList, c.StatusIndex = gatehouse.NewID("tok", now), list, index
	})
}

// unread forgets what is recorded.
type unread struct{}

func (unread) Record(*gatehouse.Event) {}

// guarded is an API with a remote guard that trusts the authority.
func (a *authority) guarded(t *testing.T, change func(*guard.RemoteConfig)) string {
	t.Helper()
	cfg := guard.RemoteConfig{Issuer: a.url, AllowPrivateAddress: true, Now: a.now, Record: unread{}}
	if change != nil {
		change(&cfg)
	}
	srv, _ := remote(t, cfg)
	return srv.URL + "/private"
}

// want fails unless the token gets this status and, in a refusal, this code.
func want(t *testing.T, what, url, text string, status int, code string) {
	t.Helper()
	if res, body := call(t, "GET", url, "", bearer(text)); res.StatusCode != status || !strings.Contains(body, code) {
		t.Errorf("%s: %d %s, want %d %s", what, res.StatusCode, body, status, code)
	}
}

// becomes asks until the token gets this status.
func becomes(t *testing.T, what, url, text string, status int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		res, body := call(t, "GET", url, "", bearer(text))
		if res.StatusCode == status {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %d %s, want %d", what, res.StatusCode, body, status)
		}
	}
}

// aList is a list that is in use today.
func aList(shard int64) int64 {
	list, _ := revocation.NewStatus(time.Now().Add(30 * 24 * time.Hour))
	return list/64*64 + shard
}

// TestStatusList: a revoked token is refused as soon as the list was fetched
// again, also one that was verified before, and its neighbours are not.
func TestStatusList(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	list := aList(3)
	mine, other, last := a.token(t, list, 70_001), a.token(t, list, 70_002), a.token(t, list, revocation.ListSize-1)
	for range 3 {
		want(t, "before", url, mine, 200, "usr_alice")
	}
	want(t, "before, another", url, other, 200, "")
	if n := a.fetched(); n != 1 {
		t.Errorf("%d fetches for one list", n)
	}
	a.revoke(list, 70_001)
	a.pass(29 * time.Second)
	want(t, "within the ttl", url, mine, 200, "")
	if n := a.fetched(); n != 1 {
		t.Errorf("%d fetches within the ttl", n)
	}
	a.pass(2 * time.Second)
	becomes(t, "after the ttl", url, mine, 401)
	want(t, "after the ttl", url, mine, 401, "invalid_token")
	want(t, "its neighbour", url, other, 200, "")
	want(t, "the last place", url, last, 200, "")
	want(t, "another list", url, a.token(t, aList(4), 70_001), 200, "")
	// One that is revoked before the guard has seen any of its list.
	a.revoke(aList(5), 0)
	want(t, "first of its list", url, a.token(t, aList(5), 0), 401, "invalid_token")
	want(t, "second of its list", url, a.token(t, aList(5), 1), 200, "")
}

// TestStatusListDense: a list with many bits reads as one with few.
func TestStatusListDense(t *testing.T) {
	a := newAuthority(t)
	list := aList(0)
	for i := int64(0); i < revocation.ListSize; i += 3 {
		a.revoke(list, i)
	}
	url := a.guarded(t, nil)
	for _, i := range []int64{0, 3, revocation.ListSize - 1} {
		want(t, fmt.Sprint("revoked ", i), url, a.token(t, list, i), 401, "invalid_token")
	}
	for _, i := range []int64{1, 2, revocation.ListSize - 2} {
		want(t, fmt.Sprint("not revoked ", i), url, a.token(t, list, i), 200, "")
	}
}

// TestStatusListUnreachable: what is known counts until it expires, and then
// nobody is let in until the issuer is back.
func TestStatusListUnreachable(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	list := aList(1)
	text := a.token(t, list, 9)
	want(t, "reachable", url, text, 200, "")
	a.answers(func(w http.ResponseWriter, _ int64, _ string) { w.WriteHeader(500) })
	a.pass(45 * time.Second)
	want(t, "unreachable, before the list expires", url, text, 200, "")
	a.pass(16 * time.Second)
	want(t, "unreachable, after it expired", url, text, 503, "authentication_unavailable")
	want(t, "a list never seen", url, a.token(t, aList(2), 9), 503, "authentication_unavailable")
	a.answers(nil)
	a.pass(6 * time.Second) // the cool-down
	becomes(t, "reachable again", url, text, 200)
}

// TestStatusListRefused: a list that anything is wrong with is none.
func TestStatusListRefused(t *testing.T) {
	a := newAuthority(t)
	list := aList(0)
	text := a.token(t, list, 9)
	stranger := newKey(t)
	claims := func(change map[string]any) string {
		now := a.now().Unix()
		m := map[string]any{"iss": a.url, "sub": a.url + "/status/" + strconv.FormatInt(list, 10), "iat": now, "exp": now + 60, "ttl": 30,
			"status_list": map[string]any{"bits": 1, "lst": "eNoDAAAAAAE"}}
		for k, v := range change {
			m[k] = v
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	sign := func(typ, claims string) string {
		out, err := a.key.Sign(typ, []byte(claims))
		if err != nil {
			t.Error(err)
		}
		return out
	}
	bomb, err := revocation.Encode(make([]byte, revocation.ListSize/8+1))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		status int
		answer func(honest string) string
	}{
		"honest":         {200, func(s string) string { return s }},
		"made here":      {200, func(string) string { return sign(token.TypeStatusList, claims(nil)) }},
		"altered":        {503, func(s string) string { return alter(t, s) }},
		"stranger's key": {503, func(string) string { return a.sign(t, stranger, list, list) }},
		"another list's": {503, func(string) string { return a.sign(t, a.key, list+1, list+1) }},
		"wrong type":     {503, func(string) string { return sign(token.TypeAccess, claims(nil)) }},
		"other issuer": {503, func(string) string {
			return sign(token.TypeStatusList, claims(map[string]any{"iss": "https://x.example"}))
		}},
		"expired": {503, func(string) string {
			return sign(token.TypeStatusList, claims(map[string]any{"exp": a.now().Unix() - 1}))
		}},
		"from the future": {503, func(string) string {
			return sign(token.TypeStatusList, claims(map[string]any{"iat": a.now().Unix() + 60}))
		}},
		"access token": {503, func(string) string { return text }},
		"too long a list": {503, func(string) string {
			return sign(token.TypeStatusList, claims(map[string]any{"status_list": map[string]any{"bits": 1, "lst": bomb}}))
		}},
		"no list": {503, func(string) string {
			return sign(token.TypeStatusList, claims(map[string]any{"status_list": map[string]any{"bits": 1, "lst": "AAAA"}}))
		}},
		"nothing":   {503, func(string) string { return "" }},
		"web page":  {503, func(string) string { return "<!doctype html>" }},
		"too large": {503, func(s string) string { return s + strings.Repeat("A", 300<<10) }},
	} {
		a.answers(func(w http.ResponseWriter, _ int64, honest string) { _, _ = w.Write([]byte(c.answer(honest))) })
		code := ""
		if c.status != 200 {
			code = "authentication_unavailable"
		}
		want(t, what, a.guarded(t, nil), text, c.status, code)
	}
}

// alter changes the claims of a signed text and leaves it well formed.
func alter(t *testing.T, text string) string {
	p := strings.Split(text, ".")
	b, err := base64.RawURLEncoding.DecodeString(p[1])
	if err != nil {
		t.Error(err)
	}
	return p[0] + "." + base64.RawURLEncoding.EncodeToString(bytes.Replace(b, []byte(`"ttl":30`), []byte(`"ttl":31`), 1)) + "." + p[2]
}

// TestStatusListReplayed: an older list does not take the place of one that
// counts.
func TestStatusListReplayed(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	list := aList(0)
	mine := a.token(t, list, 9)
	before := a.sign(t, a.key, list, list)
	a.revoke(list, 9)
	a.pass(2 * time.Second)
	want(t, "revoked", url, mine, 401, "invalid_token")
	a.answers(func(w http.ResponseWriter, _ int64, _ string) { _, _ = w.Write([]byte(before)) })
	a.pass(40 * time.Second)
	for n := a.fetched(); a.fetched() == n; {
		want(t, "while the old list comes", url, mine, 401, "invalid_token")
	}
	// The guard puts a list in place before it begins the next fetch of it.
	a.pass(6 * time.Second)
	for n := a.fetched(); a.fetched() == n; {
		want(t, "after the old list came", url, mine, 401, "invalid_token")
	}
}

// TestStatusListFlood: nobody but the issuer decides what is fetched, and when.
func TestStatusListFlood(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	want(t, "honest", url, a.token(t, aList(0), 1), 200, "")
	stranger := &authority{url: a.url, key: newKey(t), begun: a.begun}
	for i := range int64(200) {
		want(t, "forged", url, stranger.token(t, aList(i%64)+64*i, i), 401, "invalid_token")
	}
	for what, text := range map[string]string{
		"list of yesterday": a.token(t, aList(0)-32*64, 1), "list that cannot be": a.token(t, 1<<40, 1),
		"place that cannot be": a.token(t, aList(0), revocation.ListSize),
	} {
		want(t, what, url, text, 401, "invalid_token")
	}
	if n := a.fetched(); n != 1 {
		t.Errorf("%d fetches, want the honest one", n)
	}
	// A hundred who come at once make one fetch, and those who come after it failed
	// none until the cool-down is over.
	a.answers(func(w http.ResponseWriter, _ int64, _ string) { w.WriteHeader(500) })
	text := a.token(t, aList(1), 1)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { want(t, "no list", url, text, 503, "authentication_unavailable") })
	}
	wg.Wait()
	if n := a.fetched(); n != 2 {
		t.Errorf("%d fetches for a hundred requests, want one", n-1)
	}
	a.pass(6 * time.Second)
	want(t, "after the cool-down", url, text, 503, "authentication_unavailable")
	if n := a.fetched(); n != 3 {
		t.Errorf("%d fetches after the cool-down, want one", n-2)
	}
}

// TestStatusListTogether: those who come at once wait for the one fetch, and get
// in with it.
func TestStatusListTogether(t *testing.T) {
	a := newAuthority(t)
	const callers = 20
	var arrived atomic.Int64
	all := make(chan struct{})
	a.answers(func(w http.ResponseWriter, _ int64, honest string) {
		<-all
		_, _ = w.Write([]byte(honest))
	})
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: a.url, Audience: audience, AllowPrivateAddress: true, Now: a.now,
		Record: unread{}, Routes: routes, Policies: rules, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	h := g.Handler(app())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == callers {
			close(all)
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	var wg sync.WaitGroup
	for i := range int64(callers) {
		wg.Go(func() { want(t, "together", srv.URL+"/private", a.token(t, aList(0), i), 200, "") })
	}
	wg.Wait()
	if n := a.fetched(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestStatusListClock: a clock that is set back makes no list younger.
func TestStatusListClock(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	text := a.token(t, aList(0), 1)
	want(t, "before", url, text, 200, "")
	a.answers(func(w http.ResponseWriter, _ int64, _ string) { w.WriteHeader(500) })
	a.pass(-4 * time.Second)
	want(t, "a little", url, text, 200, "")
	a.pass(-10 * time.Minute)
	want(t, "much", url, text, 503, "authentication_unavailable")
	a.answers(nil)
	a.pass(-time.Minute)
	want(t, "much, and the issuer is there", url, text, 200, "") // no cool-down of eleven minutes
}

// TestStatusListHangs: an issuer that takes its time is not waited for long, and
// an end of the guard not at all.
func TestStatusListHangs(t *testing.T) {
	a := newAuthority(t)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	a.answers(func(http.ResponseWriter, int64, string) { <-hold })
	began := time.Now()
	want(t, "hanging", a.guarded(t, nil), a.token(t, aList(0), 1), 503, "authentication_unavailable")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a request waited %s", took)
	}
}

// TestStatusURL: lists can be read elsewhere, under their own name, and with keys
// that are given.
func TestStatusURL(t *testing.T) {
	a := newAuthority(t)
	list := aList(0)
	a.revoke(list, 9)
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mirror/"+strconv.FormatInt(list, 10) {
			_, _ = w.Write([]byte(a.sign(t, a.key, list, list)))
		}
	}))
	defer mirror.Close()
	for what, url := range map[string]string{
		"keys fetched": a.guarded(t, func(c *guard.RemoteConfig) { c.StatusURL = mirror.URL + "/mirror/" }),
		"keys given":   a.guarded(t, func(c *guard.RemoteConfig) { c.StatusURL, c.JWKS = mirror.URL+"/mirror/", jwksOf(t, a.key) }),
	} {
		want(t, what, url, a.token(t, list, 9), 401, "invalid_token")
		want(t, what, url, a.token(t, list, 8), 200, "")
		want(t, what, url, a.token(t, list+1, 8), 503, "authentication_unavailable")
	}
	if n := a.fetched(); n != 0 {
		t.Errorf("%d lists fetched from the issuer", n)
	}
	// With keys alone nothing is fetched, and the log says what that means.
	var log bytes.Buffer
	cfg := guard.RemoteConfig{Issuer: a.url, Audience: audience, Routes: routes, JWKS: jwksOf(t, a.key), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	g, err := guard.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if n := strings.Count(log.String(), "until it expires"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	url := a.guarded(t, func(c *guard.RemoteConfig) { c.JWKS = cfg.JWKS })
	want(t, "keys alone", url, a.token(t, list, 9), 200, "")
	for what, change := range map[string]func(*guard.RemoteConfig){
		"lists over plain http": func(c *guard.RemoteConfig) { c.StatusURL = "http://lists.example/" },
		"no URL":                func(c *guard.RemoteConfig) { c.StatusURL = "status" },
		"lists of assertions":   func(c *guard.RemoteConfig) { c.StatusURL, c.Assertions = "https://lists.example/", true },
		"an issuer over plain http": func(c *guard.RemoteConfig) {
			c.Issuer, c.JWKS, c.JWKSURL = "http://auth.example", nil, "https://auth.example/keys"
		},
	} {
		c := cfg
		change(&c)
		if _, err := guard.NewRemote(c); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestStatusForms: a status that is not understood is no status to ignore, and a
// token without one has none to ask for.
func TestStatusForms(t *testing.T) {
	a := newAuthority(t)
	url := a.guarded(t, nil)
	for what, c := range map[string]struct {
		status string
		want   int
	}{
		"none":            {``, 200},
		"honest":          {`,"status":{"status_list":{"idx":1,"uri":"` + a.url + `/status/` + strconv.FormatInt(aList(0), 10) + `"}}`, 200},
		"null":            {`,"status":null`, 401},
		"empty":           {`,"status":{}`, 401},
		"another's list":  {`,"status":{"status_list":{"idx":1,"uri":"https://x.example/status/1"}}`, 401},
		"negative":        {`,"status":{"status_list":{"idx":-1,"uri":"` + a.url + `/status/1"}}`, 401},
		"not a number":    {`,"status":{"status_list":{"idx":1,"uri":"` + a.url + `/status/../keys"}}`, 401},
		"of another kind": {`,"status":{"status_attestation":{}}`, 401},
	} {
		now := a.now()
		text, err := a.key.Sign(token.TypeAccess, fmt.Appendf(nil, `{"iss":%q,"sub":"usr_a","aud":%q,"client_id":"c","iat":%d,"exp":%d,"jti":%q%s}`,
			a.url, audience, now.Unix(), now.Unix()+60, gatehouse.NewID("tok", now), c.status))
		if err != nil {
			t.Fatal(err)
		}
		want(t, what, url, text, c.want, "")
	}
}
