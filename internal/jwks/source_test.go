package jwks

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testcert"
	"github.com/gatehouse-auth/gatehouse/token"
)

// issuer is a Fetcher whose answer a test can change.
type issuer struct {
	mu    sync.Mutex
	calls int
	body  []byte
	age   string
	err   error
	delay time.Duration
}

func (i *issuer) Fetch(ctx context.Context, _, _ string) ([]byte, http.Header, error) {
	i.mu.Lock()
	i.calls++
	body, age, err, delay := i.body, i.age, i.err, i.delay
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return body, http.Header{"Cache-Control": {age}}, err
}

func (i *issuer) set(f func()) { i.mu.Lock(); f(); i.mu.Unlock() }

func (i *issuer) count() int { i.mu.Lock(); defer i.mu.Unlock(); return i.calls }

func newKey(t *testing.T) *token.Key {
	t.Helper()
	k, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSource(t *testing.T, f Fetcher) *Source {
	t.Helper()
	s, err := New(Config{URL: "https://issuer.example/jwks", Fetcher: f, Algorithms: []token.Algorithm{token.ES256}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestFirstQuestionFetchesOnce(t *testing.T) {
	k := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: token.MarshalJWKSet([]*token.Key{k}), delay: time.Second}
		s := newSource(t, is)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := s.Key(k.KID, token.ES256); err != nil || got.KID != k.KID {
					t.Errorf("Key = %v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if n := is.count(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestFirstQuestionWaitsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, &issuer{delay: time.Hour})
		begin := time.Now()
		if _, err := s.Key("x", token.ES256); !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("err = %v", err)
		}
		if d := time.Since(begin); d != maxWait {
			t.Errorf("waited %v", d)
		}
	})
}

// TestFirstTokenUnderANewKey: the token that makes us ask for the new key is not
// refused, also soon after the last fetch, and when the answer takes its time.
func TestFirstTokenUnderANewKey(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, cooldown, time.Hour} {
		old, fresh := newKey(t), newKey(t)
		synctest.Test(t, func(t *testing.T) {
			is := &issuer{body: token.MarshalJWKSet([]*token.Key{old}), age: "max-age=86400"}
			s := newSource(t, is)
			if _, err := s.Key(old.KID, token.ES256); err != nil {
				t.Fatal(err)
			}
			is.set(func() { is.body, is.delay = token.MarshalJWKSet([]*token.Key{old, fresh}), time.Second })
			time.Sleep(after)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if _, err := s.Key(fresh.KID, token.ES256); err != nil {
						t.Errorf("%v after the last fetch: %v", after, err)
					}
				})
			}
			wg.Wait()
			if n := is.count(); n != 2 {
				t.Errorf("%d fetches, want 2", n)
			}
		})
	}
}

func TestInventedKidsDoNotHammer(t *testing.T) {
	k := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: token.MarshalJWKSet([]*token.Key{k}), age: "max-age=86400"}
		s := newSource(t, is)
		if _, err := s.Key(k.KID, token.ES256); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			before := is.count()
			for range 100 {
				_, err := s.Key("invented", token.ES256)
				if !errors.Is(err, gatehouse.Unauthenticated) {
					t.Fatalf("err = %v", err)
				}
			}
			if n := is.count() - before; n > 1+quickFetches {
				t.Fatalf("%d fetches inside the cool-down, want at most %d", n, 1+quickFetches)
			}
			time.Sleep(cooldown)
		}
	})
}

// TestUnknownWhileOutOfReach: when the issuer cannot be asked, nobody knows that a
// key is wrong. What is in memory goes on answering.
func TestUnknownWhileOutOfReach(t *testing.T) {
	k, fresh := newKey(t), newKey(t)
	for name, broken := range map[string]func(*issuer){
		"down":       func(i *issuer) { i.err = errors.New("down") },
		"slow":       func(i *issuer) { i.delay = time.Hour },
		"no key set": func(i *issuer) { i.body = []byte("<html>") },
		"no keys":    func(i *issuer) { i.body = []byte(`{"keys":[]}`) },
	} {
		synctest.Test(t, func(t *testing.T) {
			is := &issuer{body: token.MarshalJWKSet([]*token.Key{k}), age: "max-age=86400"}
			s := newSource(t, is)
			if _, err := s.Key(k.KID, token.ES256); err != nil {
				t.Fatal(err)
			}
			is.set(func() { broken(is) })
			for range 3 {
				if _, err := s.Key(fresh.KID, token.ES256); !errors.Is(err, gatehouse.Unavailable) || errors.Is(err, gatehouse.Unauthenticated) {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := s.Key(k.KID, token.ES256); err != nil {
					t.Errorf("%s: a known key: %v", name, err)
				}
			}
			is.set(func() { is.err, is.delay, is.body = nil, 0, token.MarshalJWKSet([]*token.Key{k, fresh}) })
			time.Sleep(cooldown)
			if _, err := s.Key(fresh.KID, token.ES256); err != nil {
				t.Errorf("%s, afterwards: %v", name, err)
			}
		})
	}
}

// TestOneBadKeyOfASet: the others still count.
func TestOneBadKeyOfASet(t *testing.T) {
	k := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		body := token.MarshalJWKSet([]*token.Key{k})
		bad := `{"keys":[{"kty":"EC","crv":"P-256","kid":"bad","x":"AA","y":"AA"},` + string(body[len(`{"keys":[`):])
		s := newSource(t, &issuer{body: []byte(bad)})
		if _, err := s.Key(k.KID, token.ES256); err != nil {
			t.Error(err)
		}
	})
}

