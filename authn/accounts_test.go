package authn

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/token"
)

// kindsOfAccount are the credentials that need an account, each of alice.
var kindsOfAccount = map[string]func(w *world) Presented{
	"key":          func(w *world) Presented { return w.addKey(nil) },
	"imported key": func(w *world) Presented { return w.addImported("key_1", "main", importedText) },
	"signed token": func(w *world) Presented { return w.access(nil) },
	"opaque token": func(w *world) Presented {
		w.grants["grt_1"] = gatehouse.Grant{ClientID: "c", ExpiresAt: w.now.Add(time.Hour)}
		return w.addOpaque(nil)
	},
	"password": func(*world) Presented {
		return Presented{Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "right"}
	},
}

// TestAccounts: whatever was presented, the caller is the account as it is now, before the
// credential was first seen and after; and no account in a state that is none is anybody.
func TestAccounts(t *testing.T) {
	alice := gatehouse.Subject{ID: "usr_alice", Kind: gatehouse.KindUser, Name: "alice"}
	with := func(change func(*gatehouse.Subject)) gatehouse.Subject { s := alice; change(&s); return s }
	for name, make := range kindsOfAccount {
		for state, s := range map[string]gatehouse.Subject{
			"fine":      alice,
			"renamed":   with(func(s *gatehouse.Subject) { s.Name = "alicia" }),
			"a service": with(func(s *gatehouse.Subject) { s.Kind = gatehouse.KindService }),
			"disabled":  with(func(s *gatehouse.Subject) { s.Disabled = true }),
			"no kind":   with(func(s *gatehouse.Subject) { s.Kind = "" }),
			"anonymous": with(func(s *gatehouse.Subject) { s.Kind = gatehouse.KindAnonymous }),
			"no id":     with(func(s *gatehouse.Subject) { s.ID = "" }),
			"another":   with(func(s *gatehouse.Subject) { s.ID = "usr_bob" }),
			"nobody":    {},
		} {
			good := state == "fine" || state == "renamed" || state == "a service"
			if name == "password" && state == "another" {
				continue // the password says who it is
			}
			judge := func(w *world, p Presented, s gatehouse.Subject, good bool) {
				t.Helper()
				w.subjects["usr_alice"] = s
				who, err := w.a.Authenticate(t.Context(), "main", p, secure)
				if good && (err != nil || who.ID != "usr_alice" || who.Kind != s.Kind || who.Name != s.Name) || !good && (err == nil || gatehouse.KindOf(err) != gatehouse.Unauthenticated) {
					t.Errorf("%s of an account that is %s: %+v, %v", name, state, who, err)
				}
			}
			w := newWorld(t)
			judge(w, make(w), s, good) // when it is first seen
			w = newWorld(t)
			p := make(w)
			judge(w, p, s, good)
			judge(w, p, alice, true) // and mended
			judge(w, p, s, good)     // when it is remembered
		}
	}
}

// TestAccountsAreNotForgotten: a directory that does not answer makes nobody of no account.
func TestAccountsAreNotForgotten(t *testing.T) {
	for name, make := range kindsOfAccount {
		w := newWorld(t)
		p := make(w)
		var fail error
		cfg := w.config()
		subject := cfg.Subject
		cfg.Subject = func(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
			if fail != nil {
				return gatehouse.Subject{}, fail
			}
			return subject(ctx, realm, id)
		}
		cfg.Password = func(ctx context.Context, _ PasswordAttempt) (gatehouse.Subject, error) {
			return cfg.Subject(ctx, "main", "usr_alice")
		}
		var err error
		if w.a, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			fail = errors.New("connection refused")
			if _, err := w.a.Authenticate(t.Context(), "main", p, secure); gatehouse.KindOf(err) != gatehouse.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
			fail = nil
			if who := w.check(t, p, secure, "", ""); who.Kind != gatehouse.KindUser || who.Name != "alice" {
				t.Errorf("%s: %+v", name, who)
			}
		}
	}
}

// TestPrincipalOfKeys: what a key's record says is what its caller is.
func TestPrincipalOfKeys(t *testing.T) {
	w := newWorld(t)
	who := w.check(t, w.addKey(func(k *credential.Key) { k.RoleLimit = []string{"reader"} }), secure, "", "")
	if !who.IssuedAt.Equal(w.now.Truncate(time.Microsecond)) || !who.ExpiresAt.IsZero() || who.Environment != gatehouse.EnvironmentLive || who.Issuer != issuerURL ||
		who.Realm != "main" || who.Scheme != gatehouse.SchemeAPIKey || !slices.Equal(who.RoleLimit, []string{"reader"}) || who.GrantID != "" {
		t.Errorf("%+v", who)
	}
	end := w.now.Add(time.Hour).Truncate(time.Microsecond)
	if who := w.check(t, w.addKey(func(k *credential.Key) { k.ExpiresAt, k.CreatedAt = end, time.Time{} }), secure, "", ""); !who.ExpiresAt.Equal(end) || !who.IssuedAt.IsZero() {
		t.Errorf("%+v", who)
	}
	// Keys with equal rights share them, and an empty list of roles is none, not all.
	none := w.check(t, w.addKey(func(k *credential.Key) { k.RoleLimit = []string{} }), secure, "", "")
	all := w.check(t, w.addKey(nil), secure, "", "")
	if none.RoleLimit == nil || all.RoleLimit != nil {
		t.Errorf("%v, %v", none.RoleLimit, all.RoleLimit)
	}

	// A record that is not the one that the text names is none.
	p := w.addKey(nil)
	for name, change := range map[string]func(k *credential.Key){
		"imported":        func(k *credential.Key) { k.Imported = true },
		"of another id":   func(k *credential.Key) { k.ID = "OTHER" },
		"of no id at all": func(k *credential.Key) { k.ID = "" },
	} {
		k := w.keys[p.ID]
		change(&k)
		real := w.keys[p.ID]
		w.keys[p.ID] = k
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicKey})
		_, err := w.a.Authenticate(t.Context(), "main", p, secure)
		if Reason(err) != "key_unknown" {
			t.Errorf("%s: %v", name, err)
		}
		w.keys[p.ID] = real
	}
}

