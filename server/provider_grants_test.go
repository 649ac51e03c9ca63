package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestProviderGrants: claims, of the ID token or of userinfo, give roles and groups by the realm's settings; what they gave is
// taken away when they do not have it any more, and with the link; what was given by hand stays.
//
// ASVS: 8.3.2
func TestProviderGrants(t *testing.T) {
	h := newHouse(t)
	h.cfg.Limits.Tokens, h.cfg.Limits.Admin = limit.Rate{Limit: 1e6, Window: time.Minute}, limit.Rate{Limit: 1e6, Window: time.Minute}
	h.cfg.Audit.Refusals = "each"
	h.start()
	key := h.bootstrap()
	for _, role := range []string{"ops", "dev", "hand", "odd"} {
		h.want("role", "PUT", "/admin/v1/realms/main/roles/"+role, key, `{}`, 200)
	}
	o := newOpening(t)
	o.metadata["userinfo_endpoint"] = o.URL + "/userinfo"
	grants := []map[string]any{{"claim": "groups", "value": "operators", "role": "ops"}, {"claim": "realm_access.roles", "value": "d", "role": "dev", "group": "builders"},
		{"claim": "groups", "value": "hand", "role": "hand"}}
	h.acme(o, key, map[string]any{"grants": grants})
	var token, info map[string]any
	n := 0
	// in signs somebody in who is told of so, and returns what that account has.
	in := func(ofToken, ofUserinfo map[string]any) string {
		t.Helper()
		n++
		o.set(func() {
			token, info = map[string]any{"preferred_username": "ann"}, map[string]any{"sub": "s-1"}
			for name, v := range ofToken {
				token[name] = v
			}
			for name, v := range ofUserinfo {
				info[name] = v
			}
			o.claims = token
			o.userinfo = func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(info) }
		})
		if status, page := h.visitor(nil).elsewhere(o, fmt.Sprint("c", n)); status != 303 {
			t.Fatalf("%d %s %s", status, page, h.why(key, ""))
		}
		ann := h.named(key)["ann"]
		return fmt.Sprint(ann["roles"], ann["groups"])
	}
	nested := map[string]any{"roles": []string{"d", "x"}}
	if got := in(map[string]any{"groups": []string{"operators", "gatehouse-admin"}, "realm_access": nested}, nil); got != "[dev ops] [builders]" {
		t.Errorf("by the ID token: %s", got)
	}
	if got := in(map[string]any{"groups": "operators"}, map[string]any{"groups": []string{"hand"}, "realm_access": nested}); got != "[dev ops] [builders]" {
		t.Errorf("by both, of which the ID token counts: %s", got)
	}
	if got := in(map[string]any{"groups": "operators", "realm_access": map[string]any{}}, map[string]any{"realm_access": nested}); got != "[ops] []" {
		t.Errorf("userinfo in the place of what the ID token says: %s", got)
	}
	in(map[string]any{"groups": "operators", "realm_access": nested}, nil)
	h.want("by hand", "PATCH", "/admin/v1/realms/main/users/ann", key, `{"roles":["dev","hand","ops"]}`, 200)
	if got := in(nil, map[string]any{"groups": []string{"hand"}}); got != "[hand] []" {
		t.Errorf("not any more: %s", got)
	}
	if got := in(nil, nil); got != "[hand] []" {
		t.Errorf("by hand, whatever the claims say: %s", got)
	}
	events := fmt.Sprint(h.want("events", "GET", "/admin/v1/realms/main/audit/events?limit=20&kind=user.update", key, "", 200)["items"])
	if !strings.Contains(events, "reason:provider") || !strings.Contains(events, "roles:dev ops") {
		t.Errorf("the record: %s", events)
	}
	if got := in(map[string]any{"groups": []any{"operators", 1}, "realm_access": []string{"d"}}, nil); got != "[hand] []" {
		t.Errorf("what is no list of texts: %s", got)
	}
	// What a link gave goes with the link.
	h.want("user", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"pat","password":%q,"roles":["hand"]}`, housePassword), 201)
	o.set(func() {
		o.claims = map[string]any{"sub": "s-2", "groups": []string{"operators", "hand"}, "realm_access": nested}
	})
	v := h.visitor(nil)
	v.password("pat")
	if status, page := v.back(o.there(v.toLink(), "p1")); status != 303 {
		t.Fatalf("linked: %d %s", status, page)
	}
	if status, page := h.visitor(nil).elsewhere(o, "p2"); status != 303 || fmt.Sprint(h.named(key)["pat"]["roles"]) != "[dev hand ops]" {
		t.Errorf("%d %s %v", status, page, h.named(key)["pat"])
	}
	if status, page := v.unlink(); status != 200 || fmt.Sprint(h.named(key)["pat"]["roles"], h.named(key)["pat"]["groups"]) != "[hand] []" {
		t.Errorf("after the link: %d %s %v", status, page, h.named(key)["pat"])
	}
}
