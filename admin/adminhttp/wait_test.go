package adminhttp_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// TestWait: a change that asks to wait is answered when it is known who knows of it, with what
// the operation answers inside; the change stands, whatever is known.
func TestWait(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "bob")
	for outcome, c := range map[string]struct {
		proof  peers.Proof
		status int
	}{
		"proven": {peers.Proof{Took: 5 * time.Millisecond, Nodes: []peers.Told{{ID: "node_1", About: peers.About{Host: "h", MaxStaleness: time.Second}, Self: true, State: peers.Confirmed},
			{ID: "node_2", State: peers.Silent, After: 6 * time.Second}, {ID: "node_3", State: peers.Left}}}, 200},
		"pending": {peers.Proof{Nodes: []peers.Told{{ID: "node_1", State: peers.Confirmed}, {ID: "node_2", State: peers.Pending}}}, 202},
		"failed":  {peers.Proof{Failed: "the database is away"}, 202},
	} {
		var atMost time.Duration
		var made bool
		h.Waits(func(_ context.Context, d time.Duration) peers.Proof {
			atMost, made = d, h.Call(root, "GET", "/realms/main/users/"+outcome, nil).Status == 200
			return c.proof
		})
		r := h.Want(c.status, root, "POST", "/realms/main/users?wait=nodes&wait_for=3s", map[string]any{"username": outcome, "roles": []string{}})
		if r.Header.Get("Content-Type") != adminhttp.WaitType || r.Str("wait", "outcome") != outcome || r.Str("answer", "user", "username") != outcome || r.JSON["status"] != 201.0 ||
			r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", outcome, r.Header, r.Body)
		}
		if atMost != 3*time.Second || !made {
			t.Errorf("%s: waits for %v, and the change was made before: %v", outcome, atMost, made)
		}
		wait := r.JSON["wait"].(map[string]any)
		if len(wait["nodes"].([]any)) != len(c.proof.Nodes) || len(wait["outside"].([]any)) != 1 || r.Str("wait", "reason") != c.proof.Failed {
			t.Errorf("%s: %s", outcome, r.Body)
		}
	}
	// What has no body has a proof.
	h.Waits(nil)
	r := h.Want(200, root, "POST", "/realms/main/users/bob/revoke?wait=nodes", nil)
	if _, has := r.JSON["answer"]; has || r.Str("wait", "outcome") != "proven" || r.JSON["status"] != 204.0 {
		t.Errorf("%s", r.Body)
	}
	h.Want(204, root, "POST", "/realms/main/users/bob/revoke", nil)
}

