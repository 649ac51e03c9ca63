package factors_test

import (
	netmail "net/mail"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/factors"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

// TestFreshSession: a session that was opened a moment ago proves who changes his own factors, with a second factor where there
// is one, and of nobody else; any other session proves nothing.
//
// ASVS: 7.5.1
func TestFreshSession(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := h.Person(root, "main", "bob")
	amr := []string{"pwd"}
	session := func(age time.Duration) *gatehouse.Principal {
		return &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: bob, Name: "bob", Scheme: gatehouse.SchemeSession, Scopes: []string{gatehouse.ScopeAll},
			SessionID: "ses_1", AuthTime: time.Now().Add(-age), AMR: amr}
	}
	begin := func(p *gatehouse.Principal) (factors.BegunTOTP, error) {
		return h.Admin.Factors.BeginTOTP(t.Context(), p, "main", "me", factors.NewTOTP{Name: "telephone"})
	}
	for what, p := range map[string]*gatehouse.Principal{"an old one": session(5 * time.Minute), "one of tomorrow": session(-24 * time.Hour)} {
		if _, err := begin(p); gatehouse.CodeOf(err) != "invalid_credentials" {
			t.Errorf("%s: %v", what, err)
		}
	}
	begun, err := begin(session(0))
	if err != nil {
		t.Fatal(err)
	}
	code := testtotp.Code(begun.Secret.Reveal(), time.Now())
	if _, err := h.Admin.Factors.ConfirmTOTP(t.Context(), session(time.Hour), "main", "me", begun.Factor.ID, factors.Confirmation{Code: gatehouse.Secret(code)}); err != nil {
		t.Fatal(err)
	}
	// From now on the password is half of it.
	if _, err := begin(session(0)); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("by the password alone: %v", err)
	}
	amr = []string{"pwd", "otp", gatehouse.AMRMultiFactor}
	if _, err := h.Admin.Factors.NewCodes(t.Context(), session(time.Hour), "main", "me", factors.Proof{}); gatehouse.CodeOf(err) != "invalid_credentials" {
		t.Errorf("an old one with a code: %v", err)
	}
	if _, err := h.Admin.Factors.NewCodes(t.Context(), session(0), "main", "root", factors.Proof{}); gatehouse.CodeOf(err) != "factor_own_only" {
		t.Errorf("somebody else's: %v", err)
	}
	if made, err := h.Admin.Factors.NewCodes(t.Context(), session(0), "main", "me", factors.Proof{}); err != nil || len(made.Codes) != 10 {
		t.Errorf("a fresh one with a code: %v", err)
	}
	if err := h.Admin.Factors.Remove(t.Context(), session(0), "main", "me", begun.Factor.ID, factors.Proof{}); err != nil {
		t.Error(err)
	}
}

// TestNotices: whose account it is gets a message when a factor counts, goes, or has another name or new codes, and nothing of what was refused, or of a beginning.
//
// ASVS: 6.3.7
func TestNotices(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "bob")
	h.Want(200, root, "PATCH", "/realms/main/users/bob", map[string]any{"email": "bob@example.com"})
	h.MailSet.Store(&mail.Settings{Outbox: "/nowhere", From: netmail.Address{Address: "id@example.com"}, Language: "en", Bounds: mail.Bounds{PerAddress: 50, PerRealm: 200}})
	bob := login(t, h, id)
	told := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, i := range h.Want(200, root, "GET", "/mails?limit=200", nil).JSON["items"].([]any) {
			m := i.(map[string]any)
			got = append(got, m["message"].(string)+" "+m["to"].(string))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", what, got, want)
		}
	}
	h.Want(201, bob, "POST", own+"/totp", proof(""))
	told("begun")
	first, codes := add(t, h, bob, "")
	told("added", "factor_added bob@example.com")
	h.Want(401, bob, "POST", own+"/recovery", proof("000000"))
	h.Want(200, bob, "PATCH", own+"/"+first.id, map[string]any{"name": "tablet"})
	told("refused, renamed", "factor_added bob@example.com", "factor_renamed bob@example.com")
	h.Want(200, bob, "POST", own+"/recovery", proof(codes[0]))
	told("new codes", "codes_renewed bob@example.com", "factor_added bob@example.com", "factor_renamed bob@example.com")
	h.Want(204, root, "POST", bobs+"/"+first.id+"/remove", map[string]any{})
	told("removed by another", "codes_renewed bob@example.com", "factor_added bob@example.com", "factor_removed bob@example.com", "factor_renamed bob@example.com")
}