// ASVS: 16.5.2
func TestFailureKeepsLastGoodSetForADay(t *testing.T) {
	k := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: token.MarshalJWKSet([]*token.Key{k}), age: "max-age=1"} // raised to a minute
		s := newSource(t, is)
		if _, err := s.Key(k.KID, token.ES256); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		_, _ = s.Key(k.KID, token.ES256)
		synctest.Wait()
		if n := is.count(); n != 1 {
			t.Fatalf("fetched again before a minute had passed (%d)", n)
		}
		is.set(func() { is.body = []byte(`{"keys":[]}`) }) // a broken answer changes nothing
		time.Sleep(23*time.Hour + 59*time.Minute)
		if _, err := s.Key(k.KID, token.ES256); err != nil {
			t.Fatalf("within a day of failures: %v", err)
		}
		synctest.Wait()
		time.Sleep(time.Hour)
		if _, err := s.Key(k.KID, token.ES256); !errors.Is(err, gatehouse.Unavailable) {
			t.Fatalf("after a day of failures: %v", err)
		}
		synctest.Wait()
		is.set(func() { is.body = token.MarshalJWKSet([]*token.Key{k}) })
		time.Sleep(cooldown)
		_, _ = s.Key(k.KID, token.ES256)
		synctest.Wait()
		if _, err := s.Key(k.KID, token.ES256); err != nil {
			t.Errorf("after recovery: %v", err)
		}
	})
}

func TestAgedSetIsRenewedInTheBackground(t *testing.T) {
	gone, stays := newKey(t), newKey(t)
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: token.MarshalJWKSet([]*token.Key{gone, stays}), age: "max-age=600"}
		s := newSource(t, is)
		if _, err := s.Key(gone.KID, token.ES256); err != nil {
			t.Fatal(err)
		}
		is.set(func() { is.body, is.delay = token.MarshalJWKSet([]*token.Key{stays}), time.Second })
		time.Sleep(10 * time.Minute)
		begin := time.Now()
		if _, err := s.Key(stays.KID, token.ES256); err != nil || time.Since(begin) != 0 {
			t.Errorf("an aged set: %v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Second)
		if _, err := s.Key(gone.KID, token.ES256); err == nil {
			t.Error("a key that the issuer withdrew is still known")
		}
	})
}

func TestFailuresDoNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{err: errors.New("down")}
		s := newSource(t, is)
		for range 50 {
			_, _ = s.Key("x", token.ES256)
		}
		if n := is.count(); n != 1 {
			t.Errorf("%d fetches of a broken issuer, want 1", n)
		}
	})
}

