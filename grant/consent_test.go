package grant_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestCovers: an answer of before counts for what it was about and nothing more, while it is young, and not beyond an end of everything.
func TestCovers(t *testing.T) {
	now := time.Now()
	had := grant.Consent{ID: "con_1", Print: []byte{1}, Allowed: []grant.Allowed{{Resource: "a", Scopes: []string{"read", "write"}, At: now.Add(-time.Hour)}, {Resource: "b", Scopes: []string{"read"}, At: now.Add(-time.Minute)}}}
	w := grant.Wish{Print: []byte{1}, Scopes: []string{"read"}, Resources: []string{"a"}, For: 2 * time.Hour}
	for name, c := range map[string]struct {
		change func(c *grant.Consent, w *grant.Wish)
		want   bool
	}{
		"the same":                   {func(*grant.Consent, *grant.Wish) {}, true},
		"less":                       {func(_ *grant.Consent, w *grant.Wish) { w.Scopes = nil }, true},
		"two resources":              {func(_ *grant.Consent, w *grant.Wish) { w.Resources = []string{"a", "b"} }, true},
		"a scope of one of them":     {func(_ *grant.Consent, w *grant.Wish) { w.Resources, w.Scopes = []string{"a", "b"}, []string{"write"} }, false},
		"a scope more":               {func(_ *grant.Consent, w *grant.Wish) { w.Scopes = []string{"read", "delete"} }, false},
		"another resource":           {func(_ *grant.Consent, w *grant.Wish) { w.Resources = []string{"c"} }, false},
		"a resource more":            {func(_ *grant.Consent, w *grant.Wish) { w.Resources = []string{"a", "c"} }, false},
		"no resource":                {func(_ *grant.Consent, w *grant.Wish) { w.Resources = nil }, false},
		"the client looks otherwise": {func(_ *grant.Consent, w *grant.Wish) { w.Print = []byte{2} }, false},
		"nobody knows how it looked": {func(c *grant.Consent, w *grant.Wish) { c.Print, w.Print = nil, nil }, false},
		"old":                        {func(_ *grant.Consent, w *grant.Wish) { w.For = time.Hour }, false},
		"just not":                   {func(_ *grant.Consent, w *grant.Wish) { w.For = time.Hour + time.Millisecond }, true},
		"never remembered":           {func(_ *grant.Consent, w *grant.Wish) { w.For = -1 }, false},
		"all was ended since":        {func(c *grant.Consent, _ *grant.Wish) { c.CutOff = now }, false},
		"in that moment":             {func(c *grant.Consent, _ *grant.Wish) { c.CutOff = now.Add(-time.Hour) }, false},
		"before":                     {func(c *grant.Consent, _ *grant.Wish) { c.CutOff = now.Add(-time.Hour - time.Millisecond) }, true},
		"nothing":                    {func(c *grant.Consent, _ *grant.Wish) { *c = grant.Consent{} }, false},
	} {
		known, wish := had, w
		if c.change(&known, &wish); known.Covers(wish, now) != c.want {
			t.Errorf("%s: covered: %v", name, !c.want)
		}
	}
}

