package factors_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
)

const (
	own  = "/realms/main/users/me/factors"
	bobs = "/realms/main/users/bob/factors"
)

func proof(code string) map[string]any {
	return map[string]any{"password": testadmin.Password, "code": code}
}

// app is an authenticator app of somebody. Each code works once, so each is of a later step than the one before:
// the clock of the app goes as far ahead as is allowed.
// app is an enrolled one, and the code that confirmed it.
type app struct{ id, secret, used string }

// login is a token of somebody who has logged in: with a second factor, a password alone is no credential.
func login(t *testing.T, h *testadmin.House, id string) string {
	t.Helper()
	p := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now()}
	tokens, err := h.Grants.Open(t.Context(), grant.Order{Realm: "main", Client: grant.FirstPartyClient}, p)
	if err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken.Reveal()
}

// add enrols an app; code proves another factor, where there is one.
func add(t *testing.T, h *testadmin.House, bob, code string) (a app, recovery []string) {
	t.Helper()
	begun := h.Want(201, bob, "POST", own+"/totp", proof(code))
	a = app{id: begun.Str("factor", "id"), secret: begun.Str("secret")}
	a.used = testtotp.Code(a.secret, time.Now())
	for _, part := range []string{"otpauth://totp/Gatehouse:bob?secret=" + a.secret + "&issuer=Gatehouse", "digits=6"} {
		if !strings.Contains(begun.Str("uri"), part) {
			t.Errorf("%s has no %s", begun.Str("uri"), part)
		}
	}
	if image := begun.Str("qr"); !strings.HasPrefix(image, "<svg xmlns=") || strings.Contains(image, a.secret) {
		t.Errorf("the image: %.200s", image)
	}
	done := h.Want(200, bob, "POST", own+"/"+a.id+"/confirm", map[string]any{"code": a.used})
	list, _ := done.JSON["recovery_codes"].([]any)
	for _, c := range list {
		recovery = append(recovery, c.(string))
	}
	return a, recovery
}

func kinds(h *testadmin.House, who string) (out []string) {
	for _, f := range h.Want(200, who, "GET", bobs, nil).JSON["items"].([]any) {
		f := f.(map[string]any)
		out = append(out, fmt.Sprint(f["kind"], " ", f["name"], " ", f["confirmed"], " ", f["codes_left"]))
	}
	return out
}

