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
	if !c.Metadata.KeepsKeys() {
		return nil, errNoKeys
	}
	name := verifierOf{c.Realm, c.ID, c.Version}
	v, ok := a.requests.Get(name)
	if !ok {
		keys, err := a.keys(c)
		if err != nil {
			return nil, err
		}
		v, err = token.NewRequestVerifier(token.RequestConfig{Client: c.ID, Audience: a.c.Issuer(c.Realm), Algorithms: c.Metadata.RequestAlgorithms(), Keys: keys,
			Leeway: assertionLeeway, Begins: c.Metadata.FAPI2(), Now: a.c.Now})
		if err != nil {
			return nil, err
		}
		a.requests.Set(name, v)
	}
	return v.Verify(compact)
}
