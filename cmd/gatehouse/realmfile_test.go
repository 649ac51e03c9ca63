package main

import (
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/testrealm"
)

// TestRealmFileText: what is written as YAML is read as it was, to the byte of its JSON.
func TestRealmFileText(t *testing.T) {
	inYAML := 0
	rapid.Check(t, func(t *rapid.T) {
		want, err := json.Marshal(testrealm.Draw(t), json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		file, err := exactjson.Object(want)
		if err != nil {
			t.Fatal(err)
		}
		text, err := realmYAML("drawn", file)
		if err != nil {
			t.Fatal(err)
		}
		if text[0] == '#' {
			inYAML++
		}
		f, err := readRealmFile(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got, err := json.Marshal(f, json.Deterministic(true)); err != nil || string(got) != string(want) {
			t.Fatalf("%v: read\n%s\nof\n%s\nwhich is\n%s", err, got, want, text)
		}
	})
	if inYAML == 0 {
		t.Error("no realm could be written as YAML")
	}
	t.Logf("%d were written as YAML", inYAML)
}

func TestRealmFileFaults(t *testing.T) {
	for text, want := range map[string]string{
		"roles: {}\npolices: {}":                                 "line 2: /polices is not known; did you mean policies?",
		"users:\n  ada:\n    roles: []\n    rolls: []":           "line 4: /users/ada/rolls is not known; did you mean roles?",
		"settings:\n  acces_token_ttl: 5m":                       "line 2: /settings/acces_token_ttl is not known; did you mean access_token_ttl?",
		"roles:\n  a:\n    permissions:\n      - action: [read]": "line 4: /roles/a/permissions/0/action is not known; did you mean actions?",
		"trusted_issuers:\n  x: {Issuer: x}":                     "line 2: /trusted_issuers/x/Issuer is not known; did you mean issuer?",
		"{\n\"zzz\": 1}":                                         "line 2: /zzz is not known",
		"roles:\n  a: {parents: 7}":                              "line 2: /roles/a/parents is not of the kind that is expected there",
		"settings:\n  access_token_ttl: soon":                    "line 2: /settings/access_token_ttl " + "must be written otherwise: " + duration.Form,
		"password: x":                                            "line 1: /password is not known",
	} {
		if _, err := readRealmFile([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	refused := gatehouse.E(gatehouse.Unprocessable, "x", "X")
	refused.Fields = map[string]string{"/users/ada/roles": "no", "file.users.ada.kind": "no", "reason": "no"}
	err := withLines([]byte("users:\n  ada:\n    kind: robot\n    roles: []"), refused)
	if got := err.(*gatehouse.Error).Fields; got["/users/ada/roles"] != "no (line 4)" || got["file.users.ada.kind"] != "no (line 3)" || got["reason"] != "no" {
		t.Errorf("%v", got)
	}
}
