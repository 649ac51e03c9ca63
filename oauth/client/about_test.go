package client_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// TestAbout: what a client tells people leads to https addresses alone, is bounded, and is part of what they know it by.
func TestAbout(t *testing.T) {
	good := client.Metadata{Name: "App", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantAuthorizationCode}, Flow: client.Flow{RedirectURIs: []string{"https://app.example/"}}}
	plain := good.Print()
	for uri, fine := range map[string]bool{"https://app.example": true, "https://app.example/a?b=c#d": true, "https://app.example:8443/": true, "http://app.example/": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "https://": false, "https:///x": false, "https:x": false, "HTTPS://app.example": false, "https://user@app.example/": false,
		"https://app.example/ x": false, "https://app.example/\"x": false, "https://app.example/é": false, "https://a;b/": false, "/path": false, "https://app.example/" + strings.Repeat("x", 512): false} {
		for member, put := range map[string]func(m *client.Metadata){"client_uri": func(m *client.Metadata) { m.ClientURI = uri }, "policy_uri": func(m *client.Metadata) { m.PolicyURI = uri },
			"tos_uri": func(m *client.Metadata) { m.TermsURI = uri }} {
			m := good
			put(&m)
			var wrong []string
			m.Check(func(member, text string) { wrong = append(wrong, member) })
			if (len(wrong) == 0) != fine || !fine && wrong[0] != member {
				t.Errorf("%s %q: %v", member, uri, wrong)
			}
			if bytes.Equal(m.Print(), plain) {
				t.Errorf("%s is no part of what people know it by", member)
			}
		}
	}
	for text, fine := range map[string]bool{"ops@app.example": true, "": false, "a\nb": false, "\xff": false, strings.Repeat("x", 255): false} {
		m := good
		m.Contacts = []string{text}
		ok := true
		m.Check(func(string, string) { ok = false })
		if ok != fine || !bytes.Equal(m.Print(), plain) {
			t.Errorf("contact %q: %t", text, ok)
		}
	}
	m := good
	m.Contacts = slices.Repeat([]string{"a"}, 11)
	ok := true
	m.Check(func(string, string) { ok = false })
	if ok {
		t.Error("eleven contacts")
	}
}
