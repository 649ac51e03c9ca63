package authn

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/proof"
)

var (
	errAsBearer  = gatehouse.E(gatehouse.Unauthenticated, "token_needs_proof", "")
	errUnbound   = gatehouse.E(gatehouse.Unauthenticated, "token_not_bound", "")
	errNotProven = gatehouse.E(gatehouse.Unauthenticated, "token_bound_otherwise", "")
)

// ErrDemandsProof refuses a credential that is bound to nothing where only proofs count.
var ErrDemandsProof = gatehouse.E(gatehouse.Unauthenticated, "proof_required", "This takes only tokens that are bound to a key, with a DPoP proof, or to a client certificate.")

// Fits refuses a token that is not presented as what it is bound to demands: one that is bound to a key as Bearer (RFC 9449 §7.2),
// and one that is bound to no key as DPoP. One that is bound to a certificate comes as Bearer (RFC 8705 §3). The proof itself is checked by who says so in rule, and by nobody else.
func Fits(p Presented, c gatehouse.Confirmation, rule Rule) error {
	switch {
	case rule.Tells:
		return nil
	case c.JKT == "" && p.By == ByDPoP:
		return errUnbound.With(errors.New("it came as DPoP, and is bound to no key"))
	case !c.Bound():
		return nil
	case c.Other || c.X5T != "" && c.JKT != "":
		return errNotProven.With(errors.New("it is bound to something that cannot be proven here"))
	case c.X5T != "" && !rule.Proves:
		return errNotProven.With(errors.New("certificates are not looked at here"))
	case c.X5T != "":
		return nil
	case p.By != ByDPoP:
		return errAsBearer.With(errors.New("it is bound to a key, and came without the auth-scheme DPoP"))
	case !rule.Proves:
		return errAsBearer.With(errors.New("proofs are not taken here"))
	}
	return nil
}

// takes says what is asked of every credential when it was verified.
func (t *trust) takes(p Presented, principal *gatehouse.Principal, rule Rule) error {
	if err := t.cutOff(principal.IssuedAt); err != nil {
		return err
	}
	return Fits(p, principal.Confirmation, rule)
}

// WantsProof reports whether an answer to err invites a DPoP proof: what was presented came with one, or would have needed it.
func WantsProof(p Presented, err error) bool {
	return p.By == ByDPoP || Reason(err) == errAsBearer.Code || gatehouse.CodeOf(err) == ErrDemandsProof.Code
}

// confirmation reads a cnf claim (RFC 7800 §3.1). What is not understood is ignored beside what is; by itself it binds
// the token to what nobody can prove here.
func confirmation(raw jsontext.Value) gatehouse.Confirmation {
	if raw == nil {
		return gatehouse.Confirmation{}
	}
	var c struct {
		JKT *string `json:"jkt"`
		X5T *string `json:"x5t#S256"`
	}
	if raw.Kind() != '{' || json.Unmarshal(raw, &c) != nil || c.JKT == nil && c.X5T == nil {
		return gatehouse.Confirmation{Other: true}
	}
	var out gatehouse.Confirmation
	for _, m := range [...]struct{ theirs, ours *string }{{c.JKT, &out.JKT}, {c.X5T, &out.X5T}} {
		if m.theirs == nil {
			continue
		}
		if sum, err := base64.RawURLEncoding.Strict().DecodeString(*m.theirs); err != nil || len(sum) != sha256.Size {
			out.Other = true
		}
		*m.ours = *m.theirs
	}
	return out
}

// ProofChallenges is [Reader.Challenges] where tokens are to be presented with a DPoP proof: the auth-scheme DPoP stands in
// the place of Bearer, with the algorithms of proofs (RFC 9449 §7.1).
func (rd *Reader) ProofChallenges(realm string, schemes []gatehouse.Scheme, err error, scopes ...string) []string {
	lines := rd.Challenges(realm, schemes, err, scopes...)
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, challengeBearer+" "); ok {
			lines[i] = challengeDPoP + " " + rest + ", algs=" + quote(proofAlgorithms())
		}
	}
	return lines
}

// ProofChallenges is [Challenges] for whoever is to present a token with a DPoP proof.
func ProofChallenges(realm string, schemes []gatehouse.Scheme, err error, scopes ...string) []string {
	return standard.ProofChallenges(realm, schemes, err, scopes...)
}

// proofAlgorithms is the parameter algs of a DPoP challenge (RFC 9449 §7.1).
func proofAlgorithms() string {
	list := ""
	for _, a := range proof.Algorithms() {
		if list != "" {
			list += " "
		}
		list += string(a)
	}
	return list
}
