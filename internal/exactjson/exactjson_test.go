package exactjson

import (
	"encoding/json"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

func TestNumbers(t *testing.T) {
	const in = `{"a":1234567890123456789,"b":[1.0,1e3,-0],"c":{"d":0.10,"e":9223372036854775808},"f":"1","g":null,"h":true}`
	got, err := Object([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": int64(1234567890123456789), "b": []any{int64(1), int64(1000), int64(0)},
		"c": map[string]any{"d": decimal.Number("0.1"), "e": decimal.Number("9223372036854775808")}, "f": "1", "g": nil, "h": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	one, err1 := json.Marshal(got)
	two, err2 := jsonv2.Marshal(got, jsonv2.Deterministic(true))
	if err1 != nil || err2 != nil || string(one) != string(two) || !strings.Contains(string(two), `"a":1234567890123456789`) ||
		!strings.Contains(string(two), `"d":0.1`) {
		t.Fatalf("written as %s and %s: %v, %v", one, two, err1, err2)
	}
	var f struct{ X float64 }
	if err := Unmarshal([]byte(`{"X":1}`), &f); err == nil {
		t.Error("a number was read into a float64")
	}
}

func TestRefused(t *testing.T) {
	for _, in := range []string{`{"a":1,"a":2}`, `{"a":1} 2`, "{\"a\":\"\xff\"}", `{"a":1e99999}`, `{"a":01}`, `{"a":NaN}`, `null`, `[]`, ``} {
		if got, err := Object([]byte(in)); err == nil {
			t.Errorf("%s was read as %v", in, got)
		}
	}
	var v struct {
		Disabled bool `json:"disabled"`
	}
	for _, name := range []string{"Disabled", "DISABLED", "di\\u017fabled", "dis-abled", "dis_abled"} {
		if err := Unmarshal([]byte(`{"`+name+`":true}`), &v, Strict()); err == nil || v.Disabled {
			t.Errorf("%s was read as %v, %v", name, v, err)
		}
	}
}
