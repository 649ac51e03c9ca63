package client

import (
	"slices"
	"strings"
)

// Template is what programs of one kind register alike. It fills what a registration leaves out, and refuses what does not go with
// that kind; the registration that comes of it is one as any other.
type Template struct {
	Name string
	For  string // what kind of program it is for
	// Methods are how such a program can prove who it is, the usual way first.
	Methods []string
	Grants  []string
	Scope   string // without what the program does at an API, which is for who registers it to say
	// Where browsers are sent back to: Where is what such addresses can be, nil for none, and Redirects are those of a registration
	// that names none.
	Where     []string
	Redirects []string
}

// What an address to send browsers back to can be (RFC 8252 §7).
const (
	whereWeb      = "https"
	whereLoopback = "http on loopback"
	whereScheme   = "a scheme of the program's own"
)

const personScopes = "openid profile email"

// templates are all that there are. PKCE is demanded of each by default, and how long tokens last is the realm's to say.
func templates() []Template {
	code, secret := []string{GrantAuthorizationCode, GrantRefreshToken}, []string{AuthBasic, AuthPost, AuthPrivateKey}
	nobody := []string{AuthNone} // whoever has the program has all that is in it (RFC 8252 §8.5)
	return []Template{
		{Name: "web", For: "a web application with a server", Methods: secret, Grants: code, Scope: personScopes, Where: []string{whereWeb, whereLoopback}},
		// The server holds the tokens, and gives the page a cookie (RFC 10017 §6.1).
		{Name: "spa", For: "a page with a server of its own that holds the tokens (BFF)", Methods: secret, Grants: code, Scope: personScopes + " " + ScopeOffline, Where: []string{whereWeb, whereLoopback}},
		{Name: "native", For: "a program on people's devices, with a browser", Methods: nobody, Grants: code, Scope: personScopes + " " + ScopeOffline, Where: []string{whereWeb, whereLoopback, whereScheme}},
		{Name: "cli", For: "a command line, or a device without a browser", Methods: nobody, Grants: []string{GrantAuthorizationCode, GrantDeviceCode, GrantRefreshToken}, Scope: "openid " + ScopeOffline,
			Where: []string{whereLoopback}, Redirects: []string{"http://127.0.0.1/back"}},
		{Name: "service", For: "a program that asks for itself", Methods: secret, Grants: []string{GrantClientCredentials}},
		{Name: "mcp", For: "a client of MCP servers", Methods: nobody, Grants: code, Scope: ScopeOffline, Where: []string{whereWeb, whereLoopback, whereScheme}},
	}
}

// TemplateNames are theirs.
func TemplateNames() (names []string) {
	for _, t := range templates() {
		names = append(names, t.Name)
	}
	return names
}

// TemplateOf finds the one of that name.
func TemplateOf(name string) (Template, bool) {
	all := templates()
	i := slices.IndexFunc(all, func(t Template) bool { return t.Name == name })
	if i < 0 {
		return Template{}, false
	}
	return all[i], true
}

// Fill is m with what it leaves out.
func (t Template) Fill(m Metadata) Metadata {
	if m.AuthMethod == "" {
		m.AuthMethod = t.Methods[0]
		if (len(m.JWKS) > 0 || m.JWKSURI != "") && slices.Contains(t.Methods, AuthPrivateKey) {
			m.AuthMethod = AuthPrivateKey
		}
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = slices.Clone(t.Grants)
	}
	if m.Scope == "" {
		m.Scope = t.Scope
	}
	if len(m.RedirectURIs) == 0 {
		m.RedirectURIs = slices.Clone(t.Redirects)
	}
	return m
}

// Check gives fault what of m, which is filled, does not go with t, and what to do about it.
func (t Template) Check(m Metadata, fault func(member, text string)) {
	with := " with the template " + t.Name
	if !slices.Contains(t.Methods, m.AuthMethod) {
		fault("token_endpoint_auth_method", "must be "+strings.Join(t.Methods, " or ")+with+"; leave it out, or name another template")
	}
	for _, g := range m.GrantTypes {
		if !slices.Contains(t.Grants, g) {
			fault("grant_types", "must be of "+strings.Join(t.Grants, ", ")+with+"; leave them out, or name another template")
			break
		}
	}
	switch {
	case len(t.Where) == 0 && len(m.RedirectURIs) > 0:
		fault("redirect_uris", "must not be there"+with+": no person is asked; name another template")
	case len(t.Where) > 0 && m.May(GrantAuthorizationCode) && len(m.RedirectURIs) == 0:
		fault("redirect_uris", "must name where browsers are sent back to"+with+": "+strings.Join(t.Where, ", or ")+" (--redirect-uri)")
	}
	for _, uri := range m.RedirectURIs {
		if len(t.Where) > 0 && !slices.Contains(t.Where, whereOf(uri)) {
			fault("redirect_uris", "must be "+strings.Join(t.Where, ", or ")+with)
			break
		}
	}
}

// whereOf is what an address to send browsers back to is; what it must not be at all, [Metadata.Check] says.
func whereOf(uri string) string {
	switch {
	case strings.HasPrefix(uri, "https:"):
		return whereWeb
	case strings.HasPrefix(uri, "http:"):
		return whereLoopback
	}
	return whereScheme
}
