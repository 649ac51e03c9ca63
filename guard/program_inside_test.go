package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/token"
)

// published is the key set of an issuer that takes keys back.
type published struct{ key *token.Key }

func (p *published) Key(string, token.Algorithm) (*token.Key, error) {
	if p.key == nil {
		return nil, errors.New("no such key")
	}
	return p.key, nil
}

// TestKeyTakenBack: a token that was verified is verified again after a minute, so that a
// key which the issuer took back counts no longer than that.
func TestKeyTakenBack(t *testing.T) {
	key, begin := newKey(t), time.Now().Truncate(time.Second)
	at := begin
	keys := &published{key}
	verifier, err := token.NewVerifier(token.VerifierConfig{Issuer: "https://auth.example", Audience: []string{"a"}, Algorithms: []token.Algorithm{"ES256"},
		Types: []string{token.TypeAccess}, Keys: keys, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	a := &remoteAuthenticator{verifier: verifier, cfg: RemoteConfig{Now: func() time.Time { return at }}, seen: cache.New[[32]byte, verified](10)}
	text, err := key.SignAccess(&token.Access{Issuer: "https://auth.example", Subject: "usr_a", Audience: []string{"a"}, ClientID: "cli",
		ID: gatehouse.NewID("tok", begin), IssuedAt: begin, ExpiresAt: begin.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.verify("main", text); err != nil {
		t.Fatal(err)
	}
	keys.key = nil
	for after, good := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false} {
		at = begin.Add(after)
		if _, err := a.verify("main", text); (err == nil) != good {
			t.Errorf("%s after it was verified: %v", after, err)
		}
	}
}

// TestWaitingForAList: who waits for a list waits for three seconds at most, and not at all
// once he is gone himself.
func TestWaitingForAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statusLists{}
		began := time.Now()
		if s.wait(t.Context(), make(chan struct{})); time.Since(began) != statusWait {
			t.Errorf("waited %s for a list that does not come", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if s.wait(ctx, make(chan struct{})); time.Since(began) != time.Second {
			t.Errorf("waited %s for somebody who left after one second", time.Since(began))
		}
		began = time.Now()
		came := make(chan struct{})
		close(came)
		s.wait(t.Context(), came)
		s.wait(t.Context(), nil)
		if time.Since(began) != 0 {
			t.Errorf("waited %s for what is there", time.Since(began))
		}
	})
}

// TestFetchIsBounded: an issuer that never answers holds a turn for ten seconds.
func TestFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuing{answer: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}
		s, _ := listsOf(t, newKey(t), i, time.Now)
		began := time.Now()
		for n := range int64(2 * statusFetches) {
			s.start(s.list(n, began), began)
		}
		synctest.Wait()
		if n := i.asked.Load(); n != statusFetches {
			t.Errorf("%d fetches run at a time", n)
		}
		s.wg.Wait()
		if took := time.Since(began); took != statusFetch {
			t.Errorf("fetches, and those who waited for a turn, ended after %s", took)
		}
		s.close()
	})
}

// TestLinesAboutLimits: an answer tells what is left of a limit, and a refusal when to
// come back and with what.
func TestLinesAboutLimits(t *testing.T) {
	g := local(t, nil, enforce.Route{Pattern: "GET /", Anonymous: true, RateAddress: limit.Rate{Limit: 1, Window: time.Minute}},
		enforce.Route{Pattern: "GET /private", Authenticated: true})
	h := g.Protect(func(http.ResponseWriter, *http.Request) {})
	for n, want := range []int{200, 429} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want || !strings.Contains(w.Header().Get("RateLimit"), ";r=0") || w.Header().Get("RateLimit-Policy") == "" {
			t.Errorf("request %d: %d %v", n+1, w.Code, w.Header())
		}
		if (w.Header().Get("Retry-After") != "") != (want == 429) {
			t.Errorf("request %d: Retry-After %q", n+1, w.Header().Get("Retry-After"))
		}
	}
	r := httptest.NewRequest("GET", "/private", nil)
	r.Header.Set("Authorization", "Bearer x.y.z")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) { // RFC 6750 §3.1
		t.Errorf("a wrong token: %d %v", w.Code, w.Header())
	}
}

