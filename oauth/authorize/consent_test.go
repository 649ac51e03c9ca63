package authorize

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

func person() *gatehouse.Principal {
	return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Name: "bob", Scheme: gatehouse.SchemeSession, SessionID: "ses_1", AuthTime: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
}

// TestRemembered: who answered before is asked again where the question is another one, the client wants it, or nothing proves that it
// is the same client.
func TestRemembered(t *testing.T) {
	b, s := newBooks(t)
	now := time.Now()
	b.consent = grant.Consent{ID: "con_1", Print: b.clients["main app"].Metadata.Print(), Allowed: []grant.Allowed{{Resource: issuer, Scopes: []string{"read", "write"}, At: now.Add(-time.Hour)}}}
	for _, c := range []struct {
		query, print string
		want         Need
		sent         string
	}{
		{with(), "app", Nothing, ""},
		{with("prompt=none"), "app", Nothing, ""},
		{with("scope=read"), "app", Nothing, ""},
		{with("scope=read offline_access"), "app", Consent, ""},
		{with("scope=read offline_access", "prompt=none"), "app", Consent, "consent_required"},
		{with("resource=https://api.example"), "app", Consent, ""},
		{with("prompt=consent"), "app", Consent, ""},
		{with(), "two", Consent, ""},
		{with("client_id=native", "redirect_uri=com.example.app:/back"), "native", Consent, ""},
		{with("client_id=native", "redirect_uri=com.example.app:/back", "prompt=none"), "native", Consent, "consent_required"},
	} {
		b.consent.Print = b.clients["main "+c.print].Metadata.Print()
		r, err := s.Read(t.Context(), realm, c.query)
		if err != nil {
			t.Fatal(err)
		}
		need, refused, err := s.Next(t.Context(), r, person(), now)
		if err != nil || need != c.want || (refused != nil) != (c.sent != "") || refused != nil && refused.code != c.sent {
			t.Errorf("%s: %v %v %v", c.query, need, refused, err)
		}
	}
	r, err := s.Read(t.Context(), realm, with())
	if err != nil {
		t.Fatal(err)
	}
	b.away = errors.New("the database is away")
	if need, _, err := s.Next(t.Context(), r, person(), now); err != b.away || need == Nothing {
		t.Errorf("nobody knows: %v %v", need, err)
	}
}

// TestAllowSome: a person lets a client have a part of what it asks for, and nothing beside that; what belongs to the question itself stays.
func TestAllowSome(t *testing.T) {
	b, s := newBooks(t)
	open := realm
	open.Settings.Scopes = map[string]string{"read": "", "write": "", "openid": ""}
	app := b.clients["main app"]
	app.Metadata.Scope += " openid"
	b.clients["main app"] = app
	r, err := s.Read(t.Context(), open, with("scope=openid write read"))
	if err != nil {
		t.Fatal(err)
	}
	for ticked, want := range map[string]string{"read write": "openid write read", "read": "openid read", "": "openid", "read other offline_access": "openid read"} {
		if _, err := s.AllowSome(t.Context(), r, person(), strings.Fields(ticked)); err != nil {
			t.Fatal(err)
		}
		got := b.allowed[len(b.allowed)-1]
		if strings.Join(got.Scopes, " ") != want || b.how != grant.Asked || strings.Join(b.wished.Scopes, " ") != "openid write read" || strings.Join(b.wished.Resources, " ") != issuer || b.wished.For != 180*24*time.Hour {
			t.Errorf("%q: %v of %+v", ticked, got.Scopes, b.wished)
		}
	}
	app.Metadata.Scope += " email"
	b.clients["main app"] = app
	told, err := s.Read(t.Context(), open, with("scope=openid read", `claims={"userinfo":{"email":null},"id_token":{"email":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	for ticked, want := range map[string]int{"read email": 1, "read": 0} {
		if _, err := s.AllowSome(t.Context(), told, person(), strings.Fields(ticked)); err != nil {
			t.Fatal(err)
		}
		got := b.allowed[len(b.allowed)-1]
		if len(got.Claims.UserInfo) != want || len(got.Claims.IDToken) != want || strings.Join(got.Scopes, " ") != "openid read" || strings.Join(b.wished.Scopes, " ") != "openid read email" {
			t.Errorf("%q: %+v of %+v", ticked, got, b.wished)
		}
	}
	if r.Optional("openid") || !r.Optional("read") || r.Optional("offline_access") {
		t.Error("what may be chosen")
	}
	if _, err := s.Allow(t.Context(), r, person()); err != nil || b.how != grant.Remembered {
		t.Errorf("%v %v", b.how, err)
	}
	own, err := s.Read(t.Context(), realm, with("client_id=own"))
	if err == nil {
		_, err = s.Allow(t.Context(), own, person())
	}
	if err != nil || b.how != grant.Spared {
		t.Errorf("%v %v", b.how, err)
	}
}

// TestEnds: what is shown of how long it lasts.
func TestEnds(t *testing.T) {
	_, s := newBooks(t)
	now := time.Now()
	for query, want := range map[string]struct {
		life    time.Duration
		session bool
		again   time.Duration
	}{
		with():                            {24 * time.Hour, true, 180 * 24 * time.Hour},
		with("scope=read offline_access"): {30 * 24 * time.Hour, false, 180 * 24 * time.Hour},
		with("client_id=native", "redirect_uri=com.example.app:/back"): {24 * time.Hour, true, 0},
	} {
		r, err := s.Read(t.Context(), realm, query)
		if err != nil {
			t.Fatal(err)
		}
		at, session := r.Ends(now)
		if at.Sub(now) != want.life || session != want.session || r.AsksAgain(now).IsZero() != (want.again == 0) || want.again > 0 && r.AsksAgain(now).Sub(now) != want.again {
			t.Errorf("%s: %v %v %v", query, at.Sub(now), session, r.AsksAgain(now))
		}
	}
}