// TestConsents: what a person answered is remembered, and given again for that answer alone; who is not asked leaves nothing that
// counts as an answer.
func TestConsents(t *testing.T) {
	a := newApp(t, codeSettings)
	give := func(how grant.Asking, wished []string, allowed ...string) error {
		t.Helper()
		c, w := a.code, a.wish()
		c.Scopes, w.Scopes, w.Allowed = allowed, wished, allowed
		_, err := a.svc.Authorize(t.Context(), c, w, how)
		return err
	}
	want := func(what string, err error, code string) {
		t.Helper()
		if err == nil && code != "" || err != nil && gatehouse.CodeOf(err) != code {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	read, both := []string{"read"}, []string{"read", "write"}
	want("nobody was asked", give(grant.Remembered, read, read...), "consent_gone")
	want("the realm's own", give(grant.Spared, read, read...), "")
	want("who was spared said nothing", give(grant.Remembered, read, read...), "consent_gone")
	want("asked", give(grant.Asked, both, read...), "")
	want("as allowed", give(grant.Remembered, read, read...), "")
	want("what was not allowed", give(grant.Remembered, both, both...), "consent_gone")
	want("the other, too", give(grant.Asked, []string{"write"}, "write"), "")
	want("both", give(grant.Remembered, both, both...), "")
	want("asked again, and less", give(grant.Asked, both, read...), "")
	want("not any more", give(grant.Remembered, both, both...), "consent_gone")
	want("for another API", func() error {
		w := a.wish()
		w.Resources, w.Scopes = []string{"https://api.example"}, read
		_, err := a.svc.Authorize(t.Context(), a.code, w, grant.Remembered)
		return err
	}(), "consent_gone")
	// The younger answer does not make the older one younger.
	a.pass(40 * time.Minute)
	want("the other, later", give(grant.Asked, []string{"write"}, "write"), "")
	a.pass(30 * time.Minute)
	want("the older one is over", give(grant.Remembered, read, read...), "consent_gone")
	want("asked for one alone", give(grant.Asked, []string{"write"}, "write"), "")
	want("what is over does not come back", give(grant.Remembered, both, both...), "consent_gone")
	want("and does not end the young one", give(grant.Remembered, []string{"write"}, "write"), "")
	a.c.Metadata.Name = "Another"
	want("it has another name", give(grant.Remembered, []string{"write"}, "write"), "consent_gone")
	want("asked", give(grant.Asked, read, read...), "")
	want("what was told of another name", give(grant.Remembered, []string{"write"}, "write"), "consent_gone")
	a.cut(revocation.CutoffSubject, a.user.ID)
	want("all of the person was ended", give(grant.Remembered, read, read...), "consent_gone")
}

// TestWithdrawn: a code is worth nothing once what it was given by is gone, also where the person allows it anew.
func TestWithdrawn(t *testing.T) {
	a := newApp(t, codeSettings)
	code := a.allow()
	a.setup(func(ctx context.Context, tx setupTx) error { // and with it what people let it have
		if err := tx.DeleteClient(ctx, "main", a.c.ID); err != nil {
			return err
		}
		return tx.InsertClient(ctx, a.c)
	})
	redeem := func(code gatehouse.Secret) error {
		_, err := a.svc.Redeem(t.Context(), a.order(), grant.Redemption{Code: code, RedirectURI: back, Verifier: verifier})
		return err
	}
	if err := redeem(code); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("taken back: %v", err)
	}
	second := a.allow()
	if err := redeem(code); gatehouse.CodeOf(err) != "invalid_grant" {
		t.Errorf("allowed anew: %v", err)
	}
	if err := redeem(second); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// TestConsentAtOnce: a person allows a client in many browsers at once; each code counts.
func TestConsentAtOnce(t *testing.T) {
	a := newApp(t, codeSettings)
	var all sync.WaitGroup
	codes := make(chan gatehouse.Secret, 8)
	for range cap(codes) {
		all.Go(func() {
			code, err := a.svc.Authorize(t.Context(), a.code, a.wish(), grant.Asked)
			if err != nil {
				t.Error(err)
			}
			codes <- code
		})
	}
	all.Wait()
	close(codes)
	for code := range codes {
		if _, err := a.svc.Redeem(t.Context(), a.order(), grant.Redemption{Code: code, RedirectURI: back, Verifier: verifier}); err != nil {
			t.Error(err)
		}
	}
}

// TestRememberedDetails: an answer of before counts for details that are exactly the same, for those that may be remembered, and for no others.
func TestRememberedDetails(t *testing.T) {
	now := time.Now()
	wish := func(details, keep gatehouse.Details) grant.Wish {
		return grant.Wish{Print: []byte{1}, Resources: []string{"a"}, Details: details, Keep: keep, For: time.Hour}
	}
	had := grant.Consent{ID: "con_1", Print: []byte{1}, Allowed: []grant.Allowed{{Resource: "a", Details: gatehouse.Details{`{"type":"files"}`}, At: now.Add(-time.Minute)}}}
	for text, covered := range map[string]bool{`{"type":"files"}`: true, `{"type":"files","depth":1}`: false, `{"type":"payment"}`: false} {
		one, two := gatehouse.Details{text}, gatehouse.Details{`{"type":"files"}`, text}
		if had.Covers(wish(one, one), now) != covered || had.Covers(wish(two, two), now) != covered {
			t.Errorf("%s: %t", text, !covered)
		}
	}
	if files := (gatehouse.Details{`{"type":"files"}`}); had.Covers(wish(files, nil), now) {
		t.Error("of a type for which people are to be asked each time by now")
	}
	if !had.Covers(wish(nil, nil), now) {
		t.Error("nothing beyond scopes")
	}
}
