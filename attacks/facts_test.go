package attacks_test

import (
	"fmt"
	"testing"
)

// TestFactsReachPolicies: a rule about the request applies at every enforcement
// point. A fact that nobody supplied would leave such a rule without effect.
//
// ASVS: 8.2.4
func TestFactsReachPolicies(t *testing.T) {
	w := the(t)
	owner := w.person(t, "main", "user")
	path := w.document(t, owner, "private")
	ways := map[string]func() int{
		"gateway": func() int { return call(t, "GET", w.Gateway+path, "bearer", owner.key).status },
		"nginx": func() int {
			return call(t, "GET", w.Gateway+"/.gatehouse/auth/nginx", "bearer", owner.key, "X-Original-Method", "GET", "X-Original-Uri", path, "X-Original-Host", "h").status
		},
		"caddy": func() int {
			return call(t, "GET", w.Gateway+"/.gatehouse/auth/caddy", "bearer", owner.key, "X-Forwarded-Method", "GET", "X-Forwarded-Uri", path, "X-Forwarded-Host", "h").status
		},
	}
	for name, condition := range map[string]string{
		"method":        `context.method == "GET"`,
		"path":          fmt.Sprintf(`context.path == %q`, path),
		"time":          `context.time > datetime("2020-01-01")`,
		"address":       `context.address.isLoopback()`,
		"scheme":        `context.scheme == "api_key"`,
		"scopes":        `context.scopes.contains("*")`,
		"environment":   `context.environment == "live"`,
		"authenticated": `context.authenticated`,
	} {
		t.Run(name, func(t *testing.T) {
			for way, status := range ways {
				if got := status(); got != 200 {
					t.Fatalf("%s, without the rule: %d", way, got)
				}
			}
			text := fmt.Sprintf(`forbid (principal == User::%q, action, resource) when { context has %s && %s };`, owner.id, name, condition)
			w.admin(t, "PUT", "/realms/main/policies/facts", object{"text": text}, 200)
			defer w.admin(t, "DELETE", "/realms/main/policies/facts", nil, 204)
			for way, status := range ways {
				if got := status(); got != 403 && got != 404 {
					t.Errorf("%s, against the rule: %d", way, got)
				}
			}
		})
	}
	// What no request has is told, instead of being stored without effect.
	a := w.admin(t, "PUT", "/realms/main/policies/facts", object{"text": `forbid (principal, action, resource) when { context has tenant };`}, 422)
	if a.code() != "policy_invalid" {
		t.Errorf("%s", a.body)
	}
}

// TestSimulation: an answer about a simulated request rests on the facts that it
// names, and on nothing of the operator's own request.
func TestSimulation(t *testing.T) {
	w := the(t)
	owner := w.person(t, "main", "user")
	w.admin(t, "PUT", "/realms/main/policies/simulated", object{"text": fmt.Sprintf(
		`forbid (principal == User::%q, action, resource) when { context has address && context.address.isInRange(ip("8.8.8.0/24")) };`, owner.id)}, 200)
	defer w.admin(t, "DELETE", "/realms/main/policies/simulated", nil, 204)
	ask := func(context object, status int) answer {
		return w.admin(t, "POST", "/realms/main/decisions", object{"principal": owner.id, "action": "read",
			"resource": object{"type": "Document", "id": "x", "attributes": object{"visibility": "public"}}, "context": context}, status)
	}
	if a := ask(object{"address": "8.8.8.8"}, 200); a.json["allowed"] != false {
		t.Errorf("a simulated address did not count: %s", a.body)
	}
	// The operator asks from the loopback address; the caller's is not known.
	w.admin(t, "PUT", "/realms/main/policies/simulated", object{"text": fmt.Sprintf(
		`forbid (principal == User::%q, action, resource) when { context has address && context.address.isLoopback() };`, owner.id)}, 200)
	if a := ask(nil, 200); a.json["allowed"] != true {
		t.Errorf("the operator's address counted: %s", a.body)
	}
	for name, context := range map[string]object{"unknown": {"tenant": "a"}, "wrong form": {"address": "house"}, "wrong type": {"time": 1}, "letter case": {"Method": "GET"}} {
		if a := ask(context, 422); a.code() != "input_invalid" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}
