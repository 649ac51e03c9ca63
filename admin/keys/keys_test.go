package keys_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// ASVS: 14.2.6
func TestKeyLifecycle(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{"documents:read": "Read"}}})
	h.Person(root, "main", "bob")
	bob := "bob:" + testadmin.Password

	t.Run("own", func(t *testing.T) {
		text, id := h.Key(bob, "main", "me", "documents:read")
		h.Want(200, text, "GET", "/me", nil)
		if r := h.Want(200, bob, "GET", "/realms/main/keys?owner=me", nil); !strings.Contains(r.Body, id) || strings.Contains(r.Body, text) {
			t.Fatalf("own keys: %s", r.Body)
		}
		h.Want(403, bob, "GET", "/realms/main/keys", nil)
		// A key makes no keys: a leaked one would outlive its revocation.
		all, _ := h.Key(bob, "main", "me", "*")
		if r := h.Call(all, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{"documents:read"}}); r.Status != 403 || r.Str("code") != "login_required" {
			t.Fatalf("a key made a key: %d %s", r.Status, r.Body)
		}
		h.Want(422, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{"unknown"}})
		h.Want(422, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "scopes": []string{}, "role_limit": []string{"gatehouse-admin"}})
		h.Want(403, bob, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "root", "scopes": []string{"*"}})
		h.Want(200, bob, "POST", "/realms/main/keys/"+id+"/revoke", nil)
		h.Want(401, text, "GET", "/me", nil)
	})
	t.Run("rotate", func(t *testing.T) {
		text, id := h.Key(root, "main", "bob", "documents:read")
		r := h.Want(201, root, "POST", "/realms/main/keys/"+id+"/rotate", map[string]any{"overlap": "1h"})
		h.Want(200, text, "GET", "/me", nil)
		h.Want(200, r.Str("text"), "GET", "/me", nil)
		if r := h.Call(root, "POST", "/realms/main/keys/"+id+"/rotate", nil); r.Status != 409 || r.Str("code") != "key_already_rotated" {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		next := h.Want(201, root, "POST", "/realms/main/keys/"+r.Str("key", "id")+"/rotate", map[string]any{"overlap": "0s"})
		h.Want(401, r.Str("text"), "GET", "/me", nil) // no overlap
		h.Want(200, next.Str("text"), "GET", "/me", nil)
		for _, overlap := range []string{"9000h", "-1h", "106751d", "5 minutes"} {
			h.Want(422, root, "POST", "/realms/main/keys/"+next.Str("key", "id")+"/rotate", map[string]any{"overlap": overlap})
		}
		text, id = h.Key(root, "main", "bob", "documents:read")
		h.Want(201, root, "POST", "/realms/main/keys/"+id+"/rotate", nil) // a day, as the command gives
		h.Want(200, text, "GET", "/me", nil)
		if end := h.Want(200, root, "GET", "/realms/main/keys/"+id, nil).Str("expires_at"); !near(end, 24*time.Hour) {
			t.Fatalf("the old key ends %s", end)
		}
	})
	t.Run("names", func(t *testing.T) {
		h.Key(root, "main", "bob", "documents:read")
		if r := h.Want(200, root, "GET", "/realms/main/keys?owner=bob", nil); !strings.Contains(r.Body, `"owner_name":"bob"`) {
			t.Fatal(r.Body)
		}
		for _, path := range []string{"/realms/main/keys?owner=nobody", "/realms/main/users/nobody/grants"} {
			if r := h.Call(root, "GET", path, nil); r.Status != 404 || r.Str("code") != "user_not_found" {
				t.Errorf("%s: %d %s", path, r.Status, r.Body)
			}
		}
		for end, status := range map[string]int{"2020-01-01T00:00:00Z": 422, "9999-01-01T00:00:00Z": 422, "2100-01-01T00:00:00Z": 201} {
			h.Want(status, root, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "bob", "scopes": []string{}, "expires_at": end})
		}
	})
	t.Run("narrow", func(t *testing.T) {
		_, id := h.Key(root, "main", "bob", "documents:read")
		if r := h.Call(root, "PATCH", "/realms/main/keys/"+id, map[string]any{"scopes": []string{"*"}}); r.Status != 422 || r.Str("code") != "key_cannot_widen" {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		h.Want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.0/24"}, "scopes": []string{}})
		h.Want(422, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{}})
		h.Want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.128/25"}})
		h.Want(422, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"allowed_nets": []string{"192.0.2.0/24"}})
	})
	t.Run("leaked", func(t *testing.T) {
		text, id := h.Key(root, "main", "bob", "documents:read")
		h.Want(404, "", "POST", "/keys/leaked", map[string]any{"key": text[:len(text)-1] + "!"})
		h.Want(404, "", "POST", "/keys/leaked", map[string]any{"key": forged(text)})
		h.Want(200, text, "GET", "/me", nil)
		h.Want(204, "", "POST", "/keys/leaked", map[string]any{"key": text})
		h.Want(401, text, "GET", "/me", nil)
		if r := h.Want(200, root, "GET", "/realms/main/keys/"+id, nil); r.Str("status") != "leaked" {
			t.Fatalf("%s", r.Body)
		}
		h.Want(204, "", "POST", "/keys/leaked", map[string]any{"key": text}) // reporting twice is no error
	})
	t.Run("scope not held", func(t *testing.T) {
		narrow, _ := h.Key(root, "main", "root", "admin:read", "admin:write")
		if r := h.Call(narrow, "POST", "/realms/main/keys", map[string]any{"name": "x", "owner": "bob", "scopes": []string{"documents:read"}}); r.Status != 403 || r.Str("code") != "scope_not_held" {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
	})
}

