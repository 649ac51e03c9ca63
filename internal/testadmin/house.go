// Package testadmin is a house for tests of administration: every real part that the
// management API stands on, over a real store, and a caller that speaks HTTP to it.
package testadmin

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/system"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

const issuer = "https://id.example"

// House is every real part that the API stands on, over a real SQLite store.
type House struct {
	DB        *store.DB
	Admin     *admin.Service
	Persons   *personal.Keeper
	Grants    *grant.Service
	Sessions  *session.Service
	Sequencer *audit.Sequencer
	Journal   *revocation.Journal
	MailSet   atomic.Pointer[mail.Settings]   // nil: no mail is sent
	Unsure    atomic.Pointer[gatehouse.Error] // why the house does not know what was revoked
	Secret    gatehouse.Secret                // of the first administrator
	Limited   bool                            // every address has made too many requests

	t      *testing.T
	auth   *authn.Authenticator
	view   *revocation.View
	api    http.Handler
	config admin.Config
	waits  atomic.Pointer[func(context.Context, time.Duration) peers.Proof]

	mu       sync.Mutex
	recorded []gatehouse.Event
	asked    []peers.Question
}

// Config is what the house made its Admin of.
func Config(h *House) admin.Config { return h.config }

// Must is for what cannot fail unless the test is wrong.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Record implements the recorders of identity and admin.
func (h *House) Record(e *gatehouse.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recorded = append(h.recorded, *e)
}

// Recorded are the events that were recorded outside of transactions until now.
func (h *House) Recorded() []gatehouse.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.recorded)
}

// New makes a house on SQLite.
func New(t *testing.T) *House {
	t.Helper()
	return NewOn(t, store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "house.db")})
}

