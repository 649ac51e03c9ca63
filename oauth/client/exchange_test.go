package client_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

func exchanger(change func(m *client.Metadata)) client.Metadata {
	m := client.Metadata{Name: "x", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantTokenExchange}, Scope: "read write openid",
		Exchanges: []client.Exchange{{From: []string{"a"}, Audiences: []string{"x", "y"}, Scope: "read"}, {From: []string{"b", "a"}, Audiences: []string{"z", "y"}, Scope: "write", IDTokens: true}}}
	change(&m)
	return m
}

// TestExchangeRules: the first rule for tokens of a client and an audience counts, and without one nothing does.
func TestExchangeRules(t *testing.T) {
	m := exchanger(func(*client.Metadata) {})
	for _, c := range []struct {
		from, audience string
		id             bool
		scope          string
		ok, known      bool
	}{
		{"a", "", false, "read", true, true}, {"a", "x", false, "read", true, true}, {"a", "y", false, "read", true, true}, {"a", "z", false, "write", true, true},
		{"a", "other", false, "", false, true}, {"b", "", false, "write", true, true}, {"b", "x", false, "", false, true}, {"c", "x", false, "", false, false},
		{"a", "x", true, "", false, true}, {"a", "", true, "write", true, true}, {"", "", false, "", false, false},
	} {
		r, ok, known := m.Exchange(c.from, c.id, c.audience)
		if r.Scope != c.scope || ok != c.ok || known != c.known {
			t.Errorf("%+v: %v %v %v", c, r, ok, known)
		}
	}
	for name, m := range map[string]client.Metadata{"zero": {}, "public": exchanger(func(m *client.Metadata) { m.AuthMethod = client.AuthNone }),
		"grant type": exchanger(func(m *client.Metadata) { m.GrantTypes = nil }), "no audience": exchanger(func(m *client.Metadata) { m.Exchanges = []client.Exchange{{From: []string{"a"}}} })} {
		if r, ok, known := m.Exchange("a", false, ""); ok || known {
			t.Errorf("%s: %v", name, r)
		}
	}
	if got := fmt.Sprint(client.Exchange{From: []string{"a"}, Audiences: []string{"x"}, Scope: "r w", IDTokens: true, Impersonate: true}); got != "a to x with r,w by ID token as the person" {
		t.Error(got)
	}
}

// TestExchangeRegistration: what a registration can say of exchanges; nobody gives himself a rule.
func TestExchangeRegistration(t *testing.T) {
	many := make([]string, 21)
	for i := range many {
		many[i] = "x"
	}
	one := func(r client.Exchange) func(*client.Metadata) {
		return func(m *client.Metadata) { m.Exchanges = []client.Exchange{r} }
	}
	for name, c := range map[string]struct {
		change func(m *client.Metadata)
		want   []string
	}{
		"good":              {func(*client.Metadata) {}, nil},
		"no rules":          {func(m *client.Metadata) { m.Exchanges = nil }, nil},
		"without the type":  {func(m *client.Metadata) { m.GrantTypes = []string{client.GrantClientCredentials} }, []string{"token_exchange"}},
		"public":            {func(m *client.Metadata) { m.AuthMethod = client.AuthNone }, []string{"grant_types"}},
		"many rules":        {func(m *client.Metadata) { m.Exchanges = slices.Repeat(m.Exchanges, 11) }, []string{"token_exchange"}},
		"from nobody":       {one(client.Exchange{Audiences: []string{"x"}}), []string{"token_exchange"}},
		"from too many":     {one(client.Exchange{From: many, Audiences: []string{"x"}}), []string{"token_exchange"}},
		"from an empty one": {one(client.Exchange{From: []string{""}, Audiences: []string{"x"}}), []string{"token_exchange"}},
		"for nobody":        {one(client.Exchange{From: []string{"a"}}), []string{"token_exchange"}},
		"another's scope":   {one(client.Exchange{From: []string{"a"}, Audiences: []string{"x"}, Scope: "else"}), []string{"token_exchange"}},
		"a scope of people": {one(client.Exchange{From: []string{"a"}, Audiences: []string{"x"}, Scope: "openid"}), []string{"token_exchange"}},
	} {
		var got []string
		exchanger(c.change).Check(func(member, _ string) { got = append(got, member) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if n := exchanger(func(*client.Metadata) {}).Narrow(gatehouse.RealmSettings{}, func(string, string) {}); len(n.Exchanges) > 0 {
		t.Error("who registers itself gave itself rules")
	}
}
