package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// oracle answers for codes: what is right is right each time, so that nothing but the sign-in decides who wins.
type oracle struct {
	asked atomic.Int64
	fail  error // what any other code gets
}

func (o *oracle) Complete(_ context.Context, p *gatehouse.Principal, who gatehouse.Subject, code gatehouse.Secret) (*gatehouse.Principal, error) {
	o.asked.Add(1)
	switch {
	case !who.SecondFactor || who.ID != p.ID:
		return nil, errors.New("not who it was")
	case code != "right":
		return nil, o.fail
	}
	return p, nil
}

// TestHalfDone: a sign-in that waits for a code is for one browser of one realm, takes five wrong codes and one right one,
// whichever node is asked and however many ask at once, and ends with its time.
func TestHalfDone(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		now := moment(0)
		box := must(seal.NewBox(seal.GenerateMasterKey(now)))(t)
		cfg.Shared = cfg.Driver == store.DriverPostgres
		codes := &oracle{fail: factor.ErrCode}
		dbs := []*store.DB{open(t, cfg)}
		if cfg.Shared {
			dbs = append(dbs, open(t, cfg))
		}
		var nodes []*session.HalfDone
		for _, db := range dbs {
			nodes = append(nodes, must(session.NewHalfDone(session.HalfDoneConfig{Run: must(store.Run[session.HalfDoneTx](db))(t), Find: db.Once, Box: box,
				Codes: codes, Now: func() time.Time { return now }}))(t))
		}
		first, last := nodes[0], nodes[len(nodes)-1]
		ctx := t.Context()
		bob := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Name: "bob", Scheme: gatehouse.SchemeBasic, IssuedAt: moment(-9)}
		begin := func() gatehouse.Secret {
			t.Helper()
			return must(first.Begin(ctx, bob, "a-device", false))(t)
		}
		refused := func(what string, err error) {
			t.Helper()
			if gatehouse.CodeOf(err) != "second_factor_invalid" {
				t.Errorf("%s: %v", what, err)
			}
		}
		try := func(text, code gatehouse.Secret) error {
			_, err := last.Finish(ctx, "main", text, "a-device", code)
			return err
		}

		text := begin()
		for what, c := range map[string]struct{ realm, text, device gatehouse.Secret }{
			"another realm": {"shop", text, "a-device"}, "another browser": {"main", text, "b-device"}, "no device": {"main", text, ""},
			"nothing": {"main", "", "a-device"}, "another text": {"main", begin() + "x", "a-device"}, "a long text": {"main", gatehouse.Secret(bytes.Repeat([]byte("x"), 4096)), "a-device"},
		} {
			_, _, err := last.Waits(ctx, c.realm.Reveal(), c.text, c.device)
			refused(what, err)
			_, err = last.Finish(ctx, c.realm.Reveal(), c.text, c.device, "right")
			refused(what, err)
		}
		if codes.asked.Load() != 0 {
			t.Error("a code was looked at")
		}
		for _, who := range []*gatehouse.Principal{nil, {}, {Realm: "main", Kind: gatehouse.KindService, ID: "svc_1", Scheme: gatehouse.SchemeBasic}, {Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Scheme: gatehouse.SchemeAPIKey}} {
			if _, err := first.Begin(ctx, who, "a-device", false); gatehouse.CodeOf(err) != "invalid_credentials" {
				t.Errorf("%+v: %v", who, err)
			}
		}
		if _, err := first.Begin(ctx, bob, "", false); err == nil {
			t.Error("without a browser")
		}
		// Nothing of it can be read in the database.
		stored := must(dbs[0].Once(ctx, once.KindSignIn, onceKey(text.Reveal())))(t)
		for _, clear := range []string{"usr_1", "bob", text.Reveal()} {
			if bytes.Contains(stored.Sealed, []byte(clear)) {
				t.Errorf("%q is stored in clear", clear)
			}
		}

		// Four wrong codes, and one right; then it is over.
		for range session.HalfDoneTries - 1 {
			refused("a wrong code", try(text, "wrong"))
		}
		codes.fail = gatehouse.ErrRateLimited // that is no try
		if err := try(text, "wrong"); !errors.Is(err, gatehouse.RateLimited) {
			t.Errorf("slowed down: %v", err)
		}
		codes.fail = factor.ErrCode
		if _, _, err := last.Waits(ctx, "main", text, "a-device"); err != nil {
			t.Errorf("after four: %v", err)
		}
		p, err := last.Finish(ctx, "main", text, "a-device", "right")
		if err != nil || p.ID != bob.ID || p.Name != "bob" || !p.IssuedAt.Equal(bob.IssuedAt) || p.Scheme != gatehouse.SchemeBasic || p.Realm != "main" {
			t.Fatalf("%+v, %v", p, err)
		}
		refused("again", try(text, "right"))
		text = begin()
		for range session.HalfDoneTries {
			refused("a wrong code", try(text, "wrong"))
		}
		refused("the right one, after five wrong ones", try(text, "right"))

		text = begin()
		now = now.Add(session.HalfDoneFor)
		_, _, err = first.Waits(ctx, "main", text, "a-device")
		refused("too late", err)
		refused("too late", try(text, "right"))

		// One that waits for a second factor to be added takes no code, and one that waits for a code has none added.
		text = begin()
		if _, err := last.Enrolling(ctx, "main", text, "a-device"); err == nil {
			t.Error("a factor could be added in the place of a code")
		}
		if _, err := last.Enrolled(ctx, "main", text, "a-device"); err == nil {
			t.Error("added in the place of a code")
		}
		text = must(first.Begin(ctx, bob, "a-device", true))(t)
		refused("a code where there is no factor", try(text, "right"))
		for what, c := range map[string]struct{ realm, text, device gatehouse.Secret }{"another realm": {"shop", text, "a-device"}, "another browser": {"main", text, "b-device"}} {
			_, err := last.Enrolling(ctx, c.realm.Reveal(), c.text, c.device)
			refused(what, err)
			_, err = last.Enrolled(ctx, c.realm.Reveal(), c.text, c.device)
			refused(what, err)
		}
		p, err = last.Enrolling(ctx, "main", text, "a-device")
		if err != nil || p.ID != bob.ID || p.ACR != gatehouse.AAL1 || !p.AuthTime.Equal(now) || !p.HasScope("x") {
			t.Errorf("%+v, %v", p, err)
		}
		p, err = last.Enrolled(ctx, "main", text, "a-device", "otp")
		if err != nil || p.ID != bob.ID || p.ACR != gatehouse.AAL2 || !slices.Equal(p.AMR, []string{"pwd", "otp", "mfa"}) || !p.IssuedAt.Equal(bob.IssuedAt) {
			t.Errorf("%+v, %v", p, err)
		}
		_, err = last.Enrolled(ctx, "main", text, "a-device")
		refused("again", err)

		// At once, on all nodes: one right code opens, and of wrong ones no more than five are looked at.
		for code, most := range map[gatehouse.Secret]int64{"right": 1, "wrong": session.HalfDoneTries} {
			text, before := begin(), codes.asked.Load()
			var all sync.WaitGroup
			var won atomic.Int64
			for i := range 60 {
				all.Go(func() {
					_, err := nodes[i%len(nodes)].Finish(ctx, "main", text, "a-device", code)
					if err == nil {
						won.Add(1)
					} else if gatehouse.CodeOf(err) != "second_factor_invalid" {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if asked := codes.asked.Load() - before; asked < 1 || asked > most || code == "right" && won.Load() != 1 || code == "wrong" && won.Load() != 0 {
				t.Errorf("%s: %d were looked at, %d won", code, asked, won.Load())
			}
		}
	})
}
