package adminhttp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// events returns what was recorded in main of one kind, as "target id" each.
func (h *house) events(as, kind string) (targets []string) {
	h.t.Helper()
	if err := h.sequencer.Sequence(h.t.Context(), "main"); err != nil {
		h.t.Fatal(err)
	}
	list := h.want(200, as, "GET", "/realms/main/audit/events?limit=200&kind="+kind, nil)
	for _, e := range list.json["items"].([]any) {
		if event := e.(map[string]any); event["kind"] == kind {
			targets = append(targets, event["target"].(map[string]any)["id"].(string))
		}
	}
	slices.Sort(targets)
	return targets
}

// Each key that ends with its owner leaves one event of its own; those that had
// ended before leave none.
func TestDeletedUserEndsEachKey(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	h.person(root, "main", "eve")
	_, first := h.key(root, "main", "bob", "*")
	_, second := h.key(root, "main", "bob")
	_, disabled := h.key(root, "main", "bob", "*")
	h.want(200, root, "PATCH", "/realms/main/keys/"+disabled, map[string]any{"disabled": true})
	_, revoked := h.key(root, "main", "bob", "*")
	h.want(200, root, "POST", "/realms/main/keys/"+revoked+"/revoke", nil)
	leakedText, leaked := h.key(root, "main", "bob", "*")
	h.want(204, "", "POST", "/keys/leaked", map[string]any{"key": leakedText})
	elseText, _ := h.key(root, "main", "eve", "*")

	h.want(204, root, "DELETE", "/realms/main/users/bob", nil)
	want := []string{first, second, disabled, revoked}
	slices.Sort(want)
	if got := h.events(root, "key.revoke"); !slices.Equal(got, want) {
		t.Errorf("events of keys that ended: %q, want %q", got, want)
	}
	for id, status := range map[string]string{first: "revoked", second: "revoked", disabled: "revoked", revoked: "revoked", leaked: "leaked"} {
		if r := h.want(200, root, "GET", "/realms/main/keys/"+id, nil); r.str("status") != status {
			t.Errorf("%s: %s, want %s", id, r.str("status"), status)
		}
	}
	h.want(200, elseText, "GET", "/me", nil)
}

