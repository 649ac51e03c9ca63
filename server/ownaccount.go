package server

import (
	"cmp"
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/pages"
)

// ownAccount is what people do with their own account on the pages: by the use cases of administration, which judge and record
// it as from a program.
type ownAccount struct{ admin *admin.Service }

func (o ownAccount) OpenSessions(ctx context.Context, who *gatehouse.Principal) ([]gatehouse.Session, error) {
	var open []gatehouse.Session
	for after := ""; ; {
		page, err := o.admin.Sessions.List(ctx, who, who.Realm, self, after, 0)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Items {
			if s.Open {
				open = append(open, gatehouse.Session{ID: s.ID, Realm: s.Realm, UserID: s.UserID, CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt,
					Address: s.Address, UserAgent: s.UserAgent})
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	sorted.Slice(open, func(a, b gatehouse.Session) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), cmp.Compare(b.ID, a.ID))
	})
	return open, nil
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
	for after := ""; ; {
		list, err := o.admin.Sessions.List(ctx, who, who.Realm, self, after, 0)
		if err != nil {
			return nil, "", err
		}
		for _, s := range list.Items {
			agents[s.ID] = s.UserAgent
		}
		if after = list.Next; after == "" {
			break
		}
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
