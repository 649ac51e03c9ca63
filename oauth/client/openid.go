package client

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/token"
)

// OpenID is what a registration says of how the client is told of people (OpenID Connect Registration §2).
type OpenID struct {
	// IDTokenAlg is by what its ID tokens are signed; "" is RS256, or ES256 with ProfileFAPI2.
	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty" maxLength:"16" doc:"By what its ID tokens are signed: RS256 (default), PS256, ES256, ES384 or EdDSA"`
	// AnswerAlg is by what answers of the authorization endpoint are signed in the response modes of JARM; the default is that of IDTokenAlg.
	AnswerAlg string `json:"authorization_signed_response_alg,omitempty" maxLength:"16" doc:"By what answers of the authorization endpoint are signed, in a response_mode with jwt: RS256 (default), PS256, ES256, ES384 or EdDSA"`
	// UserInfoAlg is by what answers of userinfo are signed; "" leaves them plain JSON.
	UserInfoAlg string `json:"userinfo_signed_response_alg,omitempty" maxLength:"16" doc:"By what answers of userinfo are signed; without it they are plain JSON"`
	// IntrospectionAlg is by what it is told what tokens stand for, where it asks for a signed answer; the default is that of IDTokenAlg.
	IntrospectionAlg string `json:"introspection_signed_response_alg,omitempty" maxLength:"16" doc:"By what answers of introspection are signed, where it asks for signed ones: RS256 (default), PS256, ES256, ES384 or EdDSA"`
	// PostLogoutURIs are where browsers may be sent when the client has had a person sign out, byte for byte.
	PostLogoutURIs []string `json:"post_logout_redirect_uris,omitempty" maxItems:"20" doc:"Where browsers may be sent after the client had a person sign out, as redirect_uris"`
	Logout
}

// SignsAnswers is by what answers of the authorization endpoint are signed for the client, where it asks for that (JARM §3).
func (m Metadata) SignsAnswers() token.Algorithm { return m.orDefault(m.AnswerAlg) }

// SignsIntrospections is by what answers of introspection are signed for the client, where it asks for that (RFC 9701 §6).
func (m Metadata) SignsIntrospections() token.Algorithm { return m.orDefault(m.IntrospectionAlg) }

// SignsID is by what ID tokens for the client are signed.
func (m Metadata) SignsID() token.Algorithm { return m.orDefault(m.IDTokenAlg) }

func (m Metadata) orDefault(alg string) token.Algorithm {
	switch {
	case alg == "" && m.FAPI2(): // which RS256 is not for
		return token.ES256
	case alg == "":
		return token.RS256
	}
	return token.Algorithm(alg)
}

func (m Metadata) checkOpenID(fault func(member, text string)) {
	m.checkLogout(fault)
	if len(m.PostLogoutURIs) > maxRedirects {
		fault("post_logout_redirect_uris", "must be at most 20")
	}
	for _, uri := range m.PostLogoutURIs {
		if wrong := wrongRedirect(uri); wrong != "" {
			fault("post_logout_redirect_uris", wrong)
			break
		}
	}
	for member, alg := range map[string]string{"id_token_signed_response_alg": m.IDTokenAlg, "userinfo_signed_response_alg": m.UserInfoAlg,
		"authorization_signed_response_alg": m.AnswerAlg, "introspection_signed_response_alg": m.IntrospectionAlg} {
		if alg != "" && !slices.Contains(token.IDAlgorithms(), token.Algorithm(alg)) {
			var names []string
			for _, a := range token.IDAlgorithms() {
				names = append(names, string(a))
			}
			fault(member, "must be one of "+strings.Join(names, ", "))
		}
	}
}
