package passkeyfuzz

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	origin = "https://id.example.org"
	within = 5 * time.Minute // in which a question can be answered
)

var tab = []byte("what ties forms to a browser")

// house is a node with bob in main, and the realm shop on the same host.
type house struct {
	*passkey.Service
	now  time.Time
	keys *testpasskey.Browser // of bob
	said []gatehouse.Event    // since somebody looked
}

// Put takes the notices to people.
func (*house) Put(context.Context, mail.Outgoing, mail.Message) (string, error) { return "", nil }

func newHouse(f *testing.F) *house {
	f.Helper()
	db, err := store.Open(f.Context(), store.Config{Driver: store.DriverSQLite, Path: filepath.Join(f.TempDir(), "passkeys.db")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	err = db.Update(f.Context(), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"}), tx.InsertRealm(ctx, gatehouse.Realm{Name: "shop"}),
			tx.InsertUser(ctx, identity.User{ID: "usr_bob", Realm: "main", Kind: gatehouse.KindUser, Username: "bob", UsernameKey: "bob", PasswordHash: "x", Version: 1}))
	})
	if err != nil {
		f.Fatal(err)
	}
	run, err := store.Run[passkey.Tx](db)
	if err != nil {
		f.Fatal(err)
	}
	key := make([]byte, passkey.KeySize) // another one in each process: what the fuzzer hands to the next was asked by another server
	_, _ = rand.Read(key)                // never fails
	h := &house{now: time.Unix(1_800_000_000, 0), keys: &testpasskey.Browser{Origin: origin, Algorithm: testpasskey.EdDSA}}
	h.Service, err = passkey.New(passkey.Config{Run: run, Key: key, Mail: h, Now: func() time.Time { return h.now },
		Site: func(string) webauthn.RelyingParty {
			return webauthn.RelyingParty{ID: "id.example.org", Origins: []string{origin}}
		}, Record: func(e *gatehouse.Event) { h.said = append(h.said, *e) }})
	if err != nil {
		f.Fatal(err)
	}
	return h
}

func (h *house) bob() (*gatehouse.Principal, gatehouse.Subject) {
	return &gatehouse.Principal{Scheme: gatehouse.SchemeSession, Realm: "main", ID: "usr_bob", Kind: gatehouse.KindUser, AuthTime: h.now, ACR: gatehouse.AAL1}, gatehouse.Subject{ID: "usr_bob", Kind: gatehouse.KindUser, Name: "bob"}
}

// offer is what a browser is asked for a new passkey of bob.
func (h *house) offer(f testing.TB) []byte {
	f.Helper()
	who, u := h.bob()
	o, err := h.OfferTo(f.Context(), who, u, "Shop", tab)
	if err != nil {
		f.Fatal(err)
	}
	return text(o)
}

func (h *house) add(f testing.TB, answer []byte) error {
	who, u := h.bob()
	_, err := h.Add(f.Context(), who, u, "telephone", tab, answer)
	return err
}

