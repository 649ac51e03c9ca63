package openid_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/oauth/openid"
)

// TestValues: claims are what the account says, each of its own type; no attribute stands for what the account itself says.
func TestValues(t *testing.T) {
	p := openid.Person{Username: "bob", DisplayName: "Bob", Email: "bob@example.org", UpdatedAt: time.Unix(7, 0), Attributes: map[string]any{
		"given_name": "Robert", "family_name": 7, "nickname": "", "sub": "eve", "email": "eve@example.org", "email_verified": true, "preferred_username": "eve", "name": "Eve", "updated_at": int64(1),
		"phone_number": "+49", "phone_number_verified": "true", "address": map[string]any{"locality": "Berlin", "country": 49, "x": "y"}, "locale": true, "secret": "x"}}
	for scopes, want := range map[string]string{
		"":               "map[]",
		"openid":         "map[]",
		"openid profile": "map[given_name:Robert name:Bob preferred_username:bob updated_at:7]",
		"email":          "map[email:bob@example.org email_verified:false]",
		"phone":          "map[phone_number:+49]",
		"address":        "map[address:map[locality:Berlin]]",
		"secret sub":     "map[]",
	} {
		if got := fmt.Sprint(p.Values(openid.ClaimsOf(strings.Fields(scopes)))); got != want {
			t.Errorf("%s: %s, want %s", scopes, got, want)
		}
	}
	if got := p.Values([]string{"secret", "sub", "given_name"}); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := (openid.Person{Attributes: map[string]any{"email_verified": true, "address": map[string]any{"x": "y"}}}).Values(openid.Claims()); len(got) != 0 {
		t.Errorf("nobody is %v", got)
	}
	for _, name := range openid.Claims() {
		if scope := openid.ScopeOf(name); !slices.Contains(openid.ClaimsOf([]string{scope}), name) || !openid.IsScope(scope) {
			t.Errorf("%s is of the scope %q", name, scope)
		}
	}
}

// TestReadClaims: what the parameter claims asks for (OpenID Connect Core §5.5), and what is no such parameter.
func TestReadClaims(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "{{[] []}  [] false}",
		`{"userinfo":{"given_name":{"essential":true},"nickname":null,"http://example.info/claims/groups":null},"id_token":{"auth_time":{"essential":true},"email":{"value":"x"}},"else":[1]}`: "{{[email] [given_name nickname]}  [] false}",
		`{"id_token":{"acr":{"values":["aal2","aal1"]}}}`:                             "{{[] []}  [aal2 aal1] false}",
		`{"id_token":{"acr":{"essential":true,"value":"aal2"}}}`:                      "{{[] []}  [aal2] true}",
		`{"id_token":{"acr":{"essential":true}}}`:                                     "{{[] []}  [] false}",
		`{"userinfo":{"acr":{"essential":true,"value":"aal2"}}}`:                      "{{[] []}  [] false}",
		`{"id_token":{"sub":{"value":"usr_1"}},"userinfo":{"sub":{"value":"usr_1"}}}`: "{{[] []} usr_1 [] false}",
		`{"id_token":{"sub":null,"email":{"values":[1,{}]}},"userinfo":null}`:         "{{[email] []}  [] false}",
		`{"id_token":{"sub":{"value":"usr_1"}},"userinfo":{"sub":{"value":"usr_2"}}}`: "",
		`{"id_token":{"sub":{"values":["usr_1","usr_2"]}}}`:                           "",
		`{"id_token":{"email":true}}`:                                                 "",
		`{"id_token":{"email":{"essential":"true"}}}`:                                 "",
		`{"id_token":{"email":{"values":"x"}}}`:                                       "",
		`{"id_token":[]}`:                                                             "",
		`{"id_token":{"email":null,"email":null}}`:                                    "",
		`[]`: "",
		`x`:  "",
		`{"id_token":{` + strings.Repeat(`"a%":null,`, 100) + `"z":null}}`: "",
	} {
		for i := 0; strings.Contains(text, "%"); i++ {
			text = strings.Replace(text, "%", fmt.Sprint(i), 1)
		}
		got, err := openid.ReadClaims(text)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%.80s: %v %v", text, got, err)
		}
	}
}
