package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// heldBy says what a way does with streams.
type heldBy int

const (
	open     heldBy = iota
	header          // not even a header comes through
	body            // a header, and then nothing
	partly          // the beginning, and then nothing
	cut             // the beginning, and then the end
	silently        // everything, and then nothing any more
)

// path is the way to an issuer, on which streams may be held back. Polls come through.
type path struct {
	mu    sync.Mutex
	held  heldBy
	down  bool
	asked []string // "stream" or "poll", with "+" where it goes on from an id
	keys  int      // how often the stream is to tell of new keys
}

func (p *path) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *path) count(kind string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.asked {
		if strings.TrimSuffix(a, "+") == kind {
			n++
		}
	}
	return n
}

func (p *path) open(ctx context.Context, address string, lines http.Header) (io.ReadCloser, error) {
	kind := "stream"
	if strings.Contains(address, "?wait=") {
		kind = "poll"
	}
	resumed := ""
	if lines.Get("Last-Event-ID") != "" {
		resumed = "+"
	}
	p.mu.Lock()
	p.asked = append(p.asked, kind+resumed)
	held, down, keys := p.held, p.down, p.keys
	p.mu.Unlock()
	if down {
		return nil, errors.New("refused")
	}
	if kind == "stream" && held == header {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		defer w.Close()
		say := func(text string) bool { _, err := io.WriteString(w, text); return err == nil }
		pause := func(d time.Duration) bool {
			select {
			case <-time.After(d):
				return true
			case <-ctx.Done():
				return false
			}
		}
		// Its clock is an hour ahead of the follower's.
		said := func(event string) string {
			return fmt.Sprintf("event: %s\ndata: {\"realm\":\"main\",\"time\":%d}\n", event, time.Now().Add(time.Hour).UnixMilli())
		}
		all := ""
		if resumed == "" {
			all = said("reload") + "\n"
		}
		ready := func() string { return said("ready") + "id: AAAAAAAAAAAAAAAA-1\n\n" }
		if kind == "poll" {
			if resumed != "" {
				seconds, _ := strconv.Atoi(address[strings.LastIndex(address, "=")+1:])
				pause(time.Duration(seconds) * time.Second)
			}
			say(all + ready())
			return
		}
		switch held {
		case body:
			<-ctx.Done()
			return
		case partly:
			say("retry: 1000\n\n" + all)
			<-ctx.Done()
			return
		case cut:
			say("retry: 1000\n\n" + all)
			return
		}
		say("retry: 1000\n\n" + all)
		say(ready())
		for range keys {
			say("event: keys\ndata: {}\n\n")
		}
		for pause(2 * time.Second) {
			p.mu.Lock()
			silent, down := p.held == silently, p.down
			p.mu.Unlock()
			if down || !silent && !say(ready()) {
				return
			}
		}
	}()
	return r, nil
}

// followsBy makes a follower of a path, inside a bubble.
func followsBy(t *testing.T, p *path, changed func()) *follower {
	t.Helper()
	f := &follower{cfg: Follow{Key: "k", URL: "https://auth.example/events", MaxStaleness: FollowBound}, issuer: "https://auth.example", open: p.open,
		log: slog.New(slog.DiscardHandler), now: time.Now, ended: make(chan struct{})}
	f.start(changed)
	return f
}

// good is a token that nobody has ended.
var good = revocation.Ref{Realm: followRealm, Subject: "usr_a"}

func sure(f *follower) bool { s, err := f.check(good); return s && err == nil }

// watch looks for d, ten times a second, and returns how long the follower was sure of nothing.
func watch(f *follower, d time.Duration) (unsure time.Duration) {
	const every = 100 * time.Millisecond
	for range d / every {
		time.Sleep(every) // of the bubble
		if !sure(f) {
			unsure += every
		}
	}
	return unsure
}

