package yamltree_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse/internal/yamltree"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"{scopes: [users:read, b]}":         `{"scopes":["users:read","b"]}`,
		"{users:read: Read users}":          `{"users:read":"Read users"}`,
		"a: [1, -2, 1.5, 1e3, 0x1f, 007]":   `{"a":[1,-2,1.5,1e3,"0x1f","007"]}`,
		"a: [true, False, on, yes, ~, '1']": `{"a":[true,false,"on","yes",null,"1"]}`,
		"a: 2026-11-27":                     `{"a":"2026-11-27"}`,
		"a: 12345678901234567890123":        `{"a":12345678901234567890123}`,
		"a: .inf":                           `{"a":".inf"}`,
		"a: &x {b: 1}\nc: *x\nd: {<<: *x}":  `{"a":{"b":1},"c":{"b":1},"d":{"b":1}}`,
	} {
		tree, err := yamltree.Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := json.Marshal(tree, json.Deterministic(true)); err != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for name, text := range map[string]string{
		"twice":          "a: 1\na: 2",
		"two documents":  "a: 1\n---\nb: 2",
		"empty":          "",
		"deep":           "a: " + strings.Repeat("[", 100_000),
		"itself":         "a: &a [*a]",
		"a list as name": "[a]: 1",
		"bad boolean":    "a: !!bool perhaps",
	} {
		if got, err := yamltree.Parse([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
