package grant_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
)

// TestFamilyOfAnotherRealm: neither a refresh token nor its grant counts in a realm
// that is not its own, should a store ever give them out together.
func TestFamilyOfAnotherRealm(t *testing.T) {
	for name, move := range map[string]func(r *grant.Refresh, g *gatehouse.Grant){
		"token": func(r *grant.Refresh, _ *gatehouse.Grant) { r.Realm = "acme" },
		"grant": func(_ *grant.Refresh, g *gatehouse.Grant) { g.Realm = "acme" },
		"both":  func(r *grant.Refresh, g *gatehouse.Grant) { r.Realm, g.Realm = "acme", "acme" },
	} {
		h := newHouse(t, gatehouse.RealmSettings{})
		tokens := h.issue()
		h.family = func(r *grant.Refresh, g *gatehouse.Grant) error { move(r, g); return nil }
		if _, err := h.refresh(tokens.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: %v", name, err)
		}
		h.family = nil
		if _, err := h.refresh(tokens.RefreshToken); err != nil {
			t.Errorf("%s: the refusal used the token up: %v", name, err)
		}
	}
}

// TestMomentsOfExpiry: a token that ends at a moment does not count at that moment,
// and a millisecond before it does.
func TestMomentsOfExpiry(t *testing.T) {
	for name, settings := range map[string]gatehouse.RealmSettings{
		"refresh token": {RefreshTokenTTL: time.Hour}, "grant": {GrantTTL: time.Hour, RefreshTokenTTL: 2 * time.Hour}} {
		for _, early := range []time.Duration{time.Millisecond, 0} {
			h := newHouse(t, settings)
			tokens := h.issue()
			h.pass(time.Hour - early)
			if _, err := h.refresh(tokens.RefreshToken); (err == nil) != (early > 0) {
				t.Errorf("%s, %s before its end: %v", name, early, err)
			}
		}
	}
}

// TestWhatIsNoRefreshTokenIsNotLookedUp: typing errors, fakes and other kinds of
// token cost the database nothing.
func TestWhatIsNoRefreshTokenIsNotLookedUp(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	text := h.issue().RefreshToken.Reveal()
	access, _, _ := credential.MintKey(credential.PrefixAccess, gatehouse.EnvironmentLive)
	key, _, _ := credential.MintKey("app", gatehouse.EnvironmentLive)
	last := map[bool]string{true: "1", false: "0"}[text[len(text)-1] == '0']
	for name, wrong := range map[string]gatehouse.Secret{"access token": access, "API key": key, "nothing": "", "no key": "abc",
		"typing error": gatehouse.Secret(text[:len(text)-1] + last), "shortened": gatehouse.Secret(text[:len(text)-1]), "lengthened": gatehouse.Secret(text + "0")} {
		if _, err := h.refresh(wrong); gatehouse.CodeOf(err) != "invalid_grant" || h.lookups.Load() != 0 {
			t.Errorf("%s: %v after %d look-ups", name, err, h.lookups.Load())
		}
	}
	if _, err := h.refresh(gatehouse.Secret(text)); err != nil || h.lookups.Load() == 0 {
		t.Errorf("the right one: %v after %d look-ups", err, h.lookups.Load())
	}
}

// TestSequence: the tokens of a family are numbered as they follow each other.
func TestSequence(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	var presented []int64
	h.family = func(r *grant.Refresh, _ *gatehouse.Grant) error {
		presented = append(presented, r.Sequence)
		return nil
	}
	for range 4 {
		tokens = must(h.refresh(tokens.RefreshToken))
	}
	if fmt.Sprint(presented) != "[0 1 2 3]" {
		t.Errorf("numbers %v", presented)
	}
}

// TestReuseWithSlowClock: where a realm gives no grace, none comes from a node whose
// clock is behind that of the one which took the first use.
func TestReuseWithSlowClock(t *testing.T) {
	for _, behind := range []time.Duration{0, time.Second, time.Hour} {
		h := newHouse(t, gatehouse.RealmSettings{RefreshGrace: -1})
		first := h.issue()
		h.pass(2 * time.Hour)
		second := must(h.refresh(first.RefreshToken))
		h.pass(-behind)
		if _, err := h.refresh(first.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s behind: %v", behind, err)
		}
		if _, err := h.refresh(second.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s behind: the family lives on: %v", behind, err)
		}
	}
}

// TestGraceIsBounded: whatever a realm says, a used token is answered again for half
// a minute and no longer.
func TestGraceIsBounded(t *testing.T) {
	for wait, ok := range map[time.Duration]bool{30 * time.Second: true, 30*time.Second + time.Millisecond: false} {
		h := newHouse(t, gatehouse.RealmSettings{RefreshGrace: time.Hour})
		first := h.issue()
		second := must(h.refresh(first.RefreshToken))
		h.pass(wait)
		again, err := h.refresh(first.RefreshToken)
		if (err == nil) != ok || ok && again.RefreshToken != second.RefreshToken {
			t.Errorf("after %s: %v", wait, err)
		}
	}
}

