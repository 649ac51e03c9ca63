package authorize

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// MaxQuery bounds a request, in bytes as they stand in an address.
const MaxQuery = 4 << 10

// maxScopes bounds what one request may ask for.
const maxScopes = 100

// What is shown, and never sent to anybody.
var (
	errRequest     = gatehouse.E(gatehouse.Invalid, "authorization_request_invalid", "The program that sent you here made a request that cannot be read: too long, malformed, or without its client_id.")
	errClient      = gatehouse.E(gatehouse.Invalid, "client_id_unknown", "The program that sent you here is not known here, or may not be used at the moment.")
	errRedirectURI = gatehouse.E(gatehouse.Invalid, "redirect_uri_refused", "The program that sent you here wants you sent back to an address that is not registered for it (redirect_uri).")
)

// reading is a request on its way through the steps.
type reading struct {
	Request
	ctx     context.Context
	s       *Service
	raw     string
	pushing bool // it is not in a browser yet: the client has proved who it is, and pushes it
}

// step is one check of a request. What it refuses is an error that is shown, or a fault, which goes to the client.
type step struct {
	section string // where the check stands
	check   func(*reading) error
}

// fault is what is wrong, as the client is told.
type fault struct{ code, text string }

func (f fault) Error() string { return f.code + ": " + f.text }

// identify are the steps after which it is known whose request it is, and where an answer may go.
func identify() []step {
	return []step{
		{"RFC 6749 §3.1", (*reading).parse},
		{"RFC 6749 §2.2", (*reading).client},
		{"RFC 9126 §4", (*reading).pushedBefore},
		{"RFC 9101 §6", (*reading).object},
		{"RFC 6749 §3.1.2, RFC 9700 §2.1", (*reading).redirectURI},
	}
}

// judge are the steps whose refusals go there.
func judge() []step {
	return []step{
		{"OAuth 2.0 Multiple Response Types §2.1", (*reading).responseMode},
		{"RFC 6749 §3.1", (*reading).once},
		{"RFC 9126 §2.1, §5", (*reading).pushes},
		{"RFC 9101 §10.5", (*reading).signs},
		{"OpenID Connect Core §6", (*reading).elsewhere},
		{"RFC 6749 §3.1.1", (*reading).responseType},
		{"RFC 6749 §3.3", (*reading).scope},
		{"RFC 7636 §4.4.1, RFC 9700 §2.1.1", (*reading).pkce},
		{"RFC 8707 §2", (*reading).resource},
		{"RFC 9396 §2, §5", (*reading).detailed},
		{"RFC 9449 §10", (*reading).proofKey},
		{"OpenID Connect Core §3.1.2.1", (*reading).interaction},
		{"OpenID Connect Core §5.5", (*reading).claims},
		{"OpenID Connect Core §3.1.2.2", (*reading).hint},
	}
}

// Read judges the query of a request to the authorization endpoint of realm. An error of type *[Refusal] goes to the client,
// every other one is shown.
func (s *Service) Read(ctx context.Context, realm gatehouse.Realm, query string) (*Request, error) {
	in := s.reading(ctx, realm)
	in.raw = query
	return in.judged()
}

func (s *Service) reading(ctx context.Context, realm gatehouse.Realm) *reading {
	return &reading{Request: Request{realm: realm, issuer: s.c.Issuer(realm.Name), key: s.c.Key, mode: modeQuery}, ctx: ctx, s: s}
}

// judged takes a request through all steps.
func (in *reading) judged() (*Request, error) {
	for _, st := range identify() {
		if err := st.check(in); err != nil {
			return nil, err
		}
	}
	if len(in.values["state"]) == 1 {
		in.state = in.values.Get("state")
	}
	in.prompt = strings.Fields(in.values.Get("prompt"))
	for _, st := range judge() {
		err := st.check(in)
		var f fault
		if errors.As(err, &f) {
			return nil, in.refusal(f.code, f.text)
		}
		if err != nil {
			return nil, err
		}
	}
	r := in.Request
	return &r, nil
}

func (in *reading) parse() (err error) {
	if len(in.raw) > MaxQuery {
		return errRequest
	}
	if !in.pushing {
		if in.query, err = url.ParseQuery(in.raw); err != nil {
			return errRequest
		}
		in.values = in.query
	}
	return in.text()
}

// text refuses parameters that are no text, and forgets those without a value.
func (in *reading) text() error {
	for name, values := range in.values {
		if slices.ContainsFunc(append(values, name), func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }) {
			return errRequest
		}
		if !slices.ContainsFunc(values, func(s string) bool { return s != "" }) {
			delete(in.values, name) // without a value it is as if it were not there
		}
	}
	return nil
}

func (in *reading) client() (err error) {
	if len(in.values["client_id"]) != 1 {
		return errRequest
	}
	in.Client, err = in.s.c.Clients.Client(in.ctx, in.realm.Name, in.values.Get("client_id"))
	if errors.Is(err, gatehouse.NotFound) || err == nil && in.Client.Disabled {
		return errClient
	}
	return err
}

