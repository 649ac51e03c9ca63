package authorize

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// shelf is what clients pushed, and a clock.
type shelf struct {
	kept map[string]once.Record
	past time.Duration
}

func (s *shelf) PutOnce(_ context.Context, r once.Record) error {
	s.kept[string(r.Kind)+string(r.Key)] = r
	return nil
}

func (s *shelf) find(_ context.Context, kind once.Kind, key []byte) (once.Record, error) {
	r, ok := s.kept[string(kind)+string(key)]
	if !ok {
		return once.Record{}, gatehouse.ErrNotFound
	}
	return r, nil
}

func (s *shelf) now() time.Time { return time.Now().Add(s.past) }

// shelved is a configuration that keeps what is pushed in memory.
func shelved(c Config) (Config, *shelf) {
	s := &shelf{kept: map[string]once.Record{}}
	box, err := seal.NewBox(seal.GenerateMasterKey(time.Now()))
	if err != nil {
		panic(err)
	}
	c.Run = func(ctx context.Context, fn func(context.Context, Tx) error) error { return fn(ctx, s) }
	c.Signer = func(context.Context, string, token.Algorithm) (*token.Key, error) { return nil, gatehouse.ErrInternal }
	c.Listeners = func(_ context.Context, realm, session string) (out []client.Client, _ error) {
		for _, id := range strings.Fields(map[string]string{"main ses_1": "app framed other off"}[realm+" "+session]) {
			out = append(out, c.Clients.(*books).clients[realm+" "+id])
		}
		return out, nil
	}
	c.Find, c.Box, c.Now, c.Objects = s.find, box, s.now, signed{}
	return c, s
}

func form(changes ...string) url.Values {
	q, err := url.ParseQuery(with(changes...))
	if err != nil {
		panic(err)
	}
	return q
}

const key1, key2 = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // thumbprints

