package client

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// errNoKeys refuses a request object of a client that has no keys.
var errNoKeys = gatehouse.E(gatehouse.Unauthenticated, "client_without_keys", "The client is registered with no keys by which it could have signed.")

// VerifyRequest checks a request object that c signed (RFC 9101 §6), and returns its claims. The error is of kind Unavailable where
// the keys of c could not be had, and else of kind Unauthenticated.
func (a *Assertions) VerifyRequest(c Client, compact string) (jsontext.Value, error) {
	return a.verifyRequest(c, compact, token.RequestConfig{Algorithms: c.Metadata.RequestAlgorithms(), Begins: c.Metadata.FAPI2()})
}

// VerifyBackchannel is [Assertions.VerifyRequest] for what c asks a person for without a browser (CIBA Core §7.1.1).
func (a *Assertions) VerifyBackchannel(c Client, compact string) (jsontext.Value, error) {
	return a.verifyRequest(c, compact, token.RequestConfig{Algorithms: c.Metadata.backchannelAlgorithms(), Begins: true, Backchannel: true})
}

// verifyRequest verifies by what differs between the two.
func (a *Assertions) verifyRequest(c Client, compact string, cfg token.RequestConfig) (jsontext.Value, error) {
	if !c.Metadata.KeepsKeys() {
		return nil, errNoKeys
	}
	name := verifierOf{c.Realm, c.ID, c.Version, cfg.Backchannel}
	v, ok := a.requests.Get(name)
	if !ok {
		keys, err := a.keys(c)
		if err != nil {
			return nil, err
		}
		cfg.Client, cfg.Audience, cfg.Keys, cfg.Leeway, cfg.Now = c.ID, a.c.Issuer(c.Realm), keys, assertionLeeway, a.c.Now
		v, err = token.NewRequestVerifier(cfg)
		if err != nil {
			return nil, err
		}
		a.requests.Set(name, v)
	}
	return v.Verify(compact)
}
