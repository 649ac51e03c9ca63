package passkey_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// TestSecond: beside a password counts a passkey of the same account, unlocked, by the answer to a question that was put to
// that person; the answer counts once, and for nothing else.
//
// ASVS: 6.3.3
func TestSecond(t *testing.T) {
	h := newHouse(t)
	bob, amy, bert := &testpasskey.Browser{Origin: origin}, &testpasskey.Browser{Origin: origin}, &testpasskey.Browser{Origin: origin}
	for b, of := range map[*testpasskey.Browser][2]string{bob: {"main", "usr_bob"}, amy: {"main", "usr_amy"}, bert: {"shop", "usr_bert"}} {
		must(h.add(b, of[0], of[1]))
	}
	half := &gatehouse.Principal{Realm: "main", ID: "usr_bob", Kind: gatehouse.KindUser, Name: "bob", Scheme: gatehouse.SchemeBasic, AMR: []string{"pwd"}, ACR: gatehouse.AAL1}
	ask := func() passkey.Question { return must(h.AskOf(t.Context(), "main", "usr_bob", tab)) }
	if own := must(h.List(t.Context(), "main", "usr_bob")); !strings.Contains(string(must(json.Marshal(ask()))), `"allowCredentials":[{"type":"public-key","id":"`) || len(own) != 1 {
		t.Errorf("the question names no passkeys: %s", must(json.Marshal(ask())))
	}
	if _, err := h.AskOf(t.Context(), "main", "usr_nobody", tab); gatehouse.CodeOf(err) != "passkey_not_found" {
		t.Errorf("who has none: %v", err)
	}
	by := func(b *testpasskey.Browser, q passkey.Question) error {
		t.Helper()
		_, err := h.Complete(t.Context(), half, tab, must(b.Get(must(json.Marshal(q)))))
		return err
	}
	answer := must(bob.Get(must(json.Marshal(ask()))))
	if _, err := h.Complete(t.Context(), half, []byte("another browser"), answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("in another browser: %v", err)
	}
	if _, err := h.SignIn(t.Context(), "main", tab, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("in the place of a sign-in: %v", err)
	}
	done, err := h.Complete(t.Context(), half, tab, answer)
	if err != nil || done.ID != "usr_bob" || done.Scheme != gatehouse.SchemeBasic || done.ACR != gatehouse.AAL2 || !done.AuthTime.Equal(h.now) || !slices.Equal(done.AMR, []string{"pwd", "pop", "user", "mfa"}) {
		t.Fatalf("%+v, %v, %s", done, err, h.why())
	}
	if len(half.AMR) != 1 {
		t.Errorf("who came by the password is %+v", half)
	}
	if _, err := h.Complete(t.Context(), half, tab, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("again: %v", err)
	}
	for name, c := range map[string]struct {
		by *testpasskey.Browser
		q  passkey.Question
	}{
		"another person's passkey":        {amy, ask()},
		"another realm's":                 {bert, ask()},
		"a question to nobody":            {bob, h.Ask("main", tab)},
		"a question to somebody else":     {bob, must(h.AskOf(t.Context(), "main", "usr_amy", tab))},
		"another's, and her question":     {amy, must(h.AskOf(t.Context(), "main", "usr_amy", tab))},
		"a question put in another realm": {bert, must(h.AskOf(t.Context(), "shop", "usr_bert", tab))},
	} {
		if err := by(c.by, c.q); gatehouse.KindOf(err) != gatehouse.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*testpasskey.Answer){
		"nobody verified":            func(a *testpasskey.Answer) { a.Flags = 1 },
		"with another's user handle": func(a *testpasskey.Answer) { a.UserHandle = []byte("x") },
	} {
		bob.Tamper = change
		if err := by(bob, ask()); gatehouse.CodeOf(err) != "passkey_refused" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who is known already need not be told by the authenticator (Web Authentication §7.2 step 6).
	bob.Tamper = func(a *testpasskey.Answer) { a.UserHandle = nil }
	if err := by(bob, ask()); err != nil {
		t.Errorf("without a user handle: %v, %s", err, h.why())
	}
	if _, err := h.Complete(t.Context(), nil, tab, must(bob.Get(must(json.Marshal(ask()))))); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("nobody: %v", err)
	}
}
