package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// desk is what transactions have to do with, in memory, for one account.
type desk struct {
	LinkStore
	Users
	Log
	user  identity.User
	links []Link
	keys  bool // a passkey
	told  []string
	fresh bool
}

func (d *desk) User(context.Context, string, string) (identity.User, error) { return d.user, nil }

func (d *desk) ProviderLinks(_ context.Context, _, user string) ([]Link, error) {
	return slices.DeleteFunc(slices.Clone(d.links), func(l Link) bool { return l.UserID != user }), nil
}

func (d *desk) ProviderLink(_ context.Context, _, id, issuer, subject string) (Link, error) {
	for _, l := range d.links {
		if l.Provider == id && l.Issuer == issuer && l.Subject == subject {
			return l, nil
		}
	}
	return Link{}, gatehouse.ErrNotFound
}

func (d *desk) InsertProviderLink(_ context.Context, l Link) error {
	d.links = append(d.links, l)
	return nil
}

func (d *desk) DeleteProviderLink(_ context.Context, l Link) error {
	d.links = slices.DeleteFunc(d.links, func(has Link) bool { return has.ID() == l.ID() })
	return nil
}

func (d *desk) HasPasskey(context.Context, string, string) (bool, error) {
	return d.keys, nil
}

func (d *desk) AppendEvents(_ context.Context, events ...gatehouse.Event) error {
	for _, e := range events {
		d.told = append(d.told, e.Kind+" "+e.Detail["provider"])
	}
	return nil
}

func (d *desk) Put(_ context.Context, _ mail.Outgoing, m mail.Message) (string, error) {
	d.told = append(d.told, string(m.Kind)+" "+m.To+" "+m.Data.Factor)
	return "", nil
}

// TestLinks: links are changed by whoever signed in a moment ago, and the record and the owner hear of each change; the last way
// in stays, one that opens nothing is none, and what is another's is not taken.
func TestLinks(t *testing.T) {
	now := time.Now()
	d := &desk{user: identity.User{ID: "usr_1", Realm: "main", Username: "ann", Email: "ann@example.org", SecondFactor: true}, fresh: true}
	s := &Service{c: Config{Now: func() time.Time { return now }, Mail: d,
		Fresh: func(who *gatehouse.Principal, second bool, at time.Time) bool {
			return d.fresh && second && at.Equal(now)
		},
		Run: func(ctx context.Context, do func(context.Context, Tx) error) error {
			return do(ctx, Tx{LinkStore: d, Users: d, Log: d, OtherWays: d})
		}}}
	p := gatehouse.Provider{ID: "acme", Issuer: "https://acme.example", Title: "Acme"}
	realm := gatehouse.Realm{Name: "main", Settings: gatehouse.RealmSettings{Providers: []gatehouse.Provider{p}}}
	who := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Scheme: gatehouse.SchemeSession, SessionID: "ses_1"}
	f := flight{User: "usr_1", Session: "ses_1", Began: now.UnixMilli()}
	join := func(subject string, authTime time.Time) error {
		return s.join(t.Context(), p, f, who, &said{Subject: subject, AuthTime: authTime})
	}
	want := func(what string, err error, code string) {
		t.Helper()
		if got := gatehouse.CodeOf(err); err != nil != (code != "") || code != "" && got != code {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	link := func(subject string) Link {
		return Link{Realm: "main", Provider: "acme", Issuer: p.Issuer, Subject: subject, UserID: "usr_1"}
	}
	want("nobody was asked", join("s-1", now.Add(-time.Hour)), "provider_refused")
	want("linked", join("s-1", now), "")
	want("again", join("s-1", time.Time{}), "")
	unlink := func(l Link) error { return s.Unlink(t.Context(), realm, who, l.ID()) }
	want("the last way in", unlink(link("s-1")), "provider_link_last")
	old := link("s-old")
	old.Issuer = "https://old.example"
	ended := link("s-ended")
	ended.EndedAt = now
	d.links = append(d.links, old, ended)
	want("beside links that open nothing", unlink(link("s-1")), "provider_link_last")
	want("what opens nothing", unlink(old), "")
	want("one that has ended counts again", join("s-ended", now), "")
	want("beside another", unlink(link("s-1")), "")
	want("no such link", unlink(link("s-1")), "provider_link_not_found")
	for what, has := range map[string]func(){"a password": func() { d.user.PasswordHash = "$" }, "a directory": func() { d.user.DirectoryID = "x" }, "a passkey": func() { d.keys = true }} {
		d.user.PasswordHash, d.user.DirectoryID, d.keys = "", "", false
		has()
		want("beside "+what, unlink(d.links[0]), "")
		want("back", join("s-1", now), "")
	}
	theirs := link("s-2")
	theirs.UserID = "usr_2"
	d.links = append(d.links, theirs)
	want("another's", join("s-2", now), "provider_linked")
	want("another's", unlink(theirs), "provider_link_not_found")
	d.told = nil
	want("told", unlink(link("s-1")), "")
	want("told", join("s-1", now), "")
	if got := fmt.Sprint(d.told); got != "[provider_unlinked ann@example.org Acme provider.unlink acme provider_linked ann@example.org Acme provider.link acme]" {
		t.Error(got)
	}
	for i := range MaxLinks {
		d.links = append(d.links, link(fmt.Sprint("n-", i)))
	}
	want("too many", join("s-9", now), "provider_link_limit")
	d.fresh = false
	want("too long ago", unlink(link("s-1")), "sign_in_again")
	_, err := s.BeginLink(t.Context(), realm, "acme", who, []byte("browser"))
	want("too long ago", err, "sign_in_again")
	d.fresh, who.SessionID = true, ""
	want("no session", unlink(link("s-1")), "sign_in_again")
	for what, in := range map[string]*gatehouse.Principal{"nobody": nil, "another": {Kind: gatehouse.KindUser, ID: "usr_2", SessionID: "ses_1"}, "another session": {Kind: gatehouse.KindUser, ID: "usr_1", SessionID: "ses_2"}} {
		if err := f.own(in); err == nil || !strings.Contains(err.Error(), "another session") {
			t.Errorf("%s has come back: %v", what, err)
		}
	}
}
