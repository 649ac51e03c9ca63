package adminhttp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuer = "https://id.example"

// house is every real part that the API stands on, over a real SQLite store.
type house struct {
	t         *testing.T
	db        *store.DB
	auth      *authn.Authenticator
	svc       *admin.Service
	grants    *grant.Service
	sequencer *audit.Sequencer
	api       http.Handler
	secret    gatehouse.Secret // of the first administrator

	mu       sync.Mutex
	recorded []gatehouse.Event
	limited  bool
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Record implements the recorders of identity and admin.
func (h *house) Record(e *gatehouse.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recorded = append(h.recorded, *e)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseOn(t, store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db")})
}

func newHouseOn(t *testing.T, where store.Config) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t}
	h.db = must(store.Open(ctx, where))
	t.Cleanup(func() { _ = h.db.Close() })
	db := h.db

	view := revocation.NewView()
	db.Subscribe(view.Apply)
	if err := view.Load(ctx, db); err != nil {
		t.Fatal(err)
	}
	box := must(seal.NewBox(seal.GenerateMasterKey(time.Now())))
	ring := must(keyring.New(keyring.Config{Store: db, Run: must(store.Run[keyring.Tx](db)), Box: box, Now: time.Now}))
	db.Subscribe(ring.Apply)
	if err := ring.Load(ctx); err != nil {
		t.Fatal(err)
	}
	hasher := must(credential.NewHasher(credential.HasherConfig{Slots: 2, QueueTimeout: time.Minute}))
	people := must(identity.NewService(identity.Config{Users: db, Run: must(store.Run[identity.Tx](db)), Recorder: h, Passwords: hasher,
		Policy: credential.NewPasswordPolicy(), Throttle: must(identity.NewThrottle(identity.ThrottleConfig{Now: time.Now})), Now: time.Now}))
	dir := must(identity.NewDirectory(identity.DirectoryConfig{Store: db, Now: time.Now}))
	db.Subscribe(dir.Apply)
	decider := must(authz.New(ctx, authz.Config{Store: db, Directory: dir, Logger: slog.New(slog.DiscardHandler)}))
	db.Subscribe(decider.Apply)
	h.auth = must(authn.New(authn.Config{
		Store: db, Revocations: view, Issuer: realmIssuer,
		Subject: dir.Subject, Grant: db.Grant,
		Password: func(ctx context.Context, a authn.PasswordAttempt) (gatehouse.Subject, error) {
			u, err := people.VerifyPassword(ctx, identity.Attempt{Realm: a.Realm, Username: a.Username, Password: a.Password})
			return u.Subject(), err
		},
		Keys: func(realm string) token.KeySource { return ring.Source(realm) },
		ForeignKeys: func(string, gatehouse.TrustedIssuer) (token.KeySource, error) {
			return token.NewKeySet()
		},
		Misses: unlimited{},
	}))
	db.Subscribe(h.auth.Apply)
	h.grants = must(grant.New(grant.Config{Run: must(store.Run[grant.Tx](db)), Issuer: realmIssuer, NewStatus: revocation.NewStatus,
		Revoked: view.Revoked, SuccessorKey: bytes.Repeat([]byte{7}, 32),
		Sign: func(_ context.Context, realm string, a *token.Access) (string, error) {
			k, err := ring.Signer(realm)
			if err != nil {
				return "", err
			}
			return k.SignAccess(a)
		}}))
	_, auditKey := must2(ed25519.GenerateKey(nil))
	h.sequencer = must(audit.NewSequencer(audit.SequencerConfig{Run: must(store.Run[audit.SequencerTx](db)), Pending: db,
		Origin: func(realm string) string { return audit.Origin("id.example", realm) }, Key: auditKey, Now: time.Now}))
	h.svc = must(admin.New(admin.Config{
		Store: db, Audit: db, Realms: must(store.Run[admin.RealmTx](db)), Users: must(store.Run[admin.UserTx](db)),
		Keys: must(store.Run[admin.KeyTx](db)), Policies: must(store.Run[admin.PolicyTx](db)), Revoke: must(store.Run[admin.RevokeTx](db)),
		Bootstraps: must(store.Run[admin.BootstrapTx](db)), Decide: decider.DecideAdmin, Roles: decider.Roles, Explain: decider.Explain,
		Prepare: decider.Prepare, Passwords: people, Signing: ring, Grants: grants{h}, Verify: verifier{h}, Record: h.Record,
		AuditKey: func(realm string) (audit.Key, error) {
			return audit.NewKey(realm, auditKey.Public().(ed25519.PublicKey))
		},
		Backup: func(context.Context) (string, int64, error) { return "backups/now.backup", 42, nil },
	}))
	if err := h.svc.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	h.secret = must(h.svc.NewBootstrapSecret(ctx))
	h.api = web.Identify(nil, time.Now, must(adminhttp.New(adminhttp.Config{Service: h.svc, Authenticate: h.authenticate,
		Challenges: func(*http.Request) []string {
			return []string{`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`}
		},
		Allow: func(context.Context, string) (time.Duration, bool) {
			return 3 * time.Second, !h.limited
		}})))
	return h
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func realmIssuer(realm string) string {
	if realm == gatehouse.MainRealm {
		return issuer
	}
	return issuer + "/realms/" + realm
}

type grants struct{ h *house }

func (g grants) List(ctx context.Context, realm, subject, after string, limit int) ([]admin.Grant, error) {
	list, err := g.h.db.Grants(ctx, realm, subject, after, limit)
	out := make([]admin.Grant, 0, len(list))
	for _, x := range list {
		out = append(out, admin.Grant{ID: x.ID, Realm: x.Realm, Subject: x.Subject, Scopes: x.Scopes, AMR: []string{}, CreatedAt: x.CreatedAt, ExpiresAt: x.ExpiresAt, EndedAt: x.EndedAt})
	}
	return out, err
}

func (g grants) End(ctx context.Context, realm, id, reason string) (bool, error) {
	return g.h.grants.End(ctx, realm, id, reason)
}

type verifier struct{ h *house }

func (v verifier) VerifyToken(ctx context.Context, realm string, text gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := authn.Extract(&http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + text.Reveal()}}})
	if err != nil {
		return nil, err
	}
	return v.h.auth.Authenticate(ctx, realm, p, authn.Rule{Secure: true})
}

