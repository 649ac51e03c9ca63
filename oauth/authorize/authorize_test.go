package authorize

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	issuer    = "https://id.example"
	back      = "https://app.example/back?of=app"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
)

// books are the clients of a realm, and what was decided about them.
type books struct {
	clients       map[string]client.Client
	allowed, said []grant.Code
	wished        grant.Wish
	how           grant.Asking
	consent       grant.Consent // of everybody, for every client
	away          error
	kept          []string
	keys          *token.KeySet
}

func (b *books) Client(_ context.Context, realm, id string) (client.Client, error) {
	c, ok := b.clients[realm+" "+id]
	switch {
	case b.away != nil:
		return client.Client{}, b.away
	case !ok:
		return client.Client{}, gatehouse.ErrNotFound
	}
	return c, nil
}

func (b *books) Keep(_ context.Context, c client.Client) error {
	b.kept = append(b.kept, c.ID)
	return nil
}

func (b *books) Consent(context.Context, string, string, string) (grant.Consent, error) {
	return b.consent, b.away
}

func (b *books) Authorize(_ context.Context, c grant.Code, w grant.Wish, how grant.Asking) (gatehouse.Secret, error) {
	b.allowed, b.wished, b.how = append(b.allowed, c), w, how
	return "gha_made_up", b.away
}

func (b *books) Deny(_ context.Context, c grant.Code) error {
	b.said = append(b.said, c)
	return b.away
}

func (b *books) Audiences(gatehouse.Realm) []string { return []string{issuer, "https://api.example"} }

func newBooks(t *testing.T) (*books, *Service) {
	t.Helper()
	app := client.Metadata{Name: "App", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantAuthorizationCode, client.GrantRefreshToken}, Scope: "read write gone offline_access",
		Flow: client.Flow{RedirectURIs: []string{back}}}
	no := false
	old, own, two := app, app, app
	old.RequirePKCE, own.FirstParty, two.RedirectURIs = &no, true, []string{back, "https://app.example/other"}
	keys, err := token.NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	native := app
	native.AuthMethod, native.RedirectURIs = client.AuthNone, []string{"com.example.app:/back"}
	b := &books{keys: keys, clients: map[string]client.Client{
		"main app": {Realm: "main", ID: "app", Metadata: app}, "main old": {Realm: "main", ID: "old", Metadata: old}, "main own": {Realm: "main", ID: "own", Metadata: own},
		"main two": {Realm: "main", ID: "two", Metadata: two}, "main native": {Realm: "main", ID: "native", Metadata: native}, "main off": {Realm: "main", ID: "off", Metadata: app, Disabled: true}, "acme else": {Realm: "acme", ID: "else", Metadata: app},
	}}
	c, _ := shelved(Config{Key: make([]byte, KeySize), Clients: b, Codes: b, Devices: b, Issuer: func(string) string { return issuer }, Keys: func(string) token.KeySource { return b.keys }})
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

var realm = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{Scopes: map[string]string{"read": "Read", "write": "Write", "other": "Other"}}}

