package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/store"
)

// settingNonceKey names the key of the nonces for DPoP proofs.
const settingNonceKey = "proof.nonce_key"

// wireProofs makes what verifies DPoP proofs. Where no other process can use the database, its memory tells which were
// used; else the database does, also while there is one node: it would learn of another too late.
func (s *Server) wireProofs(ctx context.Context) error {
	key, err := s.secret(ctx, settingNonceKey, proof.NonceKeySize)
	if err != nil {
		return err
	}
	nonces, err := proof.NewNonces(key)
	if err != nil {
		return err
	}
	var seen proof.Seen = proof.NewMemory(s.now)
	if s.staleness != nil {
		run, err := store.Run[usedProofTx](s.db)
		if err != nil {
			return err
		}
		seen = usedProofs{run}
	}
	s.proofs, err = proof.NewVerifier(proof.Config{Seen: seen, Nonces: nonces, Now: s.now})
	return err
}

type usedProofTx interface {
	PutOnce(ctx context.Context, v once.Record) error
}

// usedProofs are those that any node of this database took.
type usedProofs struct{ run gatehouse.Runner[usedProofTx] }

// usedProofTime bounds what a request waits for.
const usedProofTime = 2 * time.Second

// First implements [proof.Seen].
func (u usedProofs) First(ctx context.Context, key [sha256.Size]byte, until time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, usedProofTime)
	defer cancel()
	err := u.run(ctx, func(ctx context.Context, tx usedProofTx) error {
		return tx.PutOnce(ctx, once.Record{Kind: once.KindProof, Key: key[:], ExpiresAt: until})
	})
	if errors.Is(err, gatehouse.Conflict) {
		return false, nil
	}
	return err == nil, err
}

// Since implements [proof.Seen]: the database forgets nothing at a restart.
func (u usedProofs) Since() time.Time { return time.Time{} }

// calledAt is the address by which r came to the auth listener, as its issuer and configuration name it: neither the line Host nor
// a proxy is asked, but for which of two addresses of ours it is. Each realm is below its issuer.
func (s *Server) calledAt(r *http.Request) string {
	path := r.URL.EscapedPath()
	if s.atAlias(r) {
		return s.aliases + path
	}
	realm := realmIn(r.URL.Path)
	if realm == "" {
		return s.issuer + path
	}
	return s.realmIssuer(realm) + strings.TrimPrefix(path, "/realms/"+url.PathEscape(realm))
}

// authenticateProven verifies p, which came with r to the auth listener, and the proof that it needs.
func (s *Server) authenticateProven(r *http.Request, realm string, p authn.Presented, rule authn.Rule) (*gatehouse.Principal, error) {
	rule.Proves = true
	who, err := s.auth.Authenticate(r.Context(), realm, p, rule)
	if err != nil || !who.Confirmation.Bound() || rule.Uncounted { // it was proven with the first look at it
		return who, err
	}
	if who.Confirmation.X5T != "" {
		shown, err := s.certificates(r)
		if err == nil {
			err = proof.VerifyCertificate(shown, who.Confirmation.X5T)
		}
		if err != nil {
			return nil, err
		}
		return who, nil
	}
	_, err = s.proofs.Verify(r.Context(), r.Header["Dpop"], proof.Request{Method: r.Method, URL: s.calledAt(r),
		Token: p.Secret, Key: who.Confirmation.JKT})
	if gatehouse.CodeOf(err) == proof.ErrUseNonce.Code {
		err = web.WithHeader(err, http.Header{"Dpop-Nonce": {s.proofs.Nonce()}})
	}
	if err != nil {
		return nil, err
	}
	return who, nil
}