// NewOn makes a house on a database that is empty.
func NewOn(t *testing.T, where store.Config) *House {
	t.Helper()
	ctx := t.Context()
	h := &House{t: t}
	h.DB = Must(store.Open(ctx, where))
	t.Cleanup(func() { _ = h.DB.Close() })
	db := h.DB
	h.Persons = Must(db.SealPersonal(bytes.Repeat([]byte{5}, personal.SecretSize)))
	view := revocation.NewView()
	h.view = view
	db.Subscribe(view.Apply)
	h.Journal = revocation.NewJournal(view)
	db.Subscribe(h.Journal.Apply)
	if err := view.Load(ctx, db); err != nil {
		t.Fatal(err)
	}
	box := Must(seal.NewBox(seal.GenerateMasterKey(time.Now())))
	ring := Must(keyring.New(keyring.Config{Store: db, Run: Must(store.Run[keyring.Tx](db)), Box: box, Now: time.Now}))
	db.Subscribe(ring.Apply)
	if err := ring.Load(ctx); err != nil {
		t.Fatal(err)
	}
	hasher := Must(credential.NewHasher(credential.HasherConfig{Slots: 2, QueueTimeout: time.Minute}))
	people := Must(identity.NewService(identity.Config{Users: db, Run: Must(store.Run[identity.Tx](db)), Recorder: h, Passwords: hasher,
		Policy: credential.NewPasswordPolicy(), Throttle: Must(identity.NewThrottle(identity.ThrottleConfig{Now: time.Now})), Now: time.Now}))
	dir := Must(identity.NewDirectory(identity.DirectoryConfig{Store: db, Now: time.Now}))
	db.Subscribe(dir.Apply)
	decider := Must(authz.New(ctx, authz.Config{Store: db, Directory: dir, Logger: slog.New(slog.DiscardHandler)}))
	db.Subscribe(decider.Apply)
	h.auth = Must(authn.New(authn.Config{
		Store: db, Revocations: view, Issuer: realmIssuer,
		Subject: dir.Subject, Grant: db.Grant,
		Password: func(ctx context.Context, a authn.PasswordAttempt) (gatehouse.Subject, time.Time, error) {
			u, err := people.VerifyPassword(ctx, identity.Attempt{Realm: a.Realm, Username: a.Username, Password: a.Password})
			return u.Subject(), u.PasswordAt, err
		},
		Keys: func(realm string) token.KeySource { return ring.Source(realm) },
		ForeignKeys: func(string, gatehouse.TrustedIssuer) (token.KeySource, error) {
			return token.NewKeySet()
		},
		Misses: unlimited{},
	}))
	db.Subscribe(h.auth.Apply)
	h.Grants = Must(grant.New(grant.Config{Run: Must(store.Run[grant.Tx](db)), Issuer: realmIssuer, NewStatus: revocation.NewStatus,
		SuccessorKey: bytes.Repeat([]byte{7}, 32), Find: db.Once, Consent: db.Consent, Box: box, SignID: signNoID,
		Sign: func(_ context.Context, realm string, a *token.Access) (string, error) {
			k, err := ring.Signer(realm)
			if err != nil {
				return "", err
			}
			return k.SignAccess(a)
		}}))
	h.Sessions = Must(session.New(session.Config{Run: Must(store.Run[session.Tx](db)), Mail: h.newMail(box), Notice: func(realm string) string { return realmIssuer(realm) + "/notice?session=" }, Now: time.Now}))
	_, auditKey := two(ed25519.GenerateKey(nil))
	h.Sequencer = Must(audit.NewSequencer(audit.SequencerConfig{Run: Must(store.Run[audit.SequencerTx](db)), Pending: db,
		Origin: func(realm string) string { return audit.Origin("id.example", realm) }, Key: auditKey, Now: time.Now}))
	h.config = admin.Config{
		Stored: admin.Stored{Realm: db, Realms: db, Users: db, Holders: db, Keys: db, Clients: db, Rules: db, Entities: db, Grants: db, Sessions: db, Apps: db, Audit: db, Persons: h.Persons, Nodes: db, Factors: db, Mails: db, Passkeys: db},
		Run:    Must(store.Run[admin.Tx](db)), Decide: decider.DecideAdmin, Roles: decider.Roles, Explain: decider.Explain,
		Prepare: decider.Prepare, Passwords: people, Mail: h.newMail(box), Codes: h.codes(people, box), Vault: factor.Vault{Box: box}, Links: users.Links{Find: db.Once, Box: box, NewPassword: realmIssuer, NewFactor: realmIssuer, Verify: realmIssuer, Register: realmIssuer, SignIn: realmIssuer}, Passkeys: h.passkeys(box), Providers: h.providers(box), Signing: ring, EndGrant: h.Grants.End, Sessions: h.Sessions, Revoked: view.Revoked, Verify: h.verify, Record: h.Record,
		Journal: h.Journal, Issuer: realmIssuer, Current: h.sure,
		AuditKey: func(realm string) (audit.Key, error) {
			return audit.NewKey(realm, auditKey.Public().(ed25519.PublicKey))
		},
		Reload: func(_ context.Context, e gatehouse.Event) (system.Reload, error) {
			h.Record(&e)
			return system.Reload{File: "/etc/gatehouse.yaml"}, nil
		},
		Backup:       func(context.Context) (string, int64, error) { return "backups/now.backup", 42, nil },
		BootstrapKey: bytes.Repeat([]byte{9}, 32),
	}
	h.Admin = Must(admin.New(h.config))
	if err := h.Admin.Realms.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.Secret, _, err = h.Admin.Users.NewBootstrapSecret(ctx); err != nil {
		t.Fatal(err)
	}
	h.api = web.Identify(nil, time.Now, Must(h.Admin.API(adminhttp.Config{Authenticate: h.authenticate, Again: h.authenticate,
		Challenges: func(*http.Request) []string {
			return []string{`Bearer realm="main"`, `Basic realm="main", charset="UTF-8"`}
		},
		Allow: func(context.Context, string) (time.Duration, bool) {
			return 3 * time.Second, !h.Limited
		},
		Waiting: adminhttp.Waiting{Nodes: h.prove, Now: time.Now, Outside: func(_ context.Context, realm string, at time.Time) []adminhttp.Outside {
			return []adminhttp.Outside{{Who: "key_set", Until: at.Add(time.Hour)}}
		}}})))
	return h
}

