package authn

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestUniformAnswers: whatever a verifier says, the caller hears one of four things; only a
// limit is passed on as it is, and what broke here is never told as the caller's fault.
func TestUniformAnswers(t *testing.T) {
	key, _ := KindOf(gatehouse.SchemeAPIKey)
	login, _ := KindOf(gatehouse.SchemeBasic)
	for kind := gatehouse.Internal; kind <= gatehouse.RequestTimeout; kind++ {
		err := gatehouse.E(kind, "some_code", "Some text.")
		err.RetryAfter = 7 * time.Second
		code, secret := "authentication_unavailable", "authentication_unavailable"
		var wait time.Duration
		switch kind {
		case gatehouse.Unauthenticated, gatehouse.NotFound, gatehouse.Denied, gatehouse.Invalid, gatehouse.TooLarge, gatehouse.HeaderTooLarge, gatehouse.Unprocessable:
			code, secret = "invalid_token", "invalid_credentials"
		case gatehouse.RateLimited:
			code, secret, wait = "some_code", "some_code", 7*time.Second
		default:
			wait = 7 * time.Second // when it is worth to try again
		}
		for k, want := range map[*Kind]string{&key: code, &login: secret} {
			var e *gatehouse.Error
			if got := uniform(*k, err); gatehouse.CodeOf(got) != want || !errors.As(got, &e) || e.RetryAfter != wait || Reason(got) != "some_code" {
				t.Errorf("%s of %s: %v, retry after %s", kind, k.Scheme, got, e.RetryAfter)
			}
		}
		if got := uniform(key, fmt.Errorf("read: %w", kind)); code != "some_code" && gatehouse.CodeOf(got) != code {
			t.Errorf("a bare %s: %v", kind, got)
		}
	}
	if got := uniform(key, errors.New("boom")); gatehouse.CodeOf(got) != "authentication_unavailable" {
		t.Error(got)
	}
}

// TestReasonsAndDetails: the record gets the innermost code, and an operator the cause where
// it is about the request; never what could name a file, a host or what stood in a URL.
func TestReasonsAndDetails(t *testing.T) {
	inner := gatehouse.E(gatehouse.Unauthenticated, "inner", "")
	for name, tt := range map[string]struct {
		err            error
		reason, detail string
	}{
		"alone":                        {inner, "inner", ""},
		"no error of ours":             {errors.New("boom"), "internal", ""},
		"inside another":               {ErrInvalidToken.With(inner), "inner", ""},
		"three deep":                   {ErrInvalidToken.With(inner.With(gatehouse.E(gatehouse.Invalid, "innermost", ""))), "innermost", ""},
		"wrapped between":              {ErrInvalidToken.With(fmt.Errorf("while: %w", inner.With(errors.New("since")))), "inner", "since"},
		"with a cause":                 {ErrInvalidToken.With(inner.With(errors.New("it ended"))), "inner", "it ended"},
		"without a code":               {ErrInvalidToken.With(&gatehouse.Error{Kind: gatehouse.Denied}), "invalid_token", ""},
		"a kind alone":                 {ErrInvalidToken.With(gatehouse.NotFound), "invalid_token", ""},
		"a kind with a text":           {ErrInvalidToken.With(fmt.Errorf("no realm: %w", gatehouse.NotFound)), "invalid_token", "no realm: not_found"},
		"of the store":                 {ErrUnavailable.With(gatehouse.E(gatehouse.Unavailable, "store_busy", "").With(errors.New("/var/lib/x.db is locked"))), "store_busy", ""},
		"of the store, without a kind": {ErrUnavailable.With(gatehouse.E(gatehouse.Internal, "store_broken", "").With(errors.New("/var/lib/x.db"))), "store_broken", ""},
		"of the inside":                {ErrUnavailable.With(gatehouse.E(gatehouse.Internal, "broken", "").With(errors.New("10.0.0.7:5432"))), "broken", ""},
		"a fetch": {ErrUnavailable.With(&url.Error{Op: "Get", URL: "https://idp.test/jwks?secret=x", Err: errors.New("no route to host")}),
			"authentication_unavailable", "no route to host"},
	} {
		if Reason(tt.err) != tt.reason || Detail(tt.err) != tt.detail {
			t.Errorf("%s: %q, %q; want %q, %q", name, Reason(tt.err), Detail(tt.err), tt.reason, tt.detail)
		}
	}
}

