package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/logout"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestListeners: clients beside a session are due when it ends, whatever ends it, each once; one that fails waits with all of its own.
func TestListeners(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		cfg.Now = func() time.Time { return moment(50) }
		ctx, db := t.Context(), open(t, cfg)
		listens := func(session, user, client string) {
			t.Helper()
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertIssued(ctx, grant.Issued{Listener: &grant.Listener{Realm: "main", Session: session, Client: client, User: user, Ends: moment(100)}})
			})
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range 6 {
				s := exampleSession()
				s.ID, s.SecretID, s.UserID = fmt.Sprint("ses_", i), fmt.Sprint("s", i), fmt.Sprint("usr_", i)
				if err := tx.InsertSession(ctx, s); err != nil {
					return err
				}
			}
			return tx.InsertClient(ctx, exampleClient())
		})
		for i := range 6 {
			listens(fmt.Sprint("ses_", i), fmt.Sprint("usr_", i), "a")
		}
		listens("ses_0", "usr_0", "a")
		listens("ses_0", "usr_0", "b")
		due := func(at time.Time) (out []string) {
			t.Helper()
			for _, r := range must(db.DueLogouts(ctx, at, 200))(t) {
				out = append(out, r.Session+r.Client)
			}
			return out
		}
		same(t, due(moment(99)), nil)
		ends := func(at time.Time, fn func(ctx context.Context, tx *store.Tx) error, want ...string) {
			t.Helper()
			do(t, db, fn)
			same(t, due(at), want)
			for _, r := range must(db.DueLogouts(ctx, at, 200))(t) {
				same(t, r.EndsAt.Before(moment(50).Add(logout.TryFor+1)), true)
				do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.EndLogout(ctx, r) })
				wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.EndLogout(ctx, r) }), gatehouse.Conflict)
			}
		}
		ends(moment(7), func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.EndSession(ctx, "main", "usr_0", "ses_0", moment(7), "why")
			return err
		}, "ses_0a", "ses_0b")
		ends(moment(8), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.EndSessions(ctx, "main", "usr_1", "", moment(8), "why")
			return err
		}, "ses_1a")
		cut := func(kind revocation.CutoffKind, id string, before time.Time) func(context.Context, *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error {
				return tx.PutCutoff(ctx, revocation.Cutoff{Realm: "main", Kind: kind, ID: id, Before: before, ExpiresAt: moment(200)})
			}
		}
		ends(moment(50), cut(revocation.CutoffSubject, "usr_2", moment(0))) // it is younger
		ends(moment(50), cut(revocation.CutoffSubject, "usr_2", moment(1)), "ses_2a")
		ends(moment(50), cut(revocation.CutoffClient, "a", moment(9)))
		ends(moment(50), cut(revocation.CutoffSession, "ses_3", moment(9)), "ses_3a")
		ends(moment(50), cut(revocation.CutoffRealm, "", moment(9)), "ses_4a", "ses_5a")

		listens("ses_6", "usr_6", "a")
		listens("ses_7", "usr_7", "a")
		listens("ses_7", "usr_7", "c")
		same(t, due(moment(100)), []string{"ses_6a", "ses_7a", "ses_7c"}) // of themselves
		first := must(db.DueLogouts(ctx, moment(100), 1))(t)[0]
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DelayLogout(ctx, first, moment(110)) })
		same(t, due(moment(109)), []string{"ses_7c"})
		same(t, due(moment(110)), []string{"ses_7c", "ses_6a", "ses_7a"}) // the one that was tried before the other
		for _, fn := range []func(context.Context, *store.Tx) error{
			func(ctx context.Context, tx *store.Tx) error { return tx.DelayLogout(ctx, first, moment(120)) },
			func(ctx context.Context, tx *store.Tx) error { return tx.EndLogout(ctx, first) }} {
			wantKind(t, db.Update(ctx, fn), gatehouse.Conflict)
		}
		do(t, db, func(ctx context.Context, tx *store.Tx) error { // a later end of what was told of does not begin anew
			_, err := tx.EndSessions(ctx, "main", "", "", moment(60), "restored")
			return err
		})
		same(t, must(db.DueLogouts(ctx, moment(110), 200))(t)[2], logout.Record{Realm: "main", Session: "ses_6", Client: "a", User: "usr_6", Tries: 1, EndsAt: moment(100).Add(logout.TryFor)})

		for i := range logout.MaxClients + 1 {
			listens("ses_8", "usr_8", fmt.Sprint("c", i))
		}
		same(t, len(must(db.DueLogouts(ctx, moment(200), 200))(t)), 3+logout.MaxClients)
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			listener := grant.Listener{Realm: "main", Session: "ses_9", Client: exampleClient().ID, User: "usr_9", Ends: moment(70)}
			return tx.InsertIssued(ctx, grant.Issued{Listener: &listener})
		})
		same(t, len(due(moment(70))), 3)
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteClient(ctx, "main", exampleClient().ID) })
		same(t, len(due(moment(70))), 2)
	})
}