func TestConfigRefused(t *testing.T) {
	es := []token.Algorithm{token.ES256}
	priv, err := newKey(t).MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"nothing":             {Algorithms: es},
		"both":                {Static: []byte("{}"), URL: "https://x", Fetcher: &issuer{}, Algorithms: es},
		"no fetcher":          {URL: "https://x", Algorithms: es},
		"no algorithms":       {URL: "https://x", Fetcher: &issuer{}},
		"symmetric":           {URL: "https://x", Fetcher: &issuer{}, Algorithms: []token.Algorithm{token.HS256}},
		"all three":           {Static: []byte("{}"), URL: "https://x", Discover: true, Issuer: "https://i", Fetcher: &issuer{}, Algorithms: es},
		"address found twice": {URL: "https://x", Discover: true, Issuer: "https://i", Fetcher: &issuer{}, Algorithms: es},
		"discovery of nobody": {Discover: true, Fetcher: &issuer{}, Algorithms: es},
		"private static":      {Static: append(append([]byte(`{"keys":[`), priv...), "]}"...), Algorithms: es},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStatic(t *testing.T) {
	k := newKey(t)
	s, err := New(Config{Static: token.MarshalJWKSet([]*token.Key{k}), Algorithms: []token.Algorithm{token.ES256}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(k.KID, token.ES256); err != nil {
		t.Error(err)
	}
	if _, err := s.Key("other", token.ES256); err == nil {
		t.Error("an unknown kid was answered")
	}
}

func TestAge(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                        defaultAge,
		"no-store":                defaultAge,
		"public, max-age=3600":    time.Hour,
		"max-age=0":               minAge,
		"max-age=-5":              minAge,
		"max-age=99999999":        maxAge,
		"max-age=999999999999999": minAge,
		`Max-Age="7200"`:          2 * time.Hour,
	} {
		if got := Age(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// TestRenew: an issuer that tells that its keys have changed is asked at once, in the midst of every pause; the set that is
// there counts meanwhile. Many calls are two fetches, and one that fails is made good by the next that needs a key.
func TestRenew(t *testing.T) {
	old, fresh := newKey(t), newKey(t)
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: token.MarshalJWKSet([]*token.Key{old}), age: "max-age=86400"}
		s := newSource(t, is)
		knows := func(k *token.Key) bool { return s.current.Load().set.Keys()[0].KID == k.KID }
		if _, err := s.Key(old.KID, token.ES256); err != nil {
			t.Fatal(err)
		}
		is.set(func() { is.body, is.delay = token.MarshalJWKSet([]*token.Key{fresh}), time.Second })
		done := make(chan bool, 100)
		for range 50 {
			s.Renew(func() { done <- knows(fresh) })
		}
		if _, err := s.Key(old.KID, token.ES256); err != nil {
			t.Errorf("the set that is there does not count meanwhile: %v", err)
		}
		time.Sleep(10 * time.Second)
		if n := len(done); n < 1 || n > 2 || is.count() > 3 || !<-done {
			t.Errorf("called back %d times, %d fetches", n, is.count())
		}
		if _, err := s.Key(old.KID, token.ES256); !errors.Is(err, gatehouse.Unauthenticated) {
			t.Errorf("a key that was taken back: %v", err)
		}
		is.set(func() { is.err, is.delay = errors.New("away"), 0 })
		called := false
		s.Renew(func() { called = true })
		synctest.Wait()
		is.set(func() { is.err, is.body = nil, token.MarshalJWKSet([]*token.Key{old}) })
		if !called || !knows(fresh) {
			t.Error("a fetch that failed")
		}
		time.Sleep(cooldown)
		if _, err := s.Key(fresh.KID, token.ES256); err != nil {
			t.Errorf("%v", err)
		}
		if synctest.Wait(); !knows(old) {
			t.Error("what failed is not made good")
		}
		s.Close()
		s.Renew(func() { t.Error("after the end") })
		synctest.Wait()
	})
}

// TestHolds: a key is looked for by itself as by its id: also in the set of now, before it is said not to be there.
func TestHolds(t *testing.T) {
	old, fresh, foreign := testcert.SelfSigned(t, &x509.Certificate{}), testcert.SelfSigned(t, &x509.Certificate{}), testcert.SelfSigned(t, &x509.Certificate{})
	set := func(of ...*testcert.Certificate) []byte {
		keys := []any{}
		for _, c := range of {
			keys = append(keys, c.JWK())
		}
		b, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{body: set(old), age: "max-age=86400"}
		s := newSource(t, is)
		for _, c := range []struct {
			of    *testcert.Certificate
			want  bool
			first func()
		}{{old, true, func() {}}, {fresh, false, func() {}}, {fresh, true, func() { is.set(func() { is.body = set(old, fresh) }) }}, {foreign, false, func() {}}} {
			c.first()
			if held, err := s.Holds(c.of.PublicKey); held != c.want || err != nil {
				t.Errorf("Holds = %v, %v, want %v", held, err, c.want)
			}
		}
		is.set(func() { is.err = errors.New("down") })
		time.Sleep(cooldown)
		if _, err := s.Holds(foreign.PublicKey); !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("out of reach: %v", err)
		}
	})
	static, err := New(Config{Static: set(old), Algorithms: []token.Algorithm{token.ES256}})
	if err != nil {
		t.Fatal(err)
	}
	if held, err := static.Holds(fresh.PublicKey); held || err != nil {
		t.Errorf("a set that was given: %v, %v", held, err)
	}
}
