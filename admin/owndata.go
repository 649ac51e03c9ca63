package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
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

// self names the caller in the paths of the API.
const self = "me"

// OwnData is what is kept of a person, in the views of the subjects: no secret is in it, nor a hash of one.
type OwnData struct {
	ExportedAt time.Time          `json:"exported_at"`
	Profile    users.User         `json:"profile"`
	Factors    []factors.Factor   `json:"factors"`
	Passkeys   []passkeys.Passkey `json:"passkeys"`
	Links      []providers.Link   `json:"links" doc:"With accounts elsewhere"`
	Apps       []apps.App         `json:"apps" doc:"That the person lets have something"`
	Keys       []keys.Key         `json:"keys"`
	Sessions   []sessions.Session `json:"sessions"`
	Logins     []tokens.Grant     `json:"logins"`
	Events     []audit.Entry      `json:"events" doc:"Of the account, the newest 5000 or so"`
	MoreEvents bool               `json:"more_events" doc:"Older ones are left out"`
}

// OwnData returns what is kept of the caller, who is of that realm. Each part is read as its subject allows the caller to read it.
func (s *Service) OwnData(ctx context.Context, who *gatehouse.Principal, realm string) (out OwnData, err error) {
	if out.Profile, err = s.Users.Get(ctx, who, realm, self); err != nil {
		return OwnData{}, err
	}
	if out.Factors, err = s.Factors.List(ctx, who, realm, self); err != nil {
		return OwnData{}, err
	}
	if out.Passkeys, err = s.Passkeys.List(ctx, who, realm, self); err != nil {
		return OwnData{}, err
	}
	if out.Links, err = s.Providers.Links(ctx, who, realm, self); err != nil {
		return OwnData{}, err
	}
	connected, err := s.Apps.List(ctx, who, realm, self)
	if out.Apps = connected.Items; err != nil {
		return OwnData{}, err
	}
	out.Keys, _, err = pagesOf(0, func(after string) (kernel.Page[keys.Key], error) {
		return s.Keys.List(ctx, who, realm, self, after, 0)
	})
	if err != nil {
		return OwnData{}, err
	}
	out.Sessions, _, err = pagesOf(0, func(after string) (kernel.Page[sessions.Session], error) {
		return s.Sessions.List(ctx, who, realm, self, after, 0)
	})
	if err != nil {
		return OwnData{}, err
	}
	out.Logins, _, err = pagesOf(0, func(after string) (kernel.Page[tokens.Grant], error) {
		return s.Tokens.Grants(ctx, who, realm, self, after, 0)
	})
	if err != nil {
		return OwnData{}, err
	}
	out.Events, out.MoreEvents, err = pagesOf(maxOwnEvents, func(after string) (kernel.Page[audit.Entry], error) {
		return s.Records.Own(ctx, who, after, 0)
	})
	if err != nil {
		return OwnData{}, err
	}
	out.ExportedAt = s.now().UTC()
	return out, nil
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

// ownData adds what goes over all subjects to the management API.
type ownData struct{ s *Service }

// Operations implements adminhttp.Subject.
func (o ownData) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/realms/{realm}/me/data", ID: "get-own-data", Tag: "users",
		Summary: "All that is kept of the caller: profile, factors, passkeys, links, apps, keys, sessions, logins, events; no secrets"},
		func(ctx context.Context, actor *gatehouse.Principal, in *adminhttp.RealmPath) (*adminhttp.Out[OwnData], error) {
			return adminhttp.Answer(o.s.OwnData(ctx, actor, in.Realm))
		})
}
