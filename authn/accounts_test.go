package authn

import (
	"context"
	"errors"
	"net/netip"
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
		cfg.Password = func(ctx context.Context, _ PasswordAttempt) (gatehouse.Subject, time.Time, error) {
			s, err := cfg.Subject(ctx, "main", "usr_alice")
			return s, passwordSet, err
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
	w.grants["grt_1"] = gatehouse.Grant{ClientID: "robot", SessionID: "ses_1", ExpiresAt: w.now.Add(time.Hour), ACR: "mfa", AMR: []string{"pwd"}, AuthTime: w.now, Act: &gatehouse.Act{Subject: "cli_x"}}
	w.grants["grt_short"] = gatehouse.Grant{ClientID: "robot", ExpiresAt: w.now.Add(time.Second)}
	w.grants["grt_endless"] = gatehouse.Grant{ClientID: "robot"}
	who := w.check(t, w.addOpaque(func(o *credential.OpaqueToken) { o.Audience = []string{"https://api.elsewhere", issuerURL} }), secure, "", "")
	if who.ClientID != "robot" || who.SessionID != "ses_1" || who.ACR != "mfa" || !who.AuthTime.Equal(w.now) || who.CredentialID != "grt_1" || who.Foreign || who.Act.Actor() != "cli_x" {
		t.Errorf("%+v", who)
	}
	client := w.addOpaque(func(o *credential.OpaqueToken) { o.Subject = "robot" })
	for range 2 {
		if who := w.check(t, client, secure, "", ""); who.Kind != gatehouse.KindClient || who.ID != "robot" || who.Name != "" {
			t.Errorf("%+v", who)
		}
	}
	// A token of a disabled account is remembered as any other: it costs one look-up.
	disabled := w.addOpaque(func(o *credential.OpaqueToken) { o.Subject = "usr_gone" })
	w.lookups.Store(0)
	for range 2 {
		w.check(t, disabled, secure, "invalid_token", "subject_disabled")
	}
	if n := w.lookups.Load(); n != 1 {
		t.Errorf("%d look-ups", n)
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

// TestPrincipalOfSignedTokens: each claim of an own token arrives where it belongs.
func TestPrincipalOfSignedTokens(t *testing.T) {
	w := newWorld(t)
	login := w.now.Add(-time.Hour).Truncate(time.Second)
	p := w.access(func(a *token.Access) {
		a.SessionID, a.ACR, a.AMR, a.AuthTime = "ses_1", "mfa", []string{"pwd", "otp"}, login
	})
	for range 2 { // verified, then remembered
		who := w.check(t, p, secure, "", "")
		if !gatehouseID(who.TokenID, w.now) || who.CredentialID != "grt_1" || who.GrantID != "grt_1" || who.ClientID != "first-party" || who.SessionID != "ses_1" ||
			who.ACR != "mfa" || !slices.Equal(who.AMR, []string{"pwd", "otp"}) || !who.AuthTime.Equal(login) || who.Issuer != issuerURL || who.Realm != "main" ||
			who.Scheme != gatehouse.SchemeJWT || who.Environment != gatehouse.EnvironmentLive || who.RoleLimit != nil ||
			who.IssuedAt.UnixMilli() != w.now.UnixMilli() || !who.ExpiresAt.Equal(w.now.Add(10*time.Minute).Truncate(time.Second)) {
			t.Errorf("%+v", who)
		}
	}
}

// gatehouseID reports whether id was made at that millisecond.
func gatehouseID(id string, at time.Time) bool {
	made, ok := gatehouse.IDTime(id)
	return ok && made.UnixMilli() == at.UnixMilli()
}

// TestRefusedKeysAreNotUsed: what was refused, for whatever reason, is neither a use of the
// key nor taken from its quota.
func TestRefusedKeysAreNotUsed(t *testing.T) {
	w := newWorld(t)
	net := netip.MustParsePrefix("192.0.2.0/24")
	p := w.addKey(func(k *credential.Key) { k.QuotaDay, k.AllowedNets = 1, []netip.Prefix{net} })
	alice := w.subjects["usr_alice"]
	for range 3 {
		delete(w.subjects, "usr_alice")
		w.check(t, p, secure, "invalid_token", "subject_unknown")
		w.subjects["usr_alice"] = gatehouse.Subject{ID: "usr_alice", Kind: gatehouse.KindUser, Name: "alice", Disabled: true}
		w.check(t, p, secure, "invalid_token", "subject_disabled")
		w.subjects["usr_alice"] = alice
		w.check(t, p, Rule{Environment: "test", Address: secure.Address}, "invalid_token", "key_environment_mismatch")
		w.check(t, p, Rule{Address: netip.MustParseAddr("198.51.100.1")}, "invalid_token", "key_address_not_allowed")
	}
	if n := w.a.usage.m.Size(); n != 0 {
		t.Errorf("%d keys count as used", n)
	}
	w.check(t, p, secure, "", "")
	w.check(t, p, secure, "key_quota_used_up", "key_quota_used_up")
	for k, c := range w.a.usage.m.AllRelaxed() {
		if n := c.count.Load(); k.id != p.ID || n != 1 {
			t.Errorf("%s was used %d times", k.id, n)
		}
	}
}

// TestKeysShareNoRights: keys whose rights differ in one thing have each its own, in whatever
// order they come.
func TestKeysShareNoRights(t *testing.T) {
	w := newWorld(t)
	net := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	rights := map[string]func(k *credential.Key){
		"plain":           func(*credential.Key) {},
		"other scopes":    func(k *credential.Key) { k.Scopes = []string{"write"} },
		"scopes joined":   func(k *credential.Key) { k.Scopes = []string{"read\", \"write"} },
		"scopes apart":    func(k *credential.Key) { k.Scopes = []string{"read", "write"} },
		"no scopes":       func(k *credential.Key) { k.Scopes = nil },
		"one role":        func(k *credential.Key) { k.RoleLimit = []string{"read"} },
		"no roles":        func(k *credential.Key) { k.RoleLimit = []string{} },
		"a net":           func(k *credential.Key) { k.AllowedNets = net("192.0.2.0/24") },
		"a narrower net":  func(k *credential.Key) { k.AllowedNets = net("192.0.2.0/25") },
		"another realm":   func(k *credential.Key) { k.Realm = "other" },
		"for trying only": func(k *credential.Key) { k.Environment = gatehouse.EnvironmentTest },
	}
	for range 2 {
		for name, change := range rights {
			p := w.addKey(change)
			k := w.keys[p.ID]
			e, err := w.a.loadKey(t.Context(), p.ID)
			if err != nil || e.realm != k.Realm || e.environment != k.Environment || !slices.Equal(e.scopes, k.Scopes) || !slices.Equal(e.roleLimit, k.RoleLimit) ||
				(e.roleLimit == nil) != (k.RoleLimit == nil) || !slices.Equal(e.nets, k.AllowedNets) {
				t.Errorf("%s: %+v, %v", name, e.keyRights, err)
			}
		}
	}
}

// TestGravestEnd: of several reasons why a key is good for nothing, the record gets the
// gravest: that it leaked, that it was revoked, that it was disabled, that it ended.
func TestGravestEnd(t *testing.T) {
	w := newWorld(t)
	end := []func(k *credential.Key){
		func(k *credential.Key) { k.LeakedAt = w.now }, func(k *credential.Key) { k.RevokedAt = w.now },
		func(k *credential.Key) { k.DisabledAt = w.now }, func(k *credential.Key) { k.ExpiresAt = w.now },
	}
	for i, reason := range []string{"key_leaked", "key_revoked", "key_disabled", "key_expired"} {
		p := w.addKey(func(k *credential.Key) {
			for _, e := range end[i:] {
				e(k)
			}
		})
		w.check(t, p, secure, "invalid_token", reason)
	}
}