// The networks of a key can only be narrowed: each new one lies inside one that the
// key had.
func TestKeyNetworksOnlyNarrow(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	for i, tt := range []struct {
		has, want []string
		status    int
	}{
		{nil, []string{"192.0.2.0/24"}, 200},
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.0/24"}, 200},
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.128/25"}, 200},
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.7"}, 200},
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.0/23"}, 422}, // begins at the same address, and is wider
		{[]string{"192.0.2.0/24"}, []string{"192.0.0.0/16"}, 422},
		{[]string{"192.0.2.0/24"}, []string{"198.51.100.0/24"}, 422}, // as narrow, but elsewhere
		{[]string{"192.0.2.0/24"}, []string{"198.51.100.7"}, 422},
		{[]string{"192.0.2.0/24"}, []string{"192.0.2.0/25", "198.51.100.0/25"}, 422}, // one of two
		{[]string{"192.0.2.0/24"}, []string{"0.0.0.0/0"}, 422},
		{[]string{"192.0.2.0/24"}, []string{"::/0"}, 422},
		{[]string{"192.0.2.0/24"}, []string{}, 422},
		{[]string{"192.0.2.0/25", "192.0.2.128/25"}, []string{"192.0.2.0/24"}, 422}, // two halves make no whole
		{[]string{"192.0.2.0/25", "198.51.100.0/24"}, []string{"198.51.100.0/25"}, 200},
		{[]string{"2001:db8::/32"}, []string{"2001:db8:1::/48"}, 200},
		{[]string{"2001:db8::/32"}, []string{"2001:db8::/31"}, 422},
		{[]string{"2001:db8::/32"}, []string{"2001:db9::/48"}, 422},
		{[]string{"2001:db8::/32"}, []string{"::ffff:192.0.2.0/120"}, 422},
		{[]string{"::ffff:192.0.2.0/120"}, []string{"192.0.2.0/25"}, 200},
		{[]string{"0.0.0.0/0"}, []string{"2001:db8::1"}, 422},
	} {
		t.Run(fmt.Sprint(i, tt.has, tt.want), func(t *testing.T) {
			made := h.want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "test", "owner": "bob", "scopes": []string{}, "allowed_nets": tt.has})
			r := h.call(root, "PATCH", "/realms/main/keys/"+made.str("key", "id"), map[string]any{"allowed_nets": tt.want})
			if r.status != tt.status || r.status == 422 && r.str("code") != "key_cannot_widen" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

func TestKeySwitchedOffAndOn(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	bob := "bob:" + password
	text, id := h.key(bob, "main", "me", "*")
	path := "/realms/main/keys/" + id
	h.want(200, text, "GET", "/me", nil)
	if r := h.want(200, bob, "PATCH", path, map[string]any{"disabled": true}); r.str("status") != "disabled" || r.str("disabled_at") == "" {
		t.Fatalf("%s", r.body)
	}
	h.want(401, text, "GET", "/me", nil)
	h.want(200, root, "PATCH", path, map[string]any{"disabled": true, "name": "still off"}) // twice is no error
	h.want(409, root, "POST", path+"/rotate", nil)
	// Who may not write keys cannot lift what an administrator may have set.
	h.want(403, bob, "PATCH", path, map[string]any{"disabled": false})
	h.want(401, text, "GET", "/me", nil)
	if r := h.want(200, root, "PATCH", path, map[string]any{"disabled": false}); r.str("status") != "active" {
		t.Fatalf("%s", r.body)
	}
	h.want(200, text, "GET", "/me", nil)
	h.want(200, root, "POST", path+"/revoke", nil)
	h.want(409, root, "PATCH", path, map[string]any{"disabled": false}) // ended is ended
	h.want(401, text, "GET", "/me", nil)
	if n := len(h.events(root, "key.update")); n != 3 {
		t.Errorf("%d events", n)
	}
}

func TestKeyQuotaAndNotes(t *testing.T) {
	h := newHouse(t)
	root := h.bootstrap()
	h.person(root, "main", "bob")
	bob := "bob:" + password
	made := h.want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "test", "owner": "bob", "scopes": []string{"*"},
		"quota_day": 2, "metadata": map[string]string{"contract": "4711"}})
	text, path := made.str("text"), "/realms/main/keys/"+made.str("key", "id")
	if made.str("key", "metadata", "contract") != "4711" {
		t.Fatalf("%s", made.body)
	}
	h.want(200, text, "GET", "/me", nil)
	h.want(200, text, "GET", "/me", nil)
	r := h.call(text, "GET", "/me", nil)
	if r.status != 429 || r.str("code") != "key_quota_used_up" || r.header.Get("Retry-After") == "" {
		t.Fatalf("%d %s %v", r.status, r.body, r.header)
	}
	for _, more := range []map[string]any{{"quota_day": 0}, {"quota_day": 3}} {
		h.want(403, bob, "PATCH", path, more)
	}
	h.want(200, bob, "PATCH", path, map[string]any{"quota_day": 1, "quota_month": 100})
	h.want(200, root, "PATCH", path, map[string]any{"quota_day": 3, "metadata": map[string]string{"owner": "Ünal"}})
	h.want(200, text, "GET", "/me", nil)
	h.want(429, text, "GET", "/me", nil)
	next := h.want(201, root, "POST", path+"/rotate", map[string]any{"overlap": "1h"})
	if next.str("key", "metadata", "owner") != "Ünal" || next.json["key"].(map[string]any)["quota_day"] != 3.0 {
		t.Errorf("the successor: %s", next.body)
	}
	for name, bad := range map[string]map[string]any{
		"negative":      {"quota_day": -1},
		"huge":          {"quota_month": 1e15},
		"control":       {"metadata": map[string]string{"a": "b\nc"}},
		"no name":       {"metadata": map[string]string{"": "b"}},
		"long":          {"metadata": map[string]string{"a": strings.Repeat("x", 513)}},
		"already ended": {"expires_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "scopes": []string{"x"}},
	} {
		if r := h.call(root, "PATCH", path, bad); r.status != 422 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}
