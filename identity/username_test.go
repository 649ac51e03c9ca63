package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

func TestNormalizeUsername(t *testing.T) {
	for _, tt := range []struct{ in, name, key string }{
		{"alice", "alice", "alice"},
		{"Alice", "Alice", "alice"},
		{"ALICE@Example.COM", "ALICE@Example.COM", "alice@example.com"},
		{"ａｌｉｃｅ", "ａｌｉｃｅ", "alice"}, // fullwidth
		{"ame\u0301lie", "amélie", "amélie"},
		{"ﬁona", "ﬁona", "fiona"}, // ligature
		{"Straße", "Straße", "straße"},
		{"Иван", "Иван", "иван"},
		{"李雷", "李雷", "李雷"},
		{strings.Repeat("𠀀", 128), strings.Repeat("𠀀", 128), strings.Repeat("𠀀", 128)}, // four bytes each
		{strings.Repeat("a", 128), strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{"first.last+tag_1-2", "first.last+tag_1-2", "first.last+tag_1-2"},
	} {
		name, key, err := NormalizeUsername(tt.in)
		if err != nil || name != tt.name || key != tt.key {
			t.Errorf("%q: %q %q %v", tt.in, name, key, err)
		}
	}
	for _, bad := range []string{
		"", " ", "a b", "a\u00a0b", "a\u2003b", "a\u3000b", "a\tb", "a\x00b", "a\u200bb", "a\u202eb", "a\ufeffb", "\xff", "a:b", "a：b", "a/b", `a\b`, ".", "..",
		"\u0430dmin", "αdmin", "հadmin", "Ꭰdmin", "☺", strings.Repeat("a", 129), strings.Repeat("a", 1<<20), "\u0378",
		gatehouse.NewID("usr", time.Now()), strings.ToUpper(gatehouse.NewID("svc", time.Now())),
	} {
		if name, key, err := NormalizeUsername(bad); gatehouse.CodeOf(err) != "username_invalid" || name+key != "" {
			t.Errorf("%.40q accepted as %q, %q", bad, name, key)
		}
	}
}

func TestUsernameKeyIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "username")
		_, key, err := NormalizeUsername(in)
		if err != nil {
			return
		}
		if _, again, err := NormalizeUsername(key); err != nil || again != key {
			t.Fatalf("%q has the key %q, which has the key %q (%v)", in, key, again, err)
		}
		if _, upper, err := NormalizeUsername(strings.ToUpper(key)); err == nil && strings.ToLower(strings.ToUpper(key)) == key && upper != key {
			t.Fatalf("%q and its upper case differ", key)
		}
		if strings.ContainsAny(key, ": /\\\n") || utf8.RuneCountInString(key) > MaxUsername {
			t.Fatalf("key %q", key)
		}
	})
}

