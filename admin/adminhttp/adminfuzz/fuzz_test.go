package adminfuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/apps"
	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/admin/factors"
	"github.com/gatehouse-auth/gatehouse/admin/follow"
	"github.com/gatehouse-auth/gatehouse/admin/keys"
	"github.com/gatehouse-auth/gatehouse/admin/mails"
	"github.com/gatehouse-auth/gatehouse/admin/nodes"
	"github.com/gatehouse-auth/gatehouse/admin/passkeys"
	"github.com/gatehouse-auth/gatehouse/admin/providers"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/admin/sessions"
	"github.com/gatehouse-auth/gatehouse/admin/tokens"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// empty is a store that holds nothing. What it lacks must not be reached by somebody
// who may do nothing.
type empty struct{}

// The other parts have no method at all: they must not be reached either.
type (
	noPersons  struct{ audit.PersonKeys }
	noLog      struct{ audit.Reader }
	noHash     struct{ users.Passwords }
	noRing     struct{ admin.Signing }
	noGrants   struct{ tokens.Reader }
	noNodes    struct{ nodes.Reader }
	noRealms   struct{ realms.Reader }
	noRules    struct{ rules.Reader }
	noEntities struct{ rules.EntityReader }
	noUsers    struct{ users.Reader }
	noKeys     struct{ keys.Reader }
	noClients  struct{ clients.Reader }
	noHolders  struct{ users.Holders }
	noJournal  struct{ follow.Journal }
	noSessions struct{ sessions.Reader }
	noApps     struct{ apps.Reader }
	noLife     struct{ sessions.Life }
	noFactors  struct{ factor.Reader }
	noPasskeys struct {
		passkey.Reader
		passkeys.Life
	}
	noCodes     struct{ factors.Codes }
	noProviders struct{ providers.Life }
	noMails     struct{ mails.Reader }
)

func (empty) Realm(context.Context, string) (gatehouse.Realm, error) {
	return gatehouse.Realm{}, gatehouse.NotFound
}
func (noUsers) User(context.Context, string, string) (identity.User, error) {
	return identity.User{}, gatehouse.NotFound
}
func (noUsers) UserByKey(context.Context, string, string) (identity.User, error) {
	return identity.User{}, gatehouse.NotFound
}
func (noKeys) Key(context.Context, string) (credential.Key, error) {
	return credential.Key{}, gatehouse.NotFound
}

func noOnce(context.Context, once.Kind, []byte) (once.Record, error) {
	return once.Record{}, gatehouse.NotFound
}

func nowhere(string) string { return "" }