// TestDetailsOfRefusals: an operator is told what would have been accepted.
func TestDetailsOfRefusals(t *testing.T) {
	w := newWorld(t)
	detail := func(p Presented, rule Rule) string {
		_, err := w.a.Authenticate(t.Context(), "main", p, rule)
		return Detail(err)
	}
	jwt := w.access(nil)
	for name, tt := range map[string]struct {
		got  string
		want []string
	}{
		"of the rule's schemes":   {detail(jwt, Rule{Schemes: []gatehouse.Scheme{"basic", "opaque"}}), []string{"this is jwt", "accepted here: basic, opaque"}},
		"of all schemes":          {detail(Presented{Scheme: "magic"}, secure), []string{"this is magic", "accepted here: jwt, api_key, opaque, basic"}},
		"of the ticket's inside":  {detail(Presented{Scheme: gatehouse.SchemeTicket, standIn: &standIn{used: true}}, secure), nil},
		"of issuers":              {detail(w.access(func(a *token.Access) { a.Issuer = "https://evil.test" }), secure), []string{`"https://evil.test"`, issuerURL}},
		"of audiences":            {detail(w.access(func(a *token.Access) { a.Audience = []string{"x", "y"} }), secure), []string{issuerURL}},
		"of a password in clear":  {detail(Presented{Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "right"}, Rule{}), []string{"without TLS"}},
		"of the end of the token": {detail(w.access(func(a *token.Access) { a.IssuedAt, a.ExpiresAt = w.now.Add(-time.Hour), w.now }), secure), []string{w.now.UTC().Format("2006-01-02")}},
	} {
		for _, part := range tt.want {
			if !strings.Contains(tt.got, part) {
				t.Errorf("%s: %q lacks %q", name, tt.got, part)
			}
		}
	}
	s := w.withTickets(t)
	if got := detail(Presented{Scheme: "magic"}, secure); !strings.HasSuffix(got, "jwt, api_key, opaque, basic") || len(s.kept) != 0 { // no route lists a ticket
		t.Error(got)
	}
}

// TestConfigBounds: the greatest leeway, and what holds where nothing is said.
func TestConfigBounds(t *testing.T) {
	w := newWorld(t)
	for leeway, good := range map[time.Duration]bool{0: true, token.MaxLeeway: true, token.MaxLeeway + 1: false, -1: false} {
		cfg := w.config()
		cfg.Leeway = leeway
		if _, err := New(cfg); (err == nil) != good {
			t.Errorf("a leeway of %s: %v", leeway, err)
		}
	}
	for _, s := range []gatehouse.Scheme{gatehouse.SchemeJWT, gatehouse.SchemeAPIKey, gatehouse.SchemeOpaque, gatehouse.SchemeBasic} {
		if !w.a.Supports(s) {
			t.Errorf("%s is not supported", s)
		}
	}
	// Without a size, what is in use stays in memory.
	for _, size := range []int{0, -1, 1 << 10} {
		cfg := w.config()
		cfg.CacheSize, cfg.Now = size, nil
		var err error
		if w.a, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		keys := make([]Presented, 200)
		for i := range keys {
			keys[i] = w.addKey(nil)
		}
		w.lookups.Store(0)
		for range 2 {
			for _, p := range keys {
				w.check(t, p, secure, "", "")
			}
		}
		if n := w.lookups.Load(); n != int64(len(keys)) {
			t.Errorf("size %d: %d look-ups of %d keys", size, n, len(keys))
		}
	}
	// A small one bounds it.
	cfg := w.config()
	cfg.CacheSize = 1
	w.a, _ = New(cfg)
	p, q := w.addKey(nil), w.addKey(nil)
	w.lookups.Store(0)
	for range 50 {
		w.check(t, p, secure, "", "")
		w.check(t, q, secure, "", "")
	}
	if n := w.lookups.Load(); n < 10 {
		t.Errorf("%d look-ups: two keys stay in a cache for one", n)
	}
}