// TestTokensHaveAnID: a token without jti is none of a Gatehouse (RFC 9068 §2.2), and could
// not be cut off by the time of its issue.
func TestTokensHaveAnID(t *testing.T) {
	key := newKey(t)
	g, err := NewRemote(RemoteConfig{Issuer: "https://auth.example", Audience: "a", Logger: slog.New(slog.DiscardHandler),
		Routes: []enforce.Route{{Pattern: "GET /", Authenticated: true}}, JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, key.PublicJWK())})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	now := time.Now()
	for id, want := range map[string]int{`,"jti":"tok_1"`: 200, ``: 401, `,"jti":""`: 401, `,"jti":null`: 401} {
		text, err := key.Sign(token.TypeAccess, fmt.Appendf(nil, `{"iss":"https://auth.example","sub":"usr_a","aud":"a","client_id":"c","iat":%d,"exp":%d%s}`,
			now.Unix(), now.Unix()+60, id))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		w := httptest.NewRecorder()
		if g.Protect(func(http.ResponseWriter, *http.Request) {}).ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
	}
}

// TestSchemesOfAProgram: nothing but signed tokens is verified here, and not where a rule
// names other schemes.
func TestSchemesOfAProgram(t *testing.T) {
	a := &remoteAuthenticator{}
	for _, c := range []struct {
		presented gatehouse.Scheme
		rule      []gatehouse.Scheme
	}{{gatehouse.SchemeBasic, nil}, {gatehouse.SchemeBasic, []gatehouse.Scheme{gatehouse.SchemeBasic}}, {gatehouse.SchemeJWT, []gatehouse.Scheme{gatehouse.SchemeBasic}}} {
		if _, err := a.Authenticate(t.Context(), "main", authn.Presented{Scheme: c.presented}, authn.Rule{Schemes: c.rule}); !errors.Is(err, authn.ErrNotAccepted) {
			t.Errorf("%s where %q are named: %v", c.presented, c.rule, err)
		}
		if a.Supports(c.presented) != (c.presented == gatehouse.SchemeJWT) {
			t.Errorf("Supports(%s) is wrong", c.presented)
		}
	}
}

// seenAddress keeps the address of the last event.
type seenAddress struct{ address string }

func (s *seenAddress) Record(e *gatehouse.Event) { s.address = e.Address }

// TestWhatAProgramSays: the proxies that it trusts and the pages that it names count, and
// its end ends what it does in the background.
func TestWhatAProgramSays(t *testing.T) {
	seen := &seenAddress{}
	g, err := NewRemote(RemoteConfig{Issuer: "https://auth.example", Audience: "a", Logger: slog.New(slog.DiscardHandler), Record: seen,
		Routes: []enforce.Route{{Pattern: "GET /", Authenticated: true}}, TrustedProxies: []string{"10.0.0.1"}, DocsBase: "https://docs.example/"})
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
	for peer, want := range map[string]string{"10.0.0.1:1": "203.0.113.9", "10.0.0.2:1": "10.0.0.2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = peer, []string{"203.0.113.9"}
		w := httptest.NewRecorder()
		g.Protect(func(http.ResponseWriter, *http.Request) {}).ServeHTTP(w, r)
		if w.Code != 401 || seen.address != want || !strings.Contains(w.Body.String(), "https://docs.example/credential_missing") {
			t.Errorf("from %s: %d %s, recorded %s", peer, w.Code, w.Body, seen.address)
		}
	}
	f, err := remoteFacts(RemoteConfig{Issuer: "https://auth.example", Algorithms: []token.Algorithm{"ES256"}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f.close()
	if f.lists == nil || !f.lists.closed || f.lists.ctx.Err() == nil {
		t.Error("the fetches of lists go on after the end")
	}
}
