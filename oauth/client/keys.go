package client

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Most of what a registration holds of keys. A client has one, and two while it changes it.
const (
	maxKeys    = 10
	maxJWKS    = 32 << 10 // bytes
	maxAddress = 512
)

// HasKeys reports whether a client with m proves itself by keys of its own that are registered.
func (m Metadata) HasKeys() bool { return m.Signs() || m.AuthMethod == AuthSelfSigned }

// Signs reports whether a client with m proves itself by what it signs.
func (m Metadata) Signs() bool { return m.AuthMethod == AuthPrivateKey }

// Algorithms are those by which assertions of the client may be signed: the one that it names, or every one
// of which we could not sign ourselves by what verifies it.
func (m Metadata) Algorithms() []token.Algorithm {
	if m.SigningAlg != "" {
		return []token.Algorithm{token.Algorithm(m.SigningAlg)}
	}
	if m.FAPI2() {
		return fapiAlgorithms()
	}
	return slices.DeleteFunc(token.Algorithms(), token.Algorithm.Symmetric)
}

// KeepsKeys reports whether a client with m is registered with keys: it proves itself by them, or signs its requests.
func (m Metadata) KeepsKeys() bool {
	return m.HasKeys() || m.RequestAlg != "" || m.RequireSignedRequest || m.BackchannelAlg != ""
}

// RequestAlgorithms are those by which request objects of the client may be signed.
func (m Metadata) RequestAlgorithms() []token.Algorithm {
	if m.RequestAlg != "" {
		return []token.Algorithm{token.Algorithm(m.RequestAlg)}
	}
	return m.Algorithms()
}

// KeyAlgorithms are those for which keys of the client are kept.
func (m Metadata) KeyAlgorithms() []token.Algorithm {
	all := m.RequestAlgorithms()
	more := m.backchannelAlgorithms()
	switch {
	case m.AuthMethod == AuthSelfSigned && m.RequestAlg == "" && len(more) == 0: // TLS does not say: one that fits each key
		return []token.Algorithm{token.ES256, token.ES384, token.ES512, token.EdDSA, token.PS256}
	case m.Signs():
		more = append(more, m.Algorithms()...)
	}
	for _, a := range more {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// keySet are the keys of m that its registration holds.
func (m Metadata) keySet() (*token.KeySet, error) {
	if len(m.JWKS) > maxJWKS {
		return nil, errors.New("it is longer than 32 KiB")
	}
	return token.ParseJWKSet(m.JWKS, token.ParseOptions{Algorithms: m.KeyAlgorithms()})
}

// Tidy returns m with the keys as they are kept: what a key is made of, and nothing that came beside it.
func (m Metadata) Tidy() Metadata {
	if set, err := m.keySet(); err == nil {
		m.JWKS = token.MarshalJWKSet(set.Keys())
	}
	return m
}

// LacksKeysOf reports whether was had a key, or a place of keys, by which m proves nothing.
func (m Metadata) LacksKeysOf(was Metadata) bool {
	if !was.HasKeys() {
		return false
	}
	if !m.HasKeys() || m.JWKSURI != was.JWKSURI || was.SigningAlg != m.SigningAlg && m.SigningAlg != "" {
		return true
	}
	if was.JWKS == nil {
		return false
	}
	old, err := was.keySet()
	if err != nil {
		return true
	}
	now, err := m.keySet()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(old.Keys(), func(o *token.Key) bool {
		return !slices.ContainsFunc(now.Keys(), func(k *token.Key) bool { return k.Algorithm == o.Algorithm && k.Thumbprint() == o.Thumbprint() })
	})
}

// checkKeys gives fault what is wrong with the keys of m.
func (m Metadata) checkKeys(fault func(member, text string)) {
	if !m.Signs() && m.SigningAlg != "" {
		fault("token_endpoint_auth_signing_alg", "is for clients with token_endpoint_auth_method "+AuthPrivateKey)
	}
	if !m.Signs() && m.LegacyAudience {
		fault("legacy_assertion_aud", "is for clients with token_endpoint_auth_method "+AuthPrivateKey)
	}
	if m.AllowPrivateAddress && m.JWKSURI == "" && m.BackchannelURI == "" {
		fault("allow_private_address", "has no use without jwks_uri or backchannel_logout_uri: nothing is asked")
	}
	if !m.KeepsKeys() {
		for member, given := range map[string]bool{"jwks": m.JWKS != nil, "jwks_uri": m.JWKSURI != ""} {
			if given {
				fault(member, "is for clients with token_endpoint_auth_method "+AuthPrivateKey+" or "+AuthSelfSigned+", or that sign their requests (request_object_signing_alg, backchannel_authentication_request_signing_alg)")
			}
		}
		return
	}
	for member, name := range map[string]string{"token_endpoint_auth_signing_alg": m.SigningAlg, "request_object_signing_alg": m.RequestAlg,
		"backchannel_authentication_request_signing_alg": m.BackchannelAlg} {
		if a, ok := token.ParseAlgorithm(name); name != "" && (!ok || a.Symmetric()) {
			fault(member, "must be an asymmetric algorithm such as ES256")
			return
		}
	}
	switch {
	case (m.JWKS != nil) == (m.JWKSURI != ""): // RFC 7591 §2
		fault("jwks", "or jwks_uri is needed, one of both")
	case m.JWKSURI != "" && !fetchable(m.JWKSURI, m.AllowPrivateAddress):
		fault("jwks_uri", "must be an https URL without user name and fragment")
	case m.JWKS != nil:
		set, err := m.keySet()
		switch {
		case err != nil:
			fault("jwks", "is refused: "+why(err))
		case len(set.Keys()) > maxKeys:
			fault("jwks", "must have at most 10 keys")
		case m.SigningAlg != "" && !set.Has(token.Algorithm(m.SigningAlg)):
			fault("jwks", "has no key for the algorithm "+m.SigningAlg)
		case m.RequestAlg != "" && !set.Has(token.Algorithm(m.RequestAlg)):
			fault("jwks", "has no key for the algorithm "+m.RequestAlg)
		case m.BackchannelAlg != "" && !set.Has(token.Algorithm(m.BackchannelAlg)):
			fault("jwks", "has no key for the algorithm "+m.BackchannelAlg)
		}
	}
}

// why is the rule that a set of keys breaks; it quotes nothing of the keys.
func why(err error) string {
	var e *gatehouse.Error
	text := err.Error()
	for errors.As(err, &e) && e.Cause != nil {
		err, text = e.Cause, e.Cause.Error()
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// fetchable reports whether an address is of a form that is fetched at all; where it leads is judged then.
func fetchable(s string, private bool) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxAddress && u.Host != "" && u.User == nil && !strings.Contains(s, "#") &&
		(u.Scheme == "https" || private && u.Scheme == "http")
}