func (h *House) codes(people *identity.Service, box *seal.Box) *factor.Service {
	return Must(factor.New(factor.Config{Run: Must(store.Run[factor.Tx](h.DB)), Vault: factor.Vault{Box: box}, Attempts: people, Record: h.Record, Now: time.Now}))
}

func (h *House) passkeys(box *seal.Box) *passkey.Service {
	return Must(passkey.New(passkey.Config{Run: Must(store.Run[passkey.Tx](h.DB)), Key: make([]byte, passkey.KeySize), Record: h.Record, Mail: h.newMail(box), Now: time.Now}))
}

func (h *House) providers(box *seal.Box) *provider.Service {
	return Must(provider.New(provider.Config{Run: Must(store.Run[provider.Tx](h.DB)), Secret: h.DB.ProviderSecret, Box: box, Record: h.Record, Mail: h.newMail(box), Fresh: session.Fresh, Now: time.Now,
		Redirect: func(realm, id string) string { return "https://id.example/" + realm + "/" + id }}))
}

// newMail makes the queue of messages, which nobody sends.
func (h *House) newMail(box *seal.Box) *mail.Queue {
	return mail.NewQueue(mail.Config{Box: box, Key: bytes.Repeat([]byte{5}, 32), Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Settings: func() mail.Settings {
			if set := h.MailSet.Load(); set != nil {
				return *set
			}
			return mail.Settings{}
		}})
}

func two[A, B any](a A, b B, err error) (A, B) {
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

// Session verifies a browser session of main as the pages would.
func (h *House) Session(text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	return h.auth.Session(h.t.Context(), gatehouse.MainRealm, text, device, authn.Rule{Secure: true})
}

// SignIn opens a browser session of a user of main.
func (h *House) SignIn(id string, from session.Browser) (text gatehouse.Secret, s gatehouse.Session) {
	h.t.Helper()
	p := &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now(), AMR: []string{"pwd"}, ACR: "aal1", IssuedAt: time.Now()}
	text, s, err := h.Sessions.Open(h.t.Context(), p, from)
	if err != nil {
		h.t.Fatal(err)
	}
	return text, s
}

func (h *House) verify(ctx context.Context, realm string, text gatehouse.Secret) (*gatehouse.Principal, error) {
	p, err := authn.Extract(&http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + text.Reveal()}}})
	if err != nil {
		return nil, err
	}
	return h.auth.Authenticate(ctx, realm, p, authn.Rule{Secure: true})
}

