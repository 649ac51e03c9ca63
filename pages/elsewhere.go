package pages

import (
	"errors"
	"html"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// consentLink leads to what a client says of itself elsewhere.
type consentLink struct{ ID, To, Text string }

// linksOf are the addresses that a client names for people.
func linksOf(m client.Metadata) (links []consentLink) {
	for _, l := range []consentLink{{"client-home", m.ClientURI, "consent.home"}, {"client-policy", m.PolicyURI, "consent.policy"}, {"client-terms", m.TermsURI, "consent.terms"}} {
		if l.To != "" {
			links = append(links, l)
		}
	}
	return links
}

// awayLink is what {{elsewhere .To .ID}} writes: the begin of a link to a registered address of somebody else. Where that leads is told nothing
// of this page, can do nothing with it, and is recommended to nobody by us.
func awayLink(args ...any) (any, error) {
	to, _ := args[0].(string)
	id, _ := args[1].(string)
	if !strings.HasPrefix(to, "https://") { // registered so; a script in an address would run here
		return nil, errors.New("no https address")
	}
	return markup.HTML(`<a href="` + html.EscapeString(to) + `" id="` + html.EscapeString(id) + `" target="_blank" rel="noopener noreferrer nofollow ugc">`), nil
}
