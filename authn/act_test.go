package authn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestActors: who acts by a token stands in its principal, the last one first; where that cannot be read, somebody does whom nobody knows. Those of
// another issuer are told from ours.
func TestActors(t *testing.T) {
	w := newWorld(t)
	who := w.check(t, w.access(func(a *token.Access) { a.Act = &gatehouse.Act{Subject: "cli_b", Act: &gatehouse.Act{Subject: "cli_a"}} }), secure, "", "")
	if fmt.Sprint(who.Act.Subjects()) != "[cli_b cli_a]" || who.Act.Actor() != "cli_b" {
		t.Errorf("%v", who.Act.Subjects())
	}
	const details = `[{"type":"payment"}]` // what it may beyond scopes reaches whoever serves the request, too (RFC 9396 §9)
	if who = w.check(t, w.access(func(a *token.Access) { a.Details = []byte(details) }), secure, "", ""); who.Details != details {
		t.Errorf("%q", who.Details)
	}
	if who = w.check(t, w.access(nil), secure, "", ""); who.Details != "" || who.Act != nil || who.Act.Actor() != "" {
		t.Errorf("%v", who.Act.Subjects())
	}
	for raw, want := range map[string]int{`{"sub":"x"}`: 1, `{"sub":"x","act":{"sub":"y","iss":"https://c.example"}}`: 2, `{}`: 1, `"x"`: 1, `null`: 1, `{"sub":7}`: 1, `[{"sub":"x"}]`: 1} {
		own, theirs := actOf([]byte(raw)).Subjects(), foreignAct("https://b.example", []byte(raw)).Subjects()
		if len(own) != want || len(theirs) != want {
			t.Errorf("%s: %v %v", raw, own, theirs)
		}
		for _, id := range theirs {
			if !strings.HasPrefix(id, "ext_") {
				t.Errorf("%s: %s could be one of ours", raw, id)
			}
		}
	}
	if a, b := foreignAct("https://b.example", []byte(`{"sub":"x"}`)), foreignAct("https://b.example", []byte(`{"sub":"x","iss":"https://c.example"}`)); a.Actor() != foreignID("https://b.example", "x") || a.Actor() == b.Actor() {
		t.Errorf("%s %s", a.Actor(), b.Actor())
	}
}
