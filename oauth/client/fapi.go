package client

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse/token"
)

// ProfileFAPI2 holds a client to the FAPI 2.0 Security Profile, and what it signs to FAPI 2.0 Message Signing.
const ProfileFAPI2 = "fapi2"

// FAPI2 reports whether the client is held to FAPI 2.0.
func (m Metadata) FAPI2() bool { return m.Profile == ProfileFAPI2 }

// MustPush reports whether requests of the client have to be pushed (RFC 9126 §6, FAPI 2.0 §5.3.2.2).
func (m Metadata) MustPush() bool { return m.RequirePushed || m.FAPI2() }

// MustBind reports whether the client gets bound tokens alone (RFC 9449 §5.2, RFC 8705 §3.4, FAPI 2.0 §5.3.2.1).
func (m Metadata) MustBind() bool { return m.DPoPBound || m.CertificateBound || m.FAPI2() }

// ProofAlgorithms are those of the client's DPoP proofs; nil for all that are known.
func (m Metadata) ProofAlgorithms() []token.Algorithm {
	if m.FAPI2() {
		return fapiAlgorithms()
	}
	return nil
}

// fapiAlgorithms are those of FAPI 2.0 §5.4.1; the last two are one, by two names.
func fapiAlgorithms() []token.Algorithm {
	return []token.Algorithm{token.PS256, token.ES256, token.EdDSA, token.Ed25519}
}

// checkProfile gives fault what a registration says that its profile does not allow.
func (m Metadata) checkProfile(fault func(member, text string)) {
	if m.Profile == "" {
		return
	}
	if !m.FAPI2() {
		fault("profile", "must be fapi2, or absent")
		return
	}
	if !m.Signs() && !m.ByTLS() { // FAPI 2.0 §5.3.2.1
		fault("token_endpoint_auth_method", "must be "+AuthPrivateKey+", "+AuthTLS+" or "+AuthSelfSigned+" with the profile fapi2")
	}
	for member, name := range map[string]string{"token_endpoint_auth_signing_alg": m.SigningAlg, "request_object_signing_alg": m.RequestAlg,
		"id_token_signed_response_alg": m.IDTokenAlg, "userinfo_signed_response_alg": m.UserInfoAlg, "authorization_signed_response_alg": m.AnswerAlg, "introspection_signed_response_alg": m.IntrospectionAlg} {
		if name != "" && !slices.Contains(fapiAlgorithms(), token.Algorithm(name)) {
			fault(member, "must be PS256, ES256 or EdDSA with the profile fapi2")
		}
	}
	if m.LegacyAudience { // FAPI 2.0 §5.3.2.1
		fault("legacy_assertion_aud", "must not be true with the profile fapi2")
	}
	if m.sparesPKCE() {
		fault("require_pkce", "must not be false with the profile fapi2")
	}
	for _, g := range m.GrantTypes {
		if !slices.Contains([]string{GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials}, g) {
			fault("grant_types", "must be of authorization_code, refresh_token and client_credentials with the profile fapi2")
			break
		}
	}
}
