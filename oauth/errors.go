package oauth

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Handler adapts fn as [web.Problems.Handler] does, and answers its errors in the
// form that the client reads.
func Handler(p *web.Problems, fn web.HandlerFunc) http.Handler {
	plain := *p
	problems, errors := plain.Handler(fn), Standard(p, fn)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wantsJSON(r) {
			errors.ServeHTTP(w, r)
			return
		}
		problems.ServeHTTP(w, r)
	})
}

// Standard adapts fn as [Handler] does, for an endpoint that a specification describes: its clients read
// application/json, and need not say so.
func Standard(p *web.Problems, fn web.HandlerFunc) http.Handler {
	oauth := *p
	oauth.Form = errorForm
	return oauth.Handler(fn)
}

// wantsJSON reports whether the client asks for plain JSON by name, and not for
// problems. Without a word about either it gets a problem.
func wantsJSON(r *http.Request) bool {
	found := false
	for _, line := range r.Header["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, _, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(mediaType)) {
			case "application/problem+json":
				return false
			case "application/json":
				found = true
			}
		}
	}
	return found
}

// errorBody is an error response (RFC 6749 §5.2) with the members of a problem.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	web.Problem
}

func errorForm(p web.Problem) (contentType string, body any) {
	return "application/json", errorBody{Error: errorName(p), Description: description(p.Detail), Problem: p}
}

// errorName is the name that RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2, RFC 9101 §8, RFC 9449, RFC 8628 §3.5 and CIBA Core §13 have for a problem. Ours
// that are not among them fall under one by their status.
func errorName(p web.Problem) string {
	switch p.Code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"invalid_target", "temporarily_unavailable", "invalid_dpop_proof", "use_dpop_nonce", "unsupported_response_type",
		"invalid_client_metadata", "invalid_redirect_uri", "unapproved_software_statement",
		"invalid_request_object", "invalid_authorization_details", "request_uri_not_supported", "registration_not_supported",
		"authorization_pending", "slow_down", "expired_token", "unknown_user_id", "invalid_binding_message", "transaction_failed":
		return p.Code
	case "second_factor_required", "second_factor_missing", "second_factor_invalid", "code_verifier_wrong", "redirect_uri_mismatch", "code_key_mismatch":
		return "invalid_grant"
	case "client_document_refused":
		return "invalid_client"
	case "device_denied", "person_denied":
		return "access_denied"
	case "exchange_two_targets":
		return "invalid_target"
	}
	switch p.Code {
	case "registration_token_invalid":
		return "invalid_token"
	case "client_registration_closed":
		return "access_denied"
	}
	switch p.Status {
	case http.StatusUnauthorized: // with the challenge of the scheme that the client used
		return "invalid_client"
	case http.StatusForbidden:
		return "unauthorized_client"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request"
}

// description drops what RFC 6749 §5.2 does not allow in the text.
func description(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// Errors of reading a request, for all endpoints.
var (
	ErrQuery   = gatehouse.E(gatehouse.Invalid, "query_not_allowed", "This endpoint takes no query parameters; secrets never belong into a URL.")
	errRequest = gatehouse.E(gatehouse.Invalid, "invalid_request", "The form is malformed or repeats a parameter.")
)
