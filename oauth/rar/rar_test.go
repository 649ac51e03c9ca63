package rar

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
)

func types() []gatehouse.DetailType {
	return []gatehouse.DetailType{
		{Type: "payment", Description: "Make a payment", Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["amount","creditor"],"properties":{
			"amount":{"type":"object","additionalProperties":false,"required":["value","currency"],"properties":{"value":{"type":"string","pattern":"^[0-9]+(\\.[0-9]{2})?$"},"currency":{"enum":["EUR","USD"]}}},
			"creditor":{"type":"string","maxLength":70}}}`), Compare: map[string]string{"amount.value": "at_most"}},
		{Type: "files", Description: "Use your files", Remember: true, Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"actions":{"type":"array","items":{"enum":["read","write","share"]}},
			"depth":{"type":"integer","maximum":9},"least":{"type":"number"},"locations":{"type":"array","items":{"type":"string"}}}}`), Compare: map[string]string{"actions": "subset", "depth": "at_most", "least": "at_least"}},
		{Type: "odd", Description: "x", Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"integer"}}}`), Compare: map[string]string{"a": "whatever"}},
	}
}

// TestRead: what is asked for is of a type that there is and that the client may have, as the type demands, and nothing else (RFC 9396 §5).
func TestRead(t *testing.T) {
	for _, known := range types()[:2] {
		if err := Check(known); err != nil {
			t.Fatal(err)
		}
	}
	var r Reader
	const good = `{"type":"payment","amount":{"value":"12.50","currency":"EUR"},"creditor":"A"}`
	for text, want := range map[string]string{
		`[` + good + `]`: `[{"amount":{"currency":"EUR","value":"12.50"},"creditor":"A","type":"payment"}]`,
		`[` + good + `, {"creditor" :"A","type":"payment","amount":{"currency":"EUR","value":"12.50"}}]`: `[{"amount":{"currency":"EUR","value":"12.50"},"creditor":"A","type":"payment"}]`,
		`[{"type":"files","depth":3}]`:    `[{"depth":3,"type":"files"}]`,
		`[{"type":"files","least":0.10}]`: `[{"least":0.10,"type":"files"}]`,
		``:                                ``, `[]`: "-", `{}`: "-", good: "-", `["payment"]`: "-", `[null]`: "-", `[{}]`: "-", `[{"type":1}]`: "-", `[{"type":"else"}]`: "-", `[{"type":"odd"}]`: "-", `[{"type":""}]`: "-",
		`[{"type":"files","more":1}]`: "-", `[{"type":"files","type":"files"}]`: "-", `[{"type":"files","depth":"3"}]`: "-", `[{"type":"files","depth":10}]`: "-",
		`[{"type":"files","depth":1e0}]`: "-", `[{"type":"files","least":1e999999999}]`: "-", `[{"type":"files","least":` + strings.Repeat("1", 41) + `}]`: "-",
		`[{"type":"payment","creditor":"A"}]`: "-", strings.Replace(`[`+good+`]`, `"EUR"`, `"GBP"`, 1): "-", strings.Replace(`[`+good+`]`, `"EUR"`, `"EUR","x":1`, 1): "-",
		`[` + good: "-", `[` + good + `]]`: "-", "[" + strings.Repeat(`{"type":"files"},`, 10) + `{"type":"files"}]`: "-", `[{"type":"files","locations":["` + strings.Repeat("x", 8192) + `"]}]`: "-",
		"[{\"type\":\"files\",\"locations\":[\"\xff\"]}]": "-",
	} {
		got, err := r.Read(types(), []string{"payment", "files"}, text)
		if want == "-" {
			if gatehouse.CodeOf(err) != "invalid_authorization_details" || got != nil {
				t.Errorf("%.100s: %s %v", text, got, err)
			}
		} else if err != nil || string(got.JSON()) != want {
			t.Errorf("%.100s: %s %v", text, got.JSON(), err)
		}
	}
	if _, err := r.Read(types(), nil, `[{"type":"files"}]`); err == nil {
		t.Error("a client may what it is not registered for")
	}
}

// TestWithin: one detail is no wider than another by the rules of its type, and by nothing else.
func TestWithin(t *testing.T) {
	var r Reader
	read := func(text string) gatehouse.Details {
		t.Helper()
		d, err := r.Read(types(), []string{"payment", "files", "odd"}, "["+text+"]")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	pay := func(value, currency, to string) string {
		return `{"type":"payment","amount":{"value":"` + value + `","currency":"` + currency + `"},"creditor":"` + to + `"}`
	}
	have := read(pay("100.00", "EUR", "A") + "," + `{"type":"files","actions":["read","write"],"depth":3,"least":2},{"type":"odd","a":1}`)
	for text, within := range map[string]bool{
		pay("100.00", "EUR", "A"): true, pay("99.99", "EUR", "A"): true, pay("100", "EUR", "A"): true, pay("9", "EUR", "A"): true, pay("100.01", "EUR", "A"): false, pay("1000", "EUR", "A"): false,
		pay("1", "USD", "A"): false, pay("1", "EUR", "B"): false,
		`{"type":"files","actions":["read"],"depth":3,"least":2}`: true, `{"type":"files","actions":["write","read"],"depth":0,"least":5}`: true, `{"type":"files","actions":[],"depth":3,"least":2}`: false,
		`{"type":"files","actions":["read","share"],"depth":3,"least":2}`: false, `{"type":"files","actions":["read"],"depth":4,"least":2}`: false, `{"type":"files","actions":["read"],"depth":3,"least":1}`: false,
		`{"type":"files","depth":3,"least":2}`: false, `{"type":"files","actions":["read"],"depth":3}`: false, `{"type":"files"}`: false,
		`{"type":"files","actions":["read"],"depth":3,"least":2,"locations":["x"]}`: false, `{"type":"odd","a":1}`: false, `{"type":"odd"}`: false,
	} {
		if got := Within(types(), read(text), have); got != within {
			t.Errorf("%s: %t", text, got)
		}
	}
	two := read(pay("100.00", "EUR", "A") + "," + pay("50.00", "EUR", "A"))
	if !Within(types(), read(pay("50.00", "EUR", "A")+","+pay("60.00", "EUR", "A")), two) || !Within(types(), read(pay("60.00", "EUR", "A")+","+pay("50.00", "EUR", "A")), two) || !Within(types(), two, two) {
		t.Error("each of two within another one")
	}
	if Within(types(), read(pay("60.00", "EUR", "A")+","+pay("60.01", "EUR", "A")), two) || Within(types(), read(pay("1.00", "EUR", "A")+","+pay("2.00", "EUR", "A")), have) {
		t.Error("two payments within one")
	}
	if Within(types(), read(pay("1", "EUR", "A")+","+pay("1", "EUR", "B")), have) || Within(types(), read(`{"type":"files"}`), nil) || Within(nil, have[:1], have) {
		t.Error("one of two, something of nothing, or a type that is gone")
	}
	if s := Still(types()[:1], []string{"payment", "files"}, have); len(s) != 1 || len(Still(types(), nil, have)) != 0 {
		t.Errorf("%v", s)
	}
	if k := Kept(types(), have); len(k) != 1 || typeName(k[0]) != "files" {
		t.Errorf("%v", k)
	}
	if w := Tell(types(), have[:1]); len(w) != 1 || w[0].Description != "Make a payment" || len(w[0].Members) != 3 || w[0].Members[1] != (Member{"amount.value", "100.00"}) {
		t.Errorf("%+v", w)
	}
}

// TestCheck: a type names what it admits, leads nowhere, and has rules that there are.
func TestCheck(t *testing.T) {
	good := types()[1]
	good.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"$defs":{"a":{"type":"integer"}},"properties":{"a":{"type":"array","items":{"oneOf":[{"const":{"b":1}},{"$ref":"#/$defs/a"}]}}}}`)
	if err := Check(good); err != nil {
		t.Error(err)
	}
	good = types()[1]
	for name, change := range map[string]func(d *gatehouse.DetailType){
		"no name":    func(d *gatehouse.DetailType) { d.Type = "" },
		"a space":    func(d *gatehouse.DetailType) { d.Type = "a b" },
		"no words":   func(d *gatehouse.DetailType) { d.Description = "" },
		"two lines":  func(d *gatehouse.DetailType) { d.Description = "a\nb" },
		"no schema":  func(d *gatehouse.DetailType) { d.Schema = nil },
		"no object":  func(d *gatehouse.DetailType) { d.Schema = json.RawMessage(`true`) },
		"any member": func(d *gatehouse.DetailType) { d.Schema = json.RawMessage(`{"type":"object"}`) },
		"any type":   func(d *gatehouse.DetailType) { d.Schema = json.RawMessage(`{"additionalProperties":false}`) },
		"no such type": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"text"}}}`)
		},
		"from elsewhere": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"https://evil.example/s"}}}`)
		},
		"from a file": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"file:///etc/passwd"}}}`)
		},
		"any member deeper": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"object"}}}`)
		},
		"any entry": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":"array"}}}`)
		},
		"any member of an entry": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"type":["array","null"],"items":{"anyOf":[{"type":"string"},{"type":"object"}]}}}}`)
		},
		"anything": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{}}}`)
		},
		"anything that is kept": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"$defs":{"a":true},"properties":{"a":{"$ref":"#/$defs/a"}}}`)
		},
		"a large number": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"a":{"maximum":1e999999999}}}`)
		},
		"long": func(d *gatehouse.DetailType) {
			d.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"title":"` + strings.Repeat("x", 16<<10) + `"}`)
		},
		"a rule of no kind": func(d *gatehouse.DetailType) { d.Compare = map[string]string{"a": "wider"} },
	} {
		d := good
		change(&d)
		if Check(d) == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
