package authn

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestOwnTokenClaims: a token under our own key lacks nothing that we write.
func TestOwnTokenClaims(t *testing.T) {
	w := newWorld(t)
	place := `"status":{"status_list":{"idx":7,"uri":"` + issuerURL + `/status/3"}},`
	for _, c := range []struct{ missing, jti, client, status string }{
		{"", `"jti":"tok_1",`, `"client_id":"c",`, place},
		{"jti", ``, `"client_id":"c",`, place},
		{"jti", `"jti":"",`, `"client_id":"c",`, place},
		{"client_id", `"jti":"tok_1",`, ``, place},
		{"status", `"jti":"tok_1",`, `"client_id":"c",`, ``},
		{"status", `"jti":"tok_1",`, `"client_id":"c",`, `"status":{},`},
	} {
		text, err := w.signing.Sign(token.TypeAccess, fmt.Appendf(nil, `{"iss":%q,"sub":"usr_alice","aud":%[1]q,%s%s%s"iat":%d,"exp":%d}`,
			issuerURL, c.jti, c.client, c.status, w.now.Unix(), w.now.Unix()+60))
		if err != nil {
			t.Fatal(err)
		}
		p := Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}
		if c.missing == "" {
			w.check(t, p, secure, "", "")
			continue
		}
		w.check(t, p, secure, "invalid_token", "token_claim_missing")
		if _, err := w.a.Authenticate(t.Context(), "main", p, secure); Detail(err) != c.missing {
			t.Errorf("detail %q, want %q", Detail(err), c.missing)
		}
	}
}

// noRevocations is a store in which nothing was revoked.
type noRevocations struct{}

func (noRevocations) EachStatusBit(context.Context, func(revocation.StatusBit) error) error {
	return nil
}
func (noRevocations) EachCutoff(context.Context, func(revocation.Cutoff) error) error { return nil }

// TestCutoffsOfEveryKind: each kind of cut-off meets each form of token that it can
// name, at the millisecond of its issue and not a millisecond earlier, whether the
// token was seen before or not; and it meets none that differs in that one thing.
func TestCutoffsOfEveryKind(t *testing.T) {
	kinds := []revocation.CutoffKind{revocation.CutoffRealm, revocation.CutoffSubject, revocation.CutoffClient, revocation.CutoffSession, revocation.CutoffKey}
	forms := map[string]func(*world) (p Presented, ids map[revocation.CutoffKind]string, issued time.Time){
		"signed": func(w *world) (Presented, map[revocation.CutoffKind]string, time.Time) {
			p := w.access(func(a *token.Access) { a.ClientID, a.SessionID = "client-1", "session-1" })
			return p, map[revocation.CutoffKind]string{revocation.CutoffRealm: "", revocation.CutoffSubject: "usr_alice", revocation.CutoffClient: "client-1",
				revocation.CutoffSession: "session-1", revocation.CutoffKey: w.signing.KID}, w.now
		},
		"opaque": func(w *world) (Presented, map[revocation.CutoffKind]string, time.Time) {
			w.grants["grt_1"] = gatehouse.Grant{ClientID: "client-1", SessionID: "session-1", StatusList: 5, StatusIdx: 9, ExpiresAt: w.now.Add(time.Hour)}
			text, id, hash := credential.MintKey("ght", "live")
			w.tokens[string(hash)] = credential.OpaqueToken{Hash: hash, ID: "tok_" + id, Realm: "main", GrantID: "grt_1", Subject: "usr_alice",
				Scopes: []string{"read"}, Audience: []string{issuerURL}, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
			parsed, _ := credential.ParseKey(text.Reveal())
			// No key signed it: a cut-off by signing key has nothing to name.
			return Presented{Scheme: gatehouse.SchemeOpaque, ID: id, Secret: text, Key: parsed}, map[revocation.CutoffKind]string{revocation.CutoffRealm: "",
				revocation.CutoffSubject: "usr_alice", revocation.CutoffClient: "client-1", revocation.CutoffSession: "session-1"}, w.now
		},
		"foreign": func(w *world) (Presented, map[revocation.CutoffKind]string, time.Time) {
			w.realms["main"] = gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{TrustedIssuers: []gatehouse.TrustedIssuer{
				{Issuer: "https://idp.test", Audience: "api", Algorithms: []string{"ES256"}}}}}
			text, err := w.foreign.Sign(token.TypeJWT, fmt.Appendf(nil, `{"iss":"https://idp.test","sub":"usr_alice","aud":"api","client_id":"client-1","sid":"session-1","iat":%d,"exp":%d}`,
				w.now.Unix(), w.now.Add(time.Minute).Unix()))
			if err != nil {
				t.Fatal(err)
			}
			return Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(text)}, map[revocation.CutoffKind]string{revocation.CutoffRealm: "",
				revocation.CutoffSubject: foreignID("https://idp.test", "usr_alice"), revocation.CutoffClient: "client-1", revocation.CutoffSession: "session-1",
				revocation.CutoffKey: w.foreign.KID}, w.now.Truncate(time.Second)
		},
	}
	for form, make := range forms {
		for _, kind := range kinds {
			w := newWorld(t)
			view := revocation.NewView()
			if err := view.Load(t.Context(), noRevocations{}); err != nil {
				t.Fatal(err)
			}
			w.revoked = func(r revocation.Ref) bool { r.HasStatus = false; revoked, _ := view.Revoked(r); return revoked }
			cut := func(realm, id string, before time.Time) {
				view.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: realm,
					Value: revocation.Cutoff{Realm: realm, Kind: kind, ID: id, Before: before, ExpiresAt: before.Add(time.Hour)}})
			}
			p, ids, issued := make(w)
			id, named := ids[kind]
			w.check(t, p, secure, "", "")
			if named {
				cut("other", id, issued)
			}
			for other, theirs := range ids { // the same text as another kind of id
				if kind != revocation.CutoffRealm && other != kind && other != revocation.CutoffRealm {
					cut("main", theirs, issued)
				}
			}
			if kind != revocation.CutoffRealm {
				cut("main", "somebody-else", issued.Add(time.Hour))
			}
			if named {
				cut("main", id, issued.Add(-time.Millisecond))
			}
			w.check(t, p, secure, "", "")
			if !named {
				continue
			}
			cut("main", id, issued)
			w.check(t, p, secure, "invalid_token", "token_revoked")
			fresh := newWorld(t) // the same, for a token that nobody has seen
			fresh.revoked = w.revoked
			fresh.now, fresh.signing, fresh.foreign = w.now, w.signing, w.foreign
			q, _, _ := make(fresh)
			fresh.check(t, q, secure, "invalid_token", "token_revoked")
			if t.Failed() {
				t.Fatalf("%s × cut-off by %s", form, kind)
			}
		}
	}
}