// redirectURI may be left out where there is one alone that it could be.
func (in *reading) redirectURI() error {
	m := in.Client.Metadata
	switch given := in.values["redirect_uri"]; {
	case len(given) == 0 && len(m.RedirectURIs) == 1:
		in.RedirectURI = m.RedirectURIs[0]
	case len(given) == 1:
		in.RedirectURI, in.named = given[0], true
	}
	if !m.Redirects(in.RedirectURI) || len(in.RedirectURI) > MaxQuery {
		return errRedirectURI
	}
	return nil
}

func (in *reading) responseMode() error {
	switch given := in.values["response_mode"]; {
	case len(given) == 0:
	case len(given) == 1 && slices.Contains(modes(), given[0]):
		in.mode = given[0]
	default:
		return fault{"invalid_request", "response_mode must be query, fragment, form_post, jwt, query.jwt, fragment.jwt or form_post.jwt."}
	}
	return nil
}

// once refuses a parameter that is there twice: of two values, two readers take different ones. RFC 8707 lets resource be repeated.
func (in *reading) once() error {
	for name, values := range in.values {
		if len(values) > 1 && name != "resource" {
			return fault{"invalid_request", "A parameter is there more than once."}
		}
	}
	return nil
}

// elsewhere refuses parameters that would change the meaning of all others, and that are not read here.
func (in *reading) elsewhere() error {
	for _, f := range []struct{ name, code string }{{"request_uri", "request_uri_not_supported"}, {"registration", "registration_not_supported"}} {
		if in.values.Has(f.name) {
			return fault{f.code, "The parameter " + f.name + " is not supported here."}
		}
	}
	return nil
}

func (in *reading) responseType() error {
	switch in.values.Get("response_type") {
	case "code":
		return nil
	case "":
		return fault{"invalid_request", "The parameter response_type is required; it is code."}
	}
	return fault{"unsupported_response_type", "The response_type is code: tokens are never in an address (RFC 9700 2.1.2)."}
}

// scope takes what the client is registered for, or all of that where it asks for nothing by name. What it is told of the person, and
// that it goes on without it, has to be asked for by name.
func (in *reading) scope() error {
	may := in.Client.Metadata.ScopesOf(in.realm.Settings)
	asked := strings.Fields(in.values.Get("scope"))
	if len(asked) == 0 && in.values.Has("authorization_details") {
		return nil // it says what it wants, and no scope is of that
	}
	if len(asked) == 0 {
		in.Scopes = in.Client.Metadata.OwnScopes(in.realm.Settings)
		return nil
	}
	if len(asked) > maxScopes {
		return fault{"invalid_scope", "More than 100 scopes are asked for."}
	}
	for _, name := range asked {
		if !slices.Contains(may, name) {
			return fault{"invalid_scope", "A scope is asked for that is not in the realm's catalogue, or that the client is not registered for."}
		}
		if !slices.Contains(in.Scopes, name) {
			in.Scopes = append(in.Scopes, name)
		}
	}
	return nil
}

// pkce takes S256 alone. A challenge without a method means plain (RFC 7636 §4.3), which shows the verifier to whoever reads the request.
func (in *reading) pkce() error {
	in.challenge = in.values.Get("code_challenge")
	method := in.values.Get("code_challenge_method")
	switch {
	case in.challenge == "" && method != "":
		return fault{"invalid_request", "code_challenge_method is there without a code_challenge."}
	case in.challenge == "" && in.Client.Metadata.NeedsPKCE():
		return fault{"invalid_request", "A code_challenge is required, by the method S256 (PKCE)."}
	case in.challenge == "":
		return nil
	case method != methodS256:
		return fault{"invalid_request", "code_challenge_method must be S256."}
	}
	if !sha256Text(in.challenge) {
		return fault{"invalid_request", "code_challenge must be the SHA-256 of the verifier in base64url, 43 characters."}
	}
	return nil
}

// sha256Text reports whether s is a SHA-256 in base64url, in its one form.
func sha256Text(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32 && len(s) == 43
}

func (in *reading) resource() error {
	have := in.s.c.Codes.Audiences(in.realm)
	in.audience = have[0]
	for _, r := range in.values["resource"] {
		if !slices.Contains(have, r) {
			return fault{"invalid_target", "A resource is asked for that is none of the realm's audiences."}
		}
		if !slices.Contains(in.Resources, r) {
			in.Resources = append(in.Resources, r)
		}
	}
	return nil
}

// prompts are the values of prompt (OpenID Connect Core §3.1.2.1).
func prompts() []string { return []string{"none", "login", "consent", "select_account"} }

// maxAgeLimit bounds max_age, so that no arithmetic overflows: a hundred years.
const maxAgeLimit = 100 * 365 * 24 * 60 * 60

func (in *reading) interaction() error {
	for _, p := range in.prompt {
		if !slices.Contains(prompts(), p) || p == "none" && len(in.prompt) > 1 {
			return fault{"invalid_request", "prompt must be none, or of login, consent and select_account."}
		}
	}
	if age := in.values.Get("max_age"); age != "" {
		n, err := strconv.ParseUint(age, 10, 63)
		if err != nil {
			return fault{"invalid_request", "max_age must be a number of seconds."}
		}
		in.maxAge, in.hasMaxAge = time.Duration(min(n, maxAgeLimit))*time.Second, true
	}
	in.after = in.marked()
	in.nonce = in.values.Get("nonce")
	return nil
}
