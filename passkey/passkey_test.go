package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const origin = "https://id.example.org"

var tab = []byte("what ties forms to a browser") // a browser's own

// house is a node with bob and amy in main, and bert in the realm shop on the same host.
type house struct {
	*passkey.Service
	t   *testing.T
	db  *store.DB
	now time.Time

	mu     sync.Mutex
	events []gatehouse.Event
	mails  []string
}

// Put takes the notices.
func (h *house) Put(_ context.Context, _ mail.Outgoing, m mail.Message) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mails = append(h.mails, string(m.Kind)+" "+m.To+" "+m.Data.Account+" "+m.Data.Factor)
	return "", nil
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Unix(1_800_000_000, 0)}
	h.db = must(store.Open(t.Context(), store.Config{Driver: store.DriverSQLite, Path: filepath.Join(t.TempDir(), "passkeys.db")}))
	t.Cleanup(func() { _ = h.db.Close() })
	h.fill()
	h.Service = h.node(h.db)
	return h
}

func (h *house) node(db *store.DB) *passkey.Service {
	return must(passkey.New(passkey.Config{Run: must(store.Run[passkey.Tx](db)), Key: make([]byte, passkey.KeySize), Mail: h,
		Site: func(string) webauthn.RelyingParty {
			return webauthn.RelyingParty{ID: "id.example.org", Origins: []string{origin}}
		}, Now: func() time.Time { return h.now },
		Record: func(e *gatehouse.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, *e)
		}}))
}

func (h *house) fill() {
	h.t.Helper()
	err := h.db.Update(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		user := func(realm, id, password string) error {
			return tx.InsertUser(ctx, identity.User{ID: id, Realm: realm, Kind: gatehouse.KindUser, Username: id, UsernameKey: id, Email: id + "@example.com", PasswordHash: password, Version: 1})
		}
		return errors.Join(tx.InsertRealm(ctx, gatehouse.Realm{Name: "main"}), tx.InsertRealm(ctx, gatehouse.Realm{Name: "shop"}),
			user("main", "usr_bob", "x"), user("main", "usr_amy", ""), user("shop", "usr_bert", "x"))
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// person has just signed in.
func (h *house) person(realm, id string) (*gatehouse.Principal, gatehouse.Subject) {
	return &gatehouse.Principal{Realm: realm, ID: id, Kind: gatehouse.KindUser, Scheme: gatehouse.SchemeSession, AuthTime: h.now, ACR: gatehouse.AAL1},
		gatehouse.Subject{ID: id, Kind: gatehouse.KindUser, Name: strings.TrimPrefix(id, "usr_")}
}

// add makes a passkey of that person with b.
func (h *house) add(b *testpasskey.Browser, realm, id string) (passkey.Passkey, error) {
	h.t.Helper()
	who, u := h.person(realm, id)
	o, err := h.OfferTo(h.t.Context(), who, u, "Shop", tab)
	if err != nil {
		return passkey.Passkey{}, err
	}
	answer, err := b.Create(must(json.Marshal(o)))
	if err != nil {
		return passkey.Passkey{}, err
	}
	return h.Add(h.t.Context(), who, u, "telephone", tab, answer)
}

func (h *house) answer(b *testpasskey.Browser, realm string) []byte {
	h.t.Helper()
	return must(b.Get(must(json.Marshal(h.Ask(realm, tab)))))
}

func (h *house) signIn(b *testpasskey.Browser, realm string) (*gatehouse.Principal, error) {
	h.t.Helper()
	return h.SignIn(h.t.Context(), realm, tab, h.answer(b, realm))
}

// why is what the last event of a refusal says.
func (h *house) why() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return ""
	}
	e := h.events[len(h.events)-1]
	return fmt.Sprint(e.Kind, " ", e.Outcome, " ", e.Reason, " ", e.Target.ID, " ", e.Detail["why"])
}

