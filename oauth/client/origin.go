package client

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/web"
)

const maxOrigins = 20

// PageOrigins are the origins of the pages that may call the endpoints of tokens by a script, as browsers send them: those that are
// registered, and those of the redirect URIs of a public client. What has a secret is no page.
func (m Metadata) PageOrigins() []string {
	out := slices.Clone(m.Origins)
	if !m.Public() {
		return out
	}
	for _, uri := range m.RedirectURIs {
		if origin, _ := web.Origin(uri); origin != "" && !slices.Contains(out, origin) {
			out = append(out, origin)
		}
	}
	return out
}

// checkOrigins gives fault what is wrong with the origins of m.
func (m Metadata) checkOrigins(fault func(member, text string)) {
	if len(m.Origins) > maxOrigins {
		fault("allowed_cors_origins", "must be at most 20")
	}
	for i, o := range m.Origins {
		switch meant, exact := web.Origin(o); {
		case len(o) > maxRedirect || meant == "": // also "*": a page of no client has nothing to ask here
			fault("allowed_cors_origins", "must be exact origins such as https://app.example")
			return
		case !exact:
			fault("allowed_cors_origins", "must be as browsers send them, here "+meant)
			return
		case slices.Contains(m.Origins[:i], o):
			fault("allowed_cors_origins", "must name each origin once")
			return
		}
	}
}