// TestPollsAndReturns: in whatever way streams are held back, the follower polls; while it does it tries a stream now and
// then, at no cost, and stays with the first that comes through.
func TestPollsAndReturns(t *testing.T) {
	for name, held := range map[string]heldBy{"header": header, "body": body, "partly": partly, "cut": cut} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &path{held: held}
				f := followsBy(t, p, func() {})
				defer f.close()
				if unsure := watch(f, 8*time.Second); unsure > followQuiet+time.Second || !sure(f) {
					t.Fatalf("nothing known for %v, and then %t; asked %v", unsure, sure(f), p.asked)
				}
				if unsure := watch(f, 16*time.Minute); unsure != 0 || p.count("stream") != 4 {
					t.Errorf("sure of nothing for %v; %d streams, %d polls", unsure, p.count("stream"), p.count("poll"))
				}
				p.set(func() { p.held = open })
				if unsure := watch(f, 6*time.Minute); unsure != 0 {
					t.Errorf("sure of nothing for %v while it went back", unsure)
				}
				streams, polls := p.count("stream"), p.count("poll")
				if unsure := watch(f, 10*time.Minute); unsure != 0 || p.count("stream") != streams || p.count("poll") != polls {
					t.Errorf("it does not stay with the stream: %d streams and %d polls more, unsure for %v", p.count("stream")-streams, p.count("poll")-polls, unsure)
				}
			})
		})
	}
}

// TestStreamGoesSilent: one that was followed and says nothing more is left, and another way found before long.
func TestStreamGoesSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{}
		f := followsBy(t, p, func() {})
		defer f.close()
		if unsure := watch(f, time.Minute); unsure != 0 {
			t.Fatalf("unsure for %v", unsure)
		}
		p.set(func() { p.held = silently })
		time.Sleep(followQuiet) // what is written now is the last
		p.set(func() { p.held = body })
		if unsure := watch(f, 30*time.Second); unsure > 4*time.Second || !sure(f) {
			t.Errorf("unsure for %v, and then %t; asked %v", unsure, sure(f), p.asked)
		}
	})
}

// TestRefusedIsNotHeld: whoever cannot be reached is asked in the same way again, with longer and longer pauses.
func TestRefusedIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{down: true}
		f := followsBy(t, p, func() {})
		defer f.close()
		watch(f, 10*time.Minute)
		if n := p.count("stream"); n < 15 || n > 60 || p.count("poll") != 0 {
			t.Errorf("asked %d times for a stream, %d times for less", n, p.count("poll"))
		}
		p.set(func() { p.down = false })
		if watch(f, time.Minute); !sure(f) || p.count("poll") != 0 {
			t.Errorf("it does not recover: %v", p.asked)
		}
	})
}

// TestKeysChanged: an event tells that, and nothing else does.
func TestKeysChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{keys: 2}
		told := 0
		f := followsBy(t, p, func() { told++ })
		watch(f, time.Minute)
		f.close()
		if told != 2 {
			t.Errorf("told %d times", told)
		}
	})
}

// What belongs together begins and ends with these.
var (
	reloadNow = sse{name: "reload", data: `{"time":1}`}
	readyNow  = sse{name: "ready", id: "AAAAAAAAAAAAAAAA-1", data: `{"time":1}`}
)

