package token

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// quickTexts are claims sets that the quick reader takes, and the beginnings of
// those that it must not take.
var quickTexts = []string{
	`{"iss":"https://gate.example","sub":"usr_1","aud":"https://api.example","client_id":"gatehouse","scope":"read write","iat":1795348800,` +
		`"exp":1795349400,"jti":"tok_1","auth_time":1795345200,"acr":"1","amr":["pwd","otp"],"sid":"ses_1","grant_id":"grt_1",` +
		`"status":{"status_list":{"idx":1234,"uri":"https://gate.example/status/7"}}}`,
	`{"aud":["a","b"],"nbf":0,"exp":253402300799,"tid":"x","n":-1,"t":true,"f":false,"z":null,"ids":[1,"2",[],{}],"realm_access":{"roles":["a","b"],"deep":{"er":[0]}}}`,
	`{"status":{"status_list":{"idx":0,"uri":"i/status/0"}},"iss":"i"}`,
	`{"iss":"","sub":"` + "\x7f" + `","aud":"","scope":"  a  "}`,
}

// quickRefused are texts that the quick reader must leave to the full one, be
// they right or wrong.
var quickRefused = []string{
	``, ` `, `{`, `}`, `{}`, `null`, `[]`, `"iss"`, `{"iss":"i"`, `{"iss":"i"}}`, `{"iss":"i"} `, ` {"iss":"i"}`, `{"iss":"i",}`, `{,"iss":"i"}`,
	`{"iss":"i","iss":"i"}`, `{"x":1,"x":1}`, `{"x":{"a":1,"a":2}}`, `{"x":[{"a":1,"a":2}]}`, `{"iss" :"i"}`, `{"iss": "i"}`,
	`{"iss":"\u0069"}`, `{"\u0069ss":"i"}`, `{"iss":"é"}`, "{\"iss\":\"\xff\"}", "{\"iss\":\"\n\"}", "{\"iss\":\"\x00\"}",
	`{"iss":null}`, `{"iss":1}`, `{"iss":["i"]}`, `{iss:"i"}`, `{"iss":i}`, `{"iss"}`, `{"iss":}`, `{"iss","i"}`,
	`{"aud":[]}`, `{"aud":["a",]}`, `{"aud":["a" "b"]}`, `{"aud":["a"`, `{"aud":[1]}`, `{"aud":"x\["a"]}`, "{\"aud\":\"\x01[\"a\"]}", `{"aud":{"a":"b"}}`,
	`{"amr":"pwd"}`, `{"amr":[null]}`, `{"scope":["a"]}`,
	`{"exp":01}`, `{"exp":-1}`, `{"exp":-0}`, `{"exp":+1}`, `{"exp":1.5}`, `{"exp":1e3}`, `{"exp":}`, `{"exp":"1"}`, `{"exp":253402300800}`,
	`{"exp":9223372036854775808}`, `{"exp":1}2`, `{"exp":null}`, `{"exp":0x1}`, `{"exp":1_0}`, `{"x":-}`, `{"x":00}`, `{"x":-01}`, `{"x":1.}`, `{"x":tru}`, `{"x":nulll}`,
	`{"status":{"status_list":{"idx":-1,"uri":"i/status/0"}}}`, `{"status":{"status_list":{"idx":1}}}`, `{"status":{}}`, `{"status":1}`,
	`{"status":{"status_list":{"idx":1,"uri":"i/status/0","idx":2}}}`, `{"status":{"status_list":{"idx":1,"uri":"i/status/0"}},"status":1}`,
	`{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	`{"aud":`, `{"aud":"`, `{"x":`, `{"x":-`, `{"x":[`, `{"x":{`, `{"x":"`, `{"exp":`, `{"exp":1`, `{"status":`, `{"iss"`, `{"iss":"i",`, `{"amr":["a"`, `{"amr":["a",`,
}

func TestQuickReader(t *testing.T) {
	for _, text := range quickTexts {
		if !agree(t, text) {
			t.Errorf("not read quickly: %s", text)
		}
	}
	for _, text := range quickRefused {
		if agree(t, text) {
			t.Errorf("read quickly: %q", text)
		}
	}
	// As much of everything as there is room for, and the ends of what is plain.
	for _, text := range []string{`{"aud":["0"` + strings.Repeat(`,"a"`, quickList-1) + `]}`, `{"amr":["0"` + strings.Repeat(`,"a"`, quickList-1) + `]}`,
		`{` + manyNames(quickNames) + `}`, `{"x":{` + manyNames(quickNames) + `}}`, `{"x":` + strings.Repeat("[", quickDepth) + strings.Repeat("]", quickDepth) + `}`,
		`{"x":` + strings.Repeat(`{"a":`, quickDepth-1) + `"b"` + strings.Repeat("}", quickDepth-1) + `}`, `{"x":[[[[],[]],[],{},{"a":{}}],[]]}`,
		`{"x":999999999999999,"y":-999999999999999}`, `{"x":[0,10,900],"y":-0}`, "{\"iss\":\" !#[]^~\x7f\"}"} {
		if !agree(t, text) {
			t.Errorf("not read quickly: %s", text)
		}
	}
	// More of anything than there is room for.
	for _, text := range []string{`{"aud":["0"` + strings.Repeat(`,"a"`, quickList) + `]}`, `{` + manyNames(quickNames+1) + `}`,
		`{"x":{` + manyNames(quickNames+1) + `}}`, `{"x":1000000000000000}`, `{"iss":"` + "\x80" + `"}`, `{"iss":"` + "\x1f" + `"}`,
		`{"x":` + strings.Repeat(`{"a":`, quickDepth) + `"b"` + strings.Repeat("}", quickDepth) + `}`,
		`{"x":` + strings.Repeat("[", quickDepth+1) + strings.Repeat("]", quickDepth+1) + `}`} {
		if agree(t, text) {
			t.Errorf("read quickly: %s", text)
		}
	}
}

func manyNames(n int) string {
	var names []string
	for c := range n {
		names = append(names, `"`+string(rune('a'+c))+`":1`)
	}
	return strings.Join(names, ",")
}

// TestQuickAgreesWithFull spoils claims sets in every way that a few octets can,
// and has both readers read them.
func TestQuickAgreesWithFull(t *testing.T) {
	random := rand.New(rand.NewPCG(20261122, 3))
	pieces := []string{`"`, `\`, `"x\`, `\"`, `\u0061`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", "\x00", "\x1f", "\x7f", "\x80", "é", "\xff", `0`, `-`, `1`, `9`, `.`, `.5`,
		`e1`, `null`, `true`, `[]`, `{}`, `"iss":`, `"aud":["`, `"exp":1`, `,"iss":"i"`, `,"x":1`, `,"x":{"a":1,"a":1}`, `/status/`, `00`, `"idx":1`, `"uri":"`, `status_list`}
	n, taken := 300_000, 0
	if testing.Short() {
		n = 30_000
	}
	for range n {
		b := []byte(quickTexts[random.IntN(len(quickTexts))])
		for range 1 + random.IntN(3) {
			from := random.IntN(len(b) + 1)
			to := min(len(b), from+random.IntN(4))
			switch random.IntN(4) {
			case 0: // out
				b = slices.Delete(b, from, to)
			case 1: // in
				b = slices.Insert(b, from, []byte(pieces[random.IntN(len(pieces))])...)
			case 2: // another
				b = slices.Replace(b, from, to, []byte(pieces[random.IntN(len(pieces))])...)
			case 3: // from elsewhere
				far := random.IntN(len(b) + 1)
				b = slices.Insert(b, from, slices.Clone(b[far:min(len(b), far+random.IntN(40))])...)
			}
		}
		if agree(t, string(b)) {
			taken++
		}
		if t.Failed() {
			return
		}
	}
	if taken < n/50 || taken > n/2 {
		t.Errorf("%d of %d texts were read quickly: the test tests little", taken, n)
	}
}

// agree reports whether the quick reader takes text, and fails when the full
// reader refuses it or reads something else.
func agree(t *testing.T, text string) bool {
	t.Helper()
	quick := Claims{Raw: []byte(text)}
	if !quick.readQuickly(text) {
		return false
	}
	full := Claims{Raw: []byte(text)}
	if err := full.readFully(); err != nil {
		t.Errorf("only the quick reader takes %q: %v", text, err)
	} else if !reflect.DeepEqual(quick, full) {
		t.Errorf("of %q\nquick reads %+v\nfull reads  %+v", text, quick, full)
	}
	return true
}
