package openid

import (
	"slices"
	"time"
)

// Scopes of OpenID Connect (Core §3.1.2.1, §5.4). [ScopeOpenID] makes a request one of OpenID Connect.
const (
	ScopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeAddress = "address"
	scopePhone   = "phone"
)

// Scopes are all of them. They mean the same in every realm.
func Scopes() []string {
	return []string{ScopeOpenID, scopeProfile, scopeEmail, scopeAddress, scopePhone}
}

// IsScope reports whether a scope is one of OpenID Connect.
func IsScope(name string) bool { return slices.Contains(Scopes(), name) }

// form is of what type a claim is (Core §5.1).
type form int

const (
	text form = iota
	truth
	number
	address
)

// standard are the claims of Core §5.1, with the scope that gives each.
var standard = [...]struct {
	name, scope string
	form        form
}{
	{"name", scopeProfile, text}, {"family_name", scopeProfile, text}, {"given_name", scopeProfile, text}, {"middle_name", scopeProfile, text},
	{"nickname", scopeProfile, text}, {"preferred_username", scopeProfile, text}, {"profile", scopeProfile, text}, {"picture", scopeProfile, text},
	{"website", scopeProfile, text}, {"gender", scopeProfile, text}, {"birthdate", scopeProfile, text}, {"zoneinfo", scopeProfile, text},
	{"locale", scopeProfile, text}, {"updated_at", scopeProfile, number},
	{"email", scopeEmail, text}, {"email_verified", scopeEmail, truth},
	{"address", scopeAddress, address},
	{"phone_number", scopePhone, text}, {"phone_number_verified", scopePhone, truth},
}

// Claims are the names of all claims about a person.
func Claims() (out []string) {
	for _, c := range standard {
		out = append(out, c.name)
	}
	return out
}

// ScopeOf is the scope that gives a claim; "" for a name that is no claim about a person.
func ScopeOf(claim string) string {
	for _, c := range standard {
		if c.name == claim {
			return c.scope
		}
	}
	return ""
}

// ClaimsOf are the claims that scopes give (Core §5.4).
func ClaimsOf(scopes []string) (out []string) {
	for _, c := range standard {
		if slices.Contains(scopes, c.scope) {
			out = append(out, c.name)
		}
	}
	return out
}

// Person is an account, as far as clients can be told of it.
type Person struct {
	Username, DisplayName, Email string
	EmailVerified                bool
	UpdatedAt                    time.Time
	Attributes                   map[string]any
}

// Values are the named claims of p, as far as p has them.
func (p Person) Values(names []string) map[string]any {
	out := map[string]any{}
	for _, c := range standard {
		if !slices.Contains(names, c.name) {
			continue
		}
		if value := p.value(c.name, c.form); value != nil {
			out[c.name] = value
		}
	}
	return out
}

// value is a claim of p, nil where p has none. What an account has of its own no attribute stands for: whoever may set attributes does
// not make an address verified by that.
func (p Person) value(name string, f form) any {
	switch name {
	case "name":
		return some(p.DisplayName)
	case "preferred_username":
		return some(p.Username)
	case "email":
		return some(p.Email)
	case "email_verified":
		if p.Email == "" {
			return nil
		}
		return p.EmailVerified
	case "updated_at":
		if p.UpdatedAt.IsZero() {
			return nil
		}
		return p.UpdatedAt.Unix()
	}
	switch v := p.Attributes[name].(type) {
	case string:
		if f == text {
			return some(v)
		}
	case bool:
		if f == truth {
			return v
		}
	case map[string]any:
		if f == address {
			return postal(v)
		}
	}
	return nil
}

// postal is an address claim (Core §5.1.1): the members that are texts.
func postal(given map[string]any) any {
	out := map[string]any{}
	for _, member := range []string{"formatted", "street_address", "locality", "region", "postal_code", "country"} {
		if s, _ := given[member].(string); s != "" {
			out[member] = s
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func some(s string) any {
	if s == "" {
		return nil
	}
	return s
}