// TestEventsThatAreNone: what is not understood, or comes when it cannot, ends the answer, and nobody is let in by what was
// known without it.
func TestEventsThatAreNone(t *testing.T) {
	whole := []sse{reloadNow, readyNow}
	place := func(uri string, idx ...int) sse {
		return sse{name: "status", data: fmt.Sprintf(`{"uri":%q,"idx":%s,"exp":4000000000}`, uri, strings.ReplaceAll(fmt.Sprint(idx), " ", ","))}
	}
	for what, e := range map[string]sse{
		"a list of somebody else":       place("https://evil.example/status/1", 1),
		"a list of a prefix":            place("https://auth.example.evil/status/1", 1),
		"a list that is no number":      place("https://auth.example/status/x", 1),
		"a place that cannot be":        place("https://auth.example/status/1", 1<<20),
		"a place below zero":            place("https://auth.example/status/1", -1),
		"an unknown kind":               {name: "cutoff", data: `{"kind":"planet","id":"x","before":1}`},
		"a cut-off of nobody":           {name: "cutoff", data: `{"kind":"subject","before":1}`},
		"a cut-off of a realm, by name": {name: "cutoff", data: `{"kind":"realm","id":"x","before":1}`},
		"no JSON":                       {name: "cutoff", data: `{"kind"`},
		"a member twice":                {name: "cutoff", data: `{"kind":"subject","id":"a","id":"b","before":1}`},
		"ready without a time":          {name: "ready", id: "A", data: `{"realm":"main"}`},
		"ready without anything":        {name: "ready", id: "A"},
		"reload without a time":         {name: "reload", data: `{}`},
		"a time as text":                {name: "ready", id: "A", data: `{"time":"1"}`},
		"a time before all":             {name: "ready", id: "A", data: `{"time":-1}`},
	} {
		f := &follower{issuer: "https://auth.example", now: time.Now, changed: func() {}}
		if _, err := f.take(e); err == nil {
			t.Errorf("%s, before everything was told: taken", what)
		}
		for _, w := range whole {
			if _, err := f.take(w); err != nil {
				t.Fatal(err)
			}
		}
		f.cfg.MaxStaleness = time.Hour
		f.heard.Store(time.Now().UnixNano())
		if !sure(f) {
			t.Fatal("nothing known after ready")
		}
		if _, err := f.take(e); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	f := &follower{issuer: "https://auth.example", now: time.Now}
	for what, e := range map[string]sse{"a place": place("https://auth.example/status/1", 1), "ready": readyNow} {
		if _, err := f.take(e); err == nil || f.view.Load() != nil {
			t.Errorf("%s before everything was told: taken", what)
		}
	}
	if _, err := f.take(sse{name: "planet", data: "{"}); err != nil {
		t.Errorf("an unknown event: %v", err)
	}
}

// TestUnknownCutoffRefuses: after a change that is not understood nobody is let in.
func TestUnknownCutoffRefuses(t *testing.T) {
	f := &follower{issuer: "https://auth.example", now: time.Now}
	f.cfg.MaxStaleness = time.Hour
	for _, e := range []sse{reloadNow, readyNow} {
		if _, err := f.take(e); err != nil {
			t.Fatal(err)
		}
	}
	f.heard.Store(time.Now().UnixNano())
	_, _ = f.take(sse{name: "cutoff", data: `{"kind":"planet","id":"x","before":1}`})
	if sure(f) {
		t.Error("let in by what was known")
	}
}

// TestAge: a view that is too old says nothing, and neither does one from a time that is yet to come.
func TestAge(t *testing.T) {
	now := time.Now()
	f := &follower{issuer: "https://auth.example", now: func() time.Time { return now }}
	f.cfg.MaxStaleness = 10 * time.Second
	for _, e := range []sse{reloadNow, {name: "cutoff", data: `{"kind":"subject","id":"usr_b","before":4000000000000}`}, readyNow} {
		if _, err := f.take(e); err != nil {
			t.Fatal(err)
		}
	}
	f.heard.Store(now.UnixNano())
	for by, want := range map[time.Duration]bool{0: true, 9 * time.Second: true, 10 * time.Second: false, time.Hour: false, -2 * time.Second: true, -time.Minute: false} {
		now = time.Unix(0, f.heard.Load()).Add(by)
		if got := sure(f); got != want {
			t.Errorf("after %v: sure is %t", by, got)
		}
		if s, err := f.check(revocation.Ref{Realm: followRealm, Subject: "usr_b"}); !s || err == nil {
			t.Errorf("after %v: what has ended does not stay so", by)
		}
	}
}

// TestLongLine: no line may fill the memory.
func TestLongLine(t *testing.T) {
	f := &follower{issuer: "https://auth.example", now: time.Now, log: slog.New(slog.DiscardHandler)}
	f.cfg.MaxStaleness, f.cfg.Key = 10*time.Second, gatehouse.Secret("k")
	f.open = func(context.Context, string, http.Header) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("event: reload\n\ndata: "), bytes.NewReader(make([]byte, 4<<20)))), nil
	}
	if err := f.read(t.Context(), false, false); err == nil || f.ready {
		t.Errorf("%v", err)
	}
}