// TestRealmsAreKept: what a realm accepts is read once, for hours, however many use it: each
// new reading has every token of the realm verified again.
func TestRealmsAreKept(t *testing.T) {
	w := newWorld(t)
	p := w.access(nil)
	for range 3 {
		w.check(t, p, secure, "", "")
	}
	w.advance(trustAge/2 - time.Second)
	w.check(t, w.addKey(nil), secure, "", "")
	if n := w.realmReads.Load(); n != 1 {
		t.Errorf("the realm was read %d times", n)
	}
	w.advance(trustAge)
	w.check(t, w.addKey(nil), secure, "", "")
	if n := w.realmReads.Load(); n != 2 {
		t.Errorf("the realm was read %d times, a day later", n)
	}
}

// TestRecognizesWhatChanges: a list of issuers that was read before a change and arrived after
// it is not kept.
func TestRecognizesWhatChanges(t *testing.T) {
	realms := []gatehouse.Realm{{Name: "main"}}
	var during func()
	reads := 0
	a := &Authenticator{cfg: Config{Issuer: func(realm string) string { return "https://auth.example/realms/" + realm },
		Realms: func(context.Context) ([]gatehouse.Realm, error) {
			reads++
			list := realms
			if during != nil {
				during()
			}
			return list, nil
		}}, trusts: newRecords[*trust](8, 0, nil)}
	during = func() {
		during = nil
		realms = append(realms, gatehouse.Realm{Name: "new"})
		a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "new"})
	}
	ask := func(issuer string, want bool, wantReads int) {
		t.Helper()
		if got := a.Recognizes(t.Context(), tokenOf(issuer)); got != want || reads != wantReads {
			t.Errorf("%s: %t after %d readings", issuer, got, reads)
		}
	}
	ask("https://auth.example/realms/main", true, 1)
	ask("https://auth.example/realms/new", true, 2)
	ask("https://auth.example/realms/main", true, 2)
	ask("https://other.example", false, 2)
	if a.Recognizes(t.Context(), "no token") || a.Recognizes(t.Context(), "eyJhbGciOiJFUzI1NiJ9.e30.x") || reads != 2 {
		t.Error("a text without an issuer is of an issuer")
	}
}

// TestPasswordAttempts: the service that knows passwords is told all that it needs to count
// attempts by: the realm, the name, the password and the address.
func TestPasswordAttempts(t *testing.T) {
	w := newWorld(t)
	var got PasswordAttempt
	cfg := w.config()
	cfg.Password = func(_ context.Context, a PasswordAttempt) (gatehouse.Subject, time.Time, error) {
		got = a
		return w.subjects["usr_alice"], passwordSet, nil
	}
	var err error
	if w.a, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	who := w.check(t, Presented{Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "right"}, secure, "", "")
	if want := (PasswordAttempt{Realm: "main", Username: "alice", Password: "right", Address: secure.Address}); got != want {
		t.Errorf("%+v", got)
	}
	if !who.IssuedAt.Equal(passwordSet) || !who.AuthTime.Equal(w.now) || who.Issuer != issuerURL || who.CredentialID != "" || !who.ExpiresAt.IsZero() {
		t.Errorf("%+v", who)
	}
}

// TestLeeway: clocks may differ by the leeway and no more, for tokens of the realm and for
// those of others, seen before or not.
func TestLeeway(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Leeway = 10 * time.Second
	var err error
	if w.a, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{
		{Issuer: "https://idp.test", Audience: "api", Algorithms: []string{"ES256"}}}}}
	w.now = w.now.Truncate(time.Second)
	end := w.now.Add(time.Minute)
	make := func() []Presented {
		text, err := w.foreign.Sign(token.TypeJWT, fmt.Appendf(nil, `{"iss":"https://idp.test","sub":"x","aud":"api","iat":%d,"exp":%d}`, end.Add(-time.Minute).Unix(), end.Unix()))
		if err != nil {
			t.Fatal(err)
		}
		return []Presented{w.access(func(a *token.Access) { a.IssuedAt, a.ExpiresAt = end.Add(-time.Minute), end }), {Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}}
	}
	seen := make()
	for _, p := range seen {
		w.check(t, p, secure, "", "")
	}
	w.advance(time.Minute + 10*time.Second - 1)
	for _, p := range append(seen, make()...) {
		w.check(t, p, secure, "", "")
	}
	w.advance(1)
	for _, p := range append(seen, make()...) {
		w.check(t, p, secure, "invalid_token", "token_expired")
	}
}