// with is a good request with changes: "name=value" takes the place of what there is, "+name=value" is there beside it, "name" is
// taken out.
func with(changes ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {back}, "state": {"a b&c"}, "scope": {"write read write"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	for _, c := range changes {
		name, value, there := strings.Cut(strings.TrimPrefix(c, "+"), "=")
		switch {
		case c[0] == '+':
			q.Add(name, value)
		case there:
			q.Set(name, value)
		default:
			q.Del(name)
		}
	}
	return q.Encode()
}

// TestRequest: every request that is refused, in the order of the steps: what is shown and goes nowhere, and what goes to the client,
// with its state and the issuer.
func TestRequest(t *testing.T) {
	_, s := newBooks(t)
	for _, c := range []struct {
		step, name, query string
		shown, sent       string // the code of an error; none: it is good
	}{
		{"RFC 6749 §3.1", "good", with(), "", ""},
		{"RFC 6749 §3.1", "what nobody knows", with("x=y", "display=page"), "", ""},
		{"RFC 6749 §3.1", "long", with("state=" + strings.Repeat("x", MaxQuery)), "authorization_request_invalid", ""},
		{"RFC 6749 §3.1", "an escape that is none", with() + "&x=%zz", "authorization_request_invalid", ""},
		{"RFC 6749 §3.1", "a semicolon", with() + ";x=y", "authorization_request_invalid", ""},
		{"RFC 6749 §3.1", "not UTF-8", with("state=\xff"), "authorization_request_invalid", ""},
		{"RFC 6749 §3.1", "NUL", with("state=a\x00"), "authorization_request_invalid", ""},
		{"RFC 6749 §2.2", "no client", with("client_id"), "authorization_request_invalid", ""},
		{"RFC 6749 §2.2", "an empty one", with("client_id="), "authorization_request_invalid", ""},
		{"RFC 6749 §2.2", "two", with("+client_id=two"), "authorization_request_invalid", ""},
		{"RFC 6749 §2.2", "an unknown one", with("client_id=none"), "client_id_unknown", ""},
		{"RFC 6749 §2.2", "a disabled one", with("client_id=off"), "client_id_unknown", ""},
		{"RFC 6749 §2.2", "another realm's", with("client_id=else"), "client_id_unknown", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "the only one", with("redirect_uri"), "", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "which of two", with("client_id=two", "redirect_uri"), "redirect_uri_refused", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "two", with("+redirect_uri=" + back), "redirect_uri_refused", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "another", with("redirect_uri=https://evil.example"), "redirect_uri_refused", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "another client's", with("redirect_uri=https://app.example/other"), "redirect_uri_refused", ""},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", "a longer one", with("redirect_uri=" + back + "&x=y"), "redirect_uri_refused", ""},
		{"OAuth 2.0 Multiple Response Types §2.1", "fragment", with("response_mode=fragment"), "", ""},
		{"OAuth 2.0 Multiple Response Types §2.1", "form_post", with("response_mode=form_post"), "", ""},
		{"OAuth 2.0 Multiple Response Types §2.1", "another", with("response_mode=web_message"), "", "invalid_request"},
		{"OAuth 2.0 Multiple Response Types §2.1", "two", with("response_mode=query", "+response_mode=fragment"), "", "invalid_request"},
		{"RFC 6749 §3.1", "state twice", with("+state=x"), "", "invalid_request"},
		{"RFC 6749 §3.1", "scope twice", with("+scope=read"), "", "invalid_request"},
		{"RFC 6749 §3.1", "something twice", with("+x=y", "+x=y"), "", "invalid_request"},
		{"RFC 9101 §6", "not signed by it", with("request=x"), "invalid_request_object", ""},
		{"OpenID Connect Core §6", "by reference", with("request_uri=x"), "", "request_uri_not_supported"},
		{"OpenID Connect Core §6", "registration", with("registration=x"), "", "registration_not_supported"},
		{"RFC 6749 §3.1.1", "none", with("response_type"), "", "invalid_request"},
		{"RFC 6749 §3.1.1", "implicit", with("response_type=token"), "", "unsupported_response_type"},
		{"RFC 6749 §3.1.1", "hybrid", with("response_type=code id_token"), "", "unsupported_response_type"},
		{"RFC 6749 §3.3", "none", with("scope"), "", ""},
		{"RFC 6749 §3.3", "not registered for it", with("scope=other"), "", "invalid_scope"},
		{"RFC 6749 §3.3", "gone from the catalogue", with("scope=gone"), "", "invalid_scope"},
		{"RFC 6749 §3.3", "unknown", with("scope=read nonsense"), "", "invalid_scope"},
		{"RFC 6749 §3.3", "of OpenID Connect", with("scope=openid"), "", "invalid_scope"},
		{"RFC 6749 §3.3", "101", with("scope=" + strings.Repeat("read ", 101)), "", "invalid_scope"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "no challenge", with("code_challenge", "code_challenge_method"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "none, and need not", with("client_id=old", "code_challenge", "code_challenge_method"), "", ""},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "need not, and has one", with("client_id=old", "code_challenge_method=plain"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "a method alone", with("client_id=old", "code_challenge"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "plain", with("code_challenge_method=plain"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "no method, which is plain", with("code_challenge_method"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "s256", with("code_challenge_method=s256"), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "short", with("code_challenge=" + challenge[1:]), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "padded", with("code_challenge=" + challenge + "="), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "long", with("code_challenge=" + challenge + challenge), "", "invalid_request"},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", "another alphabet", with("code_challenge=" + strings.Replace(challenge, "-", "+", 1)), "", "invalid_request"},
		{"RFC 8707 §2", "two", with("resource=https://api.example", "+resource="+issuer), "", ""},
		{"RFC 8707 §2", "unknown", with("resource=https://api.example/"), "", "invalid_target"},
		{"RFC 8707 §2", "one of two", with("resource=https://api.example", "+resource=https://other.example"), "", "invalid_target"},
		{"OpenID Connect Core §3.1.2.1", "prompts", with("prompt=login consent select_account"), "", ""},
		{"OpenID Connect Core §3.1.2.1", "none and more", with("prompt=none login"), "", "invalid_request"},
		{"OpenID Connect Core §3.1.2.1", "unknown", with("prompt=dance"), "", "invalid_request"},
		{"OpenID Connect Core §3.1.2.1", "seconds", with("max_age=18446744073709551"), "", ""},
		{"OpenID Connect Core §3.1.2.1", "no seconds", with("max_age=-1"), "", "invalid_request"},
	} {
		_, err := s.Read(t.Context(), realm, c.query)
		var refused *Refusal
		switch {
		case c.shown != "":
			if errors.As(err, &refused) || gatehouse.CodeOf(err) != c.shown || gatehouse.KindOf(err) != gatehouse.Invalid {
				t.Errorf("%s, %s: %v, want it shown as %s", c.step, c.name, err, c.shown)
			}
		case c.sent != "":
			if !errors.As(err, &refused) {
				t.Errorf("%s, %s: %v, want %s sent", c.step, c.name, err, c.sent)
				continue
			}
			where, q, ok := strings.Cut(refused.Answer.Location(), "?")
			got, perr := url.ParseQuery(q)
			if !ok || perr != nil || where+"?of=app" != back || got.Get("error") != c.sent || got.Get("error_description") == "" || got.Get("iss") != issuer || got.Get("of") != "app" ||
				(got.Get("state") == "a b&c") == (c.name == "state twice") {
				t.Errorf("%s, %s: %s", c.step, c.name, refused.Answer.Location())
			}
			if strings.ContainsAny(got.Get("error_description"), "\"\\§") { // RFC 6749 §4.1.2.1
				t.Errorf("%s: %s", c.name, got.Get("error_description"))
			}
		case err != nil:
			t.Errorf("%s, %s: %v", c.step, c.name, err)
		}
	}
	seen := map[string]bool{}
	for _, st := range append(identify(), judge()...) {
		if st.section == "" || seen[st.section] && st.section != "RFC 6749 §3.1" {
			t.Errorf("a step without its section: %q", st.section)
		}
		seen[st.section] = true
	}
	down := errors.New("the database is away")
	s.c.Clients = &books{away: down}
	if _, err := s.Read(t.Context(), realm, with()); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
}

// TestNext: what a person has to do, and what a client is told that wants nobody to be asked.
func TestNext(t *testing.T) {
	_, s := newBooks(t)
	now := time.Now()
	before := &gatehouse.Principal{Realm: "main", ID: "usr_1", AuthTime: now.Add(-time.Minute)}
	just := &gatehouse.Principal{Realm: "main", ID: "usr_1", AuthTime: now.Add(time.Second)}
	for _, c := range []struct {
		query string
		who   *gatehouse.Principal
		want  Need
		sent  string
	}{
		{with(), nil, SignIn, ""},
		{with("client_id=own"), nil, SignIn, ""},
		{with("prompt=none"), nil, SignIn, "login_required"},
		{with(), before, Consent, ""},
		{with("client_id=own"), before, Nothing, ""},
		{with("client_id=own", "prompt=none"), before, Nothing, ""},
		{with("client_id=own", "prompt=consent"), before, Consent, ""},
		{with("prompt=none"), before, Consent, "consent_required"},
		{with("prompt=login"), before, SignInAgain, ""},
		{with("prompt=select_account", "client_id=own"), before, SignInAgain, ""},
		{with("max_age=30"), before, SignInAgain, ""},
		{with("max_age=30", "prompt=none"), before, SignInAgain, "login_required"},
		{with("max_age=0"), before, SignInAgain, ""},
		{with("max_age=3600"), before, Consent, ""},
	} {
		r, err := s.Read(t.Context(), realm, c.query)
		if err != nil {
			t.Fatal(err)
		}
		need, refused, err := s.Next(t.Context(), r, c.who, now)
		if err != nil || need != c.want || (refused != nil) != (c.sent != "") || refused != nil && (refused.code != c.sent || !refused.Silent) {
			t.Errorf("%s: %v %v", c.query, need, refused)
		}
		if need == SignInAgain && c.sent == "" { // and whoever did comes back with this
			again, err := s.Read(t.Context(), realm, r.Again(now))
			if err != nil {
				t.Fatal(err)
			}
			if need, _, _ := s.Next(t.Context(), again, before, now); need != SignInAgain {
				t.Errorf("%s: who did not sign in again goes on", c.query)
			}
			if need, _, _ := s.Next(t.Context(), again, just, now.Add(time.Hour)); need == SignInAgain || need == SignIn {
				t.Errorf("%s: asked for ever", c.query)
			}
		}
	}
}

// TestMark: nobody but we says that a person was sent to sign in, and for another request than that one it says nothing.
func TestMark(t *testing.T) {
	_, s := newBooks(t)
	now := time.Now()
	since := &gatehouse.Principal{Realm: "main", AuthTime: now.Add(-time.Minute)}
	read := func(query string) *Request {
		t.Helper()
		r, err := s.Read(t.Context(), realm, query)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	again, err := url.ParseQuery(read(with("prompt=login", "nonce=1")).Again(now.Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if need, _, _ := s.Next(t.Context(), read(again.Encode()), since, now); need != Consent {
		t.Fatalf("who signed in as asked has to %v", need)
	}
	mark := again.Get(paramAfter)
	if need, _, _ := s.Next(t.Context(), read(with("prompt=login", "nonce=1", "lang=de", "theme=dark", paramAfter+"="+mark)), since, now); need != Consent {
		t.Errorf("who reads the question in another language has to %v", need)
	}
	for name, query := range map[string]string{
		"a time alone":    with("prompt=login", paramAfter+"=1"),
		"another time":    with("prompt=login", "nonce=1", paramAfter+"=1"+mark),
		"another request": with("prompt=login", "nonce=2", paramAfter+"="+mark),
		"one more demand": with("prompt=login", "nonce=1", "max_age=5", paramAfter+"="+mark),
	} {
		if need, _, _ := s.Next(t.Context(), read(query), since, now); need != SignInAgain {
			t.Errorf("%s: nobody has to sign in again, but %v", name, need)
		}
	}
}

// TestAnswer: the code goes where the request said, in the way it said, and stands for what was asked.
func TestAnswer(t *testing.T) {
	b, s := newBooks(t)
	who := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Name: "bob", Scheme: gatehouse.SchemeSession, SessionID: "ses_1", AuthTime: time.Now(), ExpiresAt: time.Now().Add(time.Hour), AMR: []string{"pwd"}, ACR: "aal1"}
	params := "code=gha_made_up&state=a+b%26c&iss=https%3A%2F%2Fid.example"
	for mode, want := range map[string]string{"": back + "&" + params, "query": back + "&" + params, "fragment": back + "#" + params, "form_post": ""} {
		r, err := s.Read(t.Context(), realm, with("response_mode="+mode, "nonce=n", "resource=https://api.example"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Allow(t.Context(), r, who)
		if err != nil || a.Posted() != (want == "") || want != "" && a.Location() != want || a.To != back || len(a.Params) != 3 {
			t.Errorf("%s: %v %v", mode, a, err)
		}
		no, err := s.Deny(t.Context(), r, who)
		if err != nil || no.Posted() != a.Posted() || no.Params[0].Value != "access_denied" || len(b.said) != len(b.allowed) {
			t.Errorf("%s: %v %v", mode, no, err)
		}
	}
	c := b.allowed[0]
	if c.Realm != "main" || c.Client != "app" || c.RedirectURI != back || !c.Named || c.Challenge != challenge || strings.Join(c.Scopes, " ") != "write read" || strings.Join(c.Resources, " ") != "https://api.example" ||
		c.User != "usr_1" || c.Session != "ses_1" || !c.SessionEnds.Equal(who.ExpiresAt) || !c.AuthTime.Equal(who.AuthTime) || c.ACR != "aal1" || c.Nonce != "n" {
		t.Errorf("%+v", c)
	}
	r, err := s.Read(t.Context(), realm, with("scope", "redirect_uri", "state"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(r.Scopes, " ") != "read write" || r.named {
		t.Errorf("without a scope: %v", r.Scopes)
	}
	for name, change := range map[string]func(p *gatehouse.Principal){"nobody": func(p *gatehouse.Principal) { p.ID = "" }, "a token": func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeJWT },
		"no session": func(p *gatehouse.Principal) { p.SessionID = "" }, "another realm": func(p *gatehouse.Principal) { p.Realm = "acme" }, "from elsewhere": func(p *gatehouse.Principal) { p.Foreign = true }} {
		p := *who
		change(&p)
		n := len(b.allowed)
		if _, err := s.Allow(t.Context(), r, &p); err == nil || len(b.allowed) != n {
			t.Errorf("%s: %v", name, err)
		}
	}
	for uris, want := range map[string]string{back: "https://app.example", "http://127.0.0.1:8080/x": "http://127.0.0.1:*", "http://localhost/x": "http://localhost:*", "http://[::1]:8080/x": "http:",
		"com.example.app:/back": "com.example.app:", back + " https://app.example/two https://www.app.example:8443/": "https://app.example https://www.app.example:8443"} {
		if got := targets(strings.Fields(uris)); got != want {
			t.Errorf("%s: %s", uris, got)
		}
	}

}
