package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestExchangedGrants: what tokens of a grant were exchanged for ends with it, step by step, and with all that the client had whose tokens they
// were; nothing beside them does, in another realm or before.
func TestExchangedGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg store.Config) {
		ctx, db := t.Context(), open(t, cfg)
		end := func(id string) func(context.Context, *store.Tx, string) error {
			return func(ctx context.Context, tx *store.Tx, realm string) error {
				_, _, err := tx.EndGrant(ctx, realm, id, moment(9), "x")
				return err
			}
		}
		cut := func(kind revocation.CutoffKind, id string, at int) func(context.Context, *store.Tx, string) error {
			return func(ctx context.Context, tx *store.Tx, realm string) error {
				return tx.PutCutoff(ctx, revocation.CutoffNow(realm, kind, id, moment(at)))
			}
		}
		for what, c := range map[string]struct {
			end  func(ctx context.Context, tx *store.Tx, realm string) error
			want string // the ids that have ended
		}{
			"the first":   {end("grt_1"), "grt_1 grt_2 grt_3 grt_4"},
			"the second":  {end("grt_2"), "grt_2 grt_3"},
			"the last":    {end("grt_3"), "grt_3"},
			"another":     {end("grt_5"), "grt_5"},
			"the client":  {cut(revocation.CutoffClient, "c", 9), "grt_2 grt_3 grt_4"},
			"that before": {cut(revocation.CutoffClient, "c", 0), ""},
			"the next":    {cut(revocation.CutoffClient, "d", 9), "grt_3"},
			"taken back": {func(ctx context.Context, tx *store.Tx, realm string) error {
				_, err := tx.EndGrantsOfClient(ctx, realm, "usr_1", "d", moment(9), "x")
				return err
			}, "grt_2 grt_3 grt_4"},
			"a user": {cut(revocation.CutoffSubject, "c", 9), ""},
		} {
			realm, other := strings.ReplaceAll(what, " ", "-"), strings.ReplaceAll(what, " ", "-")+"-other"
			for i, g := range []struct{ realm, id, client, parent string }{{realm, "grt_1", "c", ""}, {realm, "grt_2", "d", "grt_1"}, {realm, "grt_3", "e", "grt_2"}, {realm, "grt_4", "d", "grt_1"},
				{realm, "grt_5", "c", ""}, {other, "grt_6", "d", "grt_1"}} {
				v := exampleGrant()
				v.Realm, v.ID, v.ClientID, v.Parent, v.StatusIdx = g.realm, g.id, g.client, g.parent, int64(i)
				if g.parent != "" {
					v.Act, v.MayAct = &gatehouse.Act{Subject: g.client, Act: &gatehouse.Act{Subject: "x"}}, "cli_x"
				}
				do(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGrant(ctx, v) })
				same(t, must(db.Grant(ctx, g.realm, g.id))(t), v)
			}
			do(t, db, func(ctx context.Context, tx *store.Tx) error { return c.end(ctx, tx, realm) })
			var ended []string
			for _, in := range []string{realm, other} {
				for _, g := range must(db.Grants(ctx, in, "", "", 100))(t) {
					if g.EndedAt.IsZero() {
						continue
					}
					ended = append(ended, g.ID)
					if g.ID != "grt_5" && what != "taken back" && len(ended) > 1 && g.EndReason != grant.ReasonParent {
						t.Errorf("%s: %+v", what, g)
					}
				}
			}
			if got := strings.Join(ended, " "); got != c.want {
				t.Errorf("%s: ended: %s, want %s", what, got, c.want)
			}
			bits := 0
			if err := db.EachStatusBit(ctx, func(b revocation.StatusBit) error {
				if b.Realm == realm || b.Realm == other {
					bits++
				}
				return nil
			}); err != nil || bits != len(ended) {
				t.Errorf("%s: %d status bits of %d: %v", what, bits, len(ended), err)
			}
		}
	})
}
