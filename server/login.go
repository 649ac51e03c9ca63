package server

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// login verifies the password of a request and, where the account has a second factor, a code of it.
func (s *Server) login(r *http.Request, realm string, code gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := s.authenticateBy(r, realm, authn.Rule{Schemes: []gatehouse.Scheme{gatehouse.SchemeBasic}, FirstFactor: true})
	if err != nil {
		return nil, err
	}
	who, err := s.directory.Subject(r.Context(), p.Realm, p.ID)
	if err != nil {
		return nil, err
	}
	return s.factors.Complete(r.Context(), p, who, code)
}
