package server

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/factors"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// ownFactors has the use cases of administration change the second factors of whoever is signed in
// at the pages: his own, by the session.
type ownFactors struct{ of *factors.Service }

const self = "me"

func (o ownFactors) List(ctx context.Context, p *gatehouse.Principal) ([]pages.Factor, error) {
	list, err := o.of.List(ctx, p, p.Realm, self)
	out := make([]pages.Factor, len(list))
	for i, f := range list {
		out[i] = pages.Factor{ID: f.ID, Name: f.Name, App: f.Kind == string(factor.TOTP), Confirmed: f.Confirmed, UsedAt: f.LastUsedAt}
		if f.CodesLeft != nil {
			out[i].CodesLeft = *f.CodesLeft
		}
	}
	return out, err
}

func (o ownFactors) Add(ctx context.Context, p *gatehouse.Principal, name string) (pages.NewApp, error) {
	made, err := o.of.BeginTOTP(ctx, p, p.Realm, self, factors.NewTOTP{Name: name})
	return pages.NewApp{ID: made.Factor.ID, Secret: made.Secret, QR: made.QR}, err
}

func (o ownFactors) Confirm(ctx context.Context, p *gatehouse.Principal, id string, code gatehouse.Secret) ([]gatehouse.Secret, error) {
	made, err := o.of.ConfirmTOTP(ctx, p, p.Realm, self, id, factors.Confirmation{Code: code})
	return made.RecoveryCodes, err
}

func (o ownFactors) Rename(ctx context.Context, p *gatehouse.Principal, id, name string) error {
	_, err := o.of.Rename(ctx, p, p.Realm, self, id, factors.FactorName{Name: name})
	return err
}

func (o ownFactors) Remove(ctx context.Context, p *gatehouse.Principal, id string) error {
	return o.of.Remove(ctx, p, p.Realm, self, id, factors.Proof{})
}

func (o ownFactors) NewCodes(ctx context.Context, p *gatehouse.Principal) ([]gatehouse.Secret, error) {
	made, err := o.of.NewCodes(ctx, p, p.Realm, self, factors.Proof{})
	return made.Codes, err
}

// replacements replaces lost second factors of who comes by a link.
type replacements struct {
	users    *users.Service
	passkeys *passkey.Service
}

func (r replacements) LinkOf(ctx context.Context, realm string, link gatehouse.Secret) (string, error) {
	return r.users.FactorsLinkOf(ctx, realm, link)
}

func (r replacements) Prove(ctx context.Context, realm string, link, password gatehouse.Secret, browser []byte) (gatehouse.Secret, error) {
	return r.users.ProveFactorsLink(ctx, realm, link, password, browser)
}

func (r replacements) Waits(ctx context.Context, realm string, text gatehouse.Secret, browser []byte) (*gatehouse.Principal, factor.Shown, error) {
	return r.users.Replacing(ctx, realm, text, browser)
}

func (r replacements) ByApp(ctx context.Context, realm string, text gatehouse.Secret, browser []byte, code gatehouse.Secret) ([]gatehouse.Secret, error) {
	return r.users.ReplaceByApp(ctx, realm, text, browser, code)
}

func (r replacements) ByPasskey(ctx context.Context, realm string, text gatehouse.Secret, browser []byte, name string, answer []byte) error {
	return r.users.ReplaceByPasskey(ctx, realm, text, browser, func(ctx context.Context, who *gatehouse.Principal) (*passkey.First, error) {
		return r.passkeys.Instead(ctx, who, name, browser, answer)
	})
}

func (r replacements) Offer(who *gatehouse.Principal, title string, browser []byte) (passkey.Offer, error) {
	return r.passkeys.OfferInstead(who, title, browser)
}
