package server

import (
	"cmp"
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/sessions"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/pages"
)

// ownAccount is what people do with their own account on the pages: by the use cases of administration, which judge and record
// it as from a program.
type ownAccount struct{ admin *admin.Service }

func (o ownAccount) OpenSessions(ctx context.Context, who *gatehouse.Principal) ([]gatehouse.Session, error) {
	var open []gatehouse.Session
	err := o.sessions(ctx, who, func(s sessions.Session) {
		if s.Open {
			open = append(open, stored(s))
		}
	})
	if err != nil {
		return nil, err
	}
	sorted.Slice(open, func(a, b gatehouse.Session) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), cmp.Compare(b.ID, a.ID))
	})
	return open, nil
}

// sessions shows each session of who, also those that were over within the last day.
func (o ownAccount) sessions(ctx context.Context, who *gatehouse.Principal, show func(sessions.Session)) error {
	for after := ""; ; {
		page, err := o.admin.Sessions.List(ctx, who, who.Realm, self, after, 0)
		if err != nil {
			return err
		}
		for _, s := range page.Items {
			show(s)
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// stored is a session with what pages show of it.
func stored(s sessions.Session) gatehouse.Session {
	return gatehouse.Session{ID: s.ID, Realm: s.Realm, UserID: s.UserID, CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt, Address: s.Address, UserAgent: s.UserAgent}
}

func (o ownAccount) Session(ctx context.Context, who *gatehouse.Principal, id string) (found gatehouse.Session, open bool, err error) {
	err = o.sessions(ctx, who, func(s sessions.Session) {
		if s.ID == id {
			found, open = stored(s), s.Open
		}
	})
	if err == nil && found.ID == "" {
		err = gatehouse.ErrNotFound
	}
	return found, open, err
}

func (o ownAccount) Disown(ctx context.Context, who *gatehouse.Principal, id string) error {
	return o.admin.Sessions.Disown(ctx, who, id)
}

func (o ownAccount) EndSession(ctx context.Context, who *gatehouse.Principal, id string) error {
	return o.admin.Sessions.End(ctx, who, who.Realm, self, id)
}

func (o ownAccount) EndOthers(ctx context.Context, who *gatehouse.Principal) (int, error) {
	ended, err := o.admin.Sessions.EndAll(ctx, who, who.Realm, self, who.SessionID)
	return ended.Sessions, err
}

func (o ownAccount) SignOutEverywhere(ctx context.Context, who *gatehouse.Principal) error {
	return o.admin.Users.Revoke(ctx, who, who.Realm, self)
}

func (o ownAccount) Rename(ctx context.Context, who *gatehouse.Principal, name string) error {
	_, err := o.admin.Users.Update(ctx, who, who.Realm, self, users.UserPatch{DisplayName: &name})
	return err
}

func (o ownAccount) AcceptTerms(ctx context.Context, who *gatehouse.Principal, version string) error {
	return o.admin.Users.AcceptTerms(ctx, who, version)
}

func (o ownAccount) ChangePassword(ctx context.Context, who *gatehouse.Principal, current, next gatehouse.Secret) error {
	err := o.admin.Users.SetPassword(ctx, who, who.Realm, self, users.PasswordChange{Current: current, New: next})
	return err
}

// Deeds tells what happened to the account. Of a browser that opened a session within the last day, or whose session is open, it is
// known which one it was.
func (o ownAccount) Deeds(ctx context.Context, who *gatehouse.Principal, after string) (deeds []pages.Deed, next string, err error) {
	page, err := o.admin.Records.Own(ctx, who, after, 0)
	if err != nil {
		return nil, "", err
	}
	agents := map[string]string{}
	if err := o.sessions(ctx, who, func(s sessions.Session) { agents[s.ID] = s.UserAgent }); err != nil {
		return nil, "", err
	}
	for _, e := range page.Items {
		d := pages.Deed{Time: e.Time, Kind: e.Kind, Failed: e.Outcome != gatehouse.OutcomeSuccess, Others: e.Actor.ID == "" && e.Actor.Kind != "",
			Name: e.Detail["name"], Address: e.Address, Request: e.RequestID}
		if e.Target.Type == "session" {
			d.UserAgent = agents[e.Target.ID]
		}
		deeds = append(deeds, d)
	}
	return deeds, page.Next, nil
}
