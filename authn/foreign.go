package authn

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	maxMapped     = 200  // scopes or roles taken from one claim
	maxMappedText = 1024 // bytes of one mapped text
)

// foreignPrincipal maps the verified claims of a trusted issuer by the realm's
// fixed rules. Nothing that is not mapped arrives; what does not fit is dropped,
// which can only lessen what the caller may do.
func foreignPrincipal(realm string, f *gatehouse.TrustedIssuer, c *token.Claims) *gatehouse.Principal {
	p := FromClaims(realm, c) // dated by iat: jti is the foreign issuer's choice
	p.ID, p.Foreign = foreignID(c.Issuer, c.Subject), true
	// Grants, sessions and types of details are ours, scopes are mapped below.
	p.CredentialID, p.GrantID, p.SessionID, p.Details, p.Scopes = "", "", "", "", nil
	p.Act = foreignAct(c.Issuer, c.Act)
	scopeClaim := f.ScopeClaim
	if scopeClaim == "" {
		scopeClaim = "scope"
	}
	for _, s := range texts(claim(c.Lookup, scopeClaim), true) {
		// Only Gatehouse grants "everything".
		if s != gatehouse.ScopeAll && validScope(s) && !slices.Contains(p.Scopes, s) {
			p.Scopes = append(p.Scopes, s)
		}
	}
	if f.RolesClaim != "" {
		for _, theirs := range ClaimTexts(c.Lookup, f.RolesClaim) {
			if ours := f.RoleMap[theirs]; ours != "" && !slices.Contains(p.Roles, ours) {
				p.Roles = append(p.Roles, ours)
			}
		}
	}
	if f.NameClaim != "" {
		if t := ClaimTexts(c.Lookup, f.NameClaim); len(t) == 1 {
			p.Name = t[0]
		}
	}
	for ours, theirs := range f.AttributeClaims {
		if v, ok := attribute(claim(c.Lookup, theirs)); ok {
			if p.Attributes == nil {
				p.Attributes = make(map[string]any, len(f.AttributeClaims))
			}
			p.Attributes[ours] = v
		}
	}
	return p
}

// foreignID can equal no local id and no other issuer's: a hash over both parts,
// framed by length.
func foreignID(issuer, subject string) string {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(issuer)))
	_, _ = h.Write(n[:])
	_, _ = h.Write([]byte(issuer))
	_, _ = h.Write([]byte(subject))
	sum := h.Sum(nil)
	return "ext_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}

// ClaimTexts returns the texts that a claim is: a text, or those of a list, at most 200 of at most 1024 bytes each. of returns one
// of the claims, nil when it is not there. Name finds it among them and, with dots, inside of them ("realm_access.roles").
func ClaimTexts(of func(string) jsontext.Value, name string) []string {
	return texts(claim(of, name), false)
}

// HasClaim reports whether name finds a claim as [ClaimTexts] does, whatever it is.
func HasClaim(of func(string) jsontext.Value, name string) bool { return claim(of, name) != nil }

// OuterClaims yields what the claims can be called at the top that name finds, or finds something inside of.
func OuterClaims(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(name) {
			return
		}
		for first := range splits(name) {
			if !yield(first) {
				return
			}
		}
	}
}

// claim finds a claim by its exact name, else, for a name with dots, inside nested
// objects ("realm_access.roles"). A member's own name may have dots too, as client ids
// do ("resource_access.my.client.roles"): every way to split the name is tried, and
// when two of them lead somewhere, nothing is taken.
func claim(of func(string) jsontext.Value, name string) jsontext.Value {
	if v := of(name); v != nil {
		return v
	}
	var found []jsontext.Value
	for first, rest := range splits(name) {
		found = append(found, inside(of(first), rest)...)
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// inside returns every member of an object that name can mean, two at most.
func inside(object jsontext.Value, name string) []jsontext.Value {
	var members map[string]jsontext.Value
	if json.Unmarshal(object, &members) != nil { // no object
		return nil
	}
	var found []jsontext.Value
	if v := members[name]; v != nil {
		found = append(found, v)
	}
	for first, rest := range splits(name) {
		if len(found) < 2 {
			found = append(found, inside(members[first], rest)...)
		}
	}
	return found
}

// splits yields what stands before and after each dot of name.
func splits(name string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range len(name) {
			if name[i] == '.' && !yield(name[:i], name[i+1:]) {
				return
			}
		}
	}
}

// texts reads a string (split at spaces with split) or an array of strings.
func texts(v jsontext.Value, split bool) []string {
	var out []string
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return nil
		}
		out = []string{s}
		if split {
			out = strings.Fields(s)
		}
	case '[':
		if json.Unmarshal(v, &out) != nil {
			return nil
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" || len(s) > maxMappedText })
	return out[:min(len(out), maxMapped)]
}

// validScope is scope-token of RFC 6749 §3.3.
func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// attribute turns a claim into what policies understand: text, truth, whole
// numbers and lists of those.
func attribute(v jsontext.Value) (any, bool) {
	switch v.Kind() {
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err == nil && len(s) <= maxMappedText
	case 't', 'f':
		return v.Kind() == 't', true
	case '0':
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil
	case '[':
		var raw []jsontext.Value
		if json.Unmarshal(v, &raw) != nil || len(raw) > maxMapped {
			return nil, false
		}
		list := make([]any, 0, len(raw))
		for _, e := range raw {
			if e.Kind() == '[' {
				return nil, false
			}
			item, ok := attribute(e)
			if !ok {
				return nil, false
			}
			list = append(list, item)
		}
		return list, true
	}
	return nil, false
}
