package client

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// Dynamic reports whether the client registered itself (RFC 7591): nobody looked at what it says of itself.
func (c Client) Dynamic() bool { return len(c.Registration) > 0 }

// NewRegistrationToken makes a token by which a client registers, or changes what it registered. Its hash is kept.
func NewRegistrationToken() (text gatehouse.Secret, hash []byte) {
	text, _, hash = credential.MintKey(credential.PrefixClient, gatehouse.EnvironmentLive)
	return text, hash
}

// RegistrationTokenHash is what is kept of such a token; what is of another form is none.
func RegistrationTokenHash(text gatehouse.Secret) (hash []byte, ok bool) {
	p, err := credential.ParseKey(text.Reveal())
	if err != nil || p.Prefix != credential.PrefixClient {
		return nil, false
	}
	return credential.HashKey(text.Reveal()), true
}

// Manages reports whether text is the token by which c changes its registration.
func (c Client) Manages(text gatehouse.Secret) bool {
	hash, ok := RegistrationTokenHash(text)
	return ok && c.Dynamic() && subtle.ConstantTimeCompare(hash, c.Registration) == 1
}

// Registered is a client that registered itself, with what is shown once.
type Registered struct {
	Client
	Secret gatehouse.Secret // "" where none was made
	Token  gatehouse.Secret // by which it changes its registration
}

// InitialToken is a token by which clients register themselves (RFC 7591 §1.2).
type InitialToken struct {
	Realm     string
	ID        string // "crt_…"
	Note      string // what it is for
	Hash      []byte
	Left      int // how many clients may still register by it
	CreatedAt time.Time
	ExpiresAt time.Time
}

// dynamicGrants are those by which a client may ask that nobody looked at: a person allows what it gets.
func dynamicGrants() []string { return []string{GrantAuthorizationCode, GrantRefreshToken} }

// Narrow makes of what a client says of itself what it may be registered with: nothing that only an administrator gives, and of the
// scopes those that the realm gives such clients, which RFC 7591 §2 leaves to the server. What is missing gets the defaults there.
func (m Metadata) Narrow(s gatehouse.RealmSettings, fault func(member, text string)) Metadata {
	m.FirstParty, m.RequirePKCE, m.Audiences, m.AllowPrivateAddress, m.LegacyAudience = false, nil, nil, false, false
	m.Exchanges, m.DetailTypes = nil, nil
	if m.AuthMethod == "" {
		m.AuthMethod = AuthBasic
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{GrantAuthorizationCode}
	}
	for _, g := range m.GrantTypes {
		if !slices.Contains(dynamicGrants(), g) {
			fault("grant_types", "must be of "+strings.Join(dynamicGrants(), ", ")+" for a client that registers itself")
		}
	}
	asked := m.Scopes()
	if len(asked) == 0 {
		asked = s.ClientRegistrationScopes
	}
	kept := []string{}
	for _, name := range asked {
		may := slices.Contains(s.ClientRegistrationScopes, name) && (name != ScopeOffline || m.May(GrantRefreshToken))
		if may && !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	m.Scope = strings.Join(kept, " ")
	return m
}
