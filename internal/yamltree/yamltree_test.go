package yamltree_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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

func TestLine(t *testing.T) {
	const document = "# head\na:\n  b: 1\n  c/d~: |\n    x\n    y\n  e: [1,\n    2]\nf: {g: 1,\n  h: 2}\n"
	for pointer, want := range map[jsontext.Pointer]int{"": 2, "/a": 2, "/a/b": 3, "/a/c~1d~0": 4, "/a/e": 7, "/a/e/0": 7, "/a/e/1": 8, "/a/e/2": 7,
		"/f/g": 9, "/f/h": 10, "/f/h/i": 10, "/a/none/x": 2, "/zzz": 2} {
		if got := yamltree.Line([]byte(document), pointer); got != want {
			t.Errorf("%s: line %d, want %d", pointer, got, want)
		}
	}
	for _, broken := range []string{"", "a: [", strings.Repeat("[", 1000)} {
		if got := yamltree.Line([]byte(broken), "/a"); got != 0 {
			t.Errorf("%.10q: line %d", broken, got)
		}
	}
}