// forged is a key with the id of text, another secret and a right checksum:
// what somebody can make who has only seen the id.
func forged(text string) string {
	body := []byte(text[:len(text)-6])
	for i := len(body) - 30; i < len(body); i++ {
		body[i] = 'x'
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE(body)
	var crc [6]byte
	for i := 5; i >= 0; i-- {
		crc[i] = digits[sum%62]
		sum /= 62
	}
	return string(body) + string(crc[:])
}

// near tells whether a time of an answer is about so long from now.
func near(text string, from time.Duration) bool {
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && (time.Until(at)-from).Abs() < time.Minute
}

// The networks of a key can only be narrowed: each new one lies inside one that the
// key had.
func TestKeyNetworksOnlyNarrow(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
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
			made := h.Want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "test", "owner": "bob", "scopes": []string{}, "allowed_nets": tt.has})
			r := h.Call(root, "PATCH", "/realms/main/keys/"+made.Str("key", "id"), map[string]any{"allowed_nets": tt.want})
			if r.Status != tt.status || r.Status == 422 && r.Str("code") != "key_cannot_widen" {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
}

func TestKeySwitchedOffAndOn(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	bob := "bob:" + testadmin.Password
	text, id := h.Key(bob, "main", "me", "*")
	path := "/realms/main/keys/" + id
	h.Want(200, text, "GET", "/me", nil)
	if r := h.Want(200, bob, "PATCH", path, map[string]any{"disabled": true}); r.Str("status") != "disabled" || r.Str("disabled_at") == "" {
		t.Fatalf("%s", r.Body)
	}
	h.Want(401, text, "GET", "/me", nil)
	h.Want(200, root, "PATCH", path, map[string]any{"disabled": true, "name": "still off"}) // twice is no error
	h.Want(409, root, "POST", path+"/rotate", nil)
	// Who may not write keys cannot lift what an administrator may have set.
	h.Want(403, bob, "PATCH", path, map[string]any{"disabled": false})
	h.Want(401, text, "GET", "/me", nil)
	if r := h.Want(200, root, "PATCH", path, map[string]any{"disabled": false}); r.Str("status") != "active" {
		t.Fatalf("%s", r.Body)
	}
	h.Want(200, text, "GET", "/me", nil)
	h.Want(200, root, "POST", path+"/revoke", nil)
	h.Want(409, root, "PATCH", path, map[string]any{"disabled": false}) // ended is ended
	h.Want(401, text, "GET", "/me", nil)
	if n := len(h.Events(root, "key.update")); n != 3 {
		t.Errorf("%d events", n)
	}
}

