package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// way leads to the stream of revocations. It can be cut, and hold back what is not whole.
type way struct {
	*httptest.Server
	away, holds       atomic.Bool
	resumed, reloaded atomic.Int64
}

func wayTo(t *testing.T, issuer string) *way {
	t.Helper()
	to, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			out.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.Header.Get("Last-Event-ID") != "" {
			w.resumed.Add(1)
		}
		if !w.holds.Load() {
			proxy.ServeHTTP(&watched{out, w}, r)
			return
		}
		held := httptest.NewRecorder()
		proxy.ServeHTTP(held, r)
		_, _ = io.Copy(out, held.Body)
	}))
	t.Cleanup(func() { w.CloseClientConnections(); w.Close() })
	return w
}

// watched counts how often everything was told anew.
type watched struct {
	http.ResponseWriter
	way *way
}

func (w *watched) Write(b []byte) (int, error) {
	w.way.reloaded.Add(int64(bytes.Count(b, []byte("event: reload"))))
	return w.ResponseWriter.Write(b)
}
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// follows is an API behind a guard that follows d by way of w.
func follows(t *testing.T, d *server.Demo, w *way) string {
	t.Helper()
	g, err := guard.NewRemote(guard.RemoteConfig{Issuer: d.Issuer, Audience: d.Issuer, AllowPrivateAddress: true, Logger: slog.New(slog.DiscardHandler),
		Routes: []enforce.Route{{Pattern: "/", Authenticated: true}},
		Follow: &guard.Follow{Key: gatehouse.Secret(d.AdminToken), MaxStaleness: 4 * time.Second, URL: w.URL + "/admin/v1/realms/main/revocations/events"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	api := httptest.NewServer(g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(api.Close)
	return api.URL
}

// TestGuardFollows: a guard elsewhere refuses within a second what was ended, by a cut-off too; a connection that was cut
// costs no revocation and no second telling; when nothing can be heard nobody is let in; and it recovers by itself.
func TestGuardFollows(t *testing.T) {
	d := demo(t)
	w := wayTo(t, d.Issuer)
	api := follows(t, d, w)
	becomes := func(what, token string, want int) {
		t.Helper()
		testwait.Until(t, soon, what, func() bool { return call(t, "GET", api, "bearer", token).status == want })
	}
	end := func(token string) {
		call(t, "DELETE", d.Issuer+"/tokens", "bearer", token).want(t, "the end of a token", 204)
	}
	var took []time.Duration
	for range 5 {
		token, _ := login(t, d, "bob")
		becomes("a token", token, 200)
		end(token)
		began := time.Now()
		becomes("an ended token", token, 401)
		took = append(took, time.Since(began))
	}
	if slices.Sort(took); took[2] > time.Second {
		t.Errorf("seen after %v", took)
	}
	cut, _ := login(t, d, "bob")
	becomes("a token", cut, 200)
	call(t, "POST", d.Issuer+"/admin/v1/realms/main/revocations", "bearer", d.AdminToken, "body", `{"kind":"subject","id":"`+d.Users["bob"].ID+`"}`).want(t, "a cut-off", 201)
	becomes("a token from before the cut-off", cut, 401)

	kept, _ := login(t, d, "bob")
	ended, _ := login(t, d, "bob")
	becomes("a token", ended, 200)
	reloaded := w.reloaded.Load()
	w.away.Store(true)
	w.CloseClientConnections()
	end(ended) // while nobody hears of it
	becomes("nothing is heard", kept, 503)
	becomes("an end that was told stays one", cut, 401)
	w.away.Store(false)
	becomes("the way is open again", kept, 200)
	becomes("what ended meanwhile", ended, 401)
	if w.resumed.Load() == 0 || w.reloaded.Load() != reloaded {
		t.Errorf("resumed %d times, told anew %d times", w.resumed.Load(), w.reloaded.Load()-reloaded)
	}
}

// TestGuardPolls: where streams are held back on the way, a guard asks again and again.
func TestGuardPolls(t *testing.T) {
	d := demo(t)
	w := wayTo(t, d.Issuer)
	w.holds.Store(true)
	api := follows(t, d, w)
	token, _ := login(t, d, "bob")
	testwait.Until(t, 2*soon, "a token", func() bool { return call(t, "GET", api, "bearer", token).status == 200 })
	call(t, "DELETE", d.Issuer+"/tokens", "bearer", token).want(t, "the end of a token", 204)
	testwait.Until(t, soon, "an ended token", func() bool { return call(t, "GET", api, "bearer", token).status == 401 })
}
