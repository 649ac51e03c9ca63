package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/store"
)

func exampleSession() gatehouse.Session {
	return gatehouse.Session{ID: "ses_1", Realm: "main", UserID: "usr_1", SecretID: "s1", SecretHash: []byte{0, 255}, CreatedAt: moment(1), AuthTime: moment(0),
		AMR: []string{"pwd"}, ACR: "aal1", LastUsedAt: moment(1), ExpiresAt: moment(100), DeviceHash: []byte{7}, Address: "192.0.2.7", UserAgent: "Browser 🦊"}
}

func TestSessions(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		s := exampleSession()
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertSession(ctx, s) })
		same(t, must(db.Session(ctx, "s1"))(t), s)
		same(t, changes(), nil)
		for _, taken := range []func(*gatehouse.Session){func(s *gatehouse.Session) { s.SecretID = "s9" }, func(s *gatehouse.Session) { s.ID = "ses_9" }} {
			other := s
			taken(&other)
			wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertSession(ctx, other) }), gatehouse.Conflict)
		}

		// Another secret: whoever knew the old one hears of it, and of two that have the same in mind one wins.
		s.SecretID, s.SecretHash, s.AuthTime, s.AMR, s.ACR, s.DeviceHash, s.Address = "s2", []byte{3}, moment(2), []string{"pwd", "otp"}, "aal2", nil, ""
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RotateSession(ctx, s, "s1") })
		same(t, changes(), one(gatehouse.TopicSession, "main", "s1", nil))
		same(t, must(db.Session(ctx, "s2"))(t), s)
		_, err := db.Session(ctx, "s1")
		wantKind(t, err, gatehouse.NotFound)
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.RotateSession(ctx, s, "s1") }), gatehouse.NotFound)

		// A use is never moved back.
		for _, use := range []int{5, 4} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.UseSessions(ctx, []authn.SessionUse{{Realm: "main", ID: "ses_none", At: moment(9)}, {Realm: "main", ID: "ses_1", At: moment(use)}})
			})
		}
		s.LastUsedAt = moment(5)
		same(t, must(db.Session(ctx, "s2"))(t), s)

		second, third, others := s, s, s
		second.ID, second.SecretID, second.LastUsedAt = "ses_2", "s22", moment(3)
		third.ID, third.SecretID, third.ExpiresAt = "ses_3", "s33", moment(6)
		others.ID, others.SecretID, others.UserID = "ses_4", "s44", "usr_2"
		for _, v := range []gatehouse.Session{second, third, others} {
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertSession(ctx, v) })
		}
		same(t, must(db.Sessions(ctx, "main", "usr_1", "", 10))(t), []gatehouse.Session{s, second, third})
		same(t, must(db.Sessions(ctx, "main", "usr_1", "ses_1", 1))(t), []gatehouse.Session{second})
		same(t, must(db.LiveSessions(ctx, "main", "usr_1", moment(6), moment(3)))(t), []gatehouse.Session{s}) // one unused, one over
		changes()

		end := func(user, id string) (ended bool, err error) {
			err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
				_, ended, err = tx.EndSession(ctx, "main", user, id, moment(7), "why")
				return err
			})
			return ended, err
		}
		_, err = end("usr_2", "ses_1")
		wantKind(t, err, gatehouse.NotFound)
		same(t, must(end("usr_1", "ses_1"))(t), true)
		same(t, must(end("usr_1", "ses_1"))(t), false)
		s.EndedAt, s.EndReason, s.ExpiresAt = moment(7), "why", moment(7)
		same(t, must(db.Session(ctx, "s2"))(t), s)
		same(t, changes(), one(gatehouse.TopicSession, "main", "s2", nil)) // once
		wantKind(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.RotateSession(ctx, s, "s2") }), gatehouse.NotFound)

		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			ended, err := tx.EndSessions(ctx, "main", "usr_1", "ses_2", moment(5), "all")
			if len(ended) != 1 || ended[0].ID != "ses_3" {
				t.Errorf("%+v", ended)
			}
			return err
		})
		same(t, changes(), one(gatehouse.TopicSession, "main", "s33", nil))
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			ended, err := tx.EndSessions(ctx, "main", "", "", moment(8), "restored")
			same(t, len(ended), 2)
			return err
		})

		for _, want := range []int64{1, 1, 0} { // only ses_3, of 5, and then the one of 7, at most one at a time
			do(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PurgeSessions(ctx, moment(8), 1)
				same(t, n, want)
				return err
			})
		}
	})
}

// TestSessionHosts: a host of the gateway has a secret of its own, one at a time; it ends with the session, and whoever
// knows it hears of it.
func TestSessionHosts(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		changes := changesOf(db)
		s := exampleSession()
		at := func(id, host, secret string) gatehouse.Session {
			out := s
			out.ID, out.Host, out.SecretID, out.SecretHash, out.DeviceHash = id, host, secret, []byte(secret), nil
			return out
		}
		put := func(v gatehouse.Session) {
			t.Helper()
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSessionHost(ctx, v) })
		}
		gone := func(secret string) {
			t.Helper()
			_, err := db.Session(ctx, secret)
			wantKind(t, err, gatehouse.NotFound)
		}
		other, third := s, s
		other.ID, other.SecretID = "ses_2", "s2"
		third.ID, third.SecretID, third.UserID = "ses_3", "s3", "usr_2"
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertSession(ctx, s), tx.InsertSession(ctx, other), tx.InsertSession(ctx, third))
		})
		put(at("ses_1", "a.example", "a1"))
		put(at("ses_1", "b.example", "b1"))
		put(at("ses_2", "a.example", "a2"))
		put(at("ses_3", "a.example", "a3"))
		same(t, must(db.Session(ctx, "a1"))(t), at("ses_1", "a.example", "a1"))
		same(t, changes(), nil)
		put(at("ses_1", "a.example", "a4")) // another tab, or another browser's copy: one at a time
		same(t, changes(), one(gatehouse.TopicSession, "main", "a1", nil))
		gone("a1")

		rotated := s
		rotated.SecretID = "s9"
		do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RotateSession(ctx, rotated, "s1") })
		same(t, len(changes()), 3) // its own, and those of both hosts
		gone("a4")
		gone("b1")

		put(at("ses_1", "a.example", "a5"))
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.EndSession(ctx, "main", "usr_1", "ses_1", moment(7), "why")
			return err
		})
		same(t, changes(), append(one(gatehouse.TopicSession, "main", "s9", nil), one(gatehouse.TopicSession, "main", "a5", nil)...))
		gone("a5")
		same(t, must(db.Session(ctx, "a2"))(t), at("ses_2", "a.example", "a2"))

		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.EndSessions(ctx, "main", "usr_1", "", moment(7), "why")
			return err
		})
		same(t, changes(), append(one(gatehouse.TopicSession, "main", "s2", nil), one(gatehouse.TopicSession, "main", "a2", nil)...))
		gone("a2")
		same(t, must(db.Session(ctx, "a3"))(t).ID, "ses_3")
		do(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.PurgeSessions(ctx, moment(1000), 100)
			return err
		})
		gone("a3")
	})
}
