package server

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/apps"
	"github.com/gatehouse-auth/gatehouse/admin/factors"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/keys"
	"github.com/gatehouse-auth/gatehouse/admin/passkeys"
	"github.com/gatehouse-auth/gatehouse/admin/providers"
	"github.com/gatehouse-auth/gatehouse/admin/sessions"
	"github.com/gatehouse-auth/gatehouse/admin/tokens"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
)

// maxOwnEvents bounds what of the record somebody takes along, the newest first; the activity page has the rest.
const maxOwnEvents = 5000

// ownData is the form of what is kept of a person, as the management API shows it: no secret is in it, nor a hash of one.
type ownData struct {
	ExportedAt time.Time          `json:"exported_at"`
	Profile    users.User         `json:"profile"`
	Factors    []factors.Factor   `json:"factors"`
	Passkeys   []passkeys.Passkey `json:"passkeys"`
	Links      []providers.Link   `json:"links"` // with accounts elsewhere
	Apps       []apps.App         `json:"apps"`  // that the person lets have something
	Keys       []keys.Key         `json:"keys"`
	Sessions   []sessions.Session `json:"sessions"`
	Logins     []tokens.Grant     `json:"logins"`
	Events     []audit.Entry      `json:"events"`
	MoreEvents bool               `json:"more_events"` // older ones are left out
}

// Export returns what is kept of who is signed in.
func (o ownAccount) Export(ctx context.Context, who *gatehouse.Principal) ([]byte, error) {
	out := ownData{ExportedAt: time.Now().UTC()}
	var err error
	if out.Profile, err = o.admin.Users.Get(ctx, who, who.Realm, self); err != nil {
		return nil, err
	}
	if out.Factors, err = o.admin.Factors.List(ctx, who, who.Realm, self); err != nil {
		return nil, err
	}
	if out.Passkeys, err = o.admin.Passkeys.List(ctx, who, who.Realm, self); err != nil {
		return nil, err
	}
	if out.Links, err = o.admin.Providers.Links(ctx, who, who.Realm, self); err != nil {
		return nil, err
	}
	connected, err := o.admin.Apps.List(ctx, who, who.Realm, self)
	if out.Apps = connected.Items; err != nil {
		return nil, err
	}
	out.Keys, _, err = pagesOf(0, func(after string) (kernel.Page[keys.Key], error) {
		return o.admin.Keys.List(ctx, who, who.Realm, self, after, 0)
	})
	if err != nil {
		return nil, err
	}
	out.Sessions, _, err = pagesOf(0, func(after string) (kernel.Page[sessions.Session], error) {
		return o.admin.Sessions.List(ctx, who, who.Realm, self, after, 0)
	})
	if err != nil {
		return nil, err
	}
	out.Logins, _, err = pagesOf(0, func(after string) (kernel.Page[tokens.Grant], error) {
		return o.admin.Tokens.Grants(ctx, who, who.Realm, self, after, 0)
	})
	if err != nil {
		return nil, err
	}
	out.Events, out.MoreEvents, err = pagesOf(maxOwnEvents, func(after string) (kernel.Page[audit.Entry], error) {
		return o.admin.Records.Own(ctx, who, after, 0)
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// DeleteAccount removes the account of who is signed in.
func (o ownAccount) DeleteAccount(ctx context.Context, who *gatehouse.Principal) error {
	return o.admin.Users.DeleteOwn(ctx, who)
}

// pagesOf reads the pages of a list, until it has most (0: of any number, which other bounds hold small). more: there are more.
func pagesOf[T any](most int, page func(after string) (kernel.Page[T], error)) (all []T, more bool, err error) {
	all = []T{}
	for after := ""; ; {
		p, err := page(after)
		if err != nil {
			return nil, false, err
		}
		all = append(all, p.Items...)
		if after = p.Next; after == "" || most > 0 && len(all) >= most {
			return all, after != "", nil
		}
	}
}
