package token

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDates: a date is a whole number of seconds or has a fraction, from the beginning
// of 1970 to the end of 9999 (RFC 7519 §2). A date that others could read as another
// one, or as none, is refused.
func TestDates(t *testing.T) {
	at := func(sec, nano int64) *time.Time { d := time.Unix(sec, nano); return &d }
	for text, want := range map[string]*time.Time{
		"0": at(0, 0), "1": at(1, 0), "0.0": at(0, 0), "0.5": at(0, 500_000_000), "1.25": at(1, 250_000_000), "1e3": at(1000, 0), "15e-1": at(1, 500_000_000),
		"1795348800.000000001": at(1795348800, 1), "1.0000000019": at(1, 1), // finer than a nanosecond is cut
		"1.9999999999":   at(1, 999_999_999),
		"253402300799":   at(253402300799, 0),
		"253402300799.0": at(253402300799, 0), "2.53402300799e11": at(253402300799, 0), "253402300798.75": at(253402300798, 750_000_000),
		"253402300800": nil, "253402300799.5": nil, "253402300800.0": nil, "253402300800.5": nil, "2.534023008e11": nil,
		"9223372036854775807": nil, "9223372036854775808": nil, "1e300": nil, "1e9999": nil,
		"-1": nil, "-0": nil, "-0.0": nil, "-0.5": nil, "-1e3": nil, `"1"`: nil, "null": nil, "true": nil, "[1]": nil, "{}": nil, "01": nil, "1.": nil,
	} {
		c, err := parseClaims([]byte(`{ "exp":` + text + `}`)) // the space is for the full reader
		switch {
		case want == nil && err == nil:
			t.Errorf("%s was read as %v", text, c.ExpiresAt)
		case want != nil && (err != nil || !c.ExpiresAt.Equal(*want)):
			t.Errorf("%s was read as %+v (%v), want %v", text, c, err, want)
		}
	}
}

// TestNesting: depth is counted outside of strings, and siblings do not add to it.
func TestNesting(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, want := range map[string]bool{
		"": true, "1": true, deep(maxDepth): true, deep(maxDepth + 1): false,
		strings.Repeat(`{"a":`, maxDepth) + "1" + strings.Repeat("}", maxDepth):              true,
		strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1):          false,
		strings.Repeat(`{"a":[`, maxDepth/2) + "{":                                           false,
		"[" + strings.Repeat("[],", 99) + strings.Repeat("{},", 99) + deep(maxDepth-1) + "]": true,
		"[" + strings.Repeat("[],{},", 99) + deep(maxDepth) + "]":                            false,
		`["` + deep(99) + `"]`:                                true,
		`["\"` + deep(99) + `\\\"` + deep(99) + `"]`:          true, // a quote behind a backslash ends nothing
		`["\\",` + deep(maxDepth-1) + `]`:                     true,
		`["\\",` + deep(maxDepth) + `]`:                       false, // a backslash that stands for itself escapes nothing
		`["a","b",` + deep(maxDepth) + `]`:                    false,
		`\"` + deep(maxDepth+1):                               true, // no JSON; what counts is that a string begins at the quote
		`["` + strings.Repeat(`\\`, 9) + `"` + deep(maxDepth): false,
	} {
		if got := shallow([]byte(text)); got != want {
			t.Errorf("shallow(%s) = %v", text, got)
		}
	}
}

// TestPlaces: a token names a place in a list of its own issuer, in one spelling, or
// none. Another reading would ask for another place than the one that is revoked.
func TestPlaces(t *testing.T) {
	const iss = "https://gate.example"
	for _, c := range []struct {
		iss   string
		place statusPlace
		list  int64 // -1: none
	}{
		{iss, statusPlace{0, iss + "/status/0"}, 0},
		{iss, statusPlace{1234, iss + "/status/7"}, 7},
		{iss, statusPlace{math.MaxInt64, iss + "/status/9223372036854775807"}, math.MaxInt64},
		{iss, statusPlace{-1, iss + "/status/7"}, -1},
		{iss, statusPlace{1, iss + "/status/9223372036854775808"}, -1},
		{iss, statusPlace{1, iss + "/status/-1"}, -1},
		{iss, statusPlace{1, iss + "/status/-0"}, -1},
		{iss, statusPlace{1, iss + "/status/+1"}, -1},
		{iss, statusPlace{1, iss + "/status/01"}, -1},
		{iss, statusPlace{1, iss + "/status/"}, -1},
		{iss, statusPlace{1, iss + "/status/1/"}, -1},
		{iss, statusPlace{1, iss + "/status/1?x"}, -1},
		{iss, statusPlace{1, iss + "/statuses/1"}, -1},
		{iss, statusPlace{1, iss + "//status/1"}, -1},
		{iss, statusPlace{1, iss + ".evil.example/status/1"}, -1},
		{iss, statusPlace{1, "https://evil.example/status/1"}, -1},
		{iss, statusPlace{1, "/status/1"}, -1},
		{iss, statusPlace{1, "1"}, -1},
		{iss, statusPlace{1, ""}, -1},
		{"", statusPlace{1, "/status/1"}, -1}, // nobody's list
	} {
		got := Claims{Issuer: c.iss}
		got.setPlace(c.place)
		if c.list < 0 && (got.HasStatus || got.StatusURI != "" || got.StatusList != 0 || got.StatusIndex != 0) ||
			c.list >= 0 && (!got.HasStatus || got.StatusURI != c.place.uri || got.StatusList != c.list || got.StatusIndex != c.place.index) {
			t.Errorf("%q of %q: %+v", c.place.uri, c.iss, got)
		}
	}
	for text, want := range map[string]bool{
		`{"status_list":{"idx":1,"uri":"i/status/2"}}`:       true,
		`{"x":1,"status_list":{"uri":"i/status/2","idx":1}}`: true,
		`{"status_list":{"uri":"i/status/2"}}`:               false, // no index is not the index 0
		`{"status_list":{"idx":null,"uri":"i/status/2"}}`:    false,
		`{"status_list":{"idx":1}}`:                          false,
		`{"status_list":null}`:                               false,
		`{"status_list":{"idx":1.0,"uri":"i/status/2"}}`:     false,
		`{}`: false,
		`[{"status_list":{"idx":1,"uri":"i/status/2"}}]`: false,
		`null`:     false,
		`"active"`: false,
		`0`:        false,
		`{"status_list":[{"idx":1,"uri":"i/status/2"}],"idx":1}`: false,
	} {
		c, err := parseClaims([]byte(`{ "iss":"i","status":` + text + `}`))
		if err != nil || c.HasStatus != want || want && (c.StatusList != 2 || c.StatusIndex != 1) {
			t.Errorf("status %s: %+v, %v", text, c, err)
		}
	}
}

