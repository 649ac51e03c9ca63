package config

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// everyKey visits each key once, with the type of its values.
func everyKey(t reflect.Type, path string, visit func(path string, t reflect.Type, k key)) {
	for _, k := range keysOf(t) {
		ft := t.FieldByIndex(k.index).Type
		visit(join(path, k.name), ft, k)
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice || ft.Kind() == reflect.Map {
			ft = ft.Elem()
		}
		if shapeOf(ft) == shapeGroup {
			everyKey(ft, join(path, k.name), visit)
		}
	}
}

// TestEveryKeyIsComplete: each key says what it does, and its default and bounds
// are values that it takes. Whoever adds one with a mistake in its tags sees it
// here and not at a start.
func TestEveryKeyIsComplete(t *testing.T) {
	n := 0
	everyKey(reflect.TypeFor[Config](), "", func(path string, ft reflect.Type, k key) {
		n++
		if doc := k.tag.Get("doc"); len(doc) < 8 || !strings.HasSuffix(doc, ".") {
			t.Errorf("%s: doc %q is no sentence", path, doc)
		}
		if strings.ToLower(k.name) != k.name || strings.ContainsAny(k.name, "-. ") {
			t.Errorf("%s: keys are words with _ between them", path)
		}
		for _, tag := range []string{"required", "secret"} {
			if v, ok := k.tag.Lookup(tag); ok && v != "true" {
				t.Errorf("%s: %s is %q", path, tag, v)
			}
		}
		switch k.tag.Get("reload") {
		case "", reloadLive, reloadRestart, reloadReplace:
		default:
			t.Errorf("%s: no reload %q", path, k.tag.Get("reload"))
		}
		switch k.tag.Get("form") {
		case "", "base_url", "host_port", "network", "path":
		default:
			t.Errorf("%s: no form %q", path, k.tag.Get("form"))
		}
		for _, tag := range []string{"default", "minimum", "maximum"} {
			text := k.tag.Get(tag)
			if text == "" {
				continue
			}
			v := reflect.New(ft).Elem()
			if err := setText(v, text); err != nil {
				t.Errorf("%s: %s: %v", path, tag, err)
				continue
			}
			if tag == "default" {
				k.check(v, path, func(path string, err error) { t.Errorf("%s: default %q: %v", path, text, err) })
			}
		}
	})
	if n < 60 {
		t.Errorf("found only %d keys: the search is broken", n)
	}
}

// TestReferenceIsCurrent: docs/configuration.md is what the program prints.
func TestReferenceIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != Reference() {
		t.Error("write it anew: go run ./cmd/gatehouse config reference > docs/configuration.md")
	}
	everyKey(reflect.TypeFor[Config](), "", func(path string, _ reflect.Type, k key) {
		if !strings.Contains(string(page), "| `"+k.name+"` |") {
			t.Errorf("the page lacks %s", path)
		}
	})
}

// TestSchema: editors are told every key, with what its tags say, and nothing
// that is no key.
func TestSchema(t *testing.T) {
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	at := func(path ...string) map[string]any {
		s := root
		for _, name := range path {
			s, _ = s[name].(map[string]any)
		}
		if s == nil {
			t.Fatalf("the schema lacks %v", path)
		}
		return s
	}
	properties := at("properties")
	if properties["Now"] != nil || properties["-"] != nil {
		t.Error("the schema lists the clock, which is no setting")
	}
	if root["additionalProperties"] != false {
		t.Error("unknown keys are good for the schema")
	}
	queue := at("properties", "audit", "properties", "queue")
	if queue["minimum"] != 16.0 || queue["maximum"] != 1048576.0 || queue["default"] != 8192.0 || queue["type"] != "integer" {
		t.Errorf("audit.queue %v", queue)
	}
	route := at("properties", "routes", "items", "properties")
	if timeout := route["timeout"].(map[string]any); timeout["type"] != "string" || timeout["pattern"] == nil {
		t.Errorf("a duration is %v", timeout)
	}
	if required := at("properties", "routes", "items")["required"]; !reflect.DeepEqual(required, []any{"match"}) {
		t.Errorf("a route needs %v", required)
	}
}

// TestDefaults: a key that is absent has its default, in the elements of lists
// too, and one that is there keeps its value, 0 included.
func TestDefaults(t *testing.T) {
	c, err := Parse([]byte(goodConfig), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Audit.Queue != 8192 || c.Log.Level != "info" || c.Limits.Tokens.Limit != 600 || c.Limits.Tokens.Window != time.Minute ||
		c.MasterKeyFile != "d/master.key" || c.Routes[0].Realm != "main" || c.Routes[0].Environment != "live" {
		t.Errorf("%+v", c)
	}
	_, err = Parse([]byte(goodConfig+"audit: {queue: 0}\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "audit.queue: 16 to 1048576") {
		t.Errorf("a queue of 0: %v", err)
	}
	if _, err := Parse([]byte(goodConfig), []string{"GATEHOUSE_AUDIT_QUEUE=0"}); err == nil {
		t.Error("a queue of 0 from the environment is taken")
	}
	var empty Config
	empty.FillDefaults()
	if empty.Data != "data" || empty.Passwords.Queue != 64 || empty.Store.Driver != "sqlite" {
		t.Errorf("%+v", empty)
	}
}
