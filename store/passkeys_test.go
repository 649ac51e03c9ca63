package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

func examplePasskey() passkey.Passkey {
	return passkey.Passkey{Realm: "main", UserID: "usr_1", ID: "psk_1", Name: "Schlüssel 🦊", Transports: []string{"internal"}, CreatedAt: moment(1),
		Credential: webauthn.Credential{ID: []byte{0, 255}, Key: []byte{1}, SignCount: 1<<32 - 1, BackupEligible: true, AAGUID: make([]byte, 16)}}
}

func TestPasskeys(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		same(t, must(db.Passkeys(ctx, "main", "usr_1"))(t), []passkey.Passkey{})
		p := examplePasskey()
		insert := func(p passkey.Passkey) change {
			return func(ctx context.Context, tx *store.Tx) error { return tx.InsertPasskey(ctx, p) }
		}
		if err := db.Update(ctx, insert(p)); err == nil {
			t.Fatal("a passkey of nobody")
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			other, u := exampleRealm(), exampleUser()
			other.Name, u.Realm, u.ID = "other", "other", "usr_2"
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()), tx.InsertRealm(ctx, other), tx.InsertUser(ctx, u), insert(p)(ctx, tx))
		})
		same(t, must(db.Passkeys(ctx, "main", "usr_1"))(t), []passkey.Passkey{p})
		same(t, must(db.PasskeyOf(ctx, p.Credential.ID))(t), p)
		// There is one of a credential, in whatever realm.
		again := p
		again.Realm, again.UserID, again.ID = "other", "usr_2", "psk_2"
		wantKind(t, db.Update(ctx, insert(again)), gatehouse.Conflict)
		_, err := db.PasskeyOf(ctx, []byte{0})
		wantKind(t, err, gatehouse.NotFound)
		use := func(p passkey.Passkey) change {
			return func(ctx context.Context, tx *store.Tx) error { return tx.UsePasskey(ctx, p) }
		}
		p.BackedUp, p.UsedAt = true, moment(2)
		do(t, db, use(p))
		less := p
		less.SignCount = 7 // never goes back
		do(t, db, use(less))
		same(t, must(db.Passkeys(ctx, "main", "usr_1"))(t), []passkey.Passkey{p})
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.RenamePasskey(ctx, "main", "usr_1", "psk_1", "other")
		})
		p.Name = "other"
		same(t, must(db.Passkeys(ctx, "main", "usr_1"))(t), []passkey.Passkey{p})
		for what, c := range map[string]change{
			"use": use(passkey.Passkey{Realm: "other", UserID: "usr_1", ID: "psk_1"}),
			"rename": func(ctx context.Context, tx *store.Tx) error {
				return tx.RenamePasskey(ctx, "main", "usr_2", "psk_1", "x")
			},
			"delete": func(ctx context.Context, tx *store.Tx) error { return tx.DeletePasskey(ctx, "main", "usr_2", "psk_1") },
		} {
			if err := db.Update(ctx, c); !errors.Is(err, gatehouse.NotFound) {
				t.Errorf("%s of another's: %v", what, err)
			}
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "main", "usr_1") })
		same(t, must(db.Passkeys(ctx, "main", "usr_1"))(t), []passkey.Passkey{})
	})
}

// noMail tells nobody.
type noMail struct{}

func (noMail) Put(context.Context, mail.Outgoing, mail.Message) (string, error) { return "", nil }

// TestOneAnswer: of all that send one answer of a passkey at once, on two nodes where there can be two, one is let in.
func TestOneAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		now := time.Unix(1_800_000_000, 0)
		node := func(db *store.DB) *passkey.Service {
			return must(passkey.New(passkey.Config{Run: must(store.Run[passkey.Tx](db))(t), Key: make([]byte, passkey.KeySize), Record: func(*gatehouse.Event) {}, Mail: noMail{},
				Site: func(string) webauthn.RelyingParty {
					return webauthn.RelyingParty{ID: "example.org", Origins: []string{"https://example.org"}}
				}, Now: func() time.Time { return now }}))(t)
		}
		cfg.Shared = cfg.Driver == store.DriverPostgres
		db := open(t, cfg)
		nodes := []*passkey.Service{node(db)}
		if cfg.Shared {
			nodes = append(nodes, node(open(t, cfg)))
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRealm(ctx, exampleRealm()), tx.InsertUser(ctx, exampleUser()))
		})
		browser, b := []byte("a browser"), &testpasskey.Browser{Origin: "https://example.org"}
		who, u := &gatehouse.Principal{Realm: "main", ID: "usr_1", Kind: gatehouse.KindUser, AuthTime: now}, gatehouse.Subject{ID: "usr_1"}
		offer := must(nodes[0].OfferTo(t.Context(), who, u, "", browser))(t)
		answer := must(b.Create(must(json.Marshal(offer))(t)))(t)
		if _, err := nodes[len(nodes)-1].Add(t.Context(), who, u, "key", browser, answer); err != nil {
			t.Fatal(err)
		}
		answer = must(b.Get(must(json.Marshal(nodes[0].Ask("main", browser)))(t)))(t)
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				switch _, err := nodes[i%len(nodes)].SignIn(t.Context(), "main", browser, answer); {
				case err == nil:
					won.Add(1)
				case gatehouse.CodeOf(err) == "passkey_refused":
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != 59 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	})
}