// TestLostRace: who finds that another won meanwhile gets that one's successor within
// the grace, and an error of the store is an error, not a reuse that ends the family.
func TestLostRace(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		settings gatehouse.RealmSettings
		fail     int // the look-up that fails, from 1; 0 for none
		code     string
	}{
		"within the grace":                   {gatehouse.RealmSettings{}, 0, ""},
		"without a grace":                    {gatehouse.RealmSettings{RefreshGrace: -1}, 0, "invalid_grant"},
		"the first look-up fails":            {gatehouse.RealmSettings{}, 1, "internal"},
		"the second look-up fails":           {gatehouse.RealmSettings{}, 2, "internal"},
		"the look-up of the successor fails": {gatehouse.RealmSettings{}, 3, "internal"},
	} {
		h := newHouse(t, c.settings)
		first := h.issue()
		second := must(h.refresh(first.RefreshToken))
		// The token looks unused, and then somebody else has used it.
		n := 0
		h.family = func(r *grant.Refresh, _ *gatehouse.Grant) error {
			if n++; n == c.fail {
				return down
			}
			if n == 1 {
				r.UsedAt = time.Time{}
			}
			return nil
		}
		got, err := h.refresh(first.RefreshToken)
		h.family = nil
		switch c.code {
		case "":
			if err != nil || got.RefreshToken != second.RefreshToken {
				t.Errorf("%s: %v", name, err)
			}
		case "internal":
			if !errors.Is(err, down) {
				t.Errorf("%s: %v", name, err)
			}
		default:
			if gatehouse.CodeOf(err) != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.refresh(second.RefreshToken); (err == nil) != (c.code != "invalid_grant") {
			t.Errorf("%s: the family afterwards: %v", name, err)
		}
	}
	// A store that cannot mark the token used gives nothing out.
	h := newHouse(t, gatehouse.RealmSettings{})
	first := h.issue()
	h.use = func(use func() (bool, error)) (bool, error) { return true, down }
	if _, err := h.refresh(first.RefreshToken); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	h.use = nil
	if _, err := h.refresh(first.RefreshToken); err != nil {
		t.Errorf("%v", err)
	}
}

// TestHowManyScopes: a request may name a hundred scopes, and no more.
func TestHowManyScopes(t *testing.T) {
	scopes, asked := map[string]string{}, []string{}
	for i := range 101 {
		name := fmt.Sprintf("s%03d", i)
		scopes[name], asked = "One", append(asked, name)
	}
	h := newHouse(t, gatehouse.RealmSettings{Scopes: scopes})
	if tokens, err := h.open("main", h.principal(), asked[:100]...); err != nil || len(tokens.Scopes) != 100 {
		t.Errorf("100 scopes: %v", err)
	}
	if _, err := h.open("main", h.principal(), asked...); gatehouse.CodeOf(err) != "invalid_scope" {
		t.Errorf("101 scopes: %v", err)
	}
	if tokens, err := h.open("main", h.principal(), "s001", "s000", "s001"); err != nil || fmt.Sprint(tokens.Scopes) != "[s000 s001]" {
		t.Errorf("twice the same: %v %v", tokens.Scopes, err)
	}
	// A renewal narrows among what the grant has, and the grant's own part widens again.
	tokens := must(h.open("main", h.principal(), "s000", "s001"))
	if _, err := h.renew("main", tokens.RefreshToken, "s002"); gatehouse.CodeOf(err) != "invalid_scope" {
		t.Errorf("beyond the grant: %v", err)
	}
	if next, err := h.renew("main", tokens.RefreshToken, "s001"); err != nil || fmt.Sprint(next.Scopes) != "[s001]" {
		t.Errorf("narrowed: %v %v", next.Scopes, err)
	}
}

// TestAdministrativeScopes: they are known in realm main, which administers, and in
// no other unless its catalogue has them.
func TestAdministrativeScopes(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	for _, scope := range []string{"admin:read", "admin:write"} {
		if _, err := h.open("main", h.principal(), scope); err != nil {
			t.Errorf("%s in main: %v", scope, err)
		}
	}
	robot := h.robot("acme", "admin:read admin:write")
	for _, scope := range []string{"admin:read", "admin:write"} {
		if _, err := h.svc.Open(t.Context(), grant.Order{Realm: "acme", Client: robot.ID, Scopes: []string{scope}}, robot); gatehouse.CodeOf(err) != "invalid_scope" {
			t.Errorf("%s in acme: %v", scope, err)
		}
	}
	if _, err := h.open("main", h.principal(), "admin:all"); gatehouse.CodeOf(err) != "invalid_scope" {
		t.Errorf("a scope that there is not: %v", err)
	}
}