// TestLife: a passkey is made, signs its owner in with two factors, is named, noted when it looks copied, and removed.
//
// ASVS: 6.3.3, 6.3.7
func TestLife(t *testing.T) {
	h := newHouse(t)
	b := &testpasskey.Browser{Origin: origin, Tamper: func(a *testpasskey.Answer) { a.Flags |= 8 }}
	p, err := h.add(b, "main", "usr_bob")
	if err != nil {
		t.Fatal(err, h.why())
	}
	h.now = h.now.Add(time.Hour)
	who, err := h.signIn(b, "main")
	if err != nil {
		t.Fatal(err, h.why())
	}
	if who.ID != "usr_bob" || who.Realm != "main" || who.Kind != gatehouse.KindUser || who.ACR != "aal2" || !slices.Equal(who.AMR, []string{"pop", "user", "mfa"}) ||
		!who.AuthTime.Equal(h.now) || !who.IssuedAt.Equal(p.CreatedAt) {
		t.Errorf("%+v", who)
	}
	b.Tamper = func(a *testpasskey.Answer) { a.Flags |= 8 | 16; a.Count = 1 } // as before: a copy
	if _, err := h.signIn(b, "main"); err != nil {
		t.Errorf("a counter that does not go up keeps people out: %v", err)
	}
	list := must(h.List(t.Context(), "main", "usr_bob"))
	if len(list) != 1 || list[0].Name != "telephone" || !list[0].UsedAt.Equal(h.now) || !list[0].BackedUp || !list[0].BackupEligible || list[0].SignCount != 1 ||
		!slices.Equal(list[0].Transports, []string{"internal", "hybrid"}) {
		t.Errorf("%+v", list)
	}
	if err := h.Rename(t.Context(), who, p.ID, " laptop "); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", " ", strings.Repeat("x", 65), "a\u202eb", "a\nb", "\xff"} {
		if err := h.Rename(t.Context(), who, p.ID, name); gatehouse.CodeOf(err) != "passkey_name_invalid" {
			t.Errorf("named %q: %v", name, err)
		}
	}
	me, u := h.person("main", "usr_bob")
	if err := h.RemoveOwn(t.Context(), me, u, p.ID); err != nil {
		t.Error(err)
	}
	if _, err := h.signIn(b, "main"); gatehouse.CodeOf(err) != "passkey_unknown" || h.why() != "passkey.failure failure passkey_unknown  " {
		t.Errorf("when it is gone: %v, %s", err, h.why())
	}
	kinds := h.stored()
	if want := []string{"passkey.add telephone", "passkey.use telephone", "passkey.use telephone", "passkey.cloned telephone", "passkey.update telephone", "passkey.remove laptop"}; !slices.Equal(kinds, want) {
		t.Errorf("events: %q", kinds)
	}
	if want := []string{"passkey_added usr_bob@example.com usr_bob telephone", "passkey_cloned usr_bob@example.com usr_bob telephone",
		"passkey_renamed usr_bob@example.com usr_bob telephone", "passkey_removed usr_bob@example.com usr_bob laptop"}; !slices.Equal(h.mails, want) {
		t.Errorf("mails: %q", h.mails)
	}
}

