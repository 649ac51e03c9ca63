package apps_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

type setup interface {
	InsertClient(ctx context.Context, c client.Client) error
	InsertConsent(ctx context.Context, c grant.Consent) error
	InsertIssued(ctx context.Context, i grant.Issued) error
	PutCutoff(ctx context.Context, c revocation.Cutoff) error
}

// TestApps: a list has what clients have of a person now, by what is remembered and by logins, and nothing of anybody else; to take it
// back ends both, and is recorded. What counts no more is no app.
func TestApps(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	alice := h.Person(root, "main", "alice")
	bob := h.Person(root, "main", "bob")
	now := time.Now().Truncate(time.Microsecond)
	program := func(id, name string) client.Client {
		return client.Client{Realm: "main", ID: id, Secret: client.NoSecret(now), CreatedAt: now, UpdatedAt: now, Version: 1, Metadata: client.Metadata{Name: name, AuthMethod: client.AuthNone,
			GrantTypes: []string{client.GrantAuthorizationCode}, Flow: client.Flow{RedirectURIs: []string{"https://" + name + ".example/back", "http://127.0.0.1/back"}}}}
	}
	mail, old, changed := program("cli_mail", "mail"), program("cli_old", "old"), program("cli_changed", "changed")
	consent := func(c client.Client, at time.Time) grant.Consent {
		return grant.Consent{ID: "con_" + c.ID, Realm: "main", User: alice, Client: c.ID, Print: c.Metadata.Print(), CreatedAt: at, Allowed: []grant.Allowed{{Resource: "https://api.example", Scopes: []string{"b", "a"}, At: at}}}
	}
	place := int64(0)
	login := func(user, clientID string, used time.Time) grant.Issued {
		list, _ := revocation.NewStatus(now.Add(time.Hour))
		place++
		g := gatehouse.Grant{ID: gatehouse.NewID("grt", now), Realm: "main", Subject: user, ClientID: clientID, Scopes: []string{"c"}, Audience: []string{"https://api.example"}, AuthTime: now, CreatedAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(time.Hour), StatusList: list, StatusIdx: place}
		return grant.Issued{Grant: &g, Refresh: &grant.Refresh{Hash: []byte(g.ID), GrantID: g.ID, Realm: "main", IssuedAt: used, ExpiresAt: g.ExpiresAt}}
	}
	lookedOtherwise := consent(changed, now)
	lookedOtherwise.Print = []byte{1}
	run := testadmin.Must(store.Run[setup](h.DB))
	err := run(t.Context(), func(ctx context.Context, tx setup) error {
		over := login(alice, old.ID, now)
		over.Grant.ExpiresAt = now.Add(-time.Minute)
		return errors.Join(tx.InsertClient(ctx, mail), tx.InsertClient(ctx, old), tx.InsertClient(ctx, changed),
			tx.InsertConsent(ctx, consent(mail, now.Add(-time.Hour))), tx.InsertConsent(ctx, consent(old, now.Add(-1000*24*time.Hour))), tx.InsertConsent(ctx, lookedOtherwise),
			tx.InsertIssued(ctx, login(alice, mail.ID, now.Add(-time.Minute))), tx.InsertIssued(ctx, login(alice, mail.ID, now.Add(-time.Second))),
			tx.InsertIssued(ctx, over), tx.InsertIssued(ctx, login(bob, "cli_gone", now)), tx.InsertIssued(ctx, login(alice, grant.FirstPartyClient, now)))
	})
	if err != nil {
		t.Fatal(err)
	}
	own := h.Login("main", alice, gatehouse.AAL1, 0)
	list := func(user string) []any {
		t.Helper()
		items, _ := h.Want(200, own, "GET", "/realms/main/users/"+user+"/apps", nil).JSON["items"].([]any)
		return items
	}
	items := list("me")
	if len(items) != 1 {
		t.Fatalf("%v", items)
	}
	app, _ := items[0].(map[string]any)
	access, _ := app["access"].([]any)
	if app["client_id"] != mail.ID || app["client_name"] != "mail" || app["grants"] != 2.0 || app["remembered"] != true || len(access) != 1 ||
		app["last_used_at"] != now.Add(-time.Second).UTC().Format(time.RFC3339Nano) || app["since"] != now.Add(-2*time.Hour).UTC().Format(time.RFC3339Nano) {
		t.Errorf("%v", app)
	}
	at, _ := access[0].(map[string]any)
	if scopes, _ := at["scopes"].([]any); at["resource"] != "https://api.example" || len(scopes) != 3 {
		t.Errorf("%v", access)
	}
	if hosts, _ := app["hosts"].([]any); len(hosts) != 1 || hosts[0] != "mail.example" {
		t.Errorf("%v", app["hosts"])
	}

	// Nobody sees or takes back what is another's, and a login of one's own is no app.
	h.Want(403, own, "GET", "/realms/main/users/"+bob+"/apps", nil)
	h.Want(403, own, "DELETE", "/realms/main/users/"+bob+"/apps/cli_gone", nil)
	for _, id := range []string{"cli_gone", grant.FirstPartyClient} {
		if r := h.Want(404, own, "DELETE", "/realms/main/users/me/apps/"+id, nil); r.Str("code") != "app_not_found" {
			t.Errorf("%s: %v", id, r.Body)
		}
	}
	if r := h.Want(200, own, "DELETE", "/realms/main/users/me/apps/"+mail.ID, nil); r.JSON["grants"] != 2.0 {
		t.Errorf("%v", r.Body)
	}
	if items := list("me"); len(items) != 0 {
		t.Errorf("%v", items)
	}
	h.Want(404, own, "DELETE", "/realms/main/users/me/apps/"+mail.ID, nil)
	if _, err := h.DB.Consent(t.Context(), "main", alice, mail.ID); gatehouse.KindOf(err) != gatehouse.NotFound {
		t.Errorf("it is remembered: %v", err)
	}
	for _, g := range testadmin.Must(h.DB.Grants(t.Context(), "main", alice, "", 100)) {
		if g.ClientID == mail.ID && (g.EndedAt.IsZero() || g.EndReason != grant.ReasonConsent) {
			t.Errorf("%+v", g)
		}
		if g.ClientID != mail.ID && !g.EndedAt.IsZero() {
			t.Errorf("another one ended: %+v", g)
		}
	}
	if got := h.Events(root, "consent.revoke"); len(got) != 1 || got[0] != mail.ID {
		t.Errorf("%v", got)
	}

	// An administrator does it for somebody; and a cut-off ends what the list has.
	if r := h.Want(200, root, "GET", "/realms/main/users/bob/apps", nil); len(r.JSON["items"].([]any)) != 1 {
		t.Errorf("%v", r.Body)
	}
	if err := run(t.Context(), func(ctx context.Context, tx setup) error {
		return tx.PutCutoff(ctx, revocation.CutoffNow("main", revocation.CutoffSubject, bob, now))
	}); err != nil {
		t.Fatal(err)
	}
	if r := h.Want(200, root, "GET", "/realms/main/users/bob/apps", nil); len(r.JSON["items"].([]any)) != 0 {
		t.Errorf("%v", r.Body)
	}
	h.Want(200, root, "DELETE", "/realms/main/users/bob/apps/cli_gone", nil)
	h.Want(404, root, "GET", "/realms/main/users/nobody/apps", nil)
}
