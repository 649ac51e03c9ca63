package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// counting takes every code for right that it may look at.
type counting struct{ *identity.Service }

func (c counting) Complete(ctx context.Context, p *gatehouse.Principal, who gatehouse.Subject, _ gatehouse.Secret) (*gatehouse.Principal, error) {
	_, err := c.AttemptCode(ctx, p.Realm, who.ID, func(context.Context) (bool, error) { return true, nil })
	return p, err
}

// TestCodeFromAKnownDevice: while strangers fail all over a realm, a sign-in takes its code in the browser that signed in with
// one before, at a node that was not there then; in another one it waits.
//
// ASVS: 6.3.1
func TestCodeFromAKnownDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db, now := t.Context(), open(t, cfg), moment(0)
		box := must(seal.NewBox(seal.GenerateMasterKey(now)))(t)
		node := func() (*identity.Service, *session.HalfDone) {
			throttle := must(identity.NewThrottle(identity.ThrottleConfig{Now: func() time.Time { return now }, Key: make([]byte, 32),
				Run: must(store.Run[identity.FailureTx](db))(t), GlobalBurst: 1, GlobalRate: 0.001}))(t)
			people := must(identity.NewService(identity.Config{Users: db, Run: must(store.Run[identity.Tx](db))(t), Recorder: nobody{}, Passwords: toldPasswords{},
				Policy: credential.NewPasswordPolicy(), Throttle: throttle, Now: func() time.Time { return now }, AccountKey: make([]byte, 32)}))(t)
			return people, must(session.NewHalfDone(session.HalfDoneConfig{Run: must(store.Run[session.HalfDoneTx](db))(t), Find: db.Once, Box: box,
				Codes: counting{people}, Now: func() time.Time { return now }}))(t)
		}
		bob := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Name: "bob", Scheme: gatehouse.SchemeBasic, IssuedAt: moment(-9),
			AMR: []string{"pwd", "otp", gatehouse.AMRMultiFactor}}
		before, _ := node()
		before.SignedIn(ctx, bob, "a-device")
		people, signIns := node()
		wrong := func(context.Context) (bool, error) { return false, nil }
		if _, err := people.AttemptCode(ctx, "main", "usr_2", wrong); err != nil {
			t.Fatal(err)
		}
		try := func(device gatehouse.Secret) error {
			_, err := signIns.Finish(ctx, "main", must(signIns.Begin(ctx, bob, device, false))(t), device, "123456")
			return err
		}
		if err := try("b-device"); gatehouse.CodeOf(err) != "too_many_attempts" {
			t.Errorf("another browser: %v", err)
		}
		if err := try("a-device"); err != nil {
			t.Errorf("the browser that is known: %v", err)
		}
	})
}
