package realmfile_test

import (
	"maps"
	"testing"

	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestRealmFile applies a file, finds nothing to do afterwards, and finds all that the
// realm had before in what it exports.
func TestRealmFile(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	at := "/realms/acme/file"
	empty := h.Want(200, root, "GET", at, nil).JSON
	file := map[string]any{
		"title": "Acme", "settings": map[string]any{"access_token_ttl": "5m0s", "providers": []any{map[string]any{"id": "acme", "issuer": "https://acme.example", "client_id": "c",
			"grants": []any{map[string]any{"claim": "groups", "value": "w", "role": "writer"}}}}, "audiences": map[string]any{"a": map[string]any{"claims": []any{"name"}}}},
		"scopes":          map[string]any{"docs:read": "read"},
		"trusted_issuers": map[string]any{"https://x.example": map[string]any{"issuer": "https://x.example", "audience": "us", "algorithms": []any{"ES256"}}},
		"schema":          "entity User; entity Document = { team: String }; action \"read\" appliesTo { principal: [User], resource: [Document] };",
		"roles":           map[string]any{"reader": map[string]any{}, "writer": map[string]any{"parents": []any{"reader"}}},
		"policies":        map[string]any{"open": map[string]any{"text": "forbid (principal, action == Action::\"read\", resource is Document) when { resource.team == \"x\" };", "disabled": true}},
		"users": map[string]any{"alice": map[string]any{"roles": []any{"writer"}, "attributes": map[string]any{"team": map[string]any{"a": "1"}}},
			"robot": map[string]any{"kind": "service", "disabled": true}},
	}
	apply := func(status int, extra map[string]any) map[string]any {
		t.Helper()
		body := map[string]any{"file": file}
		maps.Copy(body, extra)
		return h.Want(status, root, "POST", at+"/apply", body).JSON
	}
	if n := len(apply(200, nil)["changes"].([]any)); n != 12 {
		t.Errorf("%d changes, want 12", n)
	}
	full := h.Want(200, root, "GET", at, nil).JSON
	again := h.Want(200, root, "POST", at+"/apply", map[string]any{"file": full["file"], "prune": true, "fingerprint": full["fingerprint"]}).JSON
	if n := len(again["changes"].([]any)); n != 0 {
		t.Errorf("an export changes %v", again["changes"])
	}
	if r := h.Want(409, root, "POST", at+"/apply", map[string]any{"file": full["file"], "fingerprint": empty["fingerprint"]}).JSON; r["code"] != "realm_changed" {
		t.Errorf("drift: %v", r)
	}
	// The last thing of a file that fails takes all others back with it.
	file["title"], file["users"] = "Other", map[string]any{"bob": map[string]any{"roles": []any{"nobody-knows"}}}
	apply(422, nil)
	if now := h.Want(200, root, "GET", at, nil).JSON; now["fingerprint"] != full["fingerprint"] {
		t.Error("a refused file left something behind")
	}
	file["users"] = map[string]any{}
	// Beside the two users, admin_mfa, which every new realm has.
	if kept := h.Want(200, root, "POST", at+"/plan", map[string]any{"file": file}).JSON; len(kept["unlisted"].([]any)) != 3 {
		t.Errorf("unlisted: %v", kept["unlisted"])
	}
	// Back to what it was, with everything in the right order.
	h.Want(200, root, "POST", at+"/apply", map[string]any{"file": empty["file"], "prune": true})
	if now := h.Want(200, root, "GET", at, nil).JSON; now["fingerprint"] != empty["fingerprint"] {
		t.Errorf("after pruning: %v, want %v", now["file"], empty["file"])
	}
}

// TestRealmFileEscalates tries to get through a file what the same person may not do
// alone.
func TestRealmFileEscalates(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "ada", "gatehouse-admin")
	op, _ := h.Key(root, "main", h.Person(root, "main", "otto", "gatehouse-operator"), "*")
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	ra, _ := h.Key(root, "acme", h.Person(root, "acme", "rita", "realm-admin"), "*")
	for who, at := range map[string][2]string{"operator": {op, "main"}, "realm-admin": {ra, "acme"}} {
		for what, file := range map[string]any{
			"makes an administrator": map[string]any{"users": map[string]any{"eve": map[string]any{"roles": []any{"gatehouse-admin"}}}},
			"becomes one":            map[string]any{"users": map[string]any{"otto": map[string]any{"roles": []any{"gatehouse-admin"}}, "rita": map[string]any{"roles": []any{"gatehouse-admin"}}}},
			"takes one down":         map[string]any{"users": map[string]any{"ada": map[string]any{"roles": []any{}}}},
			"reaches inside": map[string]any{"trusted_issuers": map[string]any{"https://x.example": map[string]any{"issuer": "https://x.example",
				"audience": "us", "algorithms": []any{"ES256"}, "allow_private_address": true}}},
		} {
			if at[1] == "acme" && what != "reaches inside" {
				continue // that realm has no such role
			}
			before := len(h.Recorded())
			if r := h.Call(at[0], "POST", "/realms/"+at[1]+"/file/apply", map[string]any{"file": file}); r.Status != 403 {
				t.Errorf("%s %s: %d %s", who, what, r.Status, r.Body)
			}
			if got := h.Recorded()[before:]; len(got) != 1 || got[0].Kind != audit.KindAdminDenied {
				t.Errorf("%s %s: recorded %v", who, what, got)
			}
		}
	}
}

// TestRealmFileRules brings a schema together with the policies for it, and refuses
// rules that do not fit together, and a role that is built in.
func TestRealmFileRules(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	at := "/realms/acme/file/apply"
	rules := func(attribute string, of string) map[string]any {
		return map[string]any{"file": map[string]any{
			"schema": "entity User; entity Document = { " + attribute + ": String }; action \"read\" appliesTo { principal: [User], resource: [Document] };",
			"policies": map[string]any{"p": map[string]any{
				"text": "forbid (principal, action == Action::\"read\", resource is Document) when { resource." + of + " == \"x\" };"}},
		}}
	}
	h.Want(200, root, "POST", at, rules("team", "team"))
	h.Want(200, root, "POST", at, rules("owner", "owner")) // neither fits the other's half
	before := h.Want(200, root, "GET", "/realms/acme/file", nil).Str("fingerprint")
	h.Want(422, root, "POST", at, rules("team", "owner"))
	h.Want(403, root, "POST", at, map[string]any{"file": map[string]any{"roles": map[string]any{"realm-admin": map[string]any{}}}})
	h.Want(422, root, "POST", at, map[string]any{"file": map[string]any{"rolls": map[string]any{}}})
	if after := h.Want(200, root, "GET", "/realms/acme/file", nil).Str("fingerprint"); after != before {
		t.Error("refused rules left something behind")
	}
}