func (h *house) authenticate(r *http.Request) (*gatehouse.Principal, error) {
	p, err := authn.Extract(r)
	if err != nil {
		return nil, err
	}
	rule := authn.Rule{Secure: true, Environment: gatehouse.EnvironmentLive}
	who, err := h.auth.Authenticate(r.Context(), gatehouse.MainRealm, p, rule)
	if realm := r.PathValue("realm"); err != nil && realm != "" && realm != gatehouse.MainRealm {
		if other, err2 := h.auth.Authenticate(r.Context(), realm, p, rule); err2 == nil {
			return other, nil
		}
	}
	return who, err
}

// reply is a decoded answer.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) str(path ...string) string {
	var v any = r.json
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// call sends one request; who is "" (nobody), "user:password" or a bearer token.
func (h *house) call(who, method, path string, body any) reply {
	h.t.Helper()
	var in io.Reader
	if s, raw := body.(string); raw {
		in = strings.NewReader(s)
	} else if body != nil {
		in = bytes.NewReader(must(json.Marshal(body)))
	}
	r := httptest.NewRequestWithContext(h.t.Context(), method, adminhttp.Prefix+path, in)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if user, password, basic := strings.Cut(who, ":"); basic {
		r.SetBasicAuth(user, password)
	} else if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	return h.send(r)
}

func (h *house) send(r *http.Request) reply {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &out.json)
	return out
}

// want sends a request and insists on the status.
func (h *house) want(status int, who, method, path string, body any) reply {
	h.t.Helper()
	r := h.call(who, method, path, body)
	if r.status != status {
		h.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

const password = "violet-Kettle-marmot-71-orbit"

// bootstrap makes the first administrator and returns his API key.
func (h *house) bootstrap() string {
	h.t.Helper()
	return h.want(201, "", "POST", "/bootstrap", map[string]any{"secret": h.secret.Reveal(), "username": "root", "password": password}).str("api_key")
}

// person makes a user of a realm with roles, and returns his id.
func (h *house) person(key, realm, name string, roles ...string) string {
	h.t.Helper()
	if roles == nil {
		roles = []string{}
	}
	return h.want(201, key, "POST", "/realms/"+realm+"/users", map[string]any{"username": name, "password": password, "roles": roles}).str("user", "id")
}

// key makes an API key for an owner and returns its text and id.
func (h *house) key(as, realm, owner string, scopes ...string) (text, id string) {
	h.t.Helper()
	r := h.want(201, as, "POST", "/realms/"+realm+"/keys", map[string]any{"name": "test", "owner": owner, "scopes": append([]string{}, scopes...)})
	return r.str("text"), r.str("key", "id")
}

// unlimited lets an address try any number of unknown keys.
type unlimited struct{}

func (unlimited) Spent(netip.Addr) bool { return false }
func (unlimited) Count(netip.Addr)      {}