// TestPrincipalOfOpaqueTokens: a token is good until its own end or that of its grant,
// whichever comes first, for one of its audiences; and a client needs no account.
func TestPrincipalOfOpaqueTokens(t *testing.T) {
	w := newWorld(t)
	w.grants["grt_1"] = gatehouse.Grant{ClientID: "robot", SessionID: "ses_1", ExpiresAt: w.now.Add(time.Hour), ACR: "mfa", AMR: []string{"pwd"}, AuthTime: w.now}
	w.grants["grt_short"] = gatehouse.Grant{ClientID: "robot", ExpiresAt: w.now.Add(time.Second)}
	w.grants["grt_endless"] = gatehouse.Grant{ClientID: "robot"}
	who := w.check(t, w.addOpaque(func(o *credential.OpaqueToken) { o.Audience = []string{"https://api.elsewhere", issuerURL} }), secure, "", "")
	if who.ClientID != "robot" || who.SessionID != "ses_1" || who.ACR != "mfa" || !who.AuthTime.Equal(w.now) || who.CredentialID != "grt_1" || who.Foreign {
		t.Errorf("%+v", who)
	}
	client := w.addOpaque(func(o *credential.OpaqueToken) { o.Subject = "robot" })
	for range 2 {
		if who := w.check(t, client, secure, "", ""); who.Kind != gatehouse.KindClient || who.ID != "robot" || who.Name != "" {
			t.Errorf("%+v", who)
		}
	}
	short := w.addOpaque(func(o *credential.OpaqueToken) { o.GrantID = "grt_short" })
	endless := w.addOpaque(func(o *credential.OpaqueToken) { o.GrantID = "grt_endless" })
	w.check(t, short, secure, "", "")
	w.check(t, endless, secure, "", "")
	w.advance(time.Second - 1)
	w.check(t, short, secure, "", "")
	w.advance(1)
	w.check(t, short, secure, "invalid_token", "token_expired")
	w.advance(time.Minute - time.Second - 1)
	w.check(t, endless, secure, "", "")
	w.advance(1)
	w.check(t, endless, secure, "invalid_token", "token_expired")
	w.check(t, client, secure, "invalid_token", "token_expired")
}

// TestRealmsTokens: the audience and the typ that a realm chose for its tokens are accepted
// in it, beside its issuer and at+jwt, and nowhere else.
func TestRealmsTokens(t *testing.T) {
	w := newWorld(t)
	set := func(s gatehouse.RealmSettings) {
		w.realms["main"] = gatehouse.Realm{Name: "main", Settings: s}
		w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicRealm, Realm: "main"})
	}
	named := w.access(func(a *token.Access) { a.Audience = []string{"https://api.test"} })
	claims, err := (&token.Access{Issuer: issuerURL, Subject: "usr_alice", Audience: []string{issuerURL}, ClientID: "c", ID: "tok_1",
		IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute), GrantID: "grt_1", StatusList: 3, StatusIndex: 7}).AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := w.signing.Sign(token.TypeJWT, claims)
	if err != nil {
		t.Fatal(err)
	}
	plain := Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}
	for range 2 {
		set(gatehouse.RealmSettings{AccessTokenType: token.TypeAccess})
		w.check(t, named, secure, "invalid_token", "token_wrong_audience")
		w.check(t, plain, secure, "invalid_token", "token_wrong_type")
		w.check(t, w.access(nil), secure, "", "")
		set(gatehouse.RealmSettings{Audience: "https://api.test", AccessTokenType: token.TypeJWT})
		w.check(t, named, secure, "", "")
		w.check(t, plain, secure, "", "")
		w.check(t, w.access(nil), secure, "", "")
	}
	// A store that finds another realm than the one asked for has none.
	w.realms["alias"] = gatehouse.Realm{Name: "main"}
	if _, err := w.a.Authenticate(t.Context(), "alias", w.access(nil), secure); Reason(err) != "realm_unknown" {
		t.Error(err)
	}
}