// enrol gives bob his passkey.
func (h *house) enrol(f *testing.F) {
	f.Helper()
	answer, err := h.keys.Create(h.offer(f))
	if err == nil {
		err = h.add(f, answer)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func text(v any) []byte {
	b, _ := json.Marshal(v) // never fails
	return b
}

// FuzzChallenge: the answer of the right authenticator, right in all else, counts for the question as it was put, to the browser and in the
// realm where it was put, as long as it counts, and once.
func FuzzChallenge(f *testing.F) {
	h := newHouse(f)
	h.enrol(f)
	f.Add("main", tab, uint8(0), uint8(0), []byte{}, int64(0))
	f.Add("main", tab, uint8(0), uint8(0), []byte{}, (within - time.Millisecond).Milliseconds())
	f.Add("main", tab, uint8(0), uint8(0), []byte{}, within.Milliseconds())
	f.Add("main", tab, uint8(0), uint8(0), []byte{}, int64(-1))
	f.Add("main", tab, uint8(0), uint8(0), []byte{}, -once.Margin.Milliseconds()-1)
	f.Add("main", tab, uint8(20), uint8(1), []byte{}, int64(0))
	f.Add("main", tab, uint8(40), uint8(128), []byte{}, int64(0))
	f.Add("main", tab, uint8(0), uint8(0), []byte{0}, int64(0))
	f.Add("main", tab[1:], uint8(0), uint8(0), []byte{}, int64(0))
	f.Add("main", []byte{}, uint8(0), uint8(0), []byte{}, int64(0))
	f.Add("shop", tab, uint8(0), uint8(0), []byte{}, int64(0))
	f.Add("", tab, uint8(0), uint8(0), []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, realm string, browser []byte, at, change uint8, more []byte, later int64) {
		if later < -2*once.Margin.Milliseconds() || later > 2*within.Milliseconds() || len(more) > 64 {
			t.Skip()
		}
		q := h.Ask("main", tab)
		raw, err := base64.RawURLEncoding.DecodeString(q.Challenge)
		if err != nil {
			t.Fatal(err)
		}
		raw[int(at)%len(raw)] ^= change
		q.Challenge = base64.RawURLEncoding.EncodeToString(append(raw, more...))
		answer, err := h.keys.Get(text(q))
		if err != nil {
			t.Fatal(err)
		}
		asked := h.now
		h.now = asked.Add(time.Duration(later) * time.Millisecond)
		defer func() { h.now = asked }()
		right := change == 0 && len(more) == 0 && realm == "main" && bytes.Equal(browser, tab) && later < within.Milliseconds() && later >= -once.Margin.Milliseconds()
		h.said = nil
		p, err := h.SignIn(t.Context(), realm, browser, answer)
		if right != (err == nil) {
			t.Fatalf("%q, %q, byte %d by %08b, %x behind, %d ms later: %v", realm, browser, at, change, more, later, err)
		}
		if err != nil {
			h.refused(t, err)
		} else if p.Realm != "main" || p.ID != "usr_bob" || p.ACR != gatehouse.AAL2 {
			t.Fatalf("%+v", p)
		}
		// Neither again nor for anything else.
		_, err = h.SignIn(t.Context(), "main", tab, answer)
		if right && err == nil {
			t.Fatal("an answer counts twice")
		}
		if h.add(t, answer) == nil {
			t.Fatal("an answer to a question to sign in adds a passkey")
		}
	})
}

// refused: whoever sends something is told the same, and the record says of the answer nothing but a fixed text of ours.
func (h *house) refused(t *testing.T, err error) {
	t.Helper()
	if gatehouse.KindOf(err) != gatehouse.Unauthenticated || gatehouse.CodeOf(err) != passkey.ErrRefused.Code && !strings.HasPrefix(gatehouse.CodeOf(err), "passkey_") {
		t.Fatalf("%v (%v)", err, gatehouse.KindOf(err))
	}
	if len(h.said) != 1 || len(h.said[0].Detail["why"]) > 120 || h.said[0].Outcome != gatehouse.OutcomeFailure {
		t.Fatalf("recorded %d events, the last %+v", len(h.said), h.said[max(len(h.said)-1, 0):])
	}
}

// FuzzAnswer: no text is an answer but one that an authenticator of bob signed, whatever it looks like, and none makes the server fail.
func FuzzAnswer(f *testing.F) {
	h := newHouse(f)
	made, err := h.keys.Create(h.offer(f))
	if err == nil {
		err = h.add(f, made)
	}
	if err != nil {
		f.Fatal(err)
	}
	used, err := h.keys.Get(text(h.Ask("main", tab)))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := h.SignIn(f.Context(), "main", tab, used); err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{made, used, nil, []byte(`{}`), []byte(`null`), []byte(`[`), bytes.Repeat([]byte("["), 40<<10), []byte(`{"type":"public-key","id":"AA","rawId":"AA","response":{"userHandle":""}}`),
		bytes.Replace(used, []byte(`"signature":"`), []byte(`"signature":"AAAA`), 1), bytes.Replace(made, []byte(`"attestationObject":"o`), []byte(`"attestationObject":"p`), 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		h.said = nil
		if _, err := h.SignIn(t.Context(), "main", tab, answer); err == nil {
			t.Fatalf("signs bob in: %s", answer)
		} else {
			h.refused(t, err)
		}
		h.said = nil
		if err := h.add(t, answer); err == nil {
			t.Fatalf("adds a passkey: %s", answer)
		} else {
			h.refused(t, err)
		}
	})
}