func TestValidateUser(t *testing.T) {
	good := func() *User {
		return &User{Kind: gatehouse.KindUser, Username: "Alice", UsernameKey: "alice", DisplayName: "Alice Ünal", Email: "alice@example.com",
			Roles: []string{"editor"}, Groups: []string{"team-1"}, Attributes: map[string]any{"team": "red", "level": int64(3), "tags": []any{"a", true}}}
	}
	if err := ValidateUser(good()); err != nil {
		t.Fatal(err)
	}
	// At the bounds, and what only looks odd.
	most := make([]string, MaxMemberships)
	for i := range most {
		most[i] = fmt.Sprint("team-", i)
	}
	for name, change := range map[string]func(*User){
		"service":             func(u *User) { u.Kind = gatehouse.KindService },
		"long display name":   func(u *User) { u.DisplayName = strings.Repeat("é", MaxDisplayName) },
		"joined display name": func(u *User) { u.DisplayName = "👩\u200d🚀 می\u200cخواهم" }, // is written with joiners
		"no e-mail":           func(u *User) { u.Email = "" },
		"long e-mail": func(u *User) {
			u.Email = "a@" + strings.Repeat("a.", (MaxEmail-5)/2) + "com" + strings.Repeat("m", (MaxEmail-5)%2)
		},
		"long local part":     func(u *User) { u.Email = strings.Repeat("a", 64) + "@example.com" },
		"as many roles":       func(u *User) { u.Roles = most },
		"as many groups":      func(u *User) { u.Groups = most },
		"long role":           func(u *User) { u.Roles = []string{strings.Repeat("r", 128)} },
		"no roles, no groups": func(u *User) { u.Roles, u.Groups, u.Attributes = nil, nil, nil },
		"long attribute":      func(u *User) { u.Attributes = map[string]any{"x": strings.Repeat("x", MaxAttributeText)} },
		"long attribute name": func(u *User) { u.Attributes = map[string]any{strings.Repeat("x", 128): true} },
		"as many attributes":  func(u *User) { u.Attributes = members(MaxAttributes) },
		"as deep in objects":  func(u *User) { u.Attributes = nested(MaxAttributeDepth-1, false) },
		"as deep in lists":    func(u *User) { u.Attributes = nested(MaxAttributeDepth-1, true) },
		"a list of texts":     func(u *User) { u.Attributes = map[string]any{"x": []string{"a", "b"}} },
	} {
		u := good()
		if change(u); u.Email != "" && len(u.Email) > MaxEmail {
			t.Fatal(name, len(u.Email))
		}
		if err := ValidateUser(u); err != nil {
			t.Errorf("%s: %v", name, err.(*gatehouse.Error).Fields)
		}
	}
	many := make([]string, 201)
	for i := range many {
		many[i] = "r" + strings.Repeat("x", i%100) + string(rune('a'+i/100))
	}
	for member, changes := range map[string][]func(*User){
		"kind": {func(u *User) { u.Kind = "" }, func(u *User) { u.Kind = gatehouse.KindClient }},
		"username": {func(u *User) { u.Username = "a b" }, func(u *User) { u.UsernameKey = "Alice" },
			func(u *User) { u.UsernameKey = "bob" }, func(u *User) { u.Username = "ame\u0301lie"; u.UsernameKey = "amélie" }},
		"display_name": {func(u *User) { u.DisplayName = strings.Repeat("é", 201) }, func(u *User) { u.DisplayName = "a\nb" },
			func(u *User) { u.DisplayName = "a\u202eb" }, func(u *User) { u.DisplayName = "\xff" }},
		"email": {func(u *User) { u.Email = "alice" }, func(u *User) { u.Email = "a@b" }, func(u *User) { u.Email = "a b@example.com" },
			func(u *User) { u.Email = "a@@example.com" }, func(u *User) { u.Email = "a@example.com\r\nBcc: x@example.com" },
			func(u *User) { u.Email = "a@-example.com" }, func(u *User) { u.Email = strings.Repeat("a", 65) + "@example.com" },
			func(u *User) { u.Email = "a@" + strings.Repeat("a.", 130) + "com" }},
		"roles":  {func(u *User) { u.Roles = []string{""} }, func(u *User) { u.Roles = []string{"a", "a"} }, func(u *User) { u.Roles = []string{"a b"} }, func(u *User) { u.Roles = many }},
		"groups": {func(u *User) { u.Groups = []string{`a"b`} }},
		"attributes": {func(u *User) { u.Attributes = map[string]any{"x": nil} }, func(u *User) { u.Attributes = map[string]any{"x": 1.5} },
			func(u *User) { u.Attributes = map[string]any{strings.Repeat("x", 129): true} },
			func(u *User) { u.Attributes = map[string]any{"x": strings.Repeat("x", MaxAttributeText+1)} },
			func(u *User) { u.Attributes = members(MaxAttributes + 1) },
			func(u *User) { u.Attributes = nested(MaxAttributeDepth, false) },
			func(u *User) { u.Attributes = nested(MaxAttributeDepth, true) },
			func(u *User) { u.Attributes = map[string]any{"": "x"} }, func(u *User) { u.Attributes = map[string]any{"x": strings.Repeat("x", 5000)} }},
	} {
		for i, change := range changes {
			u := good()
			change(u)
			err := ValidateUser(u)
			e, ok := err.(*gatehouse.Error)
			if !ok || e.Code != "user_invalid" || len(e.Fields) != 1 || e.Fields[member] == "" {
				t.Errorf("%s %d: %v", member, i, err)
			}
		}
	}
}

// members are n attributes.
func members(n int) map[string]any {
	out := map[string]any{}
	for i := range n {
		out[fmt.Sprint("k", i)] = int64(i)
	}
	return out
}

// nested are attributes with depth levels, of lists or of objects, below the first.
func nested(depth int, lists bool) map[string]any {
	var v any = true
	for range depth {
		if lists {
			v = []any{v}
		} else {
			v = map[string]any{"x": v}
		}
	}
	return map[string]any{"x": v}
}

func TestNormalizeAttributes(t *testing.T) {
	got, err := NormalizeAttributes(map[string]any{"i": 3, "f": int64(1234567890123456789), "s": []string{"x"}, "m": map[string]any{"b": true}})
	if err != nil || got["i"] != int64(3) || got["f"] != int64(1234567890123456789) || got["s"].([]any)[0] != "x" || got["m"].(map[string]any)["b"] != true {
		t.Errorf("%v %v", got, err)
	}
	deep := map[string]any{}
	for range MaxAttributeDepth {
		deep = map[string]any{"x": deep}
	}
	wide := map[string]any{}
	for i := range MaxAttributes + 1 {
		wide["k"+strings.Repeat("x", i%90)+string(rune('a'+i/90))] = true
	}
	for name, bad := range map[string]map[string]any{"deep": deep, "wide": wide, "list": {"x": make([]any, 1<<16)}, "float": {"x": 4.0}, "fraction": {"x": decimal.Number("1.5")}, "large number": {"x": decimal.Number("9223372036854775808")}, "other type": {"x": struct{}{}}, "NUL": {"x": "a\x00"}, "key": {"a\nb": true}} {
		if _, err := NormalizeAttributes(bad); gatehouse.CodeOf(err) != "attributes_invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	delete(wide, "ka")
	if _, err := NormalizeAttributes(wide); err != nil {
		t.Errorf("%d members: %v", len(wide), err)
	}
}