func TestKeyQuotaAndNotes(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	bob := "bob:" + testadmin.Password
	made := h.Want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "test", "owner": "bob", "scopes": []string{"*"},
		"quota_day": 2, "metadata": map[string]string{"contract": "4711"}})
	text, path := made.Str("text"), "/realms/main/keys/"+made.Str("key", "id")
	if made.Str("key", "metadata", "contract") != "4711" {
		t.Fatalf("%s", made.Body)
	}
	h.Want(200, text, "GET", "/me", nil)
	h.Want(200, text, "GET", "/me", nil)
	r := h.Call(text, "GET", "/me", nil)
	if r.Status != 429 || r.Str("code") != "key_quota_used_up" || r.Header.Get("Retry-After") == "" {
		t.Fatalf("%d %s %v", r.Status, r.Body, r.Header)
	}
	for _, more := range []map[string]any{{"quota_day": 0}, {"quota_day": 3}} {
		h.Want(403, bob, "PATCH", path, more)
	}
	h.Want(200, bob, "PATCH", path, map[string]any{"quota_day": 1, "quota_month": 100})
	h.Want(200, root, "PATCH", path, map[string]any{"quota_day": 3, "metadata": map[string]string{"owner": "Ünal"}})
	h.Want(200, text, "GET", "/me", nil)
	h.Want(429, text, "GET", "/me", nil)
	next := h.Want(201, root, "POST", path+"/rotate", map[string]any{"overlap": "1h"})
	if next.Str("key", "metadata", "owner") != "Ünal" || next.JSON["key"].(map[string]any)["quota_day"] != 3.0 {
		t.Errorf("the successor: %s", next.Body)
	}
	for name, bad := range map[string]map[string]any{
		"negative":      {"quota_day": -1},
		"huge":          {"quota_month": 1e15},
		"control":       {"metadata": map[string]string{"a": "b\nc"}},
		"no name":       {"metadata": map[string]string{"": "b"}},
		"long":          {"metadata": map[string]string{"a": strings.Repeat("x", 513)}},
		"already ended": {"expires_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "scopes": []string{"x"}},
	} {
		if r := h.Call(root, "PATCH", path, bad); r.Status != 422 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

// TestDeniedNamesTheKey: the record of a refusal names the key that somebody reached for, not its owner.
func TestDeniedNamesTheKey(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	id := h.Want(201, root, "POST", "/realms/main/keys", map[string]any{"name": "k", "owner": "root", "scopes": []string{"*"}}).JSON["key"].(map[string]any)["id"]
	if r := h.Call("bob:"+testadmin.Password, "GET", "/realms/main/keys/"+id.(string), nil); r.Status < 400 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, e := range h.Recorded() {
		if e.Kind == "admin.denied" && e.Actor.Name == "bob" {
			if e.Target.ID != id {
				t.Errorf("the record names %q, not the key %q", e.Target.ID, id)
			}
			return
		}
	}
	t.Error("nothing is recorded")
}

// TestNullOfAnEnd: null leaves a key that has no end without one, and takes none away.
func TestNullOfAnEnd(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	_, id := h.Key(root, "main", "bob")
	null := map[string]any{"expires_at": nil}
	h.Want(200, root, "PATCH", "/realms/main/keys/"+id, null)
	h.Want(200, root, "PATCH", "/realms/main/keys/"+id, map[string]any{"expires_at": "2099-01-01T00:00:00Z"})
	h.Want(422, root, "PATCH", "/realms/main/keys/"+id, null)
}

// TestPanicKey: a key ends at once; the one that asks only when that is said.
func TestPanicKey(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	text, id := h.Key(root, "main", h.Person(root, "main", "ada", "gatehouse-admin"), "*")
	for _, body := range []any{nil, map[string]any{"including_me": false}} {
		if r := h.Want(409, text, "POST", "/realms/main/keys/"+id+"/panic", body); r.Str("code") != "panic_including_me" {
			t.Errorf("%s", r.Body)
		}
	}
	h.Want(200, text, "GET", "/me", nil)
	auditor, _ := h.Key(root, "main", h.Person(root, "main", "uma", "gatehouse-auditor"), "*")
	h.Want(403, auditor, "POST", "/realms/main/keys/"+id+"/panic", map[string]any{"including_me": true})
	h.Want(404, root, "POST", "/realms/main/keys/none/panic", nil)
	if r := h.Want(200, root, "POST", "/realms/main/keys/"+id+"/panic", nil); r.Str("status") != "revoked" {
		t.Errorf("%s", r.Body)
	}
	h.Want(401, text, "GET", "/me", nil)
	own, ownID := h.Key(root, "main", "ada", "*")
	h.Want(200, own, "POST", "/realms/main/keys/"+ownID+"/panic", map[string]any{"including_me": true})
	h.Want(401, own, "GET", "/me", nil)
}
