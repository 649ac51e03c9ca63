package token

import (
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// bind finds out what the tokens will be bound to (phase 5): always to a client, so that a refresh token serves nobody
// else, and to the key that it proves to have (RFC 9449 §5), or the certificate that it shows (RFC 8705 §3).
func bind(x *request) error {
	switch {
	case x.order.Client == "":
		return client.ErrInvalid
	case x.client.CertificateBound:
		return certify(x)
	case len(x.r.Header["Dpop"]) == 0 && !x.client.MustBind():
		return nil
	}
	return prove(x)
}

var (
	errNoCertificate = gatehouse.E(gatehouse.Invalid, "certificate_required", "This client gets only tokens that are bound to its certificate, and showed none. Send the request over TLS with it, to the address in mtls_endpoint_aliases where there is one.")
	errTwoBindings   = gatehouse.E(gatehouse.Invalid, "bound_by_certificate", "This client gets tokens that are bound to its certificate; leave the DPoP proof out.")
)

// certify has the order of x be for the certificate of the client.
func certify(x *request) error {
	shown, err := x.h.certificates(x.r)
	switch {
	case err != nil:
		return err
	case len(shown) == 0:
		return errNoCertificate
	case len(x.r.Header["Dpop"]) > 0: // who thinks that its token is bound to a key would not have it so
		return errTwoBindings
	}
	x.order.Confirmation = gatehouse.Confirmation{X5T: proof.CertificateThumbprint(shown[0])}
	return nil
}

// certificates are those that the client of r showed.
func (h *Handler) certificates(r *http.Request) ([]*x509.Certificate, error) {
	if h.c.Certificates == nil {
		return nil, nil
	}
	return h.c.Certificates(r)
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