// TestWaitIsForChanges: what changes nothing takes no wait, what is refused does not wait, and
// what is asked for must be clear.
func TestWaitIsForChanges(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Waits(func(context.Context, time.Duration) peers.Proof { t.Error("it waits"); return peers.Proof{} })
	for path, d := range openapi(t).Paths {
		for method, op := range d {
			takes := slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == "wait_for" })
			for status, answer := range op.Responses { // a second type would be in each client
				if strings.Contains(string(answer), adminhttp.WaitType) {
					t.Errorf("%s %s: %s is of two types", method, path, status)
				}
			}
			asks := method == "get" || op.Security == nil || len(op.Security) == 0
			for _, id := range []string{"inspect-token", "verify-token", "verify-log", "decide", "plan-realm", "backup", "reload-config"} {
				asks = asks || op.ID == id
			}
			if takes == asks {
				t.Errorf("%s %s takes wait: %v", method, path, takes)
			}
		}
	}
	for path, field := range map[string]string{
		"?wait=": "query.wait", "?wait=all": "query.wait", "?wait=nodes&wait=nodes": "query.wait", "?wait_for=1s": "query.wait", "?wait=Nodes": "query.wait",
		"?wait=nodes&wait_for=": "query.wait_for", "?wait=nodes&wait_for=31s": "query.wait_for", "?wait=nodes&wait_for=0s": "query.wait_for", "?wait=nodes&wait_for=-1s": "query.wait_for",
		"?wait=nodes&wait_for=1s&wait_for=1s": "query.wait_for", "?wait=nodes&wait_for=soon": "query.wait_for",
	} {
		r := h.Call(root, "POST", "/realms/main/users/root/revoke"+path, nil)
		if r.Status != 422 || r.Str("fields", field) == "" {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	h.Want(422, root, "GET", "/realms/main/users?wait=nodes", nil)
	h.Want(422, root, "POST", "/realms/main/tokens/inspect?wait=nodes", map[string]any{"token": "x.y.z"})
	h.Want(404, root, "POST", "/realms/main/users/none/revoke?wait=nodes", nil)
	h.Want(422, root, "POST", "/realms/main/users/root/revoke?wait=nodes&more=1", nil)
	h.Want(401, "", "POST", "/realms/main/users/root/revoke?wait=nodes", nil)
}

// TestVerdicts: a panic has each node asked about what it ended, and an answer by which one of
// them lets it in is no proof.
func TestVerdicts(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	id := h.Person(root, "main", "bob")
	_, key := h.Key(root, "main", "bob", "*")
	for outcome, c := range map[string]struct {
		verdict peers.Verdict
		status  int
	}{"proven": {peers.Verdict{Refused: true, Reason: "key_revoked"}, 200}, "failed": {peers.Verdict{}, 202}} {
		h.Waits(func(context.Context, time.Duration) peers.Proof {
			return peers.Proof{Nodes: []peers.Told{{ID: "node_1", State: peers.Confirmed, Verdicts: []peers.Verdict{{Refused: true}}},
				{ID: "node_2", State: peers.Confirmed, Verdicts: []peers.Verdict{c.verdict}}, {ID: "node_3", State: peers.Silent}}}
		})
		r := h.Want(c.status, root, "POST", "/realms/main/keys/"+key+"/panic?wait=nodes", nil)
		nodes, _ := r.JSON["wait"].(map[string]any)["nodes"].([]any)
		verdicts, _ := nodes[1].(map[string]any)["verdicts"].([]any)
		if len(verdicts) != 1 || r.Str("wait", "outcome") != outcome || (r.Str("wait", "reason") != "") != (outcome == "failed") {
			t.Fatalf("%s", r.Body)
		}
		got := verdicts[0].(map[string]any)
		if got["kind"] != "key" || got["id"] != key || got["refused"] != c.verdict.Refused || outcome == "proven" && got["reason"] != "key_revoked" {
			t.Errorf("%s", r.Body)
		}
	}
	h.Waits(nil)
	h.Key(root, "main", "bob", "*")
	h.Want(200, root, "POST", "/realms/main/users/bob/panic?wait=nodes", nil)
	if asked := h.Asked(); len(asked) != 2 || asked[0].Kind != "user" || asked[0].Subject != id || asked[0].Issued == 0 || asked[1].Kind != peers.KindKey {
		t.Errorf("%+v", asked)
	}
	h.Want(200, root, "PATCH", "/realms/main/users/bob?wait=nodes", map[string]any{"disabled": false})
	if asked := h.Asked(); len(asked) != 0 {
		t.Errorf("what ends nothing asks %+v", asked)
	}
	h.Want(200, root, "POST", "/realms/main/clients/some-app/panic?wait=nodes", nil)
	if asked := h.Asked(); len(asked) != 1 || asked[0].Client != "some-app" || asked[0].Subject != "" || asked[0].Issued == 0 {
		t.Errorf("%+v", asked)
	}
	for range peers.MaxQuestions { // many keys leave room for others, and the bound holds
		h.Key(root, "main", "bob", "*")
	}
	h.Want(200, root, "POST", "/realms/main/users/bob/panic?wait=nodes", nil)
	if asked := h.Asked(); len(asked) != 1+peers.MaxQuestions/2 {
		t.Errorf("%d questions", len(asked))
	}
}