// TestWhoDidIt: an event names who is logged in at that moment, or else the subject
// of the grant, and what it was about.
func TestWhoDidIt(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	root := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_root", Name: "root", Scheme: gatehouse.SchemeAPIKey, CredentialID: "key_1"}
	ctx := gatehouse.WithRequest(gatehouse.WithPrincipal(t.Context(), root), gatehouse.RequestFacts{ID: "req_9", Address: "192.0.2.9"})
	if _, err := h.svc.End(ctx, "main", tokens.GrantID, grant.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	var ended, issued gatehouse.Event
	for _, e := range h.events() {
		switch e.Kind {
		case audit.KindGrantEnd:
			ended = e
		case audit.KindTokenIssue:
			issued = e
		}
	}
	if a := ended.Actor; a.ID != "usr_root" || a.Name != "root" || a.Credential != "key_1" || a.Scheme != gatehouse.SchemeAPIKey || a.Kind != gatehouse.KindUser {
		t.Errorf("ended by %+v", a)
	}
	if ended.Reason != grant.ReasonRevoked || ended.Target != (gatehouse.Target{Type: "grant", ID: tokens.GrantID}) || ended.RequestID != "req_9" || ended.Address != "192.0.2.9" ||
		ended.Detail["subject"] != h.user.ID || ended.Detail["client_id"] != grant.FirstPartyClient {
		t.Errorf("%+v", ended)
	}
	if a := issued.Actor; a.ID != h.user.ID || a.Name != "bob" || a.Credential != tokens.GrantID || a.Kind != gatehouse.KindUser {
		t.Errorf("issued to %+v", a)
	}
}

// TestEndsWithTheEvent: a grant whose end cannot be recorded has not ended.
func TestEndsWithTheEvent(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	tokens := h.issue()
	left, leave := context.WithCancel(t.Context())
	leave()
	if ended, err := h.svc.End(left, "main", tokens.GrantID, grant.ReasonLogout); err == nil || ended {
		t.Errorf("%v %v", ended, err)
	}
	if _, err := h.claims(tokens.AccessToken); err != nil {
		t.Errorf("ended all the same: %v", err)
	}
}

// TestSuccessorNeedsTheKey: who holds a token cannot tell what follows from it; only
// the server's key can. Under another one a lost answer is not given again.
func TestSuccessorNeedsTheKey(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	first := h.issue()
	must(h.refresh(first.RefreshToken))
	h.config.SuccessorKey = bytes.Repeat([]byte{8}, 32)
	h.svc = must(grant.New(h.config))
	if _, err := h.refresh(first.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("%v", err)
	}
}

// TestWrongSuccessor: an answer that was lost is given again only when what follows
// belongs to the same grant and still counts.
func TestWrongSuccessor(t *testing.T) {
	for name, change := range map[string]func(h *house, r *grant.Refresh){
		"of another grant": func(_ *house, r *grant.Refresh) { r.GrantID = "grt_other" },
		"over":             func(h *house, r *grant.Refresh) { r.ExpiresAt = h.now() },
		"used":             func(h *house, r *grant.Refresh) { r.UsedAt = h.now() },
	} {
		h := newHouse(t, gatehouse.RealmSettings{})
		first := h.issue()
		must(h.refresh(first.RefreshToken))
		h.family = func(r *grant.Refresh, _ *gatehouse.Grant) error {
			if r.Sequence == 1 {
				change(h, r)
			}
			return nil
		}
		if _, err := h.refresh(first.RefreshToken); gatehouse.CodeOf(err) != "invalid_grant" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingOutlivesItsGrant: neither a refresh token nor an opaque access token,
// which can do what was asked for and no more.
func TestNothingOutlivesItsGrant(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{TokenFormat: "opaque", GrantTTL: time.Minute, Scopes: map[string]string{"documents:read": "Read"}})
	seen := 0
	h.family = func(r *grant.Refresh, g *gatehouse.Grant) error {
		if seen++; r.ExpiresAt.After(g.ExpiresAt) {
			t.Errorf("refresh token %d outlives its grant by %s", r.Sequence, r.ExpiresAt.Sub(g.ExpiresAt))
		}
		return nil
	}
	end := h.now().Add(time.Minute)
	tokens := h.issue()
	for range 2 {
		h.pass(time.Second)
		tokens = must(h.renew("main", tokens.RefreshToken, "documents:read"))
		o := must(h.db.OpaqueToken(t.Context(), credential.HashKey(tokens.AccessToken.Reveal())))
		if !o.ExpiresAt.Equal(end) || fmt.Sprint(o.Scopes) != "[documents:read]" || fmt.Sprint(o.Audience) != "["+issuer+"]" {
			t.Errorf("%+v, and the grant ends at %s", o, end)
		}
	}
	if seen < 2 {
		t.Errorf("%d refresh tokens were seen", seen)
	}
}

// TestTimeOfLogin: one who does not say when he logged in did it just now.
func TestTimeOfLogin(t *testing.T) {
	h := newHouse(t, gatehouse.RealmSettings{})
	for want, given := range map[time.Time]time.Time{h.now(): {}, h.now().Add(-time.Hour): h.now().Add(-time.Hour)} {
		p := h.principal()
		p.AuthTime = given
		c := must(h.claims(must(h.open("main", p)).AccessToken))
		if c.AuthTime.Unix() != want.Unix() {
			t.Errorf("said %v: auth_time %v, want %v", given, c.AuthTime, want)
		}
	}
}