// TestFactorsOfOneself is the life of an app and of recovery codes: what proves the next change was not used before.
//
// ASVS: 6.5.1, 6.5.6
func TestFactorsOfOneself(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := login(t, h, h.Person(root, "main", "bob"))

	for name, body := range map[string]any{"no password": map[string]any{}, "a wrong one": map[string]any{"password": "wrong"}} {
		if r := h.Call(bob, "POST", own+"/totp", body); r.Status != 401 || r.Str("code") != "invalid_credentials" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	waiting := h.Want(201, bob, "POST", own+"/totp", proof(""))
	if got := kinds(h, bob); !slices.Equal(got, []string{"totp <nil> false <nil>"}) {
		t.Errorf("while it waits: %q", got)
	}
	if r := h.Call(bob, "POST", own+"/"+waiting.Str("factor", "id")+"/confirm", map[string]any{"code": "000000"}); r.Status != 422 || r.Str("code") != "input_invalid" {
		t.Errorf("confirmed by a wrong code: %d %s", r.Status, r.Body)
	}
	if r := h.Call(bob, "POST", own+"/recovery", proof("")); r.Status != 409 || r.Str("code") != "factor_missing" {
		t.Errorf("recovery codes for nothing: %d %s", r.Status, r.Body)
	}

	first, codes := add(t, h, bob, "")
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	if r := h.Call("bob:"+testadmin.Password, "GET", own, nil); r.Status != 401 || r.Str("code") != "second_factor_required" {
		t.Errorf("the password alone: %d %s", r.Status, r.Body)
	}
	if r := h.Call(bob, "POST", own+"/"+waiting.Str("factor", "id")+"/confirm", map[string]any{"code": testtotp.Code(waiting.Str("secret"), time.Now())}); r.Status != 404 {
		t.Errorf("the one that was replaced: %d %s", r.Status, r.Body)
	}
	if r := h.Call(bob, "POST", own+"/totp", proof("")); r.Status != 401 || r.Str("code") != "second_factor_required" {
		t.Errorf("a second one by the password alone: %d %s", r.Status, r.Body)
	}
	if r := h.Call(bob, "POST", own+"/totp", proof(first.used)); r.Status != 401 || r.Str("code") != "second_factor_invalid" {
		t.Errorf("a code that was used: %d %s", r.Status, r.Body)
	}
	second, more := add(t, h, bob, codes[0])
	if len(more) != 0 {
		t.Error("another set of recovery codes, unasked")
	}
	if r := h.Call(bob, "POST", own+"/recovery", proof(codes[0])); r.Status != 401 || r.Str("code") != "second_factor_invalid" {
		t.Errorf("a recovery code that was used: %d %s", r.Status, r.Body)
	}
	h.Want(200, bob, "PATCH", own+"/"+second.id, map[string]any{"name": "old telephone"})
	if got := kinds(h, root); !slices.Contains(got, "totp old telephone true <nil>") || !slices.Contains(got, "recovery <nil> true 9") || len(got) != 3 {
		t.Errorf("%q", got)
	}
	fresh := h.Want(200, bob, "POST", own+"/recovery", proof(strings.ToUpper(codes[1])))
	if r := h.Call(bob, "POST", own+"/"+second.id+"/remove", proof(codes[2])); r.Status != 401 {
		t.Errorf("a recovery code of the set before: %d %s", r.Status, r.Body)
	}
	h.Want(204, bob, "POST", own+"/"+second.id+"/remove", proof(testtotp.Code(first.secret, time.Now().Add(30*time.Second))))
	if me := h.Want(200, bob, "GET", "/realms/main/users/me", nil); me.JSON["second_factor"] != true {
		t.Errorf("%s", me.Body)
	}
	h.Want(204, bob, "POST", own+"/"+first.id+"/remove", proof(fresh.JSON["codes"].([]any)[0].(string)))
	if got := kinds(h, root); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	if me := h.Want(200, bob, "GET", "/realms/main/users/me", nil); me.JSON["second_factor"] != false {
		t.Errorf("%s", me.Body)
	}
	for kind, n := range map[string]int{"factor.begin": 3, "factor.add": 2, "factor.update": 1, "factor.codes": 1, "factor.remove": 2, "factor.use": 4} {
		if got := h.Events(root, kind); len(got) != n {
			t.Errorf("%d events %s, want %d", len(got), kind, n)
		}
	}
	for _, e := range h.Recorded() {
		if text := fmt.Sprint(e); strings.Contains(text, first.secret) || slices.ContainsFunc(codes, func(c string) bool { return strings.Contains(text, c) }) {
			t.Errorf("an event holds a secret: %v", e)
		}
	}
}

// TestFactorsOfOthers: whoever administers sees which there are and removes them, and neither adds nor proves for others; a
// key of the person, which may have leaked, changes nothing.
//
// ASVS: 6.5.6
func TestFactorsOfOthers(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := login(t, h, h.Person(root, "main", "bob"))
	h.Person(root, "main", "otto", "gatehouse-operator")
	first, codes := add(t, h, bob, "")
	key, _ := h.Key(root, "main", "bob", "*")
	for name, c := range map[string]struct{ who, code string }{"an administrator": {root, "factor_own_only"}, "the person's key": {key, "login_required"}} {
		for _, path := range []string{"/totp", "/recovery", "/" + first.id + "/confirm"} {
			body := proof(codes[0])
			if strings.HasSuffix(path, "confirm") {
				body = map[string]any{"code": "123456"}
			}
			if r := h.Call(c.who, "POST", bobs+path, body); r.Status != 403 || r.Str("code") != c.code {
				t.Errorf("%s, %s: %d %s", name, path, r.Status, r.Body)
			}
		}
	}
	if r := h.Call(key, "POST", bobs+"/"+first.id+"/remove", proof(codes[0])); r.Status != 403 || r.Str("code") != "login_required" {
		t.Errorf("removed by a key: %d %s", r.Status, r.Body)
	}
	if r := h.Call("otto:"+testadmin.Password, "GET", "/realms/main/users/root/factors", nil); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := h.Call(bob, "GET", "/realms/main/users/root/factors", nil); r.Status != 403 {
		t.Errorf("bob reads those of others: %d %s", r.Status, r.Body)
	}
	h.Want(404, root, "POST", bobs+"/fac_none/remove", map[string]any{})
	h.Want(204, "otto:"+testadmin.Password, "POST", bobs+"/"+first.id+"/remove", map[string]any{})
	if got := kinds(h, root); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestGuessedCode: a right password before each guess forgives no wrong code.
//
// ASVS: 6.3.1
func TestGuessedCode(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	bob := login(t, h, h.Person(root, "main", "bob"))
	add(t, h, bob, "")
	statuses := map[int]int{}
	for n := range 40 {
		statuses[h.Call(bob, "POST", own+"/totp", proof(fmt.Sprintf("%06d", n))).Status]++
	}
	if statuses[401] > 21 || statuses[429] < 19 || len(statuses) != 2 {
		t.Errorf("answers: %v", statuses)
	}
	throttled := 0
	for _, e := range h.Recorded() {
		if e.Kind == "factor.throttled" && e.Reason == "too_many_attempts" && e.Target.ID != "" {
			throttled++
		}
	}
	if throttled != statuses[429] {
		t.Errorf("%d events of %d", throttled, statuses[429])
	}
}
