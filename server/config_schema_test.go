package server

import (
	"encoding/json"
	"testing"
)

func TestConfigSchemaIsJSON(t *testing.T) {
	b, err := ConfigSchema()
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	defs := v["$defs"].(map[string]any)
	cfg := defs["Config"].(map[string]any)["properties"].(map[string]any)
	for _, want := range []string{"issuer", "listen", "routes", "upstreams", "trusted_proxies"} {
		if cfg[want] == nil {
			t.Errorf("schema lacks %s", want)
		}
	}
	if cfg["Now"] != nil || cfg["-"] != nil {
		t.Error("the schema lists the clock, which is no setting")
	}
	timeout := defs["Route"].(map[string]any)["properties"].(map[string]any)["timeout"].(map[string]any)
	if timeout["type"] != "string" {
		t.Errorf("a duration is %v", timeout)
	}
}
