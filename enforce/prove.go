package enforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/proof"
)

// Prover verifies DPoP proofs; *proof.Verifier is one. Certificates need none: the connection has proven them.
type Prover interface {
	Verify(ctx context.Context, lines []string, r proof.Request) (proof.Proof, error)
	Nonce() string
}

// What a route asks of proofs, as Route.Proof says; "" asks for one where the token is bound.
const (
	ProofBound = "bound" // tokens that are bound to a key or a certificate, and nothing else
	// ProofNonce is the same, by a DPoP proof with a nonce of ours. A certificate is proven by the connection, and needs none.
	ProofNonce = "nonce"
)

// prove checks that the caller has what his token is bound to (RFC 9449 §7, RFC 8705 §3). Authenticate has seen to it that the token
// came in the way of its kind.
func (p *Pipeline) prove(x *Exchange, r *http.Request) error {
	c := x.principal.Confirmation
	switch {
	case !c.Bound() && x.route.Proof == "":
		return nil
	case !c.Bound():
		return authn.ErrDemandsProof.With(errors.New("the credential is bound to nothing"))
	case x.point.Tickets:
		return errTicketRefused.With(errors.New("the token is bound, and nothing in a URL proves what to"))
	case c.X5T != "" && c.JKT == "" && !c.Other:
		return p.proveCertificate(x, r)
	case p.cfg.Proofs == nil || c.Other || c.X5T != "" || x.presented.By != authn.ByDPoP:
		return proof.ErrInvalid.With(errors.New("what the token is bound to cannot be proven here"))
	}
	found, err := p.cfg.Proofs.Verify(x.ctx, r.Header["Dpop"], proof.Request{Method: r.Method, URL: x.called(r), Token: x.presented.Secret, Key: c.JKT,
		Nonce: x.route.Proof == ProofNonce})
	if gatehouse.CodeOf(err) == proof.ErrUseNonce.Code || found.Aging {
		x.setHeader("Dpop-Nonce", p.cfg.Proofs.Nonce())
	}
	if err != nil {
		return err
	}
	x.pass("prove", "dpop", "")
	return nil
}

// proveCertificate checks that the caller has the certificate that his token is bound to.
func (p *Pipeline) proveCertificate(x *Exchange, r *http.Request) error {
	shown, err := x.table.proxies.Certificates(r)
	if err == nil {
		err = proof.VerifyCertificate(shown, x.principal.Confirmation.X5T)
	}
	if err != nil {
		return err
	}
	x.pass("prove", "certificate", "")
	return nil
}

// called is the address by which the caller sent the request: a trusted proxy says whether that was over TLS.
func (x *Exchange) called(r *http.Request) string {
	return x.table.proxies.Scheme(r) + "://" + r.Host + r.URL.EscapedPath()
}

// checkProof checks what a route asks of proofs.
func checkProof(c *compiled) error {
	switch c.Proof {
	case "":
		return nil
	case ProofBound, ProofNonce:
	default:
		return fmt.Errorf("proof %q is none of bound and nonce", c.Proof)
	}
	if c.Closed || c.Anonymous {
		return errors.New("proof asks what a token is bound to; a route that is closed or anonymous asks nobody")
	}
	return nil
}

// proves orders what routes ask of proofs.
func proves(proof string) int {
	switch proof {
	case ProofBound:
		return 1
	case ProofNonce:
		return 2
	}
	return 0
}
