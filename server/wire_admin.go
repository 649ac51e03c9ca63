package server

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/proof"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

func (s *Server) wireAdmin(ctx context.Context) error {
	run, err := store.Run[admin.Tx](s.db)
	if err != nil {
		return err
	}
	bootstrapKey, err := s.secret(ctx, settingBootstrapKey, bootstrapKeySize)
	if err != nil {
		return err
	}
	s.admin, err = admin.New(admin.Config{
		Stored: admin.Stored{Realm: s.db, Realms: s.db, Users: s.db, Holders: s.db, Keys: s.db, Clients: s.db, Rules: s.db, Entities: s.db, Grants: s.db, Sessions: s.db, Apps: s.db, Audit: s.db, Persons: s.persons, Nodes: s.db, Factors: s.db, Mails: s.db, Passkeys: s.db},
		Run:    run, Decide: s.decider.DecideAdmin, Roles: s.decider.Roles, Explain: s.decider.Explain, Prepare: s.decider.Prepare,
		Passwords: s.people, Mail: s.mail, Codes: s.factors, Vault: s.vault, Links: s.links(), Passkeys: s.passkeys, Providers: s.providers, Signing: s.ring, EndGrant: s.grants.End, Sessions: s.sessions, Revoked: s.view.Revoked, Verify: s.verifyToken,
		Journal: s.journal, Issuer: s.realmIssuer, Lenient: s.cfg.Lenient, Current: s.knows,
		AuditKey: s.auditVerifier, AuditHead: s.heads.Head, Backup: s.backup, Reload: s.reload, Record: s.record.Record, Counting: s.refusals.Counting,
		BootstrapKey: bootstrapKey, KeyPrefix: s.cfg.KeyPrefix, Logger: s.log, Now: s.now,
	})
	if err != nil {
		return err
	}
	s.db.OnQuestions(s.judge)
	if err = s.admin.Realms.Prepare(ctx); gatehouse.CodeOf(err) == waitsFor && s.sole.Waits() {
		_, err = s.db.Realm(ctx, gatehouse.MainRealm) // see ensureKeys
	}
	return err
}

// links are those that are sent to people, each to a page of theirs.
func (s *Server) links() users.Links {
	to := func(page string) func(realm string) string {
		return func(realm string) string { return s.realmIssuer(realm) + page }
	}
	return users.Links{Find: s.db.Once, Box: s.box, NewPassword: to(pages.NewPassword), NewFactor: to(pages.LostFactors), Verify: to(pages.VerifyAddress), Register: to(pages.Register), SignIn: to(pages.SignIn)}
}

// wireBootstrap makes the one-time secret while there is no administrator.
func (s *Server) wireBootstrap(ctx context.Context) (err error) {
	s.bootstrap, s.bootstrapEnd, err = s.admin.Users.NewBootstrapSecret(ctx)
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

// knows returns why this node cannot say for sure what is no longer valid, or will not be there to say it.
func (s *Server) knows() error {
	switch {
	case s.leaving.Load():
		return gateway.ErrStopping
	case s.stale(), !s.journal.Whole():
		return enforce.ErrStale
	}
	return nil
}

// verifyToken checks a token as a request to the gateway would.
func (s *Server) verifyToken(ctx context.Context, realm string, token gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := authn.Extract(&http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + token.Reveal()}}})
	if err != nil {
		return nil, err
	}
	return s.auth.Authenticate(ctx, realm, p, authn.Rule{Secure: true, Uncounted: true, Tells: true})
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
	return s.admin.API(adminhttp.Config{Authenticate: s.authenticateAdmin(false), Again: s.authenticateAdmin(true), Problems: s.problems,
		Challenges: func(*http.Request) []string {
			return s.challenges(gatehouse.MainRealm, gatehouse.SchemeBasic, gatehouse.SchemeJWT)
		},
		Waiting: adminhttp.Waiting{Nodes: s.db.Prove, Outside: s.outside, Now: s.now},
		Allow:   s.allow("admin", func(l config.Limits) limit.Rate { return l.Admin })})
}

// authenticateAdmin takes credentials of the realm main, whose administrators
// administer all, and of the realm in the path. Passwords are only tried in
// main: one request must not be two guesses. Uncounted, it looks at a credential that was
// used already.
func (s *Server) authenticateAdmin(uncounted bool) func(r *http.Request) (*gatehouse.Principal, error) {
	return func(r *http.Request) (*gatehouse.Principal, error) {
		p, err := s.authenticateBy(r, gatehouse.MainRealm, authn.Rule{Uncounted: uncounted})
		realm := r.PathValue("realm")
		if code := gatehouse.CodeOf(err); code == proof.ErrInvalid.Code || code == proof.ErrUseNonce.Code || code == proof.ErrCertificate.Code {
			return nil, err // the token is right
		}
		if err == nil || gatehouse.KindOf(err) != gatehouse.Unauthenticated || realm == "" || realm == gatehouse.MainRealm {
			return p, err
		}
		if _, err2 := s.db.Realm(r.Context(), realm); err2 != nil {
			return nil, err
		}
		schemes := authn.Schemes(func(k authn.Kind) bool { return !k.Login })
		return s.authenticateBy(r, realm, authn.Rule{Schemes: schemes, Uncounted: uncounted})
	}
}

// judge answers what a node asks that has ended something and waits: what would a request get
// here with it? Somebody who ends so much wants a checkpoint of the log that has it, too.
func (s *Server) judge(ctx context.Context, questions []peers.Question) []peers.Verdict {
	s.sequencer.Wake()
	out := make([]peers.Verdict, 0, len(questions))
	for _, q := range questions {
		n := authn.Named{Realm: q.Realm, Ref: revocation.Ref{Realm: q.Realm, Subject: q.Subject, Client: q.Client,
			IssuedAt: time.UnixMilli(q.Issued), HasStatus: q.HasStatus, List: q.List, Index: q.Index}}
		if q.Kind == peers.KindKey {
			n.Key = q.ID
		}
		v := peers.Verdict{}
		if err := s.auth.Judge(ctx, n); err != nil {
			v = peers.Verdict{Refused: true, Reason: authn.Reason(err)}
		}
		out = append(out, v)
	}
	return out
}