// TestLastWhereDemanded: where the realm demands a second factor, nobody removes the only one that he has; an app, another passkey or
// an administrator's word make it dispensable.
//
// ASVS: 6.3.7
func TestLastWhereDemanded(t *testing.T) {
	h := newHouse(t)
	p := must(h.add(&testpasskey.Browser{Origin: origin}, "main", "usr_bob"))
	who, u := h.person("main", "usr_bob")
	change := func(settings gatehouse.RealmSettings, app bool) {
		t.Helper()
		if err := h.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			bob, err := tx.User(ctx, "main", "usr_bob")
			if err != nil {
				return err
			}
			bob.SecondFactor, bob.Roles = app, []string{"clerk"}
			return errors.Join(tx.UpdateUser(ctx, bob), tx.UpdateRealm(ctx, gatehouse.Realm{Name: "main", Settings: settings}))
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []gatehouse.RealmSettings{{MFA: gatehouse.MFARequired}, {MFARoles: []string{"clerk"}}} {
		change(s, false)
		if err := h.RemoveOwn(t.Context(), who, u, p.ID); gatehouse.CodeOf(err) != "passkey_needed" {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if len(h.mails) != 1 {
		t.Errorf("told of what was refused: %q", h.mails)
	}
	other := must(h.add(&testpasskey.Browser{Origin: origin}, "main", "usr_bob"))
	if err := h.RemoveOwn(t.Context(), who, u, p.ID); err != nil {
		t.Errorf("one of two: %v", err)
	}
	if err := h.RemoveOwn(t.Context(), who, u, other.ID); gatehouse.CodeOf(err) != "passkey_needed" {
		t.Errorf("then the other one: %v", err)
	}
	admin, _ := h.person("main", "usr_amy")
	if err := h.Remove(t.Context(), admin, "main", "usr_bob", other.ID); err != nil {
		t.Errorf("by an administrator: %v", err)
	}
	last := must(h.add(&testpasskey.Browser{Origin: origin}, "main", "usr_bob"))
	change(gatehouse.RealmSettings{MFA: gatehouse.MFARequired}, true)
	who.ACR = gatehouse.AAL2
	if err := h.RemoveOwn(t.Context(), who, u, last.ID); err != nil {
		t.Errorf("beside an app: %v", err)
	}
}

// stored are the events of changes.
func (h *house) stored() (list []string) {
	h.t.Helper()
	for _, b := range must(h.db.Batches(h.t.Context(), "main", audit.BatchQuery{})) {
		for _, e := range must(audit.Decode(b)) {
			list = append(list, e.Kind+" "+e.Detail["name"])
		}
	}
	return list
}

// TestQuestions: an answer counts for the question that this browser was asked in this realm for this purpose, within five
// minutes, and once.
//
// ASVS: 6.5.1, 6.7.2
func TestQuestions(t *testing.T) {
	h := newHouse(t)
	b := &testpasskey.Browser{Origin: origin}
	if _, err := h.add(b, "main", "usr_bob"); err != nil {
		t.Fatal(err)
	}
	answer := h.answer(b, "main")
	if _, err := h.SignIn(t.Context(), "main", []byte("another browser"), answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("in another browser: %v", err)
	}
	if _, err := h.SignIn(t.Context(), "main", nil, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("in none: %v", err)
	}
	if _, err := h.SignIn(t.Context(), "main", tab, answer); err != nil {
		t.Error(err)
	}
	if _, err := h.SignIn(t.Context(), "main", tab, answer); gatehouse.CodeOf(err) != "passkey_refused" || !strings.Contains(h.why(), "answered before") {
		t.Errorf("again: %v %s", err, h.why())
	}
	question := func(change func(*passkey.Question)) error {
		t.Helper()
		q := h.Ask("main", tab)
		change(&q)
		_, err := h.SignIn(t.Context(), "main", tab, must(b.Get(must(json.Marshal(q)))))
		return err
	}
	who, u := h.person("main", "usr_bob")
	for name, change := range map[string]func(*passkey.Question){
		"of the page for new passkeys": func(q *passkey.Question) { q.Challenge = must(h.OfferTo(t.Context(), who, u, "", tab)).Challenge },
		"of another realm":             func(q *passkey.Question) { q.Challenge = h.Ask("shop", tab).Challenge },
		"with another end":             func(q *passkey.Question) { q.Challenge = q.Challenge[:30] + "AAA" + q.Challenge[33:] },
		"of a browser's own":           func(q *passkey.Question) { q.Challenge = strings.Repeat("A", len(q.Challenge)) },
	} {
		if err := question(change); gatehouse.CodeOf(err) != "passkey_refused" || !strings.Contains(h.why(), "another question") {
			t.Errorf("a question %s: %v %s", name, err, h.why())
		}
	}
	answer = h.answer(b, "main")
	h.now = h.now.Add(5*time.Minute + time.Second)
	if _, err := h.SignIn(t.Context(), "main", tab, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("after five minutes: %v", err)
	}
	h.now = h.now.Add(-time.Hour)
	if _, err := h.SignIn(t.Context(), "main", tab, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("of an hour ahead: %v", err)
	}
}

// TestWhose: a passkey is for its owner, in its realm, with the site's own origin and the person's PIN or finger.
func TestWhose(t *testing.T) {
	h := newHouse(t)
	bob, bert, amy := &testpasskey.Browser{Origin: origin}, &testpasskey.Browser{Origin: origin}, &testpasskey.Browser{Origin: origin}
	for b, of := range map[*testpasskey.Browser][2]string{bob: {"main", "usr_bob"}, bert: {"shop", "usr_bert"}, amy: {"main", "usr_amy"}} {
		if _, err := h.add(b, of[0], of[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.signIn(bert, "main"); gatehouse.CodeOf(err) != "passkey_of_another_realm" || strings.Contains(h.why(), "usr_bert") {
		t.Errorf("another realm's: %v %s", err, h.why())
	}
	if who, err := h.signIn(bert, "shop"); err != nil || who.Realm != "shop" {
		t.Errorf("in its own: %v", err)
	}
	var handle []byte
	amy.Tamper = func(a *testpasskey.Answer) { handle = a.UserHandle }
	if _, err := h.signIn(amy, "main"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(handle), "amy") || len(handle) != 32 {
		t.Errorf("the user handle %q", handle)
	}
	for name, change := range map[string]func(*testpasskey.Answer){
		"with another's user handle": func(a *testpasskey.Answer) { a.UserHandle = handle },
		"with no user handle":        func(a *testpasskey.Answer) { a.UserHandle = nil },
		"under another's id":         func(a *testpasskey.Answer) { a.ID = must(h.List(t.Context(), "main", "usr_amy"))[0].Credential.ID },
		"nobody verified":            func(a *testpasskey.Answer) { a.Flags = 1 },
		"at a subdomain":             func(a *testpasskey.Answer) { a.Origin = "https://evil.id.example.org" },
		"in a frame":                 func(a *testpasskey.Answer) { a.CrossOrigin = true },
	} {
		bob.Tamper = change
		if _, err := h.signIn(bob, "main"); gatehouse.CodeOf(err) != "passkey_refused" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := h.add(&testpasskey.Browser{Origin: origin, Tamper: change}, "main", "usr_bob"); err == nil && name != "with another's user handle" && name != "with no user handle" {
			t.Errorf("added %s", name)
		}
	}
	for _, answer := range []string{"", "{}", "null", "[]", strings.Repeat("x", 40<<10)} {
		if _, err := h.SignIn(t.Context(), "main", tab, []byte(answer)); gatehouse.CodeOf(err) != "passkey_refused" {
			t.Errorf("%.20s: %v", answer, err)
		}
	}
}

// TestOwn: only who has just signed in, as well as the account asks for, adds and removes; a passkey is added once, there is
// a bound, and the last way in stays.
//
// ASVS: 7.5.1
func TestOwn(t *testing.T) {
	h := newHouse(t)
	b := &testpasskey.Browser{Origin: origin}
	p, err := h.add(b, "main", "usr_amy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.add(b, "main", "usr_amy"); err == nil || err.Error() != "InvalidStateError" {
		t.Errorf("the browser was not told of the passkey that it has: %v", err)
	}
	amy, u := h.person("main", "usr_amy")
	offer := must(h.OfferTo(t.Context(), amy, u, "", tab))
	other, o := h.person("main", "usr_bob")
	b2 := &testpasskey.Browser{Origin: origin}
	answer := must(b2.Create(must(json.Marshal(offer))))
	if _, err := h.Add(t.Context(), other, o, "n", tab, answer); gatehouse.CodeOf(err) != "passkey_refused" {
		t.Errorf("an offer to somebody else: %v", err)
	}
	again := must((&testpasskey.Browser{Origin: origin, Tamper: func(a *testpasskey.Answer) { a.ID = p.Credential.ID }}).Create(must(json.Marshal(must(h.OfferTo(t.Context(), other, o, "", tab))))))
	if _, err := h.Add(t.Context(), other, o, "n", tab, again); gatehouse.CodeOf(err) != "passkey_exists" {
		t.Errorf("somebody else's: %v", err)
	}
	if _, err := h.Add(t.Context(), amy, u, "", tab, answer); gatehouse.CodeOf(err) != "passkey_name_invalid" {
		t.Errorf("without a name: %v", err)
	}

	owes := u
	owes.SecondFactor = true
	late, foreign, service := *amy, *amy, *amy
	late.AuthTime, foreign.Foreign, service.Kind = h.now.Add(-passkey.FreshFor-time.Second), true, gatehouse.KindService
	for name, c := range map[string]struct {
		who *gatehouse.Principal
		u   gatehouse.Subject
	}{"eleven minutes later": {&late, u}, "nobody": {nil, u}, "another account": {amy, o}, "without the second factor": {amy, owes}, "of another issuer": {&foreign, u},
		"a service": {&service, u}} {
		_, err := h.OfferTo(t.Context(), c.who, c.u, "", tab)
		_, err2 := h.Add(t.Context(), c.who, c.u, "n", tab, answer)
		if err3 := h.RemoveOwn(t.Context(), c.who, c.u, p.ID); gatehouse.CodeOf(err) != "sign_in_again" || gatehouse.CodeOf(err2) != "sign_in_again" || gatehouse.CodeOf(err3) != "sign_in_again" {
			t.Errorf("%s: %v, %v, %v", name, err, err2, err3)
		}
	}
	if err := h.RemoveOwn(t.Context(), amy, u, p.ID); gatehouse.CodeOf(err) != "passkey_last" {
		t.Errorf("the last way in: %v", err)
	}
	if err := h.RemoveOwn(t.Context(), other, o, p.ID); gatehouse.CodeOf(err) != "passkey_not_found" {
		t.Errorf("another's: %v", err)
	}
	if _, err := h.Add(t.Context(), amy, u, "n", tab, answer); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveOwn(t.Context(), amy, u, p.ID); err != nil {
		t.Errorf("one of two: %v", err)
	}
	if err := h.Remove(t.Context(), other, "main", "usr_amy", must(h.List(t.Context(), "main", "usr_amy"))[0].ID); err != nil {
		t.Errorf("the last one, by an administrator: %v", err)
	}
	early := must(h.OfferTo(t.Context(), amy, u, "", tab))
	for n := range passkey.MaxPasskeys {
		if _, err := h.add(&testpasskey.Browser{Origin: origin}, "main", "usr_amy"); err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := h.OfferTo(t.Context(), amy, u, "", tab); gatehouse.CodeOf(err) != "passkey_limit" {
		t.Errorf("one more: %v", err)
	}
	if _, err := h.Add(t.Context(), amy, u, "n", tab, must((&testpasskey.Browser{Origin: origin}).Create(must(json.Marshal(early))))); gatehouse.CodeOf(err) != "passkey_limit" {
		t.Errorf("one more, by an offer of before: %v", err)
	}
}
