package enforce

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// resourceMetadata is what an API says of itself to those who want tokens for it (RFC 9728 §2).
type resourceMetadata struct {
	Resource    string   `json:"resource"`
	Issuers     []string `json:"authorization_servers"`
	Scopes      []string `json:"scopes_supported,omitempty"`
	Methods     []string `json:"bearer_methods_supported"`
	Algorithms  []string `json:"dpop_signing_alg_values_supported"`
	AlwaysBound bool     `json:"dpop_bound_access_tokens_required,omitzero"`
}

// WellKnownResource stands between the host and the path of an API in the address of its metadata (RFC 9728 §3).
const WellKnownResource = "/.well-known/oauth-protected-resource"

// metadataAddress is where the metadata of a resource are; "" for one that is no address (RFC 9728 §1.2).
func metadataAddress(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(resource, "?#") {
		return ""
	}
	path := u.EscapedPath()
	if path == "/" { // RFC 9728 §3.1
		path = ""
	}
	return u.Scheme + "://" + u.Host + WellKnownResource + path
}

// checkAudience checks what a route says of whom tokens are for.
func checkAudience(c *compiled) error {
	switch {
	case c.Audience == "":
		return nil
	case c.Closed:
		return errors.New("closed contradicts audience")
	case !c.takesTokens():
		return errors.New("audience is about tokens, and the route accepts none: schemes has neither jwt nor opaque")
	case len(c.Audience) > 512 || strings.ContainsFunc(c.Audience, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == '#' }):
		return errors.New("audience: an address such as https://api.example/mcp, or a name, without spaces, quotes and fragment")
	}
	return nil
}

func (c *compiled) takesTokens() bool {
	return len(c.accepts) == 0 || slices.Contains(c.accepts, gatehouse.SchemeJWT) || slices.Contains(c.accepts, gatehouse.SchemeOpaque)
}

// resourceOf is the address of the API that a route is of, as tokens name it. A route that names nobody is of the realm's default
// audience where that is an address at which the request came.
func (p *Pipeline) resourceOf(ctx context.Context, c *compiled, r *http.Request) string {
	if p.cfg.Issuer == nil || p.cfg.Audience == nil || c.Closed || !c.takesTokens() {
		return ""
	}
	resource := c.Audience
	if resource == "" {
		resource = p.cfg.Audience(ctx, c.Realm)
		if u, err := url.Parse(resource); err != nil || !strings.EqualFold(u.Host, r.Host) || u.Path != "" && u.Path != "/" {
			return "" // which routes are below a path is not ours to guess
		}
	}
	if metadataAddress(resource) == "" || resource == p.cfg.Issuer(c.Realm) { // tokens of no API in particular: nothing is published there
		return ""
	}
	return resource
}

// pointTo has the challenges say where the metadata of the API are (RFC 9728 §5.1), and what a caller who shows nothing needs.
func (p *Pipeline) pointTo(x *Exchange, r *http.Request, e *gatehouse.Error, lines []string) {
	resource := p.resourceOf(x.ctx, x.route, r)
	if resource == "" {
		return
	}
	more := `, resource_metadata="` + metadataAddress(resource) + `"`
	if scopes := x.route.scopesAsked(&gatehouse.Principal{Scheme: gatehouse.SchemeJWT}); e.Kind == gatehouse.Unauthenticated && x.presented.None() && len(scopes) > 0 {
		more = `, scope="` + strings.Join(scopes, " ") + `"` + more
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "Bearer ") || strings.HasPrefix(line, "DPoP ") {
			lines[i] += more
		}
	}
}

// Metadata is [Rules.Metadata] by the rules in force.
func (p *Pipeline) Metadata(req *http.Request) ([]byte, error) {
	return (&Rules{p, p.routes.Load()}).Metadata(req)
}

// Metadata are those of the API whose metadata r asks for, as JSON; nil where there is none.
func (r *Rules) Metadata(req *http.Request) ([]byte, error) {
	p, m := r.p, resourceMetadata{Methods: []string{"header"}, AlwaysBound: true}
	for _, a := range proof.Algorithms() {
		m.Algorithms = append(m.Algorithms, string(a))
	}
	asked := strings.ToLower(req.Host) + req.URL.EscapedPath()
	for _, c := range r.table.all {
		resource := p.resourceOf(req.Context(), c, req)
		_, at, _ := strings.Cut(metadataAddress(resource), "://")
		host, path, _ := strings.Cut(at, "/")
		if resource == "" || strings.ToLower(host)+"/"+path != asked || m.Resource != "" && m.Resource != resource {
			continue
		}
		m.Resource = resource
		m.add(c, p.cfg.Issuer(c.Realm))
	}
	if m.Resource == "" {
		return nil, nil
	}
	slices.Sort(m.Scopes)
	return json.Marshal(m)
}

// add adds what one route of the API says.
func (m *resourceMetadata) add(c *compiled, issuer string) {
	if !slices.Contains(m.Issuers, issuer) {
		m.Issuers = append(m.Issuers, issuer)
	}
	for _, way := range c.ways {
		for _, scope := range way.Scopes {
			if !slices.Contains(m.Scopes, scope) {
				m.Scopes = append(m.Scopes, scope)
			}
		}
	}
	m.AlwaysBound = m.AlwaysBound && c.Proof != ""
}
