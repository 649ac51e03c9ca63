package authorize

import (
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Response modes: how an answer gets to the client (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode §2).
const (
	modeQuery    = "query"
	modeFragment = "fragment"
	modeFormPost = "form_post"
)

func modes() []string {
	return []string{modeQuery, modeFragment, modeFormPost, modeJWT, modeQuery + "." + modeJWT, modeFragment + "." + modeJWT, modeFormPost + "." + modeJWT}
}

// methodS256 is the one way in which a challenge is made (RFC 7636 §4.2).
const methodS256 = "S256"

// Describe adds to a realm's metadata what the authorization endpoint is and takes (RFC 8414 §2, RFC 9207 §3).
func Describe(m map[string]any, r gatehouse.Realm, base string) {
	m["authorization_endpoint"] = base + "/authorize"
	m["end_session_endpoint"] = base + "/logout"                                                // OpenID Connect RP-Initiated Logout §2.1
	m["backchannel_logout_supported"], m["backchannel_logout_session_supported"] = true, true   // Back-Channel Logout §2.1
	m["frontchannel_logout_supported"], m["frontchannel_logout_session_supported"] = true, true // Front-Channel Logout §3
	m["response_types_supported"] = []string{"code"}
	m["response_modes_supported"] = modes()
	m["authorization_signing_alg_values_supported"] = token.IDAlgorithms() // JARM §3
	m["code_challenge_methods_supported"] = []string{methodS256}
	m["claims_parameter_supported"], m["claims_supported"] = true, append([]string{"sub", "auth_time", "acr", "amr"}, openid.Claims()...)
	m["acr_values_supported"] = levels()
	m["prompt_values_supported"], m["display_values_supported"] = prompts(), []string{"page"}
	m["authorization_response_iss_parameter_supported"] = true
	m["require_pushed_authorization_requests"] = r.Settings.RequirePushed // RFC 9126 §5
	if r.Settings.TakesDocuments() {
		m["client_id_metadata_document_supported"] = true // OAuth Client ID Metadata Document §5
	}
	m["request_parameter_supported"], m["request_uri_parameter_supported"] = true, false // what is left out means something else
	m["request_object_signing_alg_values_supported"] = client.Metadata{}.RequestAlgorithms()
}

// Answer is what the browser of a person brings to a client.
type Answer struct {
	To     string // a registered address
	Forms  string // where the forms of a page that leads there may end, for its content policy (form-action)
	Params []Param
	mode   string
	sign   *signing // nil for an answer that is not signed
}

// Param is a parameter of an answer.
type Param struct{ Name, Value string }

// Posted reports whether the browser is to send the answer in a form.
func (a Answer) Posted() bool { return a.mode == modeFormPost }

// Location is where the browser is sent with the answer in the address.
func (a Answer) Location() string {
	var b strings.Builder
	b.WriteString(a.To)
	sep := byte('?')
	switch {
	case a.mode == modeFragment:
		sep = '#'
	case strings.Contains(a.To, "?"): // what was registered stays as it is
		sep = '&'
	}
	for _, p := range a.Params {
		b.WriteByte(sep)
		b.WriteString(p.Name + "=" + url.QueryEscape(p.Value))
		sep = '&'
	}
	return b.String()
}

// targets are where the forms of a page that leads to a client may end, as its content policy names it (form-action): the origins
// that are registered for the client. Browsers hold that policy against each redirect that follows a form, so also against those by which
// the client sends people on from its address.
func targets(registered []string) string {
	var out []string
	for _, uri := range registered {
		target := ""
		switch u, err := url.Parse(uri); {
		case err != nil: // none is registered
			continue
		case u.Scheme == "https":
			target = "https://" + u.Host
		case u.Scheme != "http":
			target = u.Scheme + ":"
		case strings.HasPrefix(u.Host, "["): // of the own machine, and a policy cannot name an IPv6 address (CSP Level 3 §2.3.1)
			target = "http:"
		default: // the port is the program's to choose
			target = "http://" + u.Hostname() + ":*"
		}
		if !slices.Contains(out, target) {
			out = append(out, target)
		}
	}
	return strings.Join(out, " ")
}

// Forms is where the forms of a page that leads to the client of r may end.
func (r *Request) Forms() string { return targets(r.Client.Metadata.RedirectURIs) }

// answer is the successful one (RFC 6749 §4.1.2), with the issuer (RFC 9207 §2).
func (r *Request) answer(params ...string) Answer {
	a := Answer{To: r.RedirectURI, Forms: r.Forms()}
	var signed bool
	if a.mode, signed = signedMode(r.mode); signed {
		a.sign = &signing{realm: r.realm.Name, client: r.Client.ID, alg: r.Client.Metadata.SignsAnswers()}
	}
	if r.state != "" {
		params = append(params, "state", r.state)
	}
	params = append(params, "iss", r.issuer)
	for i := 0; i+1 < len(params); i += 2 {
		a.Params = append(a.Params, Param{params[i], params[i+1]})
	}
	return a
}

// Refusal is the answer to a request that gives the client nothing (RFC 6749 §4.1.2.1). It is the client's to read, and goes there.
type Refusal struct {
	Answer Answer
	// Silent: nobody is to be asked for anything first.
	Silent bool
	code   string
	text   string // what to mend
}

func (r *Refusal) Error() string { return "the authorization request is refused: " + r.code }

// refusal refuses r. The text says what to mend.
func (r *Request) refusal(code, text string) *Refusal {
	return &Refusal{Answer: r.answer("error", code, "error_description", text), Silent: r.silent(), code: code, text: text}
}
