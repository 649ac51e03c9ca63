package server

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/store"
)

func (s *Server) wireAdmin(ctx context.Context) error {
	cfg := admin.Config{
		Store: s.db, Decide: s.decider.DecideAdmin, Audit: s.db, AuditKey: s.auditVerifier, AuditHead: s.heads.Head,
		Roles: s.decider.Roles, Explain: s.decider.Explain, Prepare: s.decider.Prepare,
		Passwords: s.people, Signing: s.ring, Grants: openGrants{s.db, s.grants}, Verify: tokenVerifier{s.auth},
		Backup: s.backup, Record: s.record.Record, Counting: s.refusals.Counting, KeyPrefix: s.cfg.KeyPrefix, Logger: s.log, Now: s.now,
	}
	var err error
	run := func(set func() error) {
		if err == nil {
			err = set()
		}
	}
	run(func() (err error) { cfg.Realms, err = store.Run[admin.RealmTx](s.db); return })
	run(func() (err error) { cfg.Users, err = store.Run[admin.UserTx](s.db); return })
	run(func() (err error) { cfg.Keys, err = store.Run[admin.KeyTx](s.db); return })
	run(func() (err error) { cfg.Policies, err = store.Run[admin.PolicyTx](s.db); return })
	run(func() (err error) { cfg.Revoke, err = store.Run[admin.RevokeTx](s.db); return })
	run(func() (err error) { cfg.Bootstraps, err = store.Run[admin.BootstrapTx](s.db); return })
	if err != nil {
		return err
	}
	if s.admin, err = admin.New(cfg); err != nil {
		return err
	}
	return s.admin.Prepare(ctx)
}

// wireBootstrap makes the one-time secret while there is no administrator.
func (s *Server) wireBootstrap(ctx context.Context) (err error) {
	s.bootstrap, err = s.admin.NewBootstrapSecret(ctx)
	return err
}

func (s *Server) auditVerifier(realm string) (audit.Key, error) {
	return audit.NewKey(realm, s.auditKey.Public().(ed25519.PublicKey))
}

// backup writes a copy of the running store into DATA/backups.
func (s *Server) backup(ctx context.Context) (name string, size int64, err error) {
	dir := filepath.Join(s.cfg.Data, "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", 0, err
	}
	name = filepath.Join(dir, "gatehouse-"+s.now().UTC().Format("20060102T150405.000Z")+".backup")
	if err := s.db.Backup(ctx, name); err != nil {
		return "", 0, err
	}
	st, err := os.Stat(name)
	if err != nil {
		return "", 0, err
	}
	return name, st.Size(), nil
}

// openGrants lets administration see and end grants.
type openGrants struct {
	db  *store.DB
	svc *grant.Service
}

func (g openGrants) List(ctx context.Context, realm, subject, after string, limit int) ([]admin.Grant, error) {
	list, err := g.db.Grants(ctx, realm, subject, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]admin.Grant, len(list))
	for i, e := range list {
		out[i] = admin.Grant{ID: e.ID, Realm: e.Realm, Subject: e.Subject, AuthTime: e.AuthTime, AMR: append([]string{}, e.AMR...), ClientID: e.ClientID, Scopes: e.Scopes, CreatedAt: e.CreatedAt,
			ExpiresAt: e.ExpiresAt, EndedAt: e.EndedAt, EndReason: e.EndReason}
	}
	return out, nil
}

func (g openGrants) End(ctx context.Context, realm, id, reason string) (bool, error) {
	return g.svc.End(ctx, realm, id, reason)
}

// tokenVerifier checks a token as a request to the gateway would.
type tokenVerifier struct{ auth *authn.Authenticator }

func (v tokenVerifier) VerifyToken(ctx context.Context, realm string, token gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := authn.Extract(&http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + token.Reveal()}}})
	if err != nil {
		return nil, err
	}
	return v.auth.Authenticate(ctx, realm, p, authn.Rule{Secure: true, Uncounted: true})
}

// adminHandler builds the management API at its first request: describing some
// sixty operations takes longer than everything else at the start together.
func (s *Server) adminHandler() http.Handler {
	build := sync.OnceValues(s.buildAdmin)
	return s.problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		h, err := build()
		if err == nil {
			h.ServeHTTP(w, r)
		}
		return err
	})
}

func (s *Server) buildAdmin() (http.Handler, error) {
	return adminhttp.New(adminhttp.Config{Service: s.admin, Authenticate: s.authenticateAdmin, Problems: s.problems,
		Challenges: func(*http.Request) []string {
			return s.challenges(gatehouse.MainRealm, gatehouse.SchemeBasic, gatehouse.SchemeJWT)
		},
		Allow: s.allow("admin", s.cfg.Limits.Admin)})
}

// authenticateAdmin takes credentials of the realm main, whose administrators
// administer all, and of the realm in the path. Passwords are only tried in
// main: one request must not be two guesses.
func (s *Server) authenticateAdmin(r *http.Request) (*gatehouse.Principal, error) {
	p, err := s.authenticate(r, gatehouse.MainRealm)
	realm := r.PathValue("realm")
	if err == nil || gatehouse.KindOf(err) != gatehouse.Unauthenticated || realm == "" || realm == gatehouse.MainRealm {
		return p, err
	}
	if _, err2 := s.db.Realm(r.Context(), realm); err2 != nil {
		return nil, err
	}
	return s.authenticate(r, realm, authn.Schemes(func(k authn.Kind) bool { return !k.Login })...)
}
