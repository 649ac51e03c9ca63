package client

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// About is what a registration tells people of the client (RFC 7591 §2).
type About struct {
	ClientURI string `json:"client_uri,omitempty" maxLength:"512" doc:"https address of its home page, a link where people are asked"`
	PolicyURI string `json:"policy_uri,omitempty" maxLength:"512" doc:"https address of how it treats data of people, a link where people are asked"`
	TermsURI  string `json:"tos_uri,omitempty" maxLength:"512" doc:"https address of its terms, a link where people are asked"`
	// Contacts are for administrators; people are not shown them.
	Contacts []string `json:"contacts,omitempty" maxItems:"10" doc:"How to reach who is responsible for it; for administrators"`
}

// Most of what a registration tells of the client.
const (
	maxContacts = 10
	maxContact  = 254 // bytes
)

// checkAbout gives fault what is wrong with what m tells people.
func (m Metadata) checkAbout(fault func(member, text string)) {
	for member, uri := range map[string]string{"client_uri": m.ClientURI, "policy_uri": m.PolicyURI, "tos_uri": m.TermsURI} {
		if uri != "" && !linkable(uri) {
			fault(member, "must be an https URL without user name, of at most 512 bytes, with everything escaped that cannot stand in one")
		}
	}
	if len(m.Contacts) > maxContacts {
		fault("contacts", "must be at most 10")
	}
	for _, c := range m.Contacts {
		if c == "" || len(c) > maxContact || !utf8.ValidString(c) || strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			fault("contacts", "must have 1 to 254 bytes each, and no control characters")
			break
		}
	}
}

// linkable reports whether uri may stand in a link on a page of ours: https alone, since javascript: and data: would run here (RFC 7591 §5).
func linkable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && len(uri) <= maxAddress && strings.HasPrefix(uri, "https://") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsFunc(uri, unescaped) && !strings.ContainsFunc(u.Host, func(r rune) bool { return !strings.ContainsRune(hostLetters, r) })
}

// unescaped reports whether a character cannot stand in an address as it is.
func unescaped(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\^`{|}", r) }

// shown are the parts of m that lead people elsewhere; none for a client without.
func (m Metadata) shown() (parts []string) {
	for name, uri := range map[string]string{"client_uri": m.ClientURI, "policy_uri": m.PolicyURI, "tos_uri": m.TermsURI} {
		if uri != "" {
			parts = append(parts, name+" "+uri)
		}
	}
	slices.Sort(parts)
	return parts
}
