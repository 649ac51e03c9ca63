package gatehouse

// Confirmation is what a token is bound to (the cnf claim, RFC 7800): the token counts only with a proof that whoever
// presents it has that. The zero value is that of a bearer token.
type Confirmation struct {
	JKT string // thumbprint of a key, to be proven by DPoP (RFC 9449 §6.1)
	X5T string // SHA-256 of a certificate, to be proven by TLS (RFC 8705 §3.1)
	// Other: it is bound in a way that nobody can prove here.
	Other bool
}

// Bound reports whether a token needs a proof.
func (c Confirmation) Bound() bool { return c != Confirmation{} }
