package client

import (
	"github.com/go-json-experiment/json/jsontext"
)

// Said is what a client may say of itself, under the names of RFC 7591 §2; what is not among it is ignored.
type Said struct {
	ID            string         `json:"client_id"`
	Name          string         `json:"client_name"`
	AuthMethod    string         `json:"token_endpoint_auth_method"`
	GrantTypes    []string       `json:"grant_types"`
	ResponseTypes []string       `json:"response_types"`
	RedirectURIs  []string       `json:"redirect_uris"`
	Scope         string         `json:"scope"`
	JWKS          jsontext.Value `json:"jwks"`
	JWKSURI       string         `json:"jwks_uri"`
	SigningAlg    string         `json:"token_endpoint_auth_signing_alg"`
	DPoPBound     bool           `json:"dpop_bound_access_tokens"`
	IDTokenAlg    string         `json:"id_token_signed_response_alg"`
	UserInfoAlg   string         `json:"userinfo_signed_response_alg"`
	RequestAlg    string         `json:"request_object_signing_alg"`
	ClientURI     string         `json:"client_uri"`
	PolicyURI     string         `json:"policy_uri"`
	TermsURI      string         `json:"tos_uri"`
	Contacts      []string       `json:"contacts"`
	PostLogout    []string       `json:"post_logout_redirect_uris"`
	Backchannel   string         `json:"backchannel_logout_uri"`
	BackSession   bool           `json:"backchannel_logout_session_required"`
	Frontchannel  string         `json:"frontchannel_logout_uri"`
	FrontSession  bool           `json:"frontchannel_logout_session_required"`
	TLS
}

// Metadata is what s says, before anything of it was judged.
func (s Said) Metadata() Metadata {
	m := Metadata{Name: s.Name, AuthMethod: s.AuthMethod, GrantTypes: s.GrantTypes, Scope: s.Scope, JWKSURI: s.JWKSURI, SigningAlg: s.SigningAlg, DPoPBound: s.DPoPBound, RequestAlg: s.RequestAlg,
		TLS: s.TLS, OpenID: OpenID{IDTokenAlg: s.IDTokenAlg, UserInfoAlg: s.UserInfoAlg, PostLogoutURIs: s.PostLogout,
			Logout: Logout{BackchannelURI: s.Backchannel, BackchannelSession: s.BackSession, FrontchannelURI: s.Frontchannel, FrontchannelSession: s.FrontSession}},
		About: About{ClientURI: s.ClientURI, PolicyURI: s.PolicyURI, TermsURI: s.TermsURI, Contacts: s.Contacts},
		Flow:  Flow{RedirectURIs: s.RedirectURIs, ResponseTypes: s.ResponseTypes}}
	if keys := string(s.JWKS); keys != "" && keys != "null" {
		m.JWKS = []byte(keys)
	}
	return m
}