// TestPush: what a client pushed is what counts, whatever the address says beside it; for that client and realm, for as long as a browser
// may take to come with it, and then for as long as a person may take.
func TestPush(t *testing.T) {
	b, s := newBooks(t)
	c, kept := shelved(s.c)
	s.c = c
	app := b.clients["main app"]
	uri, life, err := s.Push(t.Context(), realm, app, form("nonce=n", "resource=https://api.example", "+resource="+issuer), key1)
	if err != nil || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || len(uri) < len(pushedURI)+26 || life != 90*time.Second {
		t.Fatalf("%s %s %v", uri, life, err)
	}
	for key, r := range kept.kept {
		if strings.Contains(key, uri) || bytes.Contains(r.Sealed, []byte("app.example")) || r.Kind != once.KindRequest {
			t.Errorf("it is kept as it is: %q %q", key, r.Sealed)
		}
	}
	if other, _, err := s.Push(t.Context(), realm, app, form(), ""); err != nil || other == uri {
		t.Errorf("%s %v", other, err)
	}
	query := url.Values{"client_id": {"app"}, "request_uri": {uri}}
	beside := query.Encode() + "&scope=read&redirect_uri=https://evil.example&state=x&state=y&nonce=x&response_mode=fragment&prompt=none"
	for _, q := range []string{query.Encode(), beside} {
		r, err := s.Read(t.Context(), realm, q)
		if err != nil {
			t.Fatal(err)
		}
		code := r.code(&gatehouse.Principal{})
		if r.RedirectURI != back || strings.Join(r.Scopes, " ") != "write read" || r.state != "a b&c" || r.mode != modeQuery || r.silent() || len(r.Resources) != 2 || code.Nonce != "n" || code.JKT != key1 || len(code.Request) != once.KeySize {
			t.Errorf("%+v", r)
		}
	}
	read := func(realm gatehouse.Realm, query string) error {
		_, err := s.Read(t.Context(), realm, query)
		return err
	}
	over := func(name string, err error) {
		t.Helper()
		if gatehouse.CodeOf(err) != "request_over" {
			t.Errorf("%s: %v", name, err)
		}
	}
	over("another client's", read(realm, url.Values{"client_id": {"two"}, "request_uri": {uri}}.Encode()))
	b.clients["acme app"] = app
	over("another realm's", read(gatehouse.Realm{Name: "acme", Settings: realm.Settings}, query.Encode()))
	over("nobody's", read(realm, url.Values{"client_id": {"app"}, "request_uri": {uri + "A"}}.Encode()))
	if err := read(realm, url.Values{"request_uri": {uri}}.Encode()); gatehouse.CodeOf(err) != "authorization_request_invalid" {
		t.Errorf("without client_id: %v", err)
	}
	if err := read(realm, query.Encode()+"&request_uri="+uri); err == nil {
		t.Error("two of them")
	}
	b.away = errors.New("the database is away")
	if err := read(realm, query.Encode()); !errors.Is(err, b.away) {
		t.Errorf("%v", err)
	}
	b.away = nil
	// The client may less by now.
	less := app
	less.Metadata.Scope = "read"
	b.clients["main app"] = less
	var refused *Refusal
	if err := read(realm, query.Encode()); !errors.As(err, &refused) || refused.code != "invalid_scope" {
		t.Errorf("judged by what was: %v", err)
	}
	b.clients["main app"] = app
	// A person takes three minutes.
	r, err := s.Read(t.Context(), realm, query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	who := &gatehouse.Principal{Realm: "main", AuthTime: s.c.Now().Add(-time.Hour)}
	signIn, begun := r.Again(s.c.Now()), r.Begun(who)
	if begun == "" || begun == query.Encode() {
		t.Fatal(begun)
	}
	kept.past = pushedLife - time.Second
	if err := read(realm, query.Encode()); err != nil {
		t.Error(err)
	}
	kept.past = pushedLife
	over("too late", read(realm, query.Encode()))
	over("a mark of one's own", read(realm, query.Encode()+"&"+paramAfter+"="+time.Now().Format("20060102")))
	uri2, _, err := s.Push(t.Context(), realm, app, form("prompt=login"), "")
	if err != nil {
		t.Fatal(err)
	}
	kept.past += pushedLife
	mark, _ := url.ParseQuery(begun)
	over("the mark of another request", read(realm, url.Values{"client_id": {"app"}, "request_uri": {uri2}, paramAfter: mark[paramAfter]}.Encode()))
	kept.past = pushedEnd - time.Minute
	for _, q := range []string{signIn, begun} {
		r, err := s.Read(t.Context(), realm, q)
		if err != nil {
			t.Fatal(err)
		}
		if again := r.Begun(who); again != "" {
			t.Errorf("marked, and marked again: %s", again)
		}
	}
	kept.past = pushedEnd
	over("for ever", read(realm, begun))
}

// TestPushedPrompt: that a person was asked, and had signed in, is said of that sign-in and no older one.
func TestPushedPrompt(t *testing.T) {
	b, s := newBooks(t)
	s.c, _ = shelved(s.c)
	uri, _, err := s.Push(t.Context(), realm, b.clients["main app"], form("max_age=60"), "")
	if err != nil {
		t.Fatal(err)
	}
	now := s.c.Now()
	fresh, stale := &gatehouse.Principal{Realm: "main", AuthTime: now.Add(-50 * time.Second)}, &gatehouse.Principal{Realm: "main", AuthTime: now.Add(-2 * time.Minute)}
	r, err := s.Read(t.Context(), realm, url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if need, _, _ := s.Next(t.Context(), r, fresh, now); need != Consent {
		t.Fatal(need)
	}
	if r, err = s.Read(t.Context(), realm, r.Begun(fresh)); err != nil {
		t.Fatal(err)
	}
	if need, _, _ := s.Next(t.Context(), r, fresh, now.Add(time.Minute)); need != Consent {
		t.Errorf("who was asked in time: %v", need)
	}
	if need, _, _ := s.Next(t.Context(), r, stale, now); need != SignInAgain {
		t.Errorf("whoever is at the browser: %v", need)
	}
	plain, err := s.Read(t.Context(), realm, with())
	if err != nil || plain.Begun(fresh) != "" {
		t.Errorf("%v", err)
	}
}

// TestPushRefused: a request that is pushed is refused for what it would be refused for in a browser, and the client is told in its form.
func TestPushRefused(t *testing.T) {
	b, s := newBooks(t)
	c, kept := shelved(s.c)
	s.c = c
	for name, c := range map[string]struct {
		form url.Values
		code string
	}{
		"an address":            {form("redirect_uri=https://evil.example"), "redirect_uri_refused"},
		"implicit":              {form("response_type=token"), "unsupported_response_type"},
		"a scope":               {form("scope=other"), "invalid_scope"},
		"no challenge":          {form("code_challenge", "code_challenge_method"), "invalid_request"},
		"a resource":            {form("resource=x"), "invalid_target"},
		"one inside another":    {form("request_uri=" + pushedURI + "x"), "invalid_request"},
		"by reference":          {form("request_uri=https://app.example/request"), "invalid_request"},
		"state twice":           {form("+state=x"), "invalid_request"},
		"NUL":                   {form("state=a\x00"), "authorization_request_invalid"},
		"another key":           {form("dpop_jkt=" + key2), "invalid_dpop_proof"},
		"a thumbprint of SHA-1": {form("dpop_jkt=" + key2[:27]), "invalid_request"},
	} {
		_, _, err := s.Push(t.Context(), realm, b.clients["main app"], c.form, key1)
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Kind != gatehouse.Invalid || e.Public == "" || c.code == "redirect_uri_refused" && strings.Contains(e.Public, "sent you") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(kept.kept) != 0 {
		t.Error("what was refused is kept")
	}
	off := b.clients["main off"]
	if _, _, err := s.Push(t.Context(), realm, off, form(), ""); err == nil {
		t.Error("a client that is disabled")
	}
	f := form("client_id=two", "dpop_jkt="+key1)
	if _, _, err := s.Push(t.Context(), realm, b.clients["main app"], f, key1); err != nil || f.Get("client_id") != "two" {
		t.Errorf("the form of the caller is changed: %v %v", err, f)
	}
	for name, c := range map[string]struct {
		jkt, want string
	}{"named": {"dpop_jkt=" + key2, key2}, "none": {"dpop_jkt=", ""}} {
		r, err := s.Read(t.Context(), realm, with(c.jkt))
		if err != nil || r.code(&gatehouse.Principal{}).JKT != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *Refusal
	if _, err := s.Read(t.Context(), realm, with("dpop_jkt=x")); !errors.As(err, &refused) || refused.code != "invalid_request" {
		t.Errorf("%v", err)
	}
}

// TestMustPush: where requests have to be pushed, one that stands in an address is refused.
func TestMustPush(t *testing.T) {
	b, s := newBooks(t)
	s.c, _ = shelved(s.c)
	must := b.clients["main app"]
	must.ID, must.Metadata.RequirePushed = "must", true
	b.clients["main must"] = must
	strict := realm
	strict.Settings.RequirePushed = true
	for name, c := range map[string]struct {
		realm gatehouse.Realm
		app   client.Client
	}{"the client": {realm, must}, "the realm": {strict, b.clients["main app"]}} {
		var refused *Refusal
		if _, err := s.Read(t.Context(), c.realm, with("client_id="+c.app.ID)); !errors.As(err, &refused) || refused.code != "invalid_request" || !strings.Contains(refused.text, "PAR") {
			t.Errorf("%s: %v", name, err)
		}
		uri, _, err := s.Push(t.Context(), c.realm, c.app, form(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(t.Context(), c.realm, url.Values{"client_id": {c.app.ID}, "request_uri": {uri}}.Encode()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := map[string]any{}
	for _, want := range []bool{false, true} {
		if Describe(m, map[bool]gatehouse.Realm{false: realm, true: strict}[want], issuer); m["require_pushed_authorization_requests"] != want {
			t.Errorf("%v", m)
		}
	}
}
