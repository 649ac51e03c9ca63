package enforce

import "testing"

// TestProofOfARoute: what a route may ask of proofs, and that one which asks for less is no stand-in for it.
func TestProofOfARoute(t *testing.T) {
	for _, r := range []Route{{Proof: "always", Authenticated: true}, {Proof: ProofBound, Anonymous: true}, {Proof: ProofNonce, Closed: true}} {
		if checkProof(&compiled{Route: r}) == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	order := []string{"", ProofBound, ProofNonce}
	for i, a := range order {
		for j, b := range order {
			c, o := &compiled{Route: Route{Authenticated: true, Proof: a}}, &compiled{Route: Route{Authenticated: true, Proof: b}}
			if c.asksAsMuchAs(o) != (i >= j) || checkProof(c) != nil {
				t.Errorf("%q for %q: %t", a, b, c.asksAsMuchAs(o))
			}
		}
	}
}
