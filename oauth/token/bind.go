package token

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// bind finds out what the tokens will be bound to (phase 5): always to a client, so that a refresh token serves nobody
// else, and to the key that it proves to have (RFC 9449 §5).
func bind(x *request) error {
	if x.order.Client == "" {
		return client.ErrInvalid
	}
	if len(x.r.Header["Dpop"]) == 0 && !x.client.MustBind() {
		return nil
	}
	return prove(x)
}

// prove verifies the DPoP proof of x, and has the order be for its key.
func prove(x *request) error {
	proofs := x.h.c.Proofs
	found, err := proofs.Verify(x.r.Context(), x.r.Header["Dpop"], proof.Request{Method: x.r.Method, URL: x.h.c.URL(x.r), Nonce: x.client.DPoPNonce, Algorithms: x.client.ProofAlgorithms()})
	if found.Aging {
		x.w.Header()["Dpop-Nonce"] = []string{proofs.Nonce()}
	}
	if err != nil {
		return unproven(err, proofs)
	}
	x.order.Confirmation = gatehouse.Confirmation{JKT: found.Key}
	return nil
}

// unproven is the answer to a proof that does not do: a wrong request, since the client is who it says (RFC 9449 §5, §8).
func unproven(err error, proofs *proof.Verifier) error {
	var e *gatehouse.Error
	if !errors.As(err, &e) || e.Kind != gatehouse.Unauthenticated {
		return err
	}
	wrong := *e
	wrong.Kind = gatehouse.Invalid
	if e.Code != proof.ErrUseNonce.Code {
		return &wrong
	}
	return web.WithHeader(&wrong, http.Header{"Dpop-Nonce": {proofs.Nonce()}})
}
