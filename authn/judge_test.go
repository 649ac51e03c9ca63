package authn

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// TestJudge: what is only named is judged as a request with it would be, and is not used.
func TestJudge(t *testing.T) {
	token := func(w *world) Named {
		return Named{Realm: "main", Ref: revocation.Ref{Realm: "main", Subject: "usr_alice", IssuedAt: w.now, HasStatus: true}}
	}
	cut := func(w *world, at time.Time) {
		r := w.realms["main"]
		r.CutOffAt = at
		w.realms["main"] = r
	}
	for name, c := range map[string]struct {
		change func(w *world, k *credential.Key, n *Named)
		key    bool
		want   string
	}{
		"a key":                 {nil, true, ""},
		"a token":               {nil, false, ""},
		"revoked":               {func(w *world, k *credential.Key, _ *Named) { k.RevokedAt = w.now }, true, "key_revoked"},
		"expired":               {func(w *world, k *credential.Key, _ *Named) { k.ExpiresAt = w.now }, true, "key_expired"},
		"of another realm":      {func(_ *world, k *credential.Key, _ *Named) { k.Realm = "other" }, true, "key_wrong_realm"},
		"an owner who is gone":  {func(_ *world, k *credential.Key, _ *Named) { k.OwnerID = "usr_gone" }, true, "subject_disabled"},
		"none":                  {func(_ *world, _ *credential.Key, n *Named) { n.Key = "none" }, true, "key_unknown"},
		"imported":              {func(_ *world, k *credential.Key, _ *Named) { k.Imported = true }, true, ""},
		"imported, and revoked": {func(w *world, k *credential.Key, _ *Named) { k.Imported, k.RevokedAt = true, w.now }, true, "key_revoked"},
		"a dead key":            {func(w *world, k *credential.Key, _ *Named) { cut(w, k.CreatedAt) }, true, "credential_cut_off"},
		"a dead token":          {func(w *world, _ *credential.Key, n *Named) { cut(w, n.Ref.IssuedAt) }, false, "credential_cut_off"},
		"a revoked token":       {func(w *world, _ *credential.Key, _ *Named) { w.revoked = func(revocation.Ref) bool { return true } }, false, "token_revoked"},
		"a subject who is gone": {func(_ *world, _ *credential.Key, n *Named) { n.Ref.Subject = "usr_gone" }, false, "subject_disabled"},
		"a realm that is off":   {func(_ *world, _ *credential.Key, n *Named) { n.Realm = "off" }, false, "realm_disabled"},
		"no realm":              {func(_ *world, _ *credential.Key, n *Named) { n.Realm = "none" }, false, "realm_unknown"},
		"whoever it is":         {func(_ *world, _ *credential.Key, n *Named) { n.Ref.Subject = "" }, false, ""},
	} {
		w := newWorld(t)
		n := token(w)
		p := w.addKey(func(k *credential.Key) {
			k.CreatedAt = w.now.Add(-time.Minute)
			n.Key = k.ID
			if !c.key {
				n.Key = ""
			}
			if c.change != nil {
				c.change(w, k, &n)
			}
		})
		err := w.a.Judge(t.Context(), n)
		if got := Reason(err); (err == nil) != (c.want == "") || err != nil && got != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if _, used := w.a.usage.m.Load(usageKey{p.ID, w.now.Unix() / secondsPerDay}); used {
			t.Errorf("%s: it was used", name)
		}
	}
	w := newWorld(t)
	n := token(w)
	w.fail = gatehouse.E(gatehouse.Unavailable, "store_unavailable", "")
	if err := w.a.Judge(context.Background(), n); err == nil {
		t.Error("nothing can be read, and it would be let in")
	}
}
