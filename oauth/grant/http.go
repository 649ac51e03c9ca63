package grant

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// maxBody bounds the body of a token request, in bytes.
const maxBody = 16 << 10

// HTTPConfig is what the handlers need beside the service.
type HTTPConfig struct {
	Service *Service
	// Authenticate verifies the credential of r in a realm, of one of the given
	// schemes, exactly as the rest of Gatehouse does: same throttle, same rule
	// for plain HTTP, same one error for unknown, wrong and disabled.
	Authenticate func(r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error)
	// Challenges gives the WWW-Authenticate lines for a realm and schemes.
	Challenges func(realm string, schemes ...gatehouse.Scheme) []string
	// Allow is asked once per request with the client's address; false refuses
	// for retryAfter.
	Allow    func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	Problems *web.Problems // nil uses the zero value
}

// Handler serves the token endpoint of every realm.
type Handler struct{ c HTTPConfig }

// NewHandler checks c.
func NewHandler(c HTTPConfig) (*Handler, error) {
	if c.Service == nil || c.Authenticate == nil || c.Challenges == nil || c.Allow == nil {
		return nil, errors.New("grant: Service, Authenticate, Challenges and Allow are required")
	}
	if c.Problems == nil {
		c.Problems = &web.Problems{}
	}
	return &Handler{c: c}, nil
}

// Register adds the paths of package grant to mux. The patterns take every
// method: a wrong one is answered as a problem with its Allow line.
func (h *Handler) Register(mux *http.ServeMux) {
	tokens, refresh := h.c.Problems.Handler(h.tokens), h.c.Problems.Handler(h.refresh)
	mux.Handle("/tokens", tokens)
	mux.Handle("/tokens/refresh", refresh)
	mux.Handle("/realms/{realm}/tokens", tokens)
	mux.Handle("/realms/{realm}/tokens/refresh", refresh)
}

var (
	errQuery      = gatehouse.E(gatehouse.Invalid, "query_not_allowed", "This endpoint takes no query parameters; secrets never belong into a URL.")
	errLimited    = gatehouse.E(gatehouse.RateLimited, "rate_limited", "Too many requests; try again later.")
	errForm       = gatehouse.E(gatehouse.Invalid, "invalid_request", "The form is malformed or repeats a parameter.")
	errNoRefresh  = gatehouse.E(gatehouse.Invalid, "refresh_token_missing", "The member refresh_token is required.")
	errNotAToken  = gatehouse.E(gatehouse.Denied, "not_a_token", "This credential is not an access token of this realm, so it cannot be ended here.")
	errUnexpected = gatehouse.E(gatehouse.Invalid, "unexpected_credential", "Renewing takes the refresh token alone; leave out the Authorization header.")
)

// answerBody is the success response (RFC 6749 §5.1).
type answerBody struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// begin does what all requests share and returns the realm.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) (string, error) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1
	if r.URL.RawQuery != "" {
		return "", errQuery
	}
	if after, ok := h.c.Allow(r.Context(), gatehouse.AddressFrom(r.Context())); !ok {
		e := *errLimited
		e.RetryAfter = after
		return "", &e
	}
	if name := r.PathValue("realm"); name != "" {
		return name, nil
	}
	return gatehouse.MainRealm, nil
}

func (h *Handler) tokens(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		return h.issue(w, r)
	case http.MethodDelete:
		return h.end(w, r)
	}
	return web.MethodNotAllowed(http.MethodPost, http.MethodDelete)
}

// issue answers POST /tokens.
func (h *Handler) issue(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	p, err := h.authenticate(w, r, realm, gatehouse.SchemeBasic)
	if err != nil {
		return err
	}
	var form url.Values
	if hasBody(r) {
		if form, err = readForm(w, r); err != nil {
			return err
		}
	}
	ctx := gatehouse.WithPrincipal(r.Context(), p)
	t, err := h.c.Service.IssueForUser(ctx, realm, p, strings.Fields(form.Get("scope")))
	if err != nil {
		return h.challenge(err, realm, gatehouse.SchemeBasic)
	}
	return write(w, t)
}