// TestLists: where a claim is a string or a list of them, one string is a list of one,
// no more than 64 are read, and null is neither (RFC 7519 §4.1.3).
func TestLists(t *testing.T) {
	many := func(n int) string { return `["x"` + strings.Repeat(`,"x"`, n-1) + `]` }
	for text, want := range map[string]int{
		`"x"`: 1, `""`: 1, `[]`: 0, `["x"]`: 1, `["x","y"]`: 2, many(64): 64,
		many(65): -1, `null`: -1, `1`: -1, `true`: -1, `{}`: -1, `{"x":"y"}`: -1, `[1]`: -1, `["x",1]`: -1, `["x",null]`: -1, `[["x"]]`: -1, `[{}]`: -1, `["x"`: -1,
		`["x",]`: -1, `["\ud800"]`: -1, `]`: -1,
	} {
		c, err := parseClaims([]byte(`{ "aud":` + text + `}`))
		if got := func() int {
			if err != nil {
				return -1
			}
			return len(c.Audience)
		}(); got != want {
			t.Errorf("aud %s: %d strings (%v), want %d", text, got, err, want)
		}
	}
	c, err := parseClaims([]byte(`{ "aud":["a","b"],"scope":["c","d"],"amr":["e","f"]}`))
	if err != nil || !slices.Equal(c.Audience, []string{"a", "b"}) || c.Scope != "c d" || !slices.Equal(c.AMR, []string{"e", "f"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestMediaTypes: types are compared as RFC 7515 §4.1.9 says, and only the letters A to
// Z have another case.
func TestMediaTypes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "JWT": "jwt", "at+jwt": "at+jwt", "application/AT+JWT": "at+jwt", "APPLICATION/at+jwt": "at+jwt", "AZ@[`{az09": "az@[`{az09",
		"application/": "", "application/application/x": "application/application/x", "text/plain": "text/plain", "\u212a": "\u212a", "É": "É",
	} {
		if got := mediaType(text); got != want {
			t.Errorf("mediaType(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestLookup finds a member of the claims by its exact name, and only at the top.
func TestLookup(t *testing.T) {
	c := Claims{Raw: []byte(` {"a":{"b":1},"c":[{"b":2}],"d":null,"\u0065":"f", "g" : [ 1 ] } `)}
	for name, want := range map[string]string{"a": `{"b":1}`, "b": "", "c": `[{"b":2}]`, "d": "null", "e": `"f"`, "f": "", "g": "[ 1 ]", "A": "", "": ""} {
		got := c.Lookup(name)
		if string(got) != want || (got == nil) != (want == "") {
			t.Errorf("Lookup(%q) = %s, want %s", name, got, want)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `["a",1]`, `"a"`, `{`, `{"x"`, `{"x":}`, `{"x":1`, `{"a`} {
		if got := (&Claims{Raw: []byte(text)}).Lookup("a"); got != nil {
			t.Errorf("Lookup in %s = %s", text, got)
		}
	}
	if got := (&Claims{Raw: []byte(`{"a":`)}).Lookup("a"); got != nil {
		t.Errorf("half a member: %s", got)
	}
	value := c.Lookup("a")
	value[0] = '!'
	if c.Raw[6] != '{' {
		t.Error("the answer is part of the claims, which requests share")
	}
}

// TestHeaderCacheIsBounded: the cache of a verifier holds the headers of our signers,
// and never more than its bound.
func TestHeaderCacheIsBounded(t *testing.T) {
	var c headerCache
	if _, ok := c.get("a"); ok {
		t.Error("an empty cache knows a header")
	}
	held := func() (n int) {
		for i := range 2*maxCachedHeaders + 1 {
			if h, ok := c.get(fmt.Sprint(i)); ok {
				n++
				if h.kid != fmt.Sprint("key ", i) {
					t.Errorf("header %d is %+v", i, h)
				}
			}
		}
		return n
	}
	for i := range 2*maxCachedHeaders + 1 {
		c.put(fmt.Sprint(i), header{alg: ES256, kid: fmt.Sprint("key ", i)})
		if n, want := held(), i%maxCachedHeaders+1; n != want {
			t.Fatalf("%d headers after %d, want %d", n, i+1, want)
		}
	}
}