// then is a reader in which something happens between two others.
type then func()

func (f then) Read([]byte) (int, error) { f(); return 0, io.EOF }

// TestOldEvents: what waited in the kernel of a machine that slept, or somewhere on its way, is read late and makes nothing
// known, whatever the issuer's clock says; and neither does a line that anybody may have put there.
func TestOldEvents(t *testing.T) {
	for name, c := range map[string]struct {
		passes time.Duration // for the guard, before the second event is read
		said   time.Duration // after the first one, by the issuer's clock
		age    time.Duration
		sure   bool
		err    error
	}{
		"in time":                      {2 * time.Second, 2 * time.Second, 0, true, nil},
		"a little late":                {6 * time.Second, 2 * time.Second, 4 * time.Second, true, nil},
		"held back":                    {8 * time.Second, 2 * time.Second, 6 * time.Second, true, errLate},
		"the machine slept":            {time.Hour, 2 * time.Second, time.Hour - 2*time.Second, false, errLate},
		"the issuer's clock gains":     {2 * time.Second, 2900 * time.Millisecond, 0, true, nil},
		"the issuer's clock was set":   {2 * time.Second, time.Hour, 0, true, errLate},
		"it was set back":              {2 * time.Second, -time.Hour, 2 * time.Second, true, errLate},
		"the guard's clock was set":    {time.Hour, 2 * time.Second, time.Hour - 2*time.Second, false, errLate},
		"the guard's clock set back":   {-time.Hour, 2 * time.Second, 0, true, errLate},
		"a number that is no time":     {2 * time.Second, 1 << 62, 0, true, errLate},
		"comments alone, for a minute": {time.Minute, -1, time.Minute, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			f := &follower{issuer: "https://auth.example", now: func() time.Time { return now }}
			f.cfg.MaxStaleness, f.cfg.Key = 10*time.Second, gatehouse.Secret("k")
			began := time.Now().Add(time.Hour).UnixMilli()
			f.open = func(context.Context, string, http.Header) (io.ReadCloser, error) {
				second := fmt.Sprintf("event: ready\nid: A-2\ndata: {\"time\":%d}\n\n", began+c.said.Milliseconds())
				if c.said == -1 {
					second = ":\n\n: still here\n\n"
				}
				return io.NopCloser(io.MultiReader(strings.NewReader(fmt.Sprintf("event: reload\ndata: {\"time\":%d}\n\nevent: ready\nid: A-1\ndata: {\"time\":%[1]d}\n\n", began)),
					then(func() { now = now.Add(c.passes) }), strings.NewReader(second))), nil
			}
			err := f.read(t.Context(), false, false)
			age := now.Sub(time.Unix(0, f.heard.Load()))
			if !errors.Is(err, c.err) || sure(f) != c.sure || age != c.age {
				t.Errorf("%v, sure %t, known as of %v ago", err, sure(f), age)
			}
		})
	}
}

// TestKeysAreFetchedAgain: a guard that is told that the keys changed asks for them, and not a minute later.
func TestKeysAreFetchedAgain(t *testing.T) {
	key, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	fetched := make(chan bool, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/jwks.json" {
			fetched <- true
			_, _ = w.Write(token.MarshalJWKSet([]*token.Key{key}))
			return
		}
		_, _ = io.WriteString(w, "event: reload\ndata: {\"time\":1}\n\nevent: ready\nid: a\ndata: {\"time\":1}\n\nevent: keys\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	g, err := NewRemote(RemoteConfig{Issuer: srv.URL, Audience: "a", Routes: []enforce.Route{{Pattern: "GET /", Authenticated: true}}, AllowPrivateAddress: true,
		Follow: &Follow{Key: "k"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	select {
	case <-fetched:
	case <-time.After(20 * time.Second):
		t.Error("the keys are not fetched")
	}
}