// refresh answers POST /tokens/refresh. The refresh token is the credential;
// another one beside it would make it unclear who asks.
func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	if len(r.Header["Authorization"]) > 0 || len(r.Header["X-Api-Key"]) > 0 {
		return errUnexpected
	}
	token, scope, err := readRefresh(w, r)
	if err != nil {
		return err
	}
	t, err := h.c.Service.Refresh(r.Context(), realm, token, strings.Fields(scope))
	if err != nil {
		return err
	}
	return write(w, t)
}

// end answers DELETE /tokens: whoever holds a token may end its grant.
func (h *Handler) end(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	p, err := h.authenticate(w, r, realm, gatehouse.SchemeJWT, gatehouse.SchemeOpaque, gatehouse.SchemeAPIKey)
	if err != nil {
		return err
	}
	if kind, _ := authn.KindOf(p.Scheme); p.Foreign || p.GrantID == "" || kind.Record != authn.RecordGrant {
		return errNotAToken
	}
	ctx := gatehouse.WithPrincipal(r.Context(), p)
	if _, err := h.c.Service.End(ctx, p.Realm, p.GrantID, ReasonLogout); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// authenticate verifies the credential and gives a failure its challenges. An
// anonymous caller is as good as none here.
func (h *Handler) authenticate(_ http.ResponseWriter, r *http.Request, realm string, schemes ...gatehouse.Scheme) (*gatehouse.Principal, error) {
	p, err := h.c.Authenticate(r, realm, schemes...)
	if err == nil && (!p.Authenticated() || p.Realm != realm) {
		err = gatehouse.E(gatehouse.Unauthenticated, "credential_missing", "This needs a credential.")
	}
	if err != nil {
		return nil, h.challenge(err, realm, schemes...)
	}
	return p, nil
}

// challenge adds the WWW-Authenticate lines to a 401. API keys are accepted at
// DELETE only to be refused with a clear text, so they are never invited.
func (h *Handler) challenge(err error, realm string, schemes ...gatehouse.Scheme) error {
	if gatehouse.KindOf(err) != gatehouse.Unauthenticated {
		return err
	}
	if len(schemes) > 1 {
		schemes = schemes[:1]
	}
	return web.WithHeader(err, http.Header{"Www-Authenticate": h.c.Challenges(realm, schemes...)})
}

func write(w http.ResponseWriter, t Tokens) error {
	return web.WriteJSON(w, http.StatusOK, answerBody{
		AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, ExpiresIn: int64(t.ExpiresIn / time.Second),
		RefreshToken: t.RefreshToken.Reveal(), Scope: strings.Join(t.Scopes, " "),
	})
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// readForm reads an urlencoded body in which no parameter is given twice (RFC
// 6749 §3.2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := web.ContentType(r, "application/x-www-form-urlencoded"); err != nil {
		return nil, err
	}
	body, err := web.ReadBody(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm // its text would quote the input
	}
	for _, v := range form {
		if len(v) > 1 {
			return nil, errForm
		}
	}
	return form, nil
}

// readRefresh reads the token and the optional scope from JSON or a form.
func readRefresh(w http.ResponseWriter, r *http.Request) (gatehouse.Secret, string, error) {
	var in struct {
		RefreshToken string `json:"refresh_token"`
		Scope        string `json:"scope"`
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/json" {
		if err := web.DecodeJSON(w, r, &in, maxBody); err != nil {
			return "", "", err
		}
	} else {
		form, err := readForm(w, r)
		if err != nil {
			return "", "", err
		}
		in.RefreshToken, in.Scope = form.Get("refresh_token"), form.Get("scope")
	}
	if in.RefreshToken == "" {
		return "", "", errNoRefresh
	}
	return gatehouse.Secret(in.RefreshToken), in.Scope, nil
}
