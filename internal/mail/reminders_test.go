package mail_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestReminders: the owner of a key is reminded a week and a day before it ends, once each,
// whoever looks and however often; nobody is who cannot do anything about it.
//
// ASVS: 6.4.5
func TestReminders(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		p := newPost(t, mail.TLSRequired)
		o := newOffice(t, cfg, masterKey(), p.settings(mail.TLSRequired))
		o.set.PerAddress, o.set.PerRealm = 100, 100
		now := time.Now().UTC().Truncate(time.Microsecond)
		day := 24 * time.Hour
		err := o.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for _, name := range []string{"main", "ended"} {
				if err := tx.InsertRealm(ctx, gatehouse.Realm{Name: name, CreatedAt: now, UpdatedAt: now}); err != nil {
					return err
				}
			}
			for _, u := range []identity.User{{ID: "usr_ann", Email: "ann@example.com"}, {ID: "usr_off", Email: "off@example.com", Disabled: true}, {ID: "usr_mute"}} {
				for _, realm := range []string{"main", "ended"} {
					u.Realm, u.Kind, u.Username, u.UsernameKey, u.CreatedAt, u.UpdatedAt, u.Version = realm, gatehouse.KindUser, u.ID, u.ID, now, now, 1
					if err := tx.InsertUser(ctx, u); err != nil {
						return err
					}
				}
			}
			for id, k := range map[string]credential.Key{
				"k-week":     {ExpiresAt: now.Add(6 * day)},
				"k-day":      {ExpiresAt: now.Add(20 * time.Hour)}, // not a week before as well
				"k-later":    {ExpiresAt: now.Add(8 * day)},
				"k-forever":  {},
				"k-over":     {ExpiresAt: now.Add(-time.Hour)},
				"k-short":    {ExpiresAt: now.Add(2 * time.Hour), CreatedAt: now.Add(-time.Hour)}, // whoever made it knows
				"k-revoked":  {ExpiresAt: now.Add(day / 2), RevokedAt: now},
				"k-leaked":   {ExpiresAt: now.Add(day / 2), LeakedAt: now},
				"k-off":      {ExpiresAt: now.Add(day / 2), DisabledAt: now},
				"k-rotated":  {ExpiresAt: now.Add(day / 2), RotatedTo: "k-next"},
				"k-ended":    {ExpiresAt: now.Add(day / 2), Realm: "ended"}, // by a panic of the realm
				"k-disabled": {ExpiresAt: now.Add(day / 2), OwnerID: "usr_off"},
				"k-mute":     {ExpiresAt: now.Add(day / 2), OwnerID: "usr_mute"},
			} {
				k.ID, k.Name, k.Hash, k.Environment, k.Version = id, id, []byte(id), gatehouse.EnvironmentLive, 1
				if k.Realm == "" {
					k.Realm = "main"
				}
				if k.OwnerID == "" {
					k.OwnerID = "usr_ann"
				}
				if k.CreatedAt.IsZero() {
					k.CreatedAt = now.Add(-30 * day)
				}
				if err := tx.InsertKey(ctx, k); err != nil {
					return err
				}
			}
			ended, err := tx.Realm(ctx, "ended")
			if err != nil {
				return err
			}
			ended.CutOffAt = now
			return tx.UpdateRealm(ctx, ended)
		})
		if err != nil {
			t.Fatal(err)
		}
		r := &mail.Reminders{Queue: o.queue, Keys: o.db, Run: must(store.Run[mail.Outgoing](o.db))}
		reminded := func() (names []string) {
			t.Helper()
			for range 2 { // the second time for nobody
				if err := r.RemindNow(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range must(o.db.Mails(t.Context(), "", "", 100)) {
				parts := strings.Split(m.Once, "/")
				names = append(names, parts[2]+" "+parts[1])
			}
			slices.Sort(names)
			return names
		}
		same := func(got []string, want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%q, not %q", got, want)
			}
		}
		same(reminded(), "k-day 24h", "k-week 168h")
		o.round()
		if got := p.letters(); len(got) != 2 || got[0].to != "ann@example.com" || !strings.Contains(got[0].body+got[1].body, "k-week") {
			t.Errorf("%d letters", len(got))
		}
		o.pass(5*day + time.Hour)
		same(reminded(), "k-day 24h", "k-later 168h", "k-week 168h", "k-week 24h")
		// An end that is moved is another one.
		err = o.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			k, err := tx.Key(ctx, "k-week")
			if err != nil {
				return err
			}
			k.ExpiresAt = k.ExpiresAt.Add(3 * day)
			return tx.UpdateKey(ctx, k)
		})
		if err != nil {
			t.Fatal(err)
		}
		same(reminded(), "k-day 24h", "k-later 168h", "k-week 168h", "k-week 168h", "k-week 24h")
	})
}
