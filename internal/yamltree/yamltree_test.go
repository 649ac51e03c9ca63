package yamltree_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

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
		"broken behind":  "a: 1\n---\n[b",
		"second, empty":  "a: 1\n---\n{}",
		"not UTF-8":      "a: \xff",
		"UTF-16":         "\xff\xfea\x00:\x00",
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

// TestPlaces: what is no YAML is told with its line, and nothing of it is quoted.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"a: b: hunter2":             "line 1: mapping values are not allowed in this context",
		"a: 1\nb: [hunter2":         "line 2: did not find expected ',' or ']'",
		"a: 1\nb:\n\tc: hunter2":    "line 3: found character that cannot start any token",
		"a: 1\nb: [hunter2, *nope]": "line 2, column 14: an alias of nothing that stands above: *nope",
		"a: 1\nb: é\xff":            "line 2, column 5: is not UTF-8",
		"a: 1\nb: \x1b[2J":          "line 2, column 4: a control character, which YAML cannot hold",
		"a: 1\n---\nb: 2":           "line 3, column 1: holds a second document; only one is read",
		strings.Repeat("[", 20_000): "line 1: nested deeper than 64",
	} {
		if _, err := yamltree.Document([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "---\n---\n"} {
		if n, err := yamltree.Document([]byte(text)); n != nil || err != nil {
			t.Errorf("%q: %v %v", text, n, err)
		}
	}
	// brackets in comments and texts open nothing
	if n, err := yamltree.Document([]byte(strings.Repeat("# from [0, 1)\n", 100) + "a: b\n---\n")); n == nil || err != nil {
		t.Errorf("%v %v", n, err)
	}
}

// TestWrite: what is written is read as it was.
func TestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ", "a\nb", "a\n", "\na", "a \nb", " a\nb", "a\n\n b\n\n", "\ta\nb",
			"yes", "NO", "12:30", "007", "1e3", "0x1f", "null", "~", "true", "- a", "a: b", "a #b", "{id}", "GET /a", "2026-11-27", "<<", "!x", "&x", "*x", "|", "a\r\nb", "\u0085", "\u2028", "\ufeff", "😀\n😀", "%", "@", "`", "---", "...", "? a", "a\n---\nb"}))
		want := any(text.Draw(t, "text"))
		for range rapid.IntRange(0, 3).Draw(t, "depth") {
			if rapid.Bool().Draw(t, "list") {
				want = []any{want, map[string]any{}, []any{}, nil, true, jsontext.Value("-1.5e3")}
			} else {
				want = map[string]any{text.Draw(t, "name"): want, "text": text.Draw(t, "other")}
			}
		}
		b, err := json.Marshal(want, json.Deterministic(true))
		if err != nil {
			t.Skip() // not UTF-8
		}
		out, err := yamltree.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := yamltree.Parse(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if got, err := json.Marshal(tree, json.Deterministic(true)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%s\nbecame %s %v\nby %s", b, got, err, out)
		}
	})
	got, err := yamltree.Write([]byte(`{"b":1,"a":{"text":"x\ny\n","list":[{"c":"yes","d":"007"},"users:read"]},"e":[],"f":{}}`))
	want := "b: 1\na:\n  text: |\n    x\n    y\n  list:\n    - c: \"yes\"\n      d: \"007\"\n    - users:read\ne: []\nf: {}\n"
	if err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
}
