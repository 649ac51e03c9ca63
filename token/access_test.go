package token_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// bare is an access token of which only what must be there is there, at the first
// place of the first list.
func bare() *token.Access {
	return &token.Access{Issuer: issuer, Subject: "usr_1", Audience: []string{audience}, ClientID: "cli_1", ID: "tok_1",
		IssuedAt: clock, ExpiresAt: clock.Add(time.Second)}
}

// TestAccessText holds the claims down to the octet: what is empty is left out, one
// audience is a string and several are an array (RFC 7519 §4.1.3), and further claims
// come in their order.
func TestAccessText(t *testing.T) {
	at := func(d time.Duration) string { return strconv.FormatInt(clock.Add(d).Unix(), 10) }
	begin := `{"iss":"https://gate.example","sub":"usr_1","aud":"https://api.example","client_id":"cli_1"`
	middle := `,"iat":` + at(0) + `,"exp":` + at(time.Second) + `,"jti":"tok_1"`
	end := `,"status":{"status_list":{"idx":0,"uri":"https://gate.example/status/0"}}}`
	for name, c := range map[string]struct {
		change func(*token.Access)
		want   string
	}{
		"bare":      {func(*token.Access) {}, begin + middle + end},
		"audiences": {func(a *token.Access) { a.Audience = []string{"a", "b"} }, strings.Replace(begin, `"https://api.example"`, `["a","b"]`, 1) + middle + end},
		"scope":     {func(a *token.Access) { a.Scope = "a b" }, begin + `,"scope":"a b"` + middle + end},
		"login": {func(a *token.Access) {
			a.AuthTime, a.ACR, a.AMR, a.SessionID, a.GrantID = clock.Add(-time.Hour), "1", []string{"pwd", "otp"}, "ses_1", "grt_1"
		}, begin + middle + `,"auth_time":` + at(-time.Hour) + `,"acr":"1","amr":["pwd","otp"],"sid":"ses_1","grant_id":"grt_1"` + end},
		"place": {func(a *token.Access) { a.StatusList, a.StatusIndex = 7, 1234 },
			begin + middle + `,"status":{"status_list":{"idx":1234,"uri":"https://gate.example/status/7"}}}`},
		"actors": {func(a *token.Access) {
			a.Act, a.MayAct = &gatehouse.Act{Subject: "cli_b", Act: &gatehouse.Act{Subject: "cli_a"}}, "cli_c"
		}, begin + middle + `,"act":{"sub":"cli_b","act":{"sub":"cli_a"}},"may_act":{"sub":"cli_c"}` + end},
		"more": {func(a *token.Access) {
			a.More = []token.Claim{{Name: "name", Text: `A "B"`}, {Name: "empty"}, {Name: "roles", List: []string{"x", "y"}}, {Name: "one", List: []string{"z"}}}
		}, begin + middle + `,"name":"A \"B\"","roles":["x","y"],"one":["z"]` + end},
	} {
		a := bare()
		c.change(a)
		got, err := a.AppendJSON([]byte("before "))
		if err != nil || string(got) != "before "+c.want {
			t.Errorf("%s:\n%s (%v)\nbefore %s", name, got, err, c.want)
		}
	}
}

// TestAccessRefusesOtherClaims: a claim that an audience wants cannot replace one that
// somebody decides by, and cannot make a set that is read in two ways.
func TestAccessRefusesOtherClaims(t *testing.T) {
	with := func(more ...token.Claim) error {
		a := bare()
		a.More = more
		text, err := a.AppendJSON(nil)
		if err != nil && text != nil {
			t.Errorf("%+v: refused, and yet %s", more, text)
		}
		return err
	}
	for _, name := range []string{"", "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "auth_time", "acr", "amr", "sid", "grant_id",
		"status", "cnf", "act", `x":1,"sub`, `x\`, "é", "x\n"} {
		if with(token.Claim{Name: name, Text: "x"}) == nil || with(token.Claim{Name: "first", Text: "x"}, token.Claim{Name: name, List: []string{"x"}}) == nil {
			t.Errorf("a further claim %q is written", name)
		}
	}
	if with(token.Claim{Name: "x", Text: "a"}, token.Claim{Name: "y", Text: "a"}, token.Claim{Name: "x", Text: "b"}) == nil {
		t.Error("one claim twice")
	}
	if with(token.Claim{Name: "x", Text: "a", List: []string{"b"}}) == nil {
		t.Error("a claim of a text and of a list")
	}
	if with(token.Claim{Name: "x", Text: "\xff"}) == nil || with(token.Claim{Name: "x", List: []string{"a", "\xff", "b"}}) == nil {
		t.Error("a claim that is not UTF-8")
	}
	if err := with(token.Claim{Name: "subject", Text: "x"}, token.Claim{Name: "Sub", Text: "x"}); err != nil {
		t.Error(err)
	}
}

// TestAccessType: an access token is an at+jwt unless it is asked to be a JWT, and is
// never of a type that means something else.
func TestAccessType(t *testing.T) {
	k := newKey(t, token.Ed25519)
	for typ, want := range map[string]string{"": "at+jwt", token.TypeAccess: "at+jwt", token.TypeJWT: "JWT", token.TypeStatusList: "", "at+JWT": "", "none": ""} {
		a := bare()
		a.Type = typ
		text, err := k.SignAccess(a)
		if (err == nil) != (want != "") || (text == "") != (want == "") {
			t.Errorf("typ %q: %q, %v", typ, text, err)
			continue
		}
		if head, _, _ := strings.Cut(text, "."); want != "" && !strings.HasSuffix(string(unraw(t, head)), `,"typ":"`+want+`"}`) {
			t.Errorf("typ %q: header %s", typ, unraw(t, head))
		}
	}
	a := bare()
	a.Subject = ""
	if text, err := k.SignAccess(a); err == nil || text != "" {
		t.Errorf("signed without sub: %s", text)
	}
}
