package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestProviderUserinfo: what the ID token lacks is taken of userinfo, of the same subject alone, for an account that is being made;
// nothing that the ID token says is replaced, and an address is verified when that was said of this address.
func TestProviderUserinfo(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	o := newOpening(t)
	o.metadata["userinfo_endpoint"] = o.URL + "/userinfo"
	h.acme(o, key, nil)
	n := 0
	// try has somebody new sign in, who is told of so by userinfo and in the ID token.
	try := func(body string, claims map[string]any) (status int, page string, asked int) {
		t.Helper()
		n++
		claims["sub"] = fmt.Sprint("s-", n)
		o.set(func() {
			o.claims = claims
			o.userinfo = func(w http.ResponseWriter, r *http.Request) {
				if asked++; r.Header.Get("Authorization") != "Bearer at" {
					w.WriteHeader(401)
				}
				_, _ = w.Write([]byte(strings.ReplaceAll(body, "SUB", fmt.Sprint("s-", n))))
			}
		})
		status, page = h.visitor(nil).elsewhere(o, fmt.Sprint("c", n))
		return status, page, asked
	}
	for what, body := range map[string]string{
		"of another person":   `{"sub":"s-0","preferred_username":"no"}`,
		"of nobody":           `{"preferred_username":"no"}`,
		"of a number":         `{"sub":1,"preferred_username":"no"}`,
		"sub twice":           `{"sub":"SUB","sub":"SUB"}`,
		"no object":           `["SUB"]`,
		"without an end":      `{"sub":"SUB","x":"` + strings.Repeat("x", 128<<10) + `"}`,
		"signed or encrypted": "eyJhbGciOiJub25lIn0.e30.",
	} {
		if status, page, asked := try(body, map[string]any{}); status != 422 || asked != 1 {
			t.Errorf("%s: %d %s %d", what, status, page, asked)
		}
	}
	if got := h.named(key); len(got) > 1 {
		t.Errorf("accounts were made: %v", got)
	}
	for i, c := range []struct {
		what, body  string
		claims      map[string]any
		name, email string
		asked       int
	}{
		{"all", `{"sub":"SUB","preferred_username":"ann","email":"ann@example.org","email_verified":true}`, map[string]any{}, "ann", "ann@example.org", 1},
		{"what the ID token says", `{"sub":"SUB","preferred_username":"root","name":"x"}`, map[string]any{"preferred_username": "bea"}, "bea", "", 1},
		{"nothing is lacking", `{"sub":"s-0"}`, map[string]any{"preferred_username": "cay", "name": "Cay", "email": "c@example.org", "email_verified": true}, "cay", "c@example.org", 0},
		{"the flag of another address", `{"sub":"SUB","email":"own@example.org","email_verified":true}`, map[string]any{"preferred_username": "dan", "email": "ceo@example.org"}, "dan", "", 1},
		{"the flag of this address", `{"sub":"SUB","email":"eli@example.org","email_verified":true}`, map[string]any{"preferred_username": "eli", "email": "eli@example.org"}, "eli", "eli@example.org", 1},
		{"a flag without an address", `{"sub":"SUB","email":"ceo@example.org","email_verified":false}`, map[string]any{"preferred_username": "fay", "email_verified": true}, "fay", "", 1},
	} {
		status, page, asked := try(c.body, c.claims)
		u := h.named(key)[c.name]
		if status != 303 || u == nil || fmt.Sprint(u["email"]) != c.email && u["email"] != nil || asked != c.asked {
			t.Errorf("%d, %s: %d %s; %v, asked %d times", i, c.what, status, page, u, asked)
		}
	}
	// Who has an account needs nothing that userinfo would say.
	o.set(func() { o.claims = map[string]any{"sub": "s-8"}; o.userinfo = nil })
	if status, page := h.visitor(nil).elsewhere(o, "again"); status != 303 {
		t.Errorf("again: %d %s", status, page)
	}
}
