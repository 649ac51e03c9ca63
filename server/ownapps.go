package server

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/apps"
	"github.com/gatehouse-auth/gatehouse/pages"
)

// ownApps has the use cases of administration show and take back what whoever is signed in at the pages lets clients have.
type ownApps struct{ of *apps.Service }

func (o ownApps) List(ctx context.Context, who *gatehouse.Principal) ([]pages.ConnectedApp, error) {
	page, err := o.of.List(ctx, who, who.Realm, self)
	if err != nil {
		return nil, err
	}
	out := make([]pages.ConnectedApp, len(page.Items))
	for i, a := range page.Items {
		out[i] = pages.ConnectedApp{ClientID: a.ClientID, Name: a.ClientName, Hosts: a.Hosts, FirstParty: a.FirstParty, Unverified: a.Unverified,
			Tokens: a.Grants > 0, Since: a.Since, Used: a.LastUsedAt}
		for _, w := range a.Access {
			out[i].Resources = append(out[i].Resources, w.Resource)
			for _, name := range w.Scopes {
				if !slices.Contains(out[i].Scopes, name) {
					out[i].Scopes = append(out[i].Scopes, name)
				}
			}
		}
	}
	return out, nil
}

func (o ownApps) Revoke(ctx context.Context, who *gatehouse.Principal, clientID string) error {
	_, err := o.of.Revoke(ctx, who, who.Realm, self, clientID)
	return err
}