// api is the whole management API for a caller who may do nothing: what is behind
// the parsers answers 403 or 404.
func api(f *testing.F) http.Handler {
	f.Helper()
	svc, err := admin.New(admin.Config{
		Stored: admin.Stored{Realm: empty{}, Realms: noRealms{}, Users: noUsers{}, Holders: noHolders{}, Keys: noKeys{}, Clients: noClients{}, Rules: noRules{},
			Entities: noEntities{}, Grants: noGrants{}, Sessions: noSessions{}, Apps: noApps{}, Audit: noLog{}, Persons: noPersons{}, Nodes: noNodes{}, Factors: noFactors{}, Mails: noMails{}, Passkeys: noPasskeys{}},
		// A transaction that never begins.
		Run: func(context.Context, func(context.Context, admin.Tx) error) error { return gatehouse.NotFound },
		Decide: func(context.Context, *gatehouse.Principal, string, string, string, string) gatehouse.Decision {
			return gatehouse.Decision{}
		},
		Journal: noJournal{}, Issuer: func(string) string { return "" }, Current: func() error { return gatehouse.Unavailable },
		Roles: func(context.Context, *gatehouse.Principal) ([]string, error) { return nil, nil },
		Explain: func(context.Context, gatehouse.AccessRequest, ...policy.Document) (policy.Explanation, error) {
			return policy.Explanation{}, nil
		},
		Prepare:   func(string, authz.Candidate) (*authz.Prepared, error) { return nil, gatehouse.Unavailable },
		Passwords: noHash{}, Codes: noCodes{}, Passkeys: noPasskeys{}, Providers: noProviders{}, Vault: factor.Vault{Box: &seal.Box{}}, Links: users.Links{Find: noOnce, Box: &seal.Box{}, NewPassword: nowhere, NewFactor: nowhere, Verify: nowhere, Register: nowhere, SignIn: nowhere}, Mail: &mail.Queue{}, Signing: noRing{},
		Sessions: noLife{}, Revoked: func(revocation.Ref) (bool, string) { return false, "" },
		EndGrant: func(context.Context, string, string, string) (bool, error) { return false, gatehouse.NotFound },
		Verify: func(context.Context, string, gatehouse.Secret) (*gatehouse.Principal, error) {
			return nil, gatehouse.Unauthenticated
		},
		Record:   func(*gatehouse.Event) {},
		AuditKey: func(string) (audit.Key, error) { return audit.Key{}, errors.New("no key") },

		BootstrapKey: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	h, err := svc.API(adminhttp.Config{
		Authenticate: func(*http.Request) (*gatehouse.Principal, error) {
			return &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: "usr_1"}, nil
		},
		Challenges: func(*http.Request) []string { return nil },
		Allow:      func(context.Context, string) (time.Duration, bool) { return 0, true },
		Waiting: adminhttp.Waiting{Nodes: func(context.Context, time.Duration, ...peers.Question) peers.Proof { return peers.Proof{} }, Now: time.Now,
			Outside: func(context.Context, string, time.Time) []adminhttp.Outside { return nil }}})
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// operations are the documented operations that take a body.
func operations(f *testing.F) []string {
	f.Helper()
	text, err := admin.Document("test")
	if err != nil {
		f.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]struct {
			Body *struct{} `json:"requestBody"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		f.Fatal(err)
	}
	var out []string
	for path, ops := range d.Paths {
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(strings.ReplaceAll(path, "{realm}", "main"), "x")
		for method, op := range ops {
			if op.Body != nil {
				out = append(out, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(out)
	if len(out) < 15 {
		f.Fatalf("only %d operations take a body", len(out))
	}
	return out
}

// FuzzBody: no body makes the API fail, nothing of it comes back, and what gets
// past the parser is one JSON value in which no name occurs twice.
func FuzzBody(f *testing.F) {
	h, ops := api(f), operations(f)
	for _, s := range []string{`{}`, `{"username":"eve","password":"x","roles":[]}`, `{"text":"permit(principal, action, resource);"}`, `{"username":"a","username":"b"}`, `{"Username":"a"}`,
		`{"attributes":{"n":1.5,"o":{"$ref":{"type":"User","id":"u"}}}}`, `{"token":"a.b.c"}`, `{"settings":{"grant_ttl":"15m"}}`, `null`, `[]`, `{} {}`, "{\"x\":\"\xff\"}", `{"a":"\u0000"}`, `{"key":"ghk_live_x"}`, ``} {
		for i := range ops {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		method, path, _ := strings.Cut(ops[int(op)%len(ops)], " ")
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 || w.Code >= 500 {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if w.Code != http.StatusForbidden && w.Code != http.StatusNotFound || len(bytes.TrimSpace(body)) == 0 {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%s %s: %q is no JSON and got past the parser: %d", method, path, body, w.Code)
		}
		if _, err := dec.Token(); err != io.EOF {
			t.Fatalf("%s %s: %q is more than one value: %d", method, path, body, w.Code)
		}
		if top, ok := v.(map[string]any); ok && len(top) != names(body) {
			t.Fatalf("%s %s: a name occurs twice in %q: %d", method, path, body, w.Code)
		}
	})
}

// names counts the names at the top of an object, every occurrence.
func names(body []byte) (n int) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return -1
	}
	for dec.More() {
		if _, err := dec.Token(); err != nil {
			return -1
		}
		n++
		var v json.RawMessage
		if dec.Decode(&v) != nil {
			return -1
		}
	}
	return n
}