func (h *House) authenticate(r *http.Request) (*gatehouse.Principal, error) {
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

// Reply is a decoded answer.
type Reply struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

// Str is the text at a path of members, "" where there is none.
func (r Reply) Str(path ...string) string {
	var v any = r.JSON
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// Call sends one request; who is "" (nobody), "user:password" or a bearer token.
func (h *House) Call(who, method, path string, body any) Reply {
	h.t.Helper()
	var in io.Reader
	if s, raw := body.(string); raw {
		in = strings.NewReader(s)
	} else if body != nil {
		in = bytes.NewReader(Must(json.Marshal(body)))
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
	return h.Send(r)
}

func (h *House) sure() error {
	if e := h.Unsure.Load(); e != nil {
		return e
	}
	return nil
}

// Waits has fn wait for the nodes; nil: the store does.
func (h *House) Waits(fn func(ctx context.Context, atMost time.Duration) peers.Proof) {
	h.waits.Store(&fn)
}

func (h *House) prove(ctx context.Context, atMost time.Duration, questions ...peers.Question) peers.Proof {
	h.mu.Lock()
	h.asked = questions
	h.mu.Unlock()
	if fn := h.waits.Load(); fn != nil && *fn != nil {
		return (*fn)(ctx, atMost)
	}
	return h.DB.Prove(ctx, atMost, questions...)
}

// Asked is what the nodes were asked when somebody last waited for them.
func (h *House) Asked() []peers.Question {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// ViewLoad loads anew what is no longer valid, as after another node's restore.
func (h *House) ViewLoad(ctx context.Context) error { return h.view.Load(ctx, h.DB) }

// Handler is the management API, for tests that need a socket.
func (h *House) Handler() http.Handler { return h.api }

// Send sends a request as it is.
func (h *House) Send(r *http.Request) Reply {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	out := Reply{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &out.JSON)
	return out
}

// Want sends a request and insists on the status.
func (h *House) Want(status int, who, method, path string, body any) Reply {
	h.t.Helper()
	r := h.Call(who, method, path, body)
	if r.Status != status {
		h.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.Status, status, r.Body)
	}
	return r
}

// Password is the one of everybody in the house.
const Password = "violet-Kettle-marmot-71-orbit"

// Bootstrap makes the first administrator and returns his API key.
func (h *House) Bootstrap() string {
	h.t.Helper()
	key := h.Want(201, "", "POST", "/bootstrap", map[string]any{"secret": h.Secret.Reveal(), "username": "root", "password": Password}).Str("api_key")
	// Most tests are about who may do what; those that are about second factors ask for them.
	h.Want(200, key, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"admin_mfa": "optional"}})
	return key
}

// Login is an access token of a person of realm who signed in that long ago, at the level acr.
func (h *House) Login(realm, id, acr string, ago time.Duration) string {
	h.t.Helper()
	p := &gatehouse.Principal{Realm: realm, Kind: gatehouse.KindUser, ID: id, AuthTime: time.Now().Add(-ago), ACR: acr, Scopes: []string{"*"}}
	tokens, err := h.Grants.Open(h.t.Context(), grant.Order{Realm: realm, Client: grant.FirstPartyClient}, p)
	if err != nil {
		h.t.Fatal(err)
	}
	return tokens.AccessToken.Reveal()
}

// Person makes a user of a realm with roles, and returns his id.
func (h *House) Person(key, realm, name string, roles ...string) string {
	h.t.Helper()
	if roles == nil {
		roles = []string{}
	}
	return h.Want(201, key, "POST", "/realms/"+realm+"/users", map[string]any{"username": name, "password": Password, "roles": roles}).Str("user", "id")
}

// SetPassword has a person set a password by a link, for which no mail is needed.
func (h *House) SetPassword(as, realm, who string, password gatehouse.Secret) {
	h.t.Helper()
	set := h.MailSet.Swap(nil)
	link := h.Want(200, as, "POST", "/realms/"+realm+"/users/"+who+"/password/reset-link", nil).Str("link")
	h.MailSet.Store(set)
	_, code, _ := strings.Cut(link, "?code=")
	if err := h.Admin.Users.Reset(h.t.Context(), realm, gatehouse.Secret(code), password); err != nil {
		h.t.Fatal(err)
	}
}

// Key makes an API key for an owner and returns its text and id.
func (h *House) Key(as, realm, owner string, scopes ...string) (text, id string) {
	h.t.Helper()
	r := h.Want(201, as, "POST", "/realms/"+realm+"/keys", map[string]any{"name": "test", "owner": owner, "scopes": append([]string{}, scopes...)})
	return r.Str("text"), r.Str("key", "id")
}

// Events returns what was recorded in main of one kind, as "target id" each.
func (h *House) Events(as, kind string) (targets []string) {
	h.t.Helper()
	if err := h.Sequencer.Sequence(h.t.Context(), "main"); err != nil {
		h.t.Fatal(err)
	}
	list := h.Want(200, as, "GET", "/realms/main/audit/events?limit=200&kind="+kind, nil)
	for _, e := range list.JSON["items"].([]any) {
		if event := e.(map[string]any); event["kind"] == kind {
			targets = append(targets, event["target"].(map[string]any)["id"].(string))
		}
	}
	slices.Sort(targets)
	return targets
}

// unlimited lets an address try any number of unknown keys.
type unlimited struct{}

func (unlimited) Spent(netip.Addr) bool { return false }
func (unlimited) Count(netip.Addr)      {}

// signNoID fails: no client of these tests asks who somebody is.
func signNoID(context.Context, string, token.Algorithm, *token.ID) (string, error) {
	return "", errors.New("testadmin: an ID token")
}
